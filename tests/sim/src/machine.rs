//! The containers of one host: they outlive the agent, and know nothing of it.
//!
//! `Launching --up--> Running --end--> Ended --destroyed--> gone`. An ended container keeps its exit record until it is
//! destroyed, as proffer-init's does.

use std::collections::BTreeMap;
use std::time::Duration;

use proffer_agent_core::{ContainerEnd, ContainerId, Process, Signal, TaskKey};
use proffer_types::{Resources, TaskExit, TaskInfo, Usage};

/// What a simulated command does: `sim <milliseconds> <exit code> [deaf]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Behaviour {
    pub(crate) runs_for: Duration,
    pub(crate) code: i32,
    /// SIGTERM is ignored.
    pub(crate) deaf: bool,
}

impl Behaviour {
    pub(crate) fn command(self) -> Vec<String> {
        let mut command = vec![
            "sim".to_owned(),
            self.runs_for.as_millis().to_string(),
            self.code.to_string(),
        ];
        if self.deaf {
            command.push("deaf".to_owned());
        }
        command
    }

    pub(crate) fn parse(command: &[String]) -> Option<Self> {
        Some(Self {
            runs_for: Duration::from_millis(command.get(1)?.parse().ok()?),
            code: command.get(2)?.parse().ok()?,
            deaf: command.get(3).is_some(),
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    Launching,
    Running(Process),
    Ended(ContainerEnd, Usage),
}

#[derive(Debug, Clone)]
pub(crate) struct Container {
    pub(crate) key: TaskKey,
    pub(crate) resources: Resources,
    pub(crate) behaviour: Behaviour,
    pub(crate) state: State,
    /// Nothing of it runs, and nothing in it ends by itself.
    pub(crate) frozen: bool,
    /// Its cpus are others': it is frozen, or was and is being killed.
    pub(crate) without_cpus: bool,
}

impl Container {
    /// What it uses of its host.
    pub(crate) fn held(&self) -> Resources {
        match self.without_cpus {
            true => self.resources.minus(&self.resources.cpus()),
            false => self.resources.clone(),
        }
    }
}

/// Something that happens on a host without its agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MachineEvent {
    /// The launch is through.
    Up { fails: bool },
    /// The command ends.
    End(TaskExit),
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Machine {
    pub(crate) containers: BTreeMap<ContainerId, Container>,
    n_processes: u32,
}

impl Machine {
    /// Begins a launch. None when the container is there already or its command is not a simulated one.
    pub(crate) fn launch(&mut self, id: ContainerId, key: &TaskKey, info: &TaskInfo) -> Option<()> {
        let container = Container {
            key: key.clone(),
            resources: info.resources.clone(),
            behaviour: Behaviour::parse(&info.container.command)?,
            state: State::Launching,
            frozen: false,
            without_cpus: false,
        };
        let before = self.containers.insert(id, container);
        before.is_none().then_some(())
    }

    /// Lets the command run; returns its process and for how long it will.
    pub(crate) fn up(&mut self, id: ContainerId) -> Option<(Process, Behaviour)> {
        let container = self
            .containers
            .get_mut(&id)
            .filter(|container| container.state == State::Launching)?;
        self.n_processes += 1;
        let process = Process {
            pid: 1000 + self.n_processes,
            start_time: u64::from(self.n_processes),
        };
        container.state = State::Running(process);
        Some((process, container.behaviour))
    }

    /// Ends a running container; returns how, for the agent to be told.
    pub(crate) fn end(&mut self, id: ContainerId, exit: TaskExit) -> Option<(ContainerEnd, Usage)> {
        let container = self.containers.get_mut(&id)?;
        if !matches!(container.state, State::Running(_)) {
            return None;
        }
        let usage = Usage {
            mem_peak_bytes: container.resources.mem_bytes(),
            ..Usage::default()
        };
        let end = ContainerEnd::Exit(exit);
        container.state = State::Ended(end.clone(), usage);
        Some((end, usage))
    }

    /// How a running container's command answers a signal, if it does.
    pub(crate) fn signalled(&self, id: ContainerId, signal: Signal) -> Option<TaskExit> {
        let container = self.containers.get(&id)?;
        match (&container.state, signal) {
            (State::Launching | State::Ended(..), _) => None,
            (State::Running(_), Signal::Term) => (!container.behaviour.deaf).then_some(TaskExit::Signal(15)),
            (State::Running(_), Signal::Kill) => Some(TaskExit::Signal(9)),
        }
    }

    /// Freezes or thaws a container that runs; one that is killed has no cpus of its own when it is thawed.
    pub(crate) fn freezer(&mut self, id: ContainerId, freeze: bool, without_cpus: bool) {
        let container = self.containers.get_mut(&id);
        if let Some(container) = container.filter(|it| matches!(it.state, State::Running(_))) {
            container.frozen = freeze;
            container.without_cpus = freeze || without_cpus;
        }
    }

    pub(crate) fn is_frozen(&self, id: ContainerId) -> bool {
        self.containers.get(&id).is_some_and(|container| container.frozen)
    }

    pub(crate) fn remove(&mut self, id: ContainerId) -> Option<Container> {
        self.containers.remove(&id)
    }

    /// Only the exit records of before are left.
    pub(crate) fn reboot(&mut self) {
        self.containers
            .retain(|_, container| matches!(container.state, State::Ended(..)));
    }

    /// The containers that hold resources: launching or running.
    pub(crate) fn live(&self) -> impl Iterator<Item = &Container> {
        self.containers
            .values()
            .filter(|container| !matches!(container.state, State::Ended(..)))
    }

    pub(crate) fn launching(&self) -> Vec<ContainerId> {
        let launching = self
            .containers
            .iter()
            .filter(|(_, container)| container.state == State::Launching);
        launching.map(|(id, _)| *id).collect()
    }
}

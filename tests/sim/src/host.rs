//! An agent's host: launches, takes back and ends containers, with the agent there or without.
//!
//! The agent is told as long as its present life lasts; what it misses it learns when it adopts.

use proffer_agent_core::{CheckRole, Command, ContainerEnd, ContainerId, Process, TaskKey};
use proffer_types::{TaskExit, TaskInfo};

use crate::facts::Fact;
use crate::machine::{MachineEvent, State};
use crate::world::{Happening, World};

/// How many checks in a thousand fail, while things go wrong.
const SICK_PERMILLE: u32 = 100;

/// How many containers in a thousand cannot be frozen, while things go wrong.
const STUCK_PERMILLE: u32 = 100;

/// How much later than it would have what is frozen may end.
const FROZEN_STEP: std::time::Duration = std::time::Duration::from_millis(500);

impl World {
    pub(crate) fn launch(
        &mut self,
        n: usize,
        id: ContainerId,
        key: &TaskKey,
        info: &TaskInfo,
        is_restart: bool,
    ) {
        if self.agents[n].machine.launch(id, key, info).is_none() {
            self.break_rule(
                "a container is launched once",
                format!("agent {n}: {id} of {key}"),
            );
        }
        if !is_restart {
            self.observe(&Fact::ContainerLaunched { agent: n, key });
        }
        self.observe_host(n);
        let fails = self.mishap(self.scenario.faults.launch_permille);
        let slow = self.dice.chance(50);
        let delay = self.dice.millis(1..if slow { 10_000 } else { 100 });
        self.queue.after(
            delay,
            Happening::Machine {
                agent: n,
                container: id,
                event: MachineEvent::Up { fails },
            },
        );
    }

    fn observe_host(&mut self, n: usize) {
        let agent = &self.agents[n];
        let Some(total) = agent.core.as_ref().map(|core| core.info().resources.clone()) else {
            return;
        };
        // Cloned, for the rules are part of the same world.
        let machine = agent.machine.clone();
        self.observe(&Fact::Host {
            agent: n,
            total: &total,
            machine: &machine,
        });
    }

    /// Freezes or thaws a container.
    pub(crate) fn freezer(&mut self, n: usize, id: ContainerId, freeze: bool) {
        let core = self.agents[n].core.as_ref();
        let task = core.and_then(|core| core.tasks().find(|task| task.container_id == id));
        let is_suspended = task.is_some_and(|task| task.latest.condition.is_suspended());
        self.agents[n].machine.freezer(id, freeze, is_suspended);
        self.observe_host(n);
    }

    /// Tells that a container is frozen; now and then that some of it is not.
    pub(crate) fn frozen(&mut self, n: usize, id: ContainerId) {
        let result = match self.mishap(STUCK_PERMILLE) {
            true => Err("a process waits in the kernel".to_owned()),
            false => Ok(()),
        };
        self.answer(
            n,
            Command::Frozen {
                container_id: id,
                result,
            },
        );
    }

    pub(crate) fn adopt(&mut self, n: usize, id: ContainerId, process: Option<Process>) {
        let state = self.agents[n]
            .machine
            .containers
            .get(&id)
            .map(|container| container.state.clone());
        let unknown = Command::Exited {
            container_id: id,
            end: ContainerEnd::Unknown,
            usage: None,
        };
        let answer = match (state, process) {
            (Some(State::Running(running)), None) => Command::Launched {
                container_id: id,
                process: running,
                addresses: Vec::new(),
            },
            (Some(State::Running(running)), Some(process)) if running == process => return,
            (Some(State::Ended(end, usage)), _) => Command::Exited {
                container_id: id,
                end,
                usage: Some(usage),
            },
            (Some(State::Running(_) | State::Launching) | None, _) => unknown,
        };
        self.answer(n, answer);
    }

    /// Tells the present life of the agent, in a while.
    fn answer(&mut self, n: usize, command: Command) {
        let life = self.agents[n].life;
        let delay = self.dice.millis(0..20);
        self.queue.after(
            delay,
            Happening::Answer {
                agent: n,
                life,
                command,
            },
        );
    }

    pub(crate) fn machine(&mut self, n: usize, id: ContainerId, event: MachineEvent) {
        let now = self.now();
        match event {
            MachineEvent::Up { fails: true } => {
                let launching = |state: &State| *state == State::Launching;
                let container = self.agents[n].machine.containers.get(&id);
                if container.is_some_and(|container| launching(&container.state)) {
                    self.agents[n].machine.remove(id);
                    self.trace
                        .line(now, format_args!("host {n}: {id} cannot be launched"));
                    self.answer(
                        n,
                        Command::LaunchFailed {
                            container_id: id,
                            error: "exec format error".to_owned(),
                            exit: Some(TaskExit::Code(126)),
                        },
                    );
                }
            }
            MachineEvent::Up { fails: false } => {
                if let Some(process) = self.container_up(n, id) {
                    self.answer(
                        n,
                        Command::Launched {
                            container_id: id,
                            process,
                            addresses: Vec::new(),
                        },
                    );
                }
            }
            MachineEvent::End(exit) if self.agents[n].machine.is_frozen(id) => {
                let event = MachineEvent::End(exit);
                let later = Happening::Machine {
                    agent: n,
                    container: id,
                    event,
                };
                self.queue.after(FROZEN_STEP, later);
            }
            MachineEvent::End(exit) => {
                if let Some((end, usage)) = self.agents[n].machine.end(id, exit) {
                    self.trace.line(now, format_args!("host {n}: {id} ends: {end:?}"));
                    if self.agents[n].core.is_some() {
                        self.answer(
                            n,
                            Command::Exited {
                                container_id: id,
                                end,
                                usage: Some(usage),
                            },
                        );
                    }
                }
            }
        }
    }

    /// Begins to check a container, as long as this life of the agent lasts.
    pub(crate) fn run_checks(&mut self, n: usize, id: ContainerId, info: &TaskInfo) {
        let life = self.agents[n].life;
        let container = &info.container;
        let checks = [
            (CheckRole::Health, &container.health),
            (CheckRole::Readiness, &container.readiness),
        ];
        for (which, check) in checks {
            if let Some(check) = check {
                let due = Happening::Check {
                    agent: n,
                    life,
                    container: id,
                    which,
                    every: check.interval,
                };
                self.queue.after(check.delay, due);
            }
        }
    }

    pub(crate) fn check(
        &mut self,
        n: usize,
        life: u32,
        id: ContainerId,
        which: CheckRole,
        every: std::time::Duration,
    ) {
        let container = self.agents[n].machine.containers.get(&id);
        let runs = container.is_some_and(|container| matches!(container.state, State::Running(_)));
        if self.agents[n].life != life || !runs {
            return;
        }
        let ok = if self.mishap(SICK_PERMILLE) {
            Err("exit code 1".to_owned())
        } else {
            Ok(())
        };
        self.answer(
            n,
            Command::CheckResult {
                container_id: id,
                which,
                ok,
            },
        );
        let due = Happening::Check {
            agent: n,
            life,
            container: id,
            which,
            every,
        };
        self.queue.after(every, due);
    }

    pub(crate) fn container_up(&mut self, n: usize, id: ContainerId) -> Option<Process> {
        let (process, behaviour) = self.agents[n].machine.up(id)?;
        let now = self.now();
        self.trace
            .line(now, format_args!("host {n}: {id} runs as {process:?}"));
        let key = self.agents[n].machine.containers.get(&id);
        if let Some(key) = key.map(|container| container.key.clone()) {
            self.observe(&Fact::CommandRuns { agent: n, key: &key });
        }
        let event = MachineEvent::End(TaskExit::Code(behaviour.code));
        self.queue.after(
            behaviour.runs_for,
            Happening::Machine {
                agent: n,
                container: id,
                event,
            },
        );
        Some(process)
    }
}

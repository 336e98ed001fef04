//! An agent with a disk that keeps its checkpoints, and a master that says what the script says.

mod executors;
mod operations;
mod sent;
mod suspend;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use expect_test::Expect;
use proffer_types::agent_link::{AgentMessage, MasterMessage};
use proffer_types::container::{Check, CheckKind, PortRef, RestartOn};
use proffer_types::{
    AgentId, AgentInfo, FrameworkId, GroupId, KillPolicy, MasterId, OperationId, Resources, Role, Session,
    StatusReason, StatusUuid, TaskExit, TaskId, TaskInfo, Timestamp, Usage,
};

use crate::{
    Agent, CheckRole, Command, Config, ConnectionId, ContainerEnd, ContainerId, Effect, ExecutorRecord,
    LinkId, Output, Process, Recovered, RecoveredTask, ResourcesRecord, Signal, StateRecord, TaskKey,
    TaskRecord, restore,
};

pub(super) const HEARTBEAT: Duration = Duration::from_secs(5);

pub(super) struct World {
    pub(super) agent: Agent,
    pub(super) now: Timestamp,
    seed: u64,
    link: u64,
    agent_id: Option<AgentId>,
    disk: BTreeMap<ContainerId, (TaskRecord, Option<StateRecord>)>,
    resources: ResourcesRecord,
    executors: BTreeMap<ContainerId, ExecutorRecord>,
    /// Of executors, by their names.
    connections: BTreeMap<String, ConnectionId>,
    names: BTreeMap<ContainerId, String>,
    uuids: BTreeMap<String, StatusUuid>,
    /// Whose checkpoints fail; `resources` for the agent's own.
    pub(super) full_for: Option<String>,
    out: String,
}

fn config() -> Config {
    Config {
        info: AgentInfo {
            hostname: "h".into(),
            address: "127.0.0.1:1".into(),
            resources: "cpus:4;mem:4GiB;disk:10GiB;ports:[31000-31009]".parse().unwrap(),
            attributes: vec![],
            version: "0".into(),
            cgroups: "cgroup v2".into(),
            domain: None,
            can_suspend: true,
        },
    }
}

pub(super) fn framework() -> FrameworkId {
    FrameworkId::new("f").unwrap()
}

fn role() -> Role {
    Role::new("eng/prod").unwrap()
}

pub(super) fn task(name: &str, resources: Resources) -> TaskInfo {
    let (id, agent_id) = (TaskId::new(name).unwrap(), AgentId::new("a").unwrap());
    TaskInfo::new(id, agent_id, resources, ["true"])
}

/// `time=SECONDS`, `restart=failure|always`, `max=N`, `backoff=SECONDS`, `health=FAILURES`, `ready=FAILURES`,
/// `grace=SECONDS` of both checks.
fn set(info: &mut TaskInfo, option: &str) {
    let (name, value) = option.split_once('=').unwrap();
    let n = || value.parse::<u32>().unwrap();
    let seconds = || Duration::from_secs(n().into());
    let check = |failures| {
        Some(Check {
            kind: CheckKind::Tcp {
                port: PortRef::Number(80),
            },
            delay: Duration::ZERO,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            grace: Duration::ZERO,
            failures,
        })
    };
    let spec = &mut info.container;
    match (name, value) {
        ("time", _) => info.max_completion_time = Some(seconds()),
        ("restart", "failure") => spec.restart.on = RestartOn::Failure,
        ("restart", "always") => spec.restart.on = RestartOn::Always,
        ("max", _) => spec.restart.max = Some(n()),
        ("backoff", _) => spec.restart.backoff = Some(seconds()),
        ("health", _) => spec.health = check(n()),
        ("ready", _) => spec.readiness = check(n()),
        ("grace", _) => {
            let checks = [&mut spec.health, &mut spec.readiness];
            checks
                .into_iter()
                .flatten()
                .for_each(|check| check.grace = seconds());
        }
        _ => panic!("unknown option `{option}`"),
    }
}

fn usage(mem_peak_bytes: u64, oom_kills: u64) -> Usage {
    Usage {
        mem_peak_bytes,
        oom_kills,
        ..Usage::default()
    }
}

/// Runs what leads there, then shows the effects of `script`.
pub(super) fn check(before: &str, script: &str, expected: Expect) {
    let mut world = World::new();
    world.run(before);
    expected.assert_eq(&world.run(script));
}

impl World {
    pub(super) fn new() -> Self {
        let (agent, _) = Agent::recover(Timestamp(0), config(), 1, Recovered::default());
        Self {
            agent,
            now: Timestamp(0),
            seed: 1,
            link: 0,
            agent_id: None,
            disk: BTreeMap::new(),
            resources: ResourcesRecord::default(),
            executors: BTreeMap::new(),
            connections: BTreeMap::new(),
            names: BTreeMap::new(),
            uuids: BTreeMap::new(),
            full_for: None,
            out: String::new(),
        }
    }

    /// Runs a script and returns its effects.
    pub(super) fn run(&mut self, script: &str) -> String {
        for command in script
            .split('|')
            .map(str::trim)
            .filter(|command| !command.is_empty())
        {
            self.command(command);
            self.agent.sanity_check();
        }
        std::mem::take(&mut self.out)
    }

    /// The container of the task, or one that nobody knows.
    fn container(&self, name: &str) -> ContainerId {
        let key = TaskKey {
            framework_id: framework(),
            task_id: TaskId::new(name).unwrap(),
        };
        let task = self.agent.tasks.get(&key);
        task.map_or(ContainerId(0), |task| task.container_id)
    }

    fn frame(&mut self, session: u64, message: MasterMessage) {
        self.step(Command::MasterFrame {
            link: LinkId(self.link),
            session: Session(session),
            messages: vec![message],
        });
    }

    fn command(&mut self, text: &str) {
        let words: Vec<&str> = text.split_whitespace().collect();
        match *words.as_slice() {
            ["up"] => {
                self.link += 1;
                self.step(Command::LinkUp {
                    link: LinkId(self.link),
                });
            }
            ["down"] => self.step(Command::LinkDown {
                link: LinkId(self.link),
            }),
            ["registered"] => self.frame(
                self.link,
                MasterMessage::Registered {
                    agent_id: AgentId::new("a").unwrap(),
                    master_id: MasterId::new("m").unwrap(),
                    heartbeat_interval: HEARTBEAT,
                },
            ),
            ["interval", seconds] => {
                let interval = Some(Duration::from_secs(seconds.parse().unwrap()));
                self.frame(self.link, MasterMessage::Heartbeat { interval });
            }
            ["refused", why] => self.frame(0, MasterMessage::Refused { message: why.into() }),
            ["declared-gone", why] => self.frame(self.link, MasterMessage::Gone { message: why.into() }),
            ["run", name, resources, ref options @ ..] => {
                let mut info = task(name, resources.parse().unwrap());
                options.iter().for_each(|option| set(&mut info, option));
                self.launch(self.link, info);
            }
            ["stale", "run", name, resources] => {
                self.launch(self.link - 1, task(name, resources.parse().unwrap()));
            }
            ["group", ref tasks @ ..] => self.group(tasks),
            ["op", id, ref change @ ..] => self.operation(id, change),
            ["op-ack", name] => {
                let uuid = self.uuids.get(name).copied().unwrap_or(StatusUuid([0; 16]));
                let message = MasterMessage::AcknowledgeOperation {
                    framework_id: framework(),
                    operation_id: OperationId::new(name).unwrap(),
                    uuid,
                };
                self.frame(self.link, message);
            }
            ["launched", name] => self.step(Command::Launched {
                container_id: self.container(name),
                process: Process {
                    pid: 7,
                    start_time: 8,
                },
                addresses: vec![],
            }),
            ["preparing", name, ref message @ ..] => self.step(Command::Preparing {
                container_id: self.container(name),
                message: message.join(" "),
            }),
            [which @ ("health" | "ready"), name, ref error @ ..] => {
                let which = match which {
                    "health" => CheckRole::Health,
                    _ => CheckRole::Readiness,
                };
                self.checked(name, which, &error.join(" "));
            }
            ["limit", name] => self.step(Command::LimitExceeded {
                container_id: self.container(name),
                reason: StatusReason::ContainerLimitationDisk,
                message: "2MiB in its sandbox of 1MiB".into(),
            }),
            ["fail", name, error] => self.step(Command::LaunchFailed {
                container_id: self.container(name),
                error: error.into(),
                exit: (error == "not-found").then_some(TaskExit::Code(127)),
            }),
            ["exit", name, code] => {
                self.exited(name, ContainerEnd::Exit(TaskExit::Code(code.parse().unwrap())));
            }
            ["oom", name] => self.oom(name, 64 << 20),
            ["host-oom", name] => self.oom(name, 1 << 20),
            ["gone", name] => self.exited(name, ContainerEnd::Unknown),
            ["kill", name] => self.kill(name, None),
            ["kill", name, seconds] => self.kill(name, Some(Duration::from_secs(seconds.parse().unwrap()))),
            ["ack", name] => {
                let uuid = self.uuids.get(name).copied().unwrap_or(StatusUuid([0; 16]));
                self.frame(
                    self.link,
                    MasterMessage::AcknowledgeStatus {
                        framework_id: framework(),
                        task_id: TaskId::new(name).unwrap(),
                        uuid,
                    },
                );
            }
            ["shutdown"] => self.frame(
                self.link,
                MasterMessage::ShutdownFramework {
                    framework_id: framework(),
                },
            ),
            ["suspend" | "resume" | "frozen", ..] => self.suspension(&words),
            ["executor", name, ref words @ ..] => self.executor(name, words),
            ["stop", "with", "tasks"] => self.step(Command::Stop { kill_tasks: true }),
            ["stop"] => self.step(Command::Stop { kill_tasks: false }),
            ["wait", seconds] => self.wait(Duration::from_secs(seconds.parse().unwrap())),
            ["crash"] => self.crash(false),
            ["reboot"] => self.crash(true),
            _ => panic!("unknown command `{text}`"),
        }
    }

    pub(super) fn launch(&mut self, session: u64, info: TaskInfo) {
        let message = MasterMessage::RunTask {
            framework_id: framework(),
            role: role(),
            info: std::sync::Arc::new(info),
        };
        self.frame(session, message);
    }

    /// `group t cpus:1 u cpus:2 restart=failure`, the options for all of them.
    fn group(&mut self, words: &[&str]) {
        let (options, words): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| word.contains('='));
        let tasks = words.chunks(2).map(|pair| {
            let mut info = task(pair[0], pair[1].parse().unwrap());
            options.iter().for_each(|option| set(&mut info, option));
            info
        });
        let message = MasterMessage::RunGroup {
            framework_id: framework(),
            role: role(),
            group: GroupId::new("g").unwrap(),
            tasks: tasks.collect(),
        };
        self.frame(self.link, message);
    }

    fn kill(&mut self, name: &str, grace_period: Option<Duration>) {
        let message = MasterMessage::KillTask {
            framework_id: framework(),
            task_id: TaskId::new(name).unwrap(),
            kill_policy: KillPolicy { grace_period },
        };
        self.frame(self.link, message);
    }

    /// A check of the task's present container; without an error it succeeded.
    fn checked(&mut self, name: &str, which: CheckRole, error: &str) {
        self.step(Command::CheckResult {
            container_id: self.container(name),
            which,
            ok: if error.is_empty() {
                Ok(())
            } else {
                Err(error.into())
            },
        });
    }

    fn exited(&mut self, name: &str, end: ContainerEnd) {
        self.step(Command::Exited {
            container_id: self.container(name),
            end,
            usage: Some(usage(1 << 20, 0)),
        });
    }

    fn oom(&mut self, name: &str, mem_peak_bytes: u64) {
        self.step(Command::Exited {
            container_id: self.container(name),
            end: ContainerEnd::Exit(TaskExit::Signal(9)),
            usage: Some(usage(mem_peak_bytes, 1)),
        });
    }

    /// The master stays alive meanwhile.
    fn wait(&mut self, time: Duration) {
        let until = self.now.after(time);
        while let Some(next) = self.agent.next_deadline().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            if self.agent.is_registered() {
                self.frame(self.link, MasterMessage::Heartbeat { interval: None });
            }
            self.step(Command::Tick);
        }
        self.now = until;
    }

    /// The agent dies and another one starts; `is_reboot`, all that ran is dead, too.
    fn crash(&mut self, is_reboot: bool) {
        self.seed += 1;
        let tasks = self
            .disk
            .iter()
            .map(|(container_id, (task, state))| RecoveredTask {
                container_id: *container_id,
                task: task.clone(),
                state: state.clone(),
            });
        let containers = self.disk.keys().chain(self.executors.keys()).copied();
        let recovered = Recovered {
            before_reboot: containers.filter(|_| is_reboot).collect(),
            agent_id: self.agent_id.clone(),
            tasks: tasks.collect(),
            executors: self.recovered_executors(),
            operations: self.resources.operations.clone(),
        };
        let mut config = config();
        config.info.resources = restore(&config.info.resources, &self.resources.changed).unwrap();
        let (agent, out) = Agent::recover(self.now, config, self.seed, recovered);
        self.agent = agent;
        self.perform(out);
    }

    pub(super) fn step(&mut self, command: Command) {
        let mut out = Output::new();
        self.agent.step(self.now, command, &mut out);
        self.perform(out);
    }

    fn perform(&mut self, out: Output) {
        let mut failed: Option<(ContainerId, bool)> = None;
        let mut resources_failed = false;
        for effect in out.effects {
            resources_failed |= self.full_for.as_deref() == Some("resources")
                && matches!(effect, Effect::CheckpointResources(_));
            if resources_failed && is_of_resources(&effect) {
                continue;
            }
            if let (Some((id, launch_skipped)), Some(own)) = (&mut failed, self.owner(&effect))
                && *id == own
            {
                *launch_skipped |= executors::is_launch(&effect);
                continue;
            }
            if let Some(id) = self.effect(effect) {
                failed = Some((id, false));
            }
        }
        if resources_failed {
            self.step(Command::ResourcesFailed {
                error: "no space left on device".into(),
            });
        }
        if let Some((container_id, launch_skipped)) = failed {
            self.step(Command::CheckpointFailed {
                container_id,
                launch_skipped,
                error: "no space left on device".into(),
            });
        }
    }

    fn owner(&self, effect: &Effect) -> Option<ContainerId> {
        match effect {
            Effect::Executor { container_id, order } => executors::owner(*container_id, order),
            Effect::CheckpointTask { container_id, .. }
            | Effect::CheckpointExecutor { container_id, .. }
            | Effect::CheckpointState { container_id, .. }
            | Effect::Renew { container_id, .. }
            | Effect::Destroy { container_id }
            | Effect::Launch { container_id, .. } => Some(*container_id),
            Effect::Send {
                message: AgentMessage::Status { status, .. },
                ..
            } => Some(self.container(status.task_id.as_str())),
            Effect::SaveAgentId(_)
            | Effect::CheckpointResources(_)
            | Effect::Forget { .. }
            | Effect::Adopt { .. }
            | Effect::AbortLaunch { .. }
            | Effect::RunChecks { .. }
            | Effect::Freezer { .. }
            | Effect::Signal { .. }
            | Effect::Send { .. }
            | Effect::CloseLink { .. }
            | Effect::Exit { .. } => None,
        }
    }

    fn line(&mut self, text: &str) {
        writeln!(self.out, "{text}").unwrap();
    }

    /// Carries out one effect; answers with the container whose checkpoint failed.
    fn effect(&mut self, effect: Effect) -> Option<ContainerId> {
        let name = |id: &ContainerId| self.names.get(id).cloned().unwrap_or_default();
        match effect {
            Effect::SaveAgentId(id) => {
                self.line(&format!("save id {id}"));
                self.agent_id = Some(id);
            }
            Effect::CheckpointTask { container_id, task } => {
                self.names.insert(container_id, task.info.name.clone());
                if self.full_for.as_deref() == Some(&task.info.name) {
                    return Some(container_id);
                }
                self.disk.insert(container_id, (task, None));
            }
            Effect::CheckpointState { container_id, state } => {
                let name = name(&container_id);
                if self.full_for.as_ref() == Some(&name) {
                    return Some(container_id);
                }
                self.line(&format!("checkpoint {name} {}", state.latest.state.as_str()));
                self.disk.get_mut(&container_id).expect("a task record first").1 = Some(state);
            }
            Effect::CheckpointResources(record) => {
                let operations = record.operations.iter().map(|operation| {
                    let status = &operation.status;
                    format!(" {}={}", status.operation_id, status.state.as_str())
                });
                let text = format!(
                    "checkpoint `{}`{}",
                    record.changed,
                    operations.collect::<String>()
                );
                self.line(&text);
                self.resources = record;
            }
            Effect::Renew {
                old,
                container_id,
                state,
            } => {
                let name = name(&old);
                self.names.insert(container_id, name.clone());
                if self.full_for.as_ref() == Some(&name) {
                    return Some(container_id);
                }
                self.line(&format!("renew {name} {}", state.latest.state.as_str()));
                let (task, _) = self
                    .disk
                    .remove(&old)
                    .expect("the records of the container before");
                self.disk.insert(container_id, (task, Some(state)));
            }
            Effect::CheckpointExecutor {
                container_id,
                executor,
            } => return self.save_executor(container_id, executor),
            Effect::Executor { container_id, order } => self.order(container_id, order),
            Effect::Forget { container_id } => {
                self.line(&format!("forget {}", name(&container_id)));
                self.disk.remove(&container_id);
                self.executors.remove(&container_id);
            }
            Effect::Launch {
                container_id,
                replaces,
                ..
            } => {
                let again = if replaces.is_some() { " again" } else { "" };
                self.line(&format!("launch {}{again}", name(&container_id)));
            }
            Effect::AbortLaunch { container_id } => self.line(&format!("abort {}", name(&container_id))),
            Effect::RunChecks {
                container_id,
                running_for,
                ..
            } => self.line(&format!("check {} up {running_for:?}", name(&container_id))),
            Effect::Adopt {
                container_id,
                process,
                frozen,
            } => {
                let what = if process.is_some() { "process" } else { "launch" };
                let frozen = if frozen { ", frozen" } else { "" };
                self.line(&format!("adopt {what} of {}{frozen}", name(&container_id)));
            }
            Effect::Freezer { container_id, freeze } => {
                let what = if freeze { "freeze" } else { "thaw" };
                self.line(&format!("{what} {}", name(&container_id)));
            }
            Effect::Signal { container_id, signal } => {
                let signal = match signal {
                    Signal::Term => "SIGTERM",
                    Signal::Kill => "SIGKILL",
                };
                self.line(&format!("{signal} {}", name(&container_id)));
            }
            Effect::Destroy { container_id } => self.line(&format!("destroy {}", name(&container_id))),
            Effect::Send { message, .. } => self.sent(message),
            Effect::CloseLink { .. } => self.line("close link"),
            Effect::Exit { error: Some(error) } => self.line(&format!("end with {error}")),
            Effect::Exit { error: None } => self.line("end"),
        }
        None
    }
}

/// What must not be told while the checkpoint of the resources fails.
fn is_of_resources(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::CheckpointResources(_)
            | Effect::Send {
                message: AgentMessage::OperationUpdate { .. } | AgentMessage::Total(_),
                ..
            }
    )
}

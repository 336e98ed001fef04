//! Executors, as text: `executor NAME WHAT..`.

use proffer_types::{
    ExecutorEvent, ExecutorId, ExecutorInfo, ExecutorUpdate, StatusUuid, TaskExit, TaskId, TaskInfo,
    TaskState, Usage,
};

use super::{World, framework, usage};
use crate::{
    Command, ConnectionId, ContainerEnd, ContainerId, Effect, ExecutorNews, ExecutorOrder, ExecutorRecord,
    Process, RecoveredExecutor, TaskKey,
};

fn key(name: &str) -> TaskKey {
    TaskKey {
        framework_id: framework(),
        task_id: TaskId::of_executor(&ExecutorId::new(name).unwrap()),
    }
}

/// The same for the same words.
fn uuid(of: &str) -> StatusUuid {
    let mut uuid = [0; 16];
    for (place, byte) in uuid.iter_mut().zip(of.bytes()) {
        *place = byte;
    }
    StatusUuid(uuid)
}

impl World {
    /// `run TASK RESOURCES [PROGRAM]`, `launched`, `subscribe TASK..`, `says TASK STATE [MESSAGE]`, `lose`, `exit CODE`,
    /// `oom`, `fail ERROR`, `gone`.
    pub(super) fn executor(&mut self, name: &str, words: &[&str]) {
        let container_id = self.executor_container(name);
        let exit = |exit, usage| Command::Exited {
            container_id,
            end: ContainerEnd::Exit(exit),
            usage: Some(usage),
        };
        match *words {
            ["run", task, resources] => self.run_executed(name, task, resources, "program"),
            ["run", task, resources, program] => self.run_executed(name, task, resources, program),
            ["launched"] => self.step(Command::Launched {
                container_id,
                process: Process {
                    pid: 7,
                    start_time: 8,
                },
                addresses: vec![],
            }),
            ["subscribe", ref tasks @ ..] => {
                let connection = self.connections.entry(name.to_owned()).or_insert(ConnectionId(0));
                connection.0 += 1;
                let tasks = tasks.iter().map(|task| TaskId::new(task).unwrap()).collect();
                self.news(name, ExecutorNews::Subscribed { tasks });
            }
            ["says", task, state, ref message @ ..] => {
                let state = TaskState::ALL.into_iter().find(|it| it.as_str() == state);
                let update = ExecutorUpdate {
                    task_id: TaskId::new(task).unwrap(),
                    state: state.unwrap(),
                    message: message.join(" "),
                    uuid: uuid(&words.concat()),
                };
                self.news(name, ExecutorNews::Update(update));
            }
            ["lose"] => self.news(name, ExecutorNews::Disconnected),
            ["exit", code] => {
                let used = Usage::default();
                self.step(exit(TaskExit::Code(code.parse().unwrap()), used));
            }
            ["oom"] => self.step(exit(TaskExit::Signal(9), usage(128 << 20, 1))),
            ["gone"] => self.step(Command::Exited {
                container_id,
                end: ContainerEnd::Unknown,
                usage: None,
            }),
            ["fail", error] => self.step(Command::LaunchFailed {
                container_id,
                error: error.into(),
                exit: None,
            }),
            _ => panic!("unknown words on an executor: {words:?}"),
        }
    }

    fn executor_container(&self, name: &str) -> ContainerId {
        let executor = self.agent.executors.get(&key(name));
        executor.map_or(ContainerId(0), |executor| executor.container_id)
    }

    fn news(&mut self, name: &str, news: ExecutorNews) {
        self.step(Command::Executor {
            container_id: self.executor_container(name),
            connection: self.connections.get(name).copied().unwrap_or(ConnectionId(0)),
            news,
        });
    }

    fn run_executed(&mut self, name: &str, task: &str, resources: &str, program: &str) {
        let executor = ExecutorInfo::new(ExecutorId::new(name).unwrap(), [program]);
        let info = super::task(task, resources.parse().unwrap());
        let info = TaskInfo::for_executor(info.id, info.agent_id, info.resources, executor, *b"data");
        self.launch(self.link, info);
    }

    pub(super) fn recovered_executors(&self) -> Vec<RecoveredExecutor> {
        let executors = self.executors.iter();
        let recovered = executors.map(|(container_id, executor)| RecoveredExecutor {
            container_id: *container_id,
            executor: executor.clone(),
        });
        recovered.collect()
    }

    /// Answers with the container when the disk is full.
    pub(super) fn save_executor(
        &mut self,
        container_id: ContainerId,
        executor: ExecutorRecord,
    ) -> Option<ContainerId> {
        let name = executor.info.id.to_string();
        self.names.insert(container_id, name.clone());
        if self.full_for.as_ref() == Some(&name) {
            return Some(container_id);
        }
        let was = if executor.was_subscribed {
            " subscribed"
        } else {
            ""
        };
        self.line(&format!("checkpoint executor {name}{was}"));
        self.executors.insert(container_id, executor);
        None
    }

    pub(super) fn order(&mut self, container_id: ContainerId, order: ExecutorOrder) {
        let name = self.names.get(&container_id).cloned().unwrap_or_default();
        let text = match order {
            ExecutorOrder::Launch { resources, .. } => format!("launch {name} {resources}"),
            ExecutorOrder::Adopt { .. } => format!("adopt {name}"),
            ExecutorOrder::Resize { resources } => format!("resize {name} {resources}"),
            ExecutorOrder::Tell { event, .. } => format!("{name} <- {}", said(&event)),
            ExecutorOrder::Disconnect { why, .. } => format!("disconnect {name}: {why}"),
            ExecutorOrder::Destroy { .. } => format!("destroy {name}"),
        };
        self.line(&text);
    }
}

fn said(event: &ExecutorEvent) -> String {
    match event {
        ExecutorEvent::Subscribed { executor_id, .. } => format!("subscribed {executor_id}"),
        ExecutorEvent::Launch(info) => format!("launch {}", info.id),
        ExecutorEvent::Kill { task_id, grace } => format!("kill {task_id} in {grace:?}"),
        ExecutorEvent::Acknowledged { task_id, uuid } => {
            let of = String::from_utf8_lossy(&uuid.0);
            let of = of.trim_end_matches('\0').replacen("says", "", 1);
            format!(
                "acknowledged {}",
                of.replacen(task_id.as_str(), &format!("{task_id} "), 1)
            )
        }
        ExecutorEvent::Shutdown { grace } => format!("shutdown in {grace:?}"),
    }
}

/// Whether a launch is skipped with it.
pub(super) fn is_launch(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::Launch { .. }
            | Effect::Executor {
                order: ExecutorOrder::Launch { .. }
                    | ExecutorOrder::Tell {
                        event: ExecutorEvent::Launch(_),
                        ..
                    },
                ..
            }
    )
}

/// What an order is skipped for when its checkpoint failed.
pub(super) fn owner(container_id: ContainerId, order: &ExecutorOrder) -> Option<ContainerId> {
    match order {
        ExecutorOrder::Launch { .. } => Some(container_id),
        ExecutorOrder::Tell { record, .. } => *record,
        ExecutorOrder::Adopt { .. }
        | ExecutorOrder::Resize { .. }
        | ExecutorOrder::Disconnect { .. }
        | ExecutorOrder::Destroy { .. } => None,
    }
}

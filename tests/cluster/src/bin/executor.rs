//! An executor for tests: each task's data says how it behaves.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use proffer_grpc::v1::executor_client::ExecutorClient;
use proffer_sdk::types::executor::ENV_SOCKET;
use proffer_sdk::types::{TaskId, TaskInfo};
use proffer_sdk::{Executor, ExecutorDriver, Reporter};
use proffer_wire::v1::executor_call::What;
use proffer_wire::v1::executor_event;
use proffer_wire::v1::{ExecutorCall, ExecutorSubscribe, ExecutorUpdate, TaskState};
use tokio::task::AbortHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

struct Worker {
    reporter: Reporter,
    /// How many tasks were launched.
    n_launched: u32,
    running: BTreeMap<TaskId, AbortHandle>,
}

impl Executor for Worker {
    fn launch(&mut self, task: TaskInfo) {
        let (reporter, n) = (self.reporter.clone(), self.n_launched);
        self.n_launched += 1;
        let id = task.id.clone();
        let work = tokio::spawn(async move {
            reporter.running(&task.id);
            match String::from_utf8_lossy(&task.data).split_once(' ') {
                // Which process it was, and the how manieth launch.
                Some(("sleep", ms)) => {
                    tokio::time::sleep(Duration::from_millis(ms.parse().unwrap_or(0))).await;
                    reporter.finished(&task.id, format!("{} {n}", std::process::id()));
                }
                Some(("exit", code)) => std::process::exit(code.parse().unwrap_or(99)),
                Some(("eat", mib)) => {
                    let memory = vec![1_u8; mib.parse::<usize>().unwrap_or(0) << 20];
                    reporter.finished(&task.id, format!("{} bytes fit", memory.len()));
                }
                _ => reporter.failed(&task.id, "no such behaviour"),
            }
        });
        self.running.insert(id, work.abort_handle());
    }

    /// A task whose name begins with `deaf` does not listen.
    fn kill(&mut self, task: &TaskId, _grace: Duration) {
        if task.as_str().starts_with("deaf") {
            return;
        }
        if let Some(work) = self.running.remove(task) {
            work.abort();
        }
        self.reporter.killed(task);
    }
}

/// Says what an executor must not, once for each connection, and tells on its last one how it was answered.
async fn rogue() -> Result<()> {
    let socket = std::env::var(ENV_SOCKET)?;
    let update = |task_id: &str, state: TaskState, uuid: Vec<u8>| ExecutorCall {
        what: Some(What::Update(ExecutorUpdate {
            task_id: task_id.to_owned(),
            state: state.into(),
            message: String::new(),
            uuid,
        })),
    };
    let subscribe = |ids: &[&str]| ExecutorCall {
        what: Some(What::Subscribe(ExecutorSubscribe {
            task_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        })),
    };
    let finished = TaskState::TaskFinished;
    let lies = [
        vec![update("rogue", finished, vec![1; 16])],
        vec![subscribe(&["a/b"])],
        vec![subscribe(&["rogue"]), update("honest", finished, vec![1; 16])],
        vec![subscribe(&["rogue"]), update("rogue", finished, vec![1; 15])],
        vec![
            subscribe(&["rogue"]),
            update("rogue", TaskState::TaskLost, vec![1; 16]),
        ],
        vec![subscribe(&["rogue"]), subscribe(&["rogue"])],
        vec![subscribe(&["rogue"]), ExecutorCall { what: None }],
    ];
    let mut answers = Vec::new();
    for lie in lies {
        answers.push(say(&socket, lie, false).await?);
    }
    let message = answers.join("\n");
    let mut last = update("rogue", finished, vec![2; 16]);
    if let Some(What::Update(update)) = &mut last.what {
        update.message = message;
    }
    say(&socket, vec![subscribe(&["rogue"]), last], true).await?;
    // The agent sees to the end.
    tokio::time::sleep(Duration::from_secs(600)).await;
    bail!("nobody ended the executor")
}

/// Sends calls on a new connection, and waits for the status at its end, or for an acknowledgement.
async fn say(socket: &str, calls: Vec<ExecutorCall>, until_acknowledged: bool) -> Result<String> {
    let channel = Endpoint::from_shared(format!("unix://{socket}"))?
        .connect()
        .await?;
    let (sender, queue) = tokio::sync::mpsc::channel(8);
    for call in calls {
        sender.send(call).await?;
    }
    let answered = ExecutorClient::new(channel)
        .subscribe(ReceiverStream::new(queue))
        .await;
    let mut events = match answered {
        Ok(events) => events.into_inner(),
        Err(status) => return Ok(status.message().to_owned()),
    };
    loop {
        match events.message().await {
            Ok(Some(event)) => {
                let is_acknowledged = matches!(event.what, Some(executor_event::What::Acknowledged(_)));
                if until_acknowledged && is_acknowledged {
                    return Ok(String::new());
                }
            }
            Ok(None) => return Ok("no reason".to_owned()),
            Err(status) => return Ok(status.message().to_owned()),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    match std::env::args().nth(1).context("usage: executor HOW")?.as_str() {
        "rogue" => rogue().await,
        "works" => {
            let driver = ExecutorDriver::from_env()?;
            let worker = Worker {
                reporter: driver.reporter(),
                n_launched: 0,
                running: BTreeMap::new(),
            };
            Ok(driver.run(worker).await?)
        }
        how => bail!("no such behaviour: {how}"),
    }
}

//! What is typed here, sent to a running task that takes input; across restarts of its agent.

use anyhow::Result;
use proffer_wire::v1;
use proffer_wire::v1::attach_request::What;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::{Cluster, Contact};
use crate::terminal::{self, DetachKeys, Typed};
use crate::views::is_terminal;

/// What waits to be sent; what is typed waits on this side then.
const MAX_REQUESTS_QUEUED: usize = 4;

/// How a task came to have no more of our input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parted {
    /// The task has ended, or its container has.
    Ended,
    /// The keys that detach were typed.
    Detached,
    /// It takes no input.
    Deaf,
}

/// Types into one task.
#[derive(Debug)]
pub(crate) struct Typist {
    cluster: Cluster,
    framework_id: String,
    task_id: String,
    typed: Option<mpsc::Receiver<Vec<u8>>>,
    resizes: Signal,
    keys: Option<DetachKeys>,
}

impl Typist {
    /// Takes over stdin. With `has_keys` ctrl-p ctrl-q detaches.
    pub(crate) fn new(cluster: &Cluster, framework_id: &str, task_id: &str, has_keys: bool) -> Result<Self> {
        Ok(Self {
            cluster: cluster.clone(),
            framework_id: framework_id.to_owned(),
            task_id: task_id.to_owned(),
            typed: Some(terminal::stdin()),
            resizes: terminal::resizes()?,
            keys: has_keys.then(DetachKeys::default),
        })
    }

    /// Sends what is typed until the task has ended. What was under way when its agent is restarted may be lost.
    pub(crate) async fn run(mut self) -> Result<Parted> {
        let mut contact = Contact::with("the task's agent");
        loop {
            let status = match self.once().await? {
                Ok(parted) => return Ok(parted),
                Err(status) => status,
            };
            if status.code() == Code::NotFound {
                return Ok(Parted::Ended);
            }
            if status.code() == Code::FailedPrecondition {
                return Ok(Parted::Deaf);
            }
            contact.lost(&status).await?;
        }
    }

    /// The agent's address, asked anew for each connection: a restarted agent may listen elsewhere. `None` when the task has
    /// ended.
    async fn address(&self) -> Result<Option<String>, Status> {
        let found = self.cluster.find_task(&self.task_id).await;
        let task = found.map_err(|error| Status::unavailable(format!("{error:#}")))?;
        if is_terminal(task.state) {
            return Ok(None);
        }
        if task.agent_address.is_empty() {
            return Err(Status::unavailable("its agent is not connected"));
        }
        Ok(Some(task.agent_address))
    }

    /// One connection.
    async fn once(&mut self) -> Result<Result<Parted, Status>> {
        let address = match self.address().await {
            Ok(Some(address)) => address,
            Ok(None) => return Ok(Ok(Parted::Ended)),
            Err(status) => return Ok(Err(status)),
        };
        let (requests, stream) = mpsc::channel(MAX_REQUESTS_QUEUED);
        let start = v1::AttachStart {
            framework_id: self.framework_id.clone(),
            task_id: self.task_id.clone(),
        };
        say(&requests, What::Start(start)).await;
        say(&requests, What::Resize(terminal::size())).await;
        let mut client = self.cluster.exec(&address)?;
        let mut answer = tokio::spawn(async move { client.attach(ReceiverStream::new(stream)).await });
        loop {
            let what = tokio::select! {
                answer = &mut answer => return Ok(answer?.map(|_| Parted::Ended)),
                chunk = next(&mut self.typed) => match chunk {
                    None => {
                        self.typed = None;
                        What::InputEnd(v1::EndOfInput {})
                    }
                    Some(chunk) => match self.keys.as_mut().map(|keys| keys.look(&chunk)) {
                        Some(Typed::Detached(chunk)) => {
                            say(&requests, What::Input(chunk)).await;
                            drop(requests);
                            let _ = answer.await;
                            return Ok(Ok(Parted::Detached));
                        }
                        Some(Typed::Input(chunk)) => What::Input(chunk),
                        None => What::Input(chunk),
                    },
                },
                _ = self.resizes.recv() => What::Resize(terminal::size()),
            };
            say(&requests, what).await;
        }
    }
}

/// The next of what is typed; never, when nothing more is.
async fn next(typed: &mut Option<mpsc::Receiver<Vec<u8>>>) -> Option<Vec<u8>> {
    match typed {
        Some(typed) => typed.recv().await,
        None => std::future::pending().await,
    }
}

/// A stream that has ended says so by its answer.
async fn say(requests: &mpsc::Sender<v1::AttachRequest>, what: What) {
    let _ = requests.send(v1::AttachRequest { what: Some(what) }).await;
}

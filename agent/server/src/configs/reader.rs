//! The conversation with the framework that keeps configs, through the masters' port.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proffer_grpc::leader::{self, Masters};
use proffer_grpc::v1::configs_client::ConfigsClient;
use proffer_wire::v1;
use tokio::time::timeout;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A framework's answer has at most 3 MiB, and one config more.
const MAX_ANSWER_BYTES: usize = 8 << 20;
/// Masters that are asked in a row where each names another, or is away.
const MAX_MASTERS: usize = 4;

#[derive(Debug, Clone)]
pub(super) struct Reader {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    masters: Masters,
    /// To the master that answered last.
    channel: Option<Channel>,
}

impl Reader {
    pub(super) fn new(masters: Masters) -> Self {
        let inner = Inner {
            masters,
            channel: None,
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    /// What the tasks are to have, in their order.
    pub(super) async fn read(
        &self,
        tasks: Vec<v1::TaskConfigs>,
    ) -> Result<Vec<v1::TaskConfigsResult>, Status> {
        let mut last = Status::unavailable("there is no master");
        for _ in 0..MAX_MASTERS {
            let Some(channel) = self.channel() else {
                continue;
            };
            let client = ConfigsClient::new(channel.clone());
            let mut client = client.max_decoding_message_size(MAX_ANSWER_BYTES);
            let asked = client.read_configs(v1::ReadConfigsRequest { tasks: tasks.clone() });
            match timeout(ANSWER_TIMEOUT, asked).await {
                Ok(Ok(answer)) => {
                    self.with(|inner| inner.channel = Some(channel));
                    return Ok(answer.into_inner().tasks);
                }
                Ok(Err(status)) => {
                    self.with(|inner| inner.failed(leader::named(&status)));
                    last = status;
                }
                Err(_) => {
                    self.with(|inner| inner.failed(None));
                    last = Status::deadline_exceeded("the master does not answer");
                }
            }
        }
        Err(last)
    }

    fn channel(&self) -> Option<Channel> {
        self.with(|inner| {
            if inner.channel.is_none() {
                let address = inner.masters.dial()?;
                let endpoint = Endpoint::from_shared(format!("http://{address}")).ok()?;
                inner.channel = Some(endpoint.connect_timeout(CONNECT_TIMEOUT).connect_lazy());
            }
            inner.channel.clone()
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        // Every change is one assignment, so a thread that panicked left it whole.
        change(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Inner {
    fn failed(&mut self, leader: Option<&str>) {
        self.channel = None;
        if let Some(leader) = leader {
            self.masters.follow(leader);
        }
    }
}

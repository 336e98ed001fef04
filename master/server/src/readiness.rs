//! Whether the core is there, and if not, why: what `/readyz`, the health service and refusals say.

use std::time::Duration;

use proffer_grpc::leader;
use tokio::sync::watch;
use tonic::Status;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// How long who asks is kept waiting for the end of an election: several of the default lease.
const ELECTION_WAIT: Duration = Duration::from_secs(10);

/// Shared by everyone who refuses work while there is no core.
#[derive(Debug, Clone)]
pub(crate) struct Readiness {
    unready: watch::Sender<Option<Unready>>,
    health: HealthReporter,
}

/// While there is no core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unready {
    /// Why there is none.
    pub(crate) cause: String,
    /// The address of the master to ask instead.
    pub(crate) leader: Option<String>,
    /// An election is on: soon this master leads, or knows who does.
    pub(crate) is_electing: bool,
}

impl Unready {
    /// The refusal of a gRPC call.
    pub(crate) fn status(&self) -> Status {
        leader::refusal(&self.cause, self.leader.as_deref())
    }
}

impl Readiness {
    pub(crate) fn new(health: HealthReporter) -> Self {
        let starting = Unready {
            cause: "the master is starting".to_owned(),
            leader: None,
            is_electing: false,
        };
        let (unready, _) = watch::channel(Some(starting));
        Self { unready, health }
    }

    /// `Err` says why there is no core.
    pub(crate) fn check(&self) -> Result<(), Unready> {
        self.unready.borrow().clone().map_or(Ok(()), Err)
    }

    pub(crate) async fn set_ready(&self) {
        self.unready.send_replace(None);
        self.health.set_service_status("", ServingStatus::Serving).await;
    }

    pub(crate) async fn set_not_ready(&self, cause: &str) {
        self.set(Unready {
            cause: cause.to_owned(),
            leader: None,
            is_electing: false,
        })
        .await;
    }

    /// Another master leads, or none does.
    pub(crate) async fn set_standby(&self, leader: Option<String>) {
        let cause = match &leader {
            Some(leader) => format!("this master stands by; {leader} leads"),
            None => "this master stands by; none leads at the moment".to_owned(),
        };
        self.set(Unready {
            cause,
            is_electing: leader.is_none(),
            leader,
        })
        .await;
    }

    /// Waits while an election is on, for a while: who asked finds the leader in one go, and thousands need not ask again
    /// and again.
    pub(crate) async fn elected(&self) {
        let mut unready = self.unready.subscribe();
        let is_over =
            |unready: &Option<Unready>| !unready.as_ref().is_some_and(|unready| unready.is_electing);
        let _ = tokio::time::timeout(ELECTION_WAIT, unready.wait_for(is_over)).await;
    }

    async fn set(&self, unready: Unready) {
        self.unready.send_replace(Some(unready));
        self.health
            .set_service_status("", ServingStatus::NotServing)
            .await;
    }
}

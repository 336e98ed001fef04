//! Whether the core is there, and if not, why: what `/readyz`, the health service and refusals say.

use std::sync::Arc;
use std::time::Duration;

use proffer_grpc::leader;
use tokio::sync::{Notify, watch};
use tonic::Status;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// How long who asks is kept waiting for the end of an election: several of the default lease.
const ELECTION_WAIT: Duration = Duration::from_secs(10);
/// How long who asks is kept waiting for a look at the leader: what a store that does not answer takes is the caller's time.
const LOOK_WAIT: Duration = Duration::from_secs(1);

/// Shared by everyone who refuses work while there is no core.
#[derive(Debug, Clone)]
pub(crate) struct Readiness {
    unready: watch::Sender<Option<Unready>>,
    /// How often a master that stands by has looked who leads.
    n_looks: watch::Sender<u64>,
    asked: Arc<Notify>,
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
        let ((unready, _), (n_looks, _)) = (watch::channel(Some(starting)), watch::channel(0));
        Self {
            unready,
            n_looks,
            asked: Arc::default(),
            health,
        }
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

    /// Another master leads, or none does. One that does not answer is about to be replaced.
    pub(crate) async fn set_standby(&self, leader: Option<String>, answers: bool) {
        let cause = match &leader {
            Some(leader) if answers => format!("this master stands by; {leader} leads"),
            Some(leader) => format!("this master stands by; {leader} leads, and does not answer it"),
            None => "this master stands by; none leads at the moment".to_owned(),
        };
        self.set(Unready {
            cause,
            is_electing: !answers,
            leader,
        })
        .await;
    }

    /// A master that stands by has looked who leads, and told.
    pub(crate) fn looked(&self) {
        self.n_looks.send_modify(|n| *n += 1);
    }

    /// Somebody wants to know who leads.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Waits while an election is on, for a while: who asked finds the leader in one go, and thousands need not ask again
    /// and again. A master that stands by looks once more first, since those who ask come because they lost the leader.
    pub(crate) async fn elected(&self) {
        let mut unready = self.unready.subscribe();
        let stands_by = |unready: &Unready| unready.is_electing || unready.leader.is_some();
        if unready.borrow().as_ref().is_some_and(stands_by) {
            let mut n_looks = self.n_looks.subscribe();
            let seen = *n_looks.borrow();
            self.asked.notify_one();
            let looked = async {
                tokio::select! {
                    _ = n_looks.wait_for(|n| *n > seen) => {}
                    // It leads itself by now.
                    _ = unready.wait_for(Option::is_none) => {}
                }
            };
            let _ = tokio::time::timeout(LOOK_WAIT, looked).await;
        }
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

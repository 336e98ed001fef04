//! Whether the core is there, and if not, why: what `/readyz`, the health service and refusals say.

use tokio::sync::watch;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// Shared by everyone who refuses work while there is no core.
#[derive(Debug, Clone)]
pub(crate) struct Readiness {
    /// Why there is no core, while there is none.
    unready: watch::Sender<Option<String>>,
    health: HealthReporter,
}

impl Readiness {
    pub(crate) fn new(health: HealthReporter) -> Self {
        let (unready, _) = watch::channel(Some("the master is starting".to_owned()));
        Self { unready, health }
    }

    /// `Err` is the cause.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.unready.borrow().clone().map_or(Ok(()), Err)
    }

    pub(crate) async fn set_ready(&self) {
        self.unready.send_replace(None);
        self.health.set_service_status("", ServingStatus::Serving).await;
    }

    pub(crate) async fn set_not_ready(&self, cause: &str) {
        self.unready.send_replace(Some(cause.to_owned()));
        self.health
            .set_service_status("", ServingStatus::NotServing)
            .await;
    }
}

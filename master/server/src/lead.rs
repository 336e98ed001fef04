//! The loop that owns the core: a batch of inputs in, one commit, then the effects.
//!
//! Nothing uncommitted is ever told: a failed commit drops the core with its effects, closes every link and
//! starts again from the store, by the same code as a start.
//!
//! `stand -> begin term -> load -> serve --commit fails--> back off -> stand ..`
//!
//! Standing is waiting to be elected, where there is an election; who leads already goes on at once.

mod effects;
mod standing;
mod tenure;

use std::time::Duration;

use proffer_master_core::Master;
use proffer_store::{CommitError, Leadership, ReadError, Standing, Store};
use rand::TryRng as _;
use rand::rngs::SysRng;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::{error, info};

use crate::MasterError;
use crate::clock::Clock;
use crate::config::NewAllocator;
use crate::forward::Services;
use crate::inbox::Inputs;
use crate::lead::tenure::{End, Tenure};
use crate::links::Links;
use crate::metrics::{Metrics, Timed};
use crate::readiness::Readiness;
use crate::registry::{self, Fence};

/// The first pause after a failed store, doubled by each further failure.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// The longest pause: an operator who freed the disk should not wait for the master.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// Everything the loop works with, across recoveries.
pub(crate) struct Lead<'a> {
    pub(crate) config: proffer_master_core::Config,
    pub(crate) new_allocator: NewAllocator,
    pub(crate) store: &'a dyn Store,
    pub(crate) inputs: Inputs,
    pub(crate) links: Links,
    pub(crate) services: Services,
    pub(crate) metrics: Metrics,
    pub(crate) readiness: Readiness,
    pub(crate) clock: Clock,
    pub(crate) shutdown: CancellationToken,
    pub(crate) standing: Option<Standing>,
    /// Present while this master was elected.
    pub(crate) leadership: Option<Box<dyn Leadership>>,
}

impl Lead<'_> {
    /// Runs until the shutdown, or until going on would be wrong. A store that fails at the very start ends it;
    /// one that fails later is waited for.
    pub(crate) async fn run(mut self) -> Result<(), MasterError> {
        let result = self.tenures().await;
        self.resign().await;
        result
    }

    async fn tenures(&mut self) -> Result<(), MasterError> {
        let mut last_term = None;
        let mut backoff = FIRST_BACKOFF;
        let mut has_begun = false;
        while self.stand(&mut last_term).await {
            match self.begin(&mut last_term).await {
                Ok((master, fence)) => {
                    has_begun = true;
                    let (end, committed) = self.serve(master, fence).await;
                    if committed {
                        backoff = FIRST_BACKOFF;
                    }
                    match end {
                        End::Shutdown => return Ok(()),
                        End::Deposed => continue,
                        End::Failed(_) => {}
                    }
                }
                Err(error) if self.is_passing(&error, has_begun) => self.report(&error).await,
                Err(error) => return Err(error),
            }
            self.void_inputs();
            let pause = tokio::time::sleep(backoff);
            if self.shutdown.run_until_cancelled(pause).await.is_none() {
                return Ok(());
            }
            backoff = LONGEST_BACKOFF.min(backoff * 2);
        }
        Ok(())
    }

    /// Whether a term that could not be begun is worth another attempt.
    fn is_passing(&self, error: &MasterError, has_begun: bool) -> bool {
        let is_elected = self.leadership.is_some();
        // Without an election a lost race for the term means that another master is alive on this store; with one, that
        // another took its time to notice that it leads no more.
        let is_lost_race = matches!(error, MasterError::Write(error) if is_conflict(error));
        let is_store = matches!(
            error,
            MasterError::Read(ReadError::Unavailable { .. }) | MasterError::Write(_)
        );
        is_elected && is_store || has_begun && is_store && !is_lost_race
    }

    async fn begin(&self, last_term: &mut Option<u32>) -> Result<(Master, Fence), MasterError> {
        let fence = registry::begin_term(self.store, last_term).await?;
        let registry = registry::load(self.store).await?;
        let seed = SysRng.try_next_u64().map_err(MasterError::Randomness)? ^ self.clock.now().0;
        let (n_agents, n_frameworks) = (registry.agents.len(), registry.frameworks.len());
        let allocator = (self.new_allocator)();
        let allocator_name = allocator.name();
        let allocator = Box::new(Timed::new(allocator, self.metrics.clone()));
        let master = Master::recover(self.config.clone(), allocator, seed, fence.term, registry);
        info!(
            master_id = %master.id(),
            term = fence.term,
            n_agents,
            n_frameworks,
            allocator = allocator_name,
            "registry recovered"
        );
        Ok((master, fence))
    }

    /// Serves with one core until it ends; says whether anything was committed.
    async fn serve(&mut self, master: Master, fence: Fence) -> (End, bool) {
        self.void_inputs();
        let mut tenure = Tenure::new(self, master, fence);
        let end = tenure.run().await;
        let committed = tenure.committed();
        let status = match &end {
            End::Shutdown => Status::unavailable("the master is shutting down"),
            End::Failed(cause) => Status::unavailable(cause.clone()),
            End::Deposed => Status::unavailable("this master leads no more"),
        };
        self.readiness.set_not_ready(status.message()).await;
        self.links.close_all(&status);
        self.services.clear();
        (end, committed)
    }

    /// Drops what was asked of the core that is gone. Dropped questions are answered UNAVAILABLE.
    fn void_inputs(&mut self) {
        self.inputs.void();
    }

    async fn report(&self, error: &(dyn std::error::Error + Sync)) {
        error!(error = %error, "registry is not available; retrying");
        self.readiness.set_not_ready(&error.to_string()).await;
    }
}

/// Whether a race for the term was lost.
fn is_conflict(error: &CommitError) -> bool {
    matches!(error, CommitError::Conflict { .. })
}

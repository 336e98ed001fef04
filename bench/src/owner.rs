//! The framework that owns the tasks of simulated agents: a scheduler on the SDK, as any author's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use proffer_sdk::store::Memory;
use proffer_sdk::types::{
    AgentId, Filters, FrameworkId, Offer, Resources, TaskId, TaskInfo, TaskState, TaskStatus,
};
use proffer_sdk::{CancellationToken, Config, Context, Driver, Scheduler};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::agents::now_us;

/// What one task of a simulated agent needs.
const NEED: &str = "cpus:1;mem:1GiB";
/// For how long it does not want what it has no task for.
const LONG: Duration = Duration::from_secs(3600);

/// What the framework has seen; times in microseconds since the Unix epoch, 0 while that never was.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) n_launched: AtomicU64,
    pub(crate) n_running: AtomicU64,
    pub(crate) n_ended: AtomicU64,
    pub(crate) n_failed: AtomicU64,
    pub(crate) subscribed_us: AtomicU64,
    /// The first offer since the subscription.
    pub(crate) offered_us: AtomicU64,
    /// Tasks launched from now on are none.
    pub(crate) is_done: AtomicBool,
}

/// A running framework.
#[derive(Debug)]
pub(crate) struct Owner {
    pub(crate) seen: Arc<Seen>,
    runtime: Option<Runtime>,
    driver: Option<JoinHandle<Result<()>>>,
    shutdown: CancellationToken,
}

struct OwnerScheduler {
    seen: Arc<Seen>,
    need: Resources,
    n_wanted: u64,
}

/// A task of that id, or none if that is none.
pub(crate) fn task(id: &str, agent: &str) -> Option<TaskInfo> {
    let (id, agent) = (TaskId::new(id).ok()?, AgentId::new(agent).ok()?);
    Some(TaskInfo::new(id, agent, NEED.parse().ok()?, ["sleep", "1000"]))
}

impl Owner {
    /// Subscribes, and launches tasks on whatever is offered until so many were launched.
    pub(crate) fn start(masters: Vec<String>, n_wanted: u64) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let seen = Arc::new(Seen::default());
        let scheduler = OwnerScheduler {
            seen: seen.clone(),
            need: NEED.parse()?,
            n_wanted,
        };
        let shutdown = CancellationToken::new();
        let driver = Driver::new(Config::new(masters, "bench"), Arc::new(Memory::new()), scheduler);
        let stop = shutdown.clone();
        let driver = runtime.spawn(async move {
            driver.run(stop).await?;
            Ok(())
        });
        Ok(Self {
            seen,
            runtime: Some(runtime),
            driver: Some(driver),
            shutdown,
        })
    }

    /// Ends the framework; tells why it ended before, if it did.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.shutdown.cancel();
        let (runtime, driver) = (self.runtime.take(), self.driver.take());
        let (runtime, driver) = runtime.zip(driver).context("the framework ended before")?;
        runtime.block_on(driver)?
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shutdown.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Scheduler for OwnerScheduler {
    fn subscribed(&mut self, _cx: &mut Context<'_>, _framework_id: &FrameworkId) {
        self.seen.offered_us.store(0, Ordering::Relaxed);
        self.seen.subscribed_us.store(now_us(), Ordering::Relaxed);
    }

    fn offers(&mut self, cx: &mut Context<'_>, offers: Vec<Offer>) {
        let first = &self.seen.offered_us;
        // It was taken note of, where it fails.
        let _ = first.compare_exchange(0, now_us(), Ordering::Relaxed, Ordering::Relaxed);
        for offer in offers {
            let mut rest = offer.resources.clone();
            let mut tasks = Vec::new();
            while self.wants_more() && rest.contains(&self.need) {
                let n = self.seen.n_launched.fetch_add(1, Ordering::Relaxed) + 1;
                rest.subtract(&self.need);
                tasks.extend(task(&format!("t{n}"), offer.agent_id.as_str()));
            }
            if tasks.is_empty() {
                cx.decline(&offer, LONG);
            } else {
                cx.launch(&offer, tasks, Filters::refuse(LONG));
            }
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "what passes is not counted")]
    fn update(&mut self, cx: &mut Context<'_>, status: &TaskStatus) {
        let count = match status.state {
            TaskState::Running => &self.seen.n_running,
            TaskState::Finished => &self.seen.n_ended,
            state if state.is_terminal() => &self.seen.n_failed,
            _ => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
        if status.state.is_terminal() && status.state != TaskState::Finished {
            self.again(cx);
        }
    }
}

impl OwnerScheduler {
    /// A task was lost: another one takes its place. What was declined before is wanted again.
    fn again(&mut self, cx: &mut Context<'_>) {
        let had_enough = !self.wants_more();
        self.n_wanted = self.n_wanted.saturating_add(1);
        if had_enough && self.wants_more() {
            cx.revive();
        }
    }

    fn wants_more(&self) -> bool {
        !self.seen.is_done.load(Ordering::Relaxed)
            && self.seen.n_launched.load(Ordering::Relaxed) < self.n_wanted
    }
}

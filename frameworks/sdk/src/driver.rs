//! The loop around a session: dials masters, feeds the session, commits, sends.
//!
//! Invariant: what a step asked for is sent, and told to callers, only after what it wrote is committed. When a commit
//! fails nobody hears of the step: the link is dropped and the session recovered from the store, which alone knows
//! whether it happened, on the same path as a start.

mod serve;

use std::collections::BTreeMap;
use std::sync::Arc;

use proffer_session::{RecoverError, Scheduler, UnknownTasks};
use proffer_store::{CommitError, Leadership, ReadError, Store};
use proffer_types::framework::DEFAULT_FAILOVER_TIMEOUT;
use proffer_types::{Capabilities, FrameworkId, FrameworkInfo, Role};
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::handle::{Command, QUEUED_CALLS};
use crate::records::{OpenError, Records};
use crate::{Handle, Progress};

use self::serve::Running;
pub(crate) use self::serve::seed;

/// Where the masters are, and as whom to subscribe.
#[derive(Debug, Clone)]
pub struct Config {
    /// `host:port` of each master, tried in turn.
    pub masters: Vec<String>,
    pub info: FrameworkInfo,
    /// The id to take over, although the master may have no record of it and the framework's own store none either;
    /// where that has one, it must be the same.
    pub adopt: Option<FrameworkId>,
    /// What becomes of tasks of the framework that its store has no record of.
    pub unknown_tasks: UnknownTasks,
}

impl Config {
    /// A framework of that name in the default role, whose tasks outlive it for a week.
    #[must_use]
    pub fn new(masters: Vec<String>, name: impl Into<String>) -> Self {
        let info = FrameworkInfo {
            id: None,
            name: name.into(),
            roles: [Role::default()].into(),
            failover_timeout: DEFAULT_FAILOVER_TIMEOUT,
            services: Vec::new(),
            labels: BTreeMap::new(),
            capabilities: Capabilities::default(),
            preferences: BTreeMap::new(),
        };
        Self {
            masters,
            info,
            adopt: None,
            unknown_tasks: UnknownTasks::default(),
        }
    }
}

/// Why a driver stopped before it was asked to.
#[derive(Debug, Error)]
pub enum RunError {
    #[error("no master is named")]
    NoMaster,
    #[error("cannot read the framework's store")]
    Store(#[source] ReadError),
    #[error("cannot begin a term in the framework's store")]
    Term(#[source] CommitError),
    /// The store is in use for something else; nothing was written to it.
    #[error("the store is not this framework's: {0}")]
    Foreign(String),
    /// The scheduler, not a call of it, asked for a write that no store takes: it would do so again.
    #[error("the scheduler wrote what cannot be stored")]
    Write(#[source] CommitError),
    /// Of several processes of the framework this one leads no more; see [`Driver::leading`].
    #[error("this instance of the framework leads no more")]
    Deposed,
    #[error("cannot recover the framework")]
    Recover(#[from] RecoverError),
    #[error("the framework's store is that of framework `{kept}`, so it cannot adopt `{adopt}`")]
    Adopt { adopt: FrameworkId, kept: FrameworkId },
    /// The message is the master's.
    #[error("the master refused the framework: {0}")]
    Refused(String),
}

impl From<OpenError> for RunError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Read(error) => Self::Store(error),
            OpenError::Term(error) => Self::Term(error),
            OpenError::Foreign { .. } => Self::Foreign(error.to_string()),
        }
    }
}

/// Runs a scheduler against a cluster.
pub struct Driver<S> {
    config: Config,
    records: Records,
    scheduler: S,
    queue: mpsc::Receiver<Command<S>>,
    handle: Handle<S>,
    progress: watch::Sender<Progress>,
}

impl<S> std::fmt::Debug for Driver<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl<S: Scheduler + 'static> Driver<S> {
    /// Prepares a driver; nothing happens before [`Driver::run`]. The store must be the framework's own.
    pub fn new(config: Config, store: Arc<dyn Store>, scheduler: S) -> Self {
        let (commands, queue) = mpsc::channel(QUEUED_CALLS);
        let (progress, watched) = watch::channel(Progress::default());
        Self {
            config,
            records: Records::new(store),
            scheduler,
            queue,
            handle: Handle {
                commands,
                progress: watched,
            },
            progress,
        }
    }

    /// Of several processes on the store this one was elected: the driver begins a term in the store, acts only while it is
    /// certain to lead, and ends with [`RunError::Deposed`] once it is not. It resigns when it ends. [`crate::serve`] does
    /// this, and stands in the election before and after.
    #[must_use]
    pub fn leading(mut self, leadership: Box<dyn Leadership>) -> Self {
        self.records
            .lead(leadership.into(), self.config.info.name.clone());
        self
    }

    /// A way to the scheduler while it runs; calls made before [`Driver::run`] wait for it.
    #[must_use]
    pub fn handle(&self) -> Handle<S> {
        self.handle.clone()
    }

    /// Runs until `shutdown`, or until the framework is torn down as it asked for, and returns the scheduler. Masters that cannot be reached are tried for ever.
    pub async fn run(self, shutdown: CancellationToken) -> Result<S, RunError> {
        if self.config.masters.is_empty() {
            return Err(RunError::NoMaster);
        }
        let records = self.records.clone();
        let ended = match Running::start(self).await {
            Ok(running) => running.run(&shutdown).await,
            Err(error) => Err(error),
        };
        records.resign().await;
        ended
    }
}

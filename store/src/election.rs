//! Who of several processes on one store leads.

use std::sync::Arc;

use async_trait::async_trait;

/// An election among the processes that share a store.
#[async_trait]
pub trait Election: std::fmt::Debug + Send + Sync {
    /// Waits until this process leads, for as long as it takes. `says` is what others are told of the leader. Dropped in
    /// the middle, it stands no more after a while.
    async fn campaign(&self, says: &str) -> Box<dyn Leadership>;

    /// What the leader says of itself; `None` while there is none, or nobody can be asked.
    async fn leader(&self) -> Option<String>;
}

/// The lead, once it is won.
#[async_trait]
pub trait Leadership: std::fmt::Debug + Send + Sync {
    /// Whether the lead is still certain, by this process's own clock. To be asked right before anything is done that only
    /// a leader may do.
    fn is_certain(&self) -> bool;

    /// Returns once the lead is not certain any more.
    async fn lost(&self);

    /// Lets another one lead at once. To be called last: who asks meanwhile may be told that the lead is certain.
    async fn resign(&self);
}

/// How a process stands in the election among those on one store.
#[derive(Debug, Clone)]
pub struct Standing {
    pub election: Arc<dyn Election>,
    /// What others are told of this process while it leads: of a master, where it is reached, `host:port`.
    pub says: String,
}

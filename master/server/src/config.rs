//! How a master is set up.

use std::fmt;
use std::net::SocketAddr;

use proffer_allocator::Allocator;
use proffer_store::Standing;
use tokio::sync::oneshot;

/// Makes the allocator: once at the start, and again for each recovery from a failed store.
pub type NewAllocator = Box<dyn Fn() -> Box<dyn Allocator> + Send + Sync>;

/// A master's settings.
pub struct Config {
    /// Where gRPC and HTTP are served; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Allows to listen off loopback, where whoever connects can run commands.
    pub insecure_listen: bool,
    /// Heartbeats and timeouts.
    pub core: proffer_master_core::Config,
    /// What the store is called in answers to operators: `rocksdb`, `memory`.
    pub store_name: String,
    /// Absent means that this master alone uses the store. It says where agents, frameworks and clients reach this
    /// master, `host:port`.
    pub election: Option<Standing>,
    /// Told the bound address, once it accepts connections.
    pub listening: Option<oneshot::Sender<SocketAddr>>,
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("insecure_listen", &self.insecure_listen)
            .field("core", &self.core)
            .field("store_name", &self.store_name)
            .field("election", &self.election)
            .finish_non_exhaustive()
    }
}

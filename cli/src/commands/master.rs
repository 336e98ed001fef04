//! `proffer master`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use clap::{Args, ValueEnum};
use proffer_store::Rocks;
use proffer_types::FaultDomain;

use crate::allocators::Allocators;
use crate::daemon::{domain, until_signal};
use crate::failure::WrongUse;
use crate::spec::Span;

/// Run a master: decides which framework is offered what
#[derive(Debug, Args)]
pub(crate) struct MasterArgs {
    /// Where gRPC and HTTP are served; port 0 takes a free one
    #[arg(
        long,
        env = "PROFFER_LISTEN",
        default_value = "127.0.0.1:5050",
        value_name = "ADDRESS"
    )]
    listen: SocketAddr,
    /// The registry: agents, frameworks and roles; one master a directory
    #[arg(
        long,
        env = "PROFFER_DATA_DIR",
        required_unless_present = "config",
        value_name = "DIR"
    )]
    data_dir: Option<PathBuf>,
    /// What keeps the registry
    #[arg(long, env = "PROFFER_STORE", value_enum, default_value = "rocksdb")]
    store: StoreKind,
    /// Who decides on offers: `drf` is Dominant Resource Fairness, `random` draws lots by weight, `fifo` serves the
    /// first to come, `priority` the role of the highest priority, or one that this binary adds
    #[arg(long, env = "PROFFER_ALLOCATOR", default_value = "drf", value_name = "NAME")]
    allocator: String,
    /// Where the master is; agents of other regions are offered to region-aware frameworks only
    #[arg(long, env = "PROFFER_DOMAIN", value_parser = domain, value_name = "REGION/ZONE")]
    domain: Option<FaultDomain>,
    /// How often a sign of life is sent on each link; three missed ones end it
    #[arg(long, env = "PROFFER_HEARTBEAT_INTERVAL", value_name = "DURATION")]
    heartbeat_interval: Option<Span>,
    /// How long an agent may be away before its tasks count as unreachable
    #[arg(long, env = "PROFFER_AGENT_REREGISTER_TIMEOUT", value_name = "DURATION")]
    agent_reregister_timeout: Option<Span>,
    /// How long an offer may go unanswered before it is rescinded
    #[arg(long, env = "PROFFER_OFFER_TIMEOUT", value_name = "DURATION")]
    offer_timeout: Option<Span>,
    /// Listen off loopback although nobody has to prove who they are
    #[arg(long, env = "PROFFER_INSECURE_LISTEN")]
    insecure_listen: bool,
    /// A TOML file with these flags under the same names; a flag or environment variable goes before it
    #[arg(long, env = "PROFFER_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

/// A kind of store for the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StoreKind {
    /// Embedded, in the data directory
    Rocksdb,
}

impl MasterArgs {
    fn core(&self) -> proffer_master_core::Config {
        let default = proffer_master_core::Config::default();
        let or = |span: Option<Span>, default| span.map_or(default, |span| span.0);
        proffer_master_core::Config {
            heartbeat_interval: or(self.heartbeat_interval, default.heartbeat_interval),
            agent_reregister_timeout: or(self.agent_reregister_timeout, default.agent_reregister_timeout),
            offer_timeout: self.offer_timeout.map(|span| span.0).or(default.offer_timeout),
            domain: self.domain.clone(),
            ..default
        }
    }
}

pub(super) async fn master(args: MasterArgs, allocators: &Allocators) -> Result<u8> {
    let new_allocator = allocators.get(&args.allocator)?;
    let core = args.core();
    let data_dir = args
        .data_dir
        .ok_or_else(|| WrongUse("--data-dir is missing".to_owned()))?;
    proffer_grpc::net::check_listen(args.listen, args.insecure_listen)?;
    let StoreKind::Rocksdb = args.store;
    let store = Arc::new(Rocks::open(data_dir).await?);
    let config = proffer_master::Config {
        listen: args.listen,
        insecure_listen: args.insecure_listen,
        core,
        store_name: "rocksdb".to_owned(),
        listening: None,
    };
    until_signal(|shutdown| proffer_master::run(config, new_allocator, store, shutdown)).await
}

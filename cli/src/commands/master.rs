//! `proffer master`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use proffer_grpc::leader;
use proffer_master::Standing;
use proffer_store::{AddressError, Candidate, Etcd, EtcdAddress, MAX_LEASE, MIN_LEASE, Rocks, Store};
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
    /// Where `rocksdb` keeps the registry; one master a directory
    #[arg(long, env = "PROFFER_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// What keeps the registry (agents, frameworks and roles): `rocksdb`, in the data directory, for a single master; or
    /// etcd://HOST:PORT[,HOST:PORT..][/PREFIX], for several of which one leads and the others stand by
    #[arg(long, env = "PROFFER_STORE", default_value = "rocksdb", value_name = "STORE")]
    store: StoreKind,
    /// With etcd: where agents, frameworks and clients reach this master, `host:port`; absent means the address it
    /// listens on
    #[arg(long, env = "PROFFER_ADVERTISE", value_name = "ADDRESS", value_parser = advertised)]
    advertise: Option<String>,
    /// With etcd: how long a master that died is still held for the leader, in whole seconds from 2s
    #[arg(long, env = "PROFFER_LEASE", default_value = "3s", value_name = "DURATION", value_parser = lease)]
    lease: Duration,
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
#[derive(Debug, Clone, PartialEq, Eq)]
enum StoreKind {
    Rocksdb,
    Etcd(EtcdAddress),
}

impl FromStr for StoreKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "rocksdb" => Ok(Self::Rocksdb),
            _ if !text.starts_with("etcd:") => Err(format!("`{text}` is not rocksdb or etcd://HOST:PORT")),
            _ => text
                .parse()
                .map(Self::Etcd)
                .map_err(|error: AddressError| error.to_string()),
        }
    }
}

fn advertised(text: &str) -> Result<String, String> {
    match leader::is_address(text) {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` is not host:port")),
    }
}

fn lease(text: &str) -> Result<Duration, String> {
    let span = text.parse::<Span>()?.0;
    let is_good = span.subsec_nanos() == 0 && (MIN_LEASE..=MAX_LEASE).contains(&span);
    is_good
        .then_some(span)
        .ok_or_else(|| format!("`{text}` is not 2 to 300 whole seconds"))
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
    proffer_grpc::net::check_listen(args.listen, args.insecure_listen)?;
    let (store, store_name, election) = open(&args).await?;
    let config = proffer_master::Config {
        listen: args.listen,
        insecure_listen: args.insecure_listen,
        core,
        store_name,
        election,
        listening: None,
    };
    until_signal(|shutdown| proffer_master::run(config, new_allocator, store, shutdown)).await
}

/// The store, what it is called, and the election of those who share it.
async fn open(args: &MasterArgs) -> Result<(Arc<dyn Store>, String, Option<Standing>)> {
    match &args.store {
        StoreKind::Rocksdb => {
            let missing = || WrongUse("--data-dir is missing".to_owned());
            let store = Rocks::open(args.data_dir.clone().ok_or_else(missing)?).await?;
            Ok((Arc::new(store), "rocksdb".to_owned(), None))
        }
        StoreKind::Etcd(address) => {
            if args.advertise.is_none() && (args.listen.port() == 0 || args.listen.ip().is_unspecified()) {
                let which = "--advertise is missing: others must be told where this master is".to_owned();
                return Err(WrongUse(which).into());
            }
            let store = Etcd::open(address.clone()).await?;
            let candidate = Candidate::new(address, args.lease).await;
            let standing = Standing {
                election: Box::new(candidate.map_err(anyhow::Error::msg)?),
                address: args.advertise.clone().unwrap_or_else(|| args.listen.to_string()),
            };
            Ok((Arc::new(store), address.to_string(), Some(standing)))
        }
    }
}

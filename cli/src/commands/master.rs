//! `proffer master`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use proffer_grpc::leader;
use proffer_master_core::RemovalLimit;
use proffer_master_core::limits::MAX_REMOVALS;
use proffer_store::{Rocks, Standing, Store};
use proffer_types::FaultDomain;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::allocators::Allocators;
use crate::daemon::{domain, until_signal};
use crate::etcd::{self, StoreKind};
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
    /// With etcd: how long a master that died is still held for the leader, in whole seconds from 2s; absent means 3s
    #[arg(long, env = "PROFFER_LEASE", value_name = "DURATION", value_parser = etcd::lease)]
    lease: Option<Duration>,
    /// Who decides on offers: `drf` is Dominant Resource Fairness, `random` draws lots by weight, `fifo` serves the
    /// first to come, `priority` the role of the highest priority, or one that this binary adds
    #[arg(long, env = "PROFFER_ALLOCATOR", default_value = "drf", value_name = "NAME")]
    allocator: String,
    /// Where the master is; agents of other regions are offered to region-aware frameworks only
    #[arg(long, env = "PROFFER_DOMAIN", value_parser = domain, value_name = "REGION/ZONE")]
    domain: Option<FaultDomain>,
    /// How often a sign of life is sent on each link at least; three missed ones end it. Agents of clusters of fewer than
    /// 10,000 send one more often, up to every second
    #[arg(long, env = "PROFFER_HEARTBEAT_INTERVAL", value_name = "DURATION")]
    heartbeat_interval: Option<Span>,
    /// How long an agent may be away before its tasks count as unreachable
    #[arg(long, env = "PROFFER_AGENT_REREGISTER_TIMEOUT", value_name = "DURATION")]
    agent_reregister_timeout: Option<Span>,
    /// How many agents may become unreachable in any span of a length, such as `1/20m`; the others wait, and nothing
    /// happens to their tasks. Absent means as many as do
    #[arg(long, env = "PROFFER_AGENT_REMOVAL_RATE_LIMIT", value_name = "COUNT/DURATION", value_parser = removal_limit)]
    agent_removal_rate_limit: Option<RemovalLimit>,
    /// When more than this percentage of the known agents does not come back after a start of the master, none of them
    /// becomes unreachable before an operator looks; absent means 100, so never
    #[arg(long, env = "PROFFER_RECOVERY_AGENT_REMOVAL_LIMIT", value_name = "PERCENT", value_parser = clap::value_parser!(u32).range(0..=100))]
    recovery_agent_removal_limit: Option<u32>,
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

/// `1/20m`.
fn removal_limit(text: &str) -> Result<RemovalLimit, String> {
    let (n, per) = text
        .split_once('/')
        .ok_or_else(|| "it is not `count/duration`, such as 1/20m".to_owned())?;
    let n: u32 = n.parse().unwrap_or(0);
    let per = per.parse::<Span>()?.0;
    match (1..=MAX_REMOVALS).contains(&n) && !per.is_zero() {
        true => Ok(RemovalLimit { n, per }),
        false => Err(format!("it is not 1 to {MAX_REMOVALS} agents in some time")),
    }
}

fn advertised(text: &str) -> Result<String, String> {
    match leader::is_address(text) {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` is not host:port")),
    }
}

impl MasterArgs {
    /// Refuses what the store has no use for, and what it lacks.
    fn check_store(&self) -> Result<(), WrongUse> {
        let is_alone = self.store == StoreKind::Rocksdb;
        let anywhere = self.listen.port() == 0 || self.listen.ip().is_unspecified();
        let wrong = match is_alone {
            true if self.data_dir.is_none() => "--data-dir is missing",
            true if self.advertise.is_some() => "--advertise is for masters that share an etcd",
            true if self.lease.is_some() => "--lease is for masters that share an etcd",
            false if self.data_dir.is_some() => {
                "--data-dir is of no use to a master whose registry is in etcd"
            }
            false if self.advertise.is_none() && anywhere => {
                "--advertise is missing: others must be told where this master is"
            }
            true | false => return Ok(()),
        };
        Err(WrongUse(wrong.to_owned()))
    }

    fn core(&self) -> proffer_master_core::Config {
        let default = proffer_master_core::Config::default();
        let or = |span: Option<Span>, default| span.map_or(default, |span| span.0);
        proffer_master_core::Config {
            heartbeat_interval: or(self.heartbeat_interval, default.heartbeat_interval),
            agent_reregister_timeout: or(self.agent_reregister_timeout, default.agent_reregister_timeout),
            removal_limit: self.agent_removal_rate_limit,
            recovery_removal_percent: self
                .recovery_agent_removal_limit
                .unwrap_or(default.recovery_removal_percent),
            offer_timeout: self.offer_timeout.map(|span| span.0).or(default.offer_timeout),
            domain: self.domain.clone(),
            ..default
        }
    }
}

/// Each agent is a connection, so a master takes all the files that the system lets it have.
fn allow_files() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.maximum;
    setrlimit(Resource::Nofile, Rlimit { current, ..limit }).context("cannot raise the limit of open files")
}

pub(super) async fn master(args: MasterArgs, allocators: &Allocators) -> Result<u8> {
    allow_files()?;
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
    args.check_store()?;
    match &args.store {
        StoreKind::Rocksdb => {
            let store = Rocks::open(args.data_dir.clone().unwrap_or_default()).await?;
            Ok((Arc::new(store), "rocksdb".to_owned(), None))
        }
        StoreKind::Etcd(address) => {
            let says = args.advertise.clone().unwrap_or_else(|| args.listen.to_string());
            let (store, standing) = etcd::share(address, args.lease, says).await?;
            Ok((Arc::new(store), address.to_string(), Some(standing)))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: MasterArgs,
    }

    #[test]
    fn what_a_store_has_no_use_for_is_refused() {
        let check = |line: &str| {
            let line = Line::try_parse_from(line.split(' ')).map_err(|error| error.to_string())?;
            line.args.check_store().map_err(|error| error.0)
        };
        let etcd = "master --store etcd://10.0.0.7:2379";
        for good in [
            "master --data-dir /d",
            etcd,
            &format!("{etcd} --lease 5s --listen 0.0.0.0:5050 --advertise m1:5050"),
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("master".to_owned(), "--data-dir is missing"),
            ("master --data-dir /d --lease 5s".to_owned(), "--lease is for"),
            (
                "master --data-dir /d --advertise m1:5050".to_owned(),
                "--advertise is for",
            ),
            (format!("{etcd} --data-dir /d"), "--data-dir is of no use"),
            (format!("{etcd} --listen 0.0.0.0:5050"), "--advertise is missing"),
            (format!("{etcd} --lease 1s"), "not 2 to 300 whole seconds"),
            (format!("{etcd} --advertise nowhere"), "not host:port"),
            ("master --store sqlite".to_owned(), "not rocksdb or etcd"),
        ] {
            let refusal = check(&bad).expect_err(&bad);
            assert!(refusal.contains(why), "{bad}: {refusal}");
        }
    }
}

//! `proffer framework`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use proffer_sdk::types::FrameworkId;
use proffer_sdk::{CancellationToken, DaemonConfig, DaemonError, UnknownTasks};
use proffer_service::{Pool, Settings};
use proffer_store::{Rocks, Standing, Store};
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::daemon::until_signal;
use crate::etcd::{self, StoreKind};
use crate::failure::{WrongUse, refused};
use crate::spec::Span;

/// Run a shipped framework as a process of its own, or end one
#[derive(Debug, Subcommand)]
pub(crate) enum FrameworkCommand {
    /// Run the batch framework: jobs
    Batch(FrameworkArgs),
    /// Run the service framework: replicas kept alive
    Service(ServiceFrameworkArgs),
    Teardown(TeardownArgs),
}

/// End a framework for good: its tasks are killed, and its id is spent
#[derive(Debug, Args)]
pub(crate) struct TeardownArgs {
    /// The framework's id, as `proffer frameworks` shows it
    id: String,
    #[command(flatten)]
    master: MasterArgs,
}

/// The flags of the service framework.
#[derive(Debug, Args)]
pub(crate) struct ServiceFrameworkArgs {
    #[command(flatten)]
    framework: FrameworkArgs,
    /// The network whose addresses virtual services and exposed services get; it should be routed nowhere. Those that have one
    /// keep it
    #[arg(
        long,
        env = "PROFFER_VIRTUAL_ADDRESSES",
        default_value_t = Pool::default(),
        value_name = "NETWORK"
    )]
    virtual_addresses: Pool,
    /// Where `/metrics` and `/healthz` are; absent means nowhere
    #[arg(long, env = "PROFFER_STATUS_LISTEN", value_name = "ADDRESS")]
    status_listen: Option<SocketAddr>,
}

/// The flags of every shipped framework.
#[derive(Debug, Args)]
pub(crate) struct FrameworkArgs {
    /// Addresses of the masters, `host:port`, separated by commas
    #[arg(
        long,
        env = "PROFFER_MASTER",
        default_value = "127.0.0.1:5050",
        value_delimiter = ',',
        value_name = "ADDRESS"
    )]
    master: Vec<String>,
    /// Where `rocksdb` keeps the framework's own records; one framework a directory
    #[arg(long, env = "PROFFER_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// What keeps the framework's records: `rocksdb`, in the data directory, for a single process; or
    /// etcd://HOST:PORT[,HOST:PORT..][/PREFIX], for several of which one leads and the others stand by. It may be that of
    /// the masters: each framework has keys of its own there, below PREFIX/frameworks/
    #[arg(long, env = "PROFFER_STORE", default_value = "rocksdb", value_name = "STORE")]
    store: StoreKind,
    /// With etcd: how long a process that died is still held for the leader, in whole seconds from 2s; absent means 3s
    #[arg(long, env = "PROFFER_LEASE", value_name = "DURATION", value_parser = etcd::lease)]
    lease: Option<Duration>,
    /// Where the framework's API listens for the master; port 0 takes a free one
    #[arg(
        long,
        env = "PROFFER_LISTEN",
        default_value = "127.0.0.1:0",
        value_name = "ADDRESS"
    )]
    listen: SocketAddr,
    /// How long its tasks go on while it is away; absent means a week
    #[arg(long, env = "PROFFER_FAILOVER_TIMEOUT", value_name = "DURATION")]
    failover_timeout: Option<Span>,
    /// Take over what runs under this id, as `proffer frameworks` shows it, although the records of the framework or of
    /// the master are lost
    #[arg(long, env = "PROFFER_ADOPT", requires = "unknown_tasks", value_name = "ID")]
    adopt: Option<FrameworkId>,
    /// What becomes of tasks that run under the framework's id and that it has no record of: keep leaves them alone.
    /// Without it the framework kills those it hears of
    #[arg(
        long,
        env = "PROFFER_UNKNOWN_TASKS",
        value_parser = unknown_tasks,
        value_name = "keep|kill"
    )]
    unknown_tasks: Option<UnknownTasks>,
    /// Listen off loopback although nobody has to prove who they are
    #[arg(long, env = "PROFFER_INSECURE_LISTEN")]
    insecure_listen: bool,
}

fn unknown_tasks(text: &str) -> Result<UnknownTasks, String> {
    match text {
        "keep" => Ok(UnknownTasks::Keep),
        "kill" => Ok(UnknownTasks::Kill),
        _ => Err("it is neither keep nor kill".to_owned()),
    }
}

pub(super) async fn batch(args: FrameworkArgs) -> Result<u8> {
    args.run("batch", proffer_batch::run).await
}

pub(super) async fn service(args: ServiceFrameworkArgs) -> Result<u8> {
    let settings = Settings {
        addresses: args.virtual_addresses,
        status_listen: args.status_listen,
    };
    let run = |config, store, shutdown| proffer_service::run(config, settings, store, shutdown);
    args.framework.run("service", run).await
}

pub(super) async fn teardown(args: TeardownArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let request = v1::TeardownFrameworkRequest {
        framework_id: args.id,
    };
    let answer = cluster.operator().teardown_framework(request).await;
    answer.map_err(|status| refused(&status))?;
    Ok(0)
}

impl FrameworkArgs {
    async fn run<F>(
        self,
        name: &str,
        run: impl FnOnce(DaemonConfig, Arc<dyn Store>, CancellationToken) -> F,
    ) -> Result<u8>
    where
        F: Future<Output = Result<(), DaemonError>>,
    {
        self.check_store()?;
        proffer_grpc::net::check_listen(self.listen, self.insecure_listen)?;
        let (store, election, place) = self.open(name).await?;
        let mut config = DaemonConfig::new(self.master, name);
        config.listen = self.listen;
        config.insecure_listen = self.insecure_listen;
        config.election = election;
        config.adopt = self.adopt;
        config.unknown_tasks = self.unknown_tasks.unwrap_or_default();
        if let Some(span) = self.failover_timeout {
            config.failover_timeout = span.0;
        }
        until_signal(|shutdown| run(config, store, shutdown))
            .await
            // The master may ask for the removal of what is there.
            .with_context(|| format!("the {name} framework with its records in {place} ended"))
    }

    /// Refuses what the store has no use for, and what it lacks.
    fn check_store(&self) -> Result<(), WrongUse> {
        let is_alone = self.store == StoreKind::Rocksdb;
        let wrong = match (is_alone, &self.data_dir) {
            (true, None) => "--data-dir or --store is missing: where are the framework's records to be?",
            (true, Some(_)) if self.lease.is_some() => "--lease is for processes that share an etcd",
            (false, Some(_)) => "--data-dir is of no use to a framework whose records are in etcd",
            (true, Some(_)) | (false, None) => return Ok(()),
        };
        Err(WrongUse(wrong.to_owned()))
    }

    /// The store, the election of those who share it, and what the store is called.
    async fn open(&self, name: &str) -> Result<(Arc<dyn Store>, Option<Standing>, String)> {
        match &self.store {
            StoreKind::Rocksdb => {
                let dir = self.data_dir.clone().unwrap_or_default();
                let place = dir.display().to_string();
                Ok((Arc::new(Rocks::open(dir).await?), None, place))
            }
            StoreKind::Etcd(address) => {
                let address = address.clone().below("frameworks").below(name);
                let (store, standing) = etcd::share(&address, self.lease, this_process()).await?;
                Ok((Arc::new(store), Some(standing), address.to_string()))
            }
        }
    }
}

/// What the others are told of this process, for their logs.
fn this_process() -> String {
    let host = rustix::system::uname();
    format!("{} pid {}", host.nodename().to_string_lossy(), std::process::id())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: FrameworkArgs,
    }

    #[test]
    fn records_are_in_exactly_one_place() {
        let check = |line: &str| {
            let line = Line::try_parse_from(line.split(' ')).map_err(|error| error.to_string())?;
            line.args.check_store().map_err(|error| error.0)
        };
        let etcd = "batch --store etcd://10.0.0.7:2379/c";
        for good in ["batch --data-dir /d", etcd, &format!("{etcd} --lease 5s")] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("batch".to_owned(), "is missing"),
            ("batch --data-dir /d --lease 5s".to_owned(), "--lease is for"),
            (format!("{etcd} --data-dir /d"), "--data-dir is of no use"),
            (format!("{etcd} --lease 1s"), "not 2 to 300 whole seconds"),
            ("batch --store sqlite".to_owned(), "not rocksdb or etcd"),
        ] {
            let refusal = check(&bad).expect_err(&bad);
            assert!(refusal.contains(why), "{bad}: {refusal}");
        }
    }
}

//! `proffer framework`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use proffer_sdk::types::FrameworkId;
use proffer_sdk::{CancellationToken, DaemonConfig, DaemonError, UnknownTasks};
use proffer_store::{Rocks, Store};
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::daemon::until_signal;
use crate::failure::refused;
use crate::spec::Span;

/// Run a shipped framework as a process of its own, or end one
#[derive(Debug, Subcommand)]
pub(crate) enum FrameworkCommand {
    /// Run the batch framework: jobs
    Batch(FrameworkArgs),
    /// Run the service framework: replicas kept alive
    Service(FrameworkArgs),
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
    /// The framework's own records; one framework a directory
    #[arg(long, env = "PROFFER_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
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

pub(super) async fn service(args: FrameworkArgs) -> Result<u8> {
    args.run("service", proffer_service::run).await
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
        proffer_grpc::net::check_listen(self.listen, self.insecure_listen)?;
        let store = Arc::new(Rocks::open(self.data_dir.clone()).await?);
        let mut config = DaemonConfig::new(self.master, name);
        config.listen = self.listen;
        config.insecure_listen = self.insecure_listen;
        config.adopt = self.adopt;
        config.unknown_tasks = self.unknown_tasks.unwrap_or_default();
        if let Some(span) = self.failover_timeout {
            config.failover_timeout = span.0;
        }
        until_signal(|shutdown| run(config, store, shutdown))
            .await
            .with_context(|| ended(name, &self.data_dir))
    }
}

/// What is said before why: the master may ask for the removal of the data directory.
fn ended(name: &str, data_dir: &Path) -> String {
    format!(
        "the {name} framework with data directory {} ended",
        data_dir.display()
    )
}

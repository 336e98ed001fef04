//! `proffer dev`: a whole cluster on this machine, supervised.
//!
//! Master, agents and both frameworks are child processes of this binary. Whatever ends is started again; a stop ends the
//! tasks and leaves nothing. One supervisor a data directory, by a lock; what a killed one left is found by its
//! state file, and stopped before the new one starts.

mod child;
mod plan;
mod ready;
mod state;

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use proffer_types::Resources;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::child::Supervisor;
use self::plan::{Kind, Plan, Wanted};
use self::state::{Board, Lock};
use crate::allocators::Allocators;
use crate::daemon::Signals;
use crate::logging::LogArgs;
use crate::output::print;

/// How many agents a dev cluster may have: enough to see a scheduler work, few enough for one machine.
const MAX_AGENTS: u16 = 64;

/// Run a whole cluster on this machine: master, agents, batch and service
///
/// Ctrl-C ends its tasks and cleans up. Agents need root, or a cgroup v2 group that was delegated to this user.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Where everything is kept; absent means `proffer/dev` under $XDG_DATA_HOME or ~/.local/share
    #[arg(long, env = "PROFFER_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where the master listens; agents take the ports after it. Port 0 takes free ones, told in `dev.json`
    #[arg(
        long,
        env = "PROFFER_LISTEN",
        default_value = "127.0.0.1:5050",
        value_name = "ADDRESS"
    )]
    listen: std::net::SocketAddr,
    /// How many agents; several share this machine's cores and memory evenly
    #[arg(long, env = "PROFFER_AGENTS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(0..=i64::from(MAX_AGENTS)), value_name = "N")]
    agents: u16,
    /// What each agent offers, such as `cpus:2;mem:4GiB`; absent means what this machine has
    #[arg(long, env = "PROFFER_RESOURCES", value_name = "RESOURCES")]
    resources: Option<Resources>,
    /// Who decides on offers, as of `proffer master`
    #[arg(long, env = "PROFFER_ALLOCATOR", value_name = "NAME")]
    allocator: Option<String>,
}

fn default_data_dir() -> Result<PathBuf> {
    let absolute = |name: &str| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_DATA_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local/share")))
        .map(|base| base.join("proffer/dev"))
        .context("neither HOME nor XDG_DATA_HOME is set; give --data-dir")
}

pub(super) async fn dev(args: DevArgs, log: LogArgs, allocators: &Allocators) -> Result<u8> {
    if let Some(name) = &args.allocator {
        drop(allocators.get(name)?);
    }
    proffer_agent::rootless::make_way()?;
    let mut signals = Signals::new()?;
    let data_dir = match args.data_dir {
        Some(path) => std::path::absolute(path)?,
        None => default_data_dir()?,
    };
    let lock = Lock::take(&data_dir)?;
    let stale = state::stop_stale(&data_dir).await?;
    let wanted = Wanted {
        data_dir: data_dir.clone(),
        listen: args.listen,
        // Tasks that a killed supervisor left run on until their own agent is back and ends them.
        n_agents: args.agents.max(stale.n_agents),
        resources: args.resources,
        allocator: args.allocator,
        log,
    };
    let plan = Plan::new(&wanted)?;
    plan.check_addresses()?;
    let code = cluster(&plan, &data_dir, &mut signals).await;
    drop(lock);
    code
}

/// Runs the cluster until a signal, or until a child cannot start.
async fn cluster(plan: &Plan, data_dir: &Path, signals: &mut Signals) -> Result<u8> {
    let board = Board::new(data_dir, &plan.master);
    let (trouble, mut troubles) = mpsc::channel(1);
    let supervisor = Supervisor::new(board.clone(), trouble)?;
    let mut groups = [Kind::Framework, Kind::Agent, Kind::Master].map(Group::new);
    let ended = match start(plan, &supervisor, &mut groups) {
        Ok(()) => tokio::select! {
            ended = attend(plan, &board, &supervisor) => ended,
            _ = signals.next() => Ok(()),
            Some(trouble) = troubles.recv() => Err(trouble.into()),
        },
        Err(error) => Err(error),
    };
    eprintln!("proffer dev: stopping");
    for group in groups {
        group.end().await;
    }
    board.remove();
    ended.map(|()| 0)
}

/// Starts the master first.
fn start(plan: &Plan, supervisor: &Supervisor, groups: &mut [Group]) -> Result<()> {
    for group in groups.iter_mut().rev() {
        for child in plan.children.iter().filter(|child| child.kind == group.kind) {
            supervisor.start(child, &group.stop, &mut group.running)?;
        }
    }
    Ok(())
}

/// Tells what runs where, and when it is of use; does not end by itself.
async fn attend(plan: &Plan, board: &Board, supervisor: &Supervisor) -> Result<()> {
    print(&board.text())?;
    ready::ready(plan).await;
    supervisor.ready();
    print(&format!(
        "ready: try `PROFFER_MASTER={} proffer run -- uname -a`\n",
        plan.master
    ))?;
    std::future::pending().await
}

/// Children that are stopped together.
struct Group {
    kind: Kind,
    stop: CancellationToken,
    running: JoinSet<()>,
}

impl Group {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            stop: CancellationToken::new(),
            running: JoinSet::new(),
        }
    }

    async fn end(mut self) {
        self.stop.cancel();
        while self.running.join_next().await.is_some() {}
    }
}

/// How long a child of a kind may take to stop.
fn patience(kind: Kind) -> Duration {
    match kind {
        // Tasks get their grace period, then containers are taken down.
        Kind::Agent => Duration::from_secs(30),
        Kind::Master | Kind::Framework => Duration::from_secs(5),
    }
}

//! `proffer job queue`.

use anyhow::{Result, bail, ensure};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use proffer_wire::v1;

use crate::client::{Cluster, MasterArgs};
use crate::failure::refused;
use crate::output::{OutputArgs, Rows, show};
use crate::spec::SomeSpan;
use crate::views::{QueueRow, QueueView};

/// Look at the queues, one a role, and set who is next in them
#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    List(ListArgs),
    Show(ShowArgs),
    Set(SetArgs),
}

/// List queues: policies, and how much waits
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Show who is next in a queue, and its users
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The role
    #[arg(default_value = "*")]
    role: String,
    /// Show so many tasks
    #[arg(long, env = "PROFFER_LIMIT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    #[command(flatten)]
    master: MasterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Set a queue; what is not given stays
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("setting").required(true).multiple(true).args(["policy", "backfill", "half_life", "share", "slice"])))]
pub(crate) struct SetArgs {
    /// The role
    role: String,
    /// Who is next; every queue starts with `priority`
    #[arg(long, env = "PROFFER_POLICY", value_enum)]
    policy: Option<PolicyArg>,
    /// What may start before that for which there is no room yet; every queue starts with `easy`
    #[arg(long, env = "PROFFER_BACKFILL", value_enum)]
    backfill: Option<BackfillArg>,
    /// Of fair share: after so long what was used counts half, such as `7d`
    #[arg(long, env = "PROFFER_HALF_LIFE", value_name = "TIME")]
    half_life: Option<SomeSpan>,
    /// Of fair share: what a user is entitled to, where others have 1; may be given several times, 1 takes it back
    #[arg(long, env = "PROFFER_SHARE", value_name = "USER=N", value_parser = share)]
    share: Vec<(String, u32)>,
    /// Of time slices: how long what runs goes on before another one's turn comes, such as `30s`; 1 s to a day
    #[arg(long, env = "PROFFER_SLICE", value_name = "TIME")]
    slice: Option<SomeSpan>,
    #[command(flatten)]
    master: MasterArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PolicyArg {
    /// First come, first served
    Fcfs,
    /// The shortest time limit first
    Sjf,
    /// The highest priority first
    Priority,
    /// The user who was served longest ago
    RoundRobin,
    /// The user who was served longest ago; what has run for a slice is suspended for that
    TimeSlice,
    /// The user who used least for their share
    FairShare,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum BackfillArg {
    /// What ends in time not to keep the first waiting, as far as time limits tell
    Easy,
    /// Whatever fits
    Any,
    /// Nothing
    None,
}

pub(super) async fn queue(command: QueueCommand) -> Result<u8> {
    match command {
        QueueCommand::List(args) => list(args).await,
        QueueCommand::Show(args) => show_queue(args).await,
        QueueCommand::Set(args) => set(args).await,
    }
}

async fn list(args: ListArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    show(args.output, async || {
        let answer = cluster.jobs().list_queues(v1::ListQueuesRequest {}).await;
        let queues = answer.map_err(|status| refused(&status))?.into_inner().queues;
        Ok(Rows(queues.into_iter().map(QueueRow::from).collect()))
    })
    .await
}

async fn show_queue(args: ShowArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    show(args.output, async || {
        let queue = get(&cluster, &args.role, args.limit).await?;
        Ok(QueueView::from(queue))
    })
    .await
}

async fn get(cluster: &Cluster, role: &str, limit: u32) -> Result<v1::JobQueue> {
    let role = role.to_owned();
    let answer = cluster
        .jobs()
        .get_queue(v1::GetQueueRequest { role, limit })
        .await;
    Ok(answer.map_err(|status| refused(&status))?.into_inner())
}

async fn set(args: SetArgs) -> Result<u8> {
    let cluster = Cluster::connect(&args.master).await?;
    let mut settings = get(&cluster, &args.role, 1).await?.settings.unwrap_or_default();
    if let Some(policy) = args.policy {
        settings.policy = match policy {
            PolicyArg::Fcfs => v1::QueuePolicy::QueueFcfs,
            PolicyArg::Sjf => v1::QueuePolicy::QueueSjf,
            PolicyArg::Priority => v1::QueuePolicy::QueuePriority,
            PolicyArg::RoundRobin => v1::QueuePolicy::QueueRoundRobin,
            PolicyArg::TimeSlice => v1::QueuePolicy::QueueTimeSlice,
            PolicyArg::FairShare => v1::QueuePolicy::QueueFairShare,
        }
        .into();
    }
    if let Some(backfill) = args.backfill {
        settings.backfill = match backfill {
            BackfillArg::Easy => v1::Backfill::Easy,
            BackfillArg::Any => v1::Backfill::Any,
            BackfillArg::None => v1::Backfill::None,
        }
        .into();
    }
    if let Some(half_life) = args.half_life {
        settings.half_life_ms = half_life.0.millis();
    }
    if let Some(slice) = args.slice {
        settings.slice_ms = slice.0.millis();
    }
    ensure!(
        settings.policy() == v1::QueuePolicy::QueueTimeSlice || args.slice.is_none(),
        "--slice is of time-slice; the queue of {} is not set to it",
        args.role
    );
    let is_fair = settings.policy() == v1::QueuePolicy::QueueFairShare;
    ensure!(
        is_fair || (args.half_life.is_none() && args.share.is_empty()),
        "--half-life and --share are of fair-share; the queue of {} is not set to it",
        args.role
    );
    for (user, share) in args.share {
        match share {
            1 => settings.shares.remove(&user),
            share => settings.shares.insert(user, share),
        };
    }
    let request = v1::SetQueueRequest {
        role: args.role,
        settings: Some(settings),
    };
    let set = cluster.jobs().set_queue(request).await;
    set.map_err(|status| refused(&status))?;
    Ok(0)
}

/// `alice=3`.
fn share(text: &str) -> Result<(String, u32)> {
    let Some((user, share)) = text.split_once('=') else {
        bail!("write it like alice=3");
    };
    let share: u32 = share.parse()?;
    ensure!(share > 0, "a share is at least 1");
    Ok((user.to_owned(), share))
}

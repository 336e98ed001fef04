//! `proffer-bench`: measures the product beside a reference in the same run, and prints the ratio.
//!
//! Machines are shared and noisy: an absolute time proves nothing, so every case alternates with its reference where
//! it can. Nothing fails by a stopwatch. A table goes to stdout, one JSON object a row to `bench.jsonl`.

mod agents;
mod allocator;
mod backfill;
mod batch;
mod cluster;
mod containers;
mod crowd;
mod dead_agent;
mod failover;
mod files;
mod fleet;
mod floor;
mod footprint;
mod launches;
mod masters;
mod networks;
mod owner;
mod reference;
mod report;
mod service;
mod throughput;
mod updates;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use report::Report;

#[derive(Debug, Parser)]
struct Args {
    /// Which benchmark.
    bench: Bench,
    /// The binary to measure; a release build. The allocator is measured without it.
    #[arg(long)]
    proffer: Option<PathBuf>,
    /// Where the JSON lines go; appended to.
    #[arg(long, default_value = "bench.jsonl")]
    json: PathBuf,
    /// Agents of the failover, with ten tasks each; the aims are for the default.
    #[arg(long, default_value_t = failover::AGENTS)]
    failover_agents: u32,
    /// Where the figure of the backfill goes.
    #[arg(long, default_value = "backfill.svg")]
    plot: PathBuf,
    /// Where the figure of the autoscaler goes.
    #[arg(long, default_value = "autoscale.svg")]
    autoscale_plot: PathBuf,
    #[command(flatten)]
    agents: agents::AgentsArgs,
    #[command(flatten)]
    floor: floor::FloorArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Bench {
    All,
    /// Allocation cycles and single changes, beside the textbook algorithm. Needs no root and no binary.
    Allocator,
    /// A synthetic trace of parallel jobs under simulated time: FCFS and backfill, beside textbooks. Needs no root and no
    /// binary.
    Backfill,
    /// One task, start to exit, and a thousand at once, beside bubblewrap and crun.
    Containers,
    /// One container from its config to its program, beside bubblewrap, crun and runc. Needs root, and no binary.
    Launches,
    #[value(hide = true)]
    LaunchesInside,
    /// The network of one container, beside CNI plugins. Needs root, and no binary.
    Networks,
    /// Tasks a second, end to end.
    Cluster,
    /// Memory, idle and a task.
    Footprint,
    /// A killed master with ten thousand simulated agents: until all are back, until the first offer. Needs no root.
    Failover,
    /// Statuses through the master, acknowledged. Needs no root.
    Updates,
    /// Launches through the master, and `proffer ps` meanwhile. Needs no root.
    Throughput,
    /// The batch framework: a task's overhead, arrays and single tasks, a million queued, beside HyperQueue and Slurm.
    Batch,
    /// The service framework and its edge, beside nginx, haproxy and dnsmasq.
    Service,
    /// A host that dies without a word: until the replica of a service that it had runs elsewhere.
    DeadAgent,
    /// What plays the agents.
    #[value(hide = true)]
    Agents,
    /// What does nothing but answer them.
    #[value(hide = true)]
    Floor,
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the others are measured")]
fn main() -> Result<()> {
    let args = Args::parse();
    match args.bench {
        Bench::LaunchesInside => return launches::run_inside(),
        Bench::Agents => return agents::run(args.agents),
        Bench::Floor => return floor::run(&args.floor),
        _ => {}
    }
    files::allow_all()?;
    let wants = |bench| args.bench == Bench::All || args.bench == bench;
    let mut report = Report::create(&args.json)?;
    if wants(Bench::Allocator) {
        allocator::run(&mut report)?;
    }
    if wants(Bench::Backfill) || wants(Bench::Batch) {
        backfill::run(&args.plot, &mut report)?;
    }
    if wants(Bench::Service) {
        service::run_pure(&mut report)?;
    }
    for (bench, run) in [
        (Bench::Launches, launches::run as fn(&mut Report) -> Result<()>),
        (Bench::Networks, networks::run),
    ] {
        match proffer_cluster_tests::why_not().filter(|_| wants(bench)) {
            Some(why) => eprintln!("skipped: {why}"),
            None if wants(bench) => run(&mut report)?,
            None => {}
        }
    }
    if [Bench::Failover, Bench::Updates, Bench::Throughput, Bench::Batch]
        .into_iter()
        .any(wants)
    {
        with_agents(&args, wants, &mut report)?;
    }
    if [
        Bench::Containers,
        Bench::Cluster,
        Bench::Batch,
        Bench::Footprint,
        Bench::Service,
        Bench::DeadAgent,
    ]
    .into_iter()
    .any(wants)
    {
        with_cluster(&args, wants, &mut report)?;
    }
    report.print();
    Ok(())
}

/// The benchmarks of masters with simulated agents.
fn with_agents(args: &Args, wants: impl Fn(Bench) -> bool, report: &mut Report) -> Result<()> {
    let proffer = args.proffer.as_deref().context("--proffer is missing")?;
    if wants(Bench::Failover) {
        failover::run(proffer, args.failover_agents, report)?;
    }
    if wants(Bench::Updates) {
        updates::run(proffer, report)?;
    }
    if wants(Bench::Throughput) {
        throughput::run(proffer, report)?;
    }
    if wants(Bench::Batch) {
        batch::run(proffer, report)?;
    }
    Ok(())
}

/// The benchmarks that start the binary.
fn with_cluster(args: &Args, wants: impl Fn(Bench) -> bool, report: &mut Report) -> Result<()> {
    if let Some(why) = proffer_cluster_tests::why_not() {
        eprintln!("skipped: {why}");
        return Ok(());
    }
    let proffer = args.proffer.as_deref().context("--proffer is missing")?;
    if wants(Bench::Containers) {
        containers::run(proffer, report)?;
        crowd::run(proffer, report)?;
    }
    if wants(Bench::Cluster) {
        cluster::run(proffer, report)?;
    }
    if wants(Bench::Batch) {
        batch::run_isolated(proffer, report)?;
    }
    if wants(Bench::Service) {
        service::run(proffer, &args.autoscale_plot, report)?;
    }
    if wants(Bench::DeadAgent) {
        dead_agent::run(proffer, report)?;
    }
    if wants(Bench::Footprint) {
        footprint::run(proffer, report)?;
    }
    Ok(())
}

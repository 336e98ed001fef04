//! Tasks come and go, with an image, an address, a published port and volumes each, and leave nothing behind: of files,
//! mounts, groups, interfaces, rules, processes, and of the agent's own descriptors and memory.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proffer_privileged_tests::{eventually, say, status_line};
use proffer_types::{TaskId, TaskState};

use crate::left::{left, sandboxes, secrets};
use crate::life::{Daemon, Sweep, idle};
use crate::master::{Agent, Master};
use crate::world::{World, in_own_world};

/// A thousand with those of the warm-up.
const ROUNDS: u32 = 900;

/// Until then the allocator, the runtime's threads and the page tables grow to what the rounds need.
const WARM_UP: u32 = 100;

/// Tasks at once.
const LANES: u32 = 4;

/// What the bytes an idle agent has allocated were seen to vary by, a few buffers; of a leak it is less than 20 bytes a task.
const SLACK_BYTES: usize = 16 << 10;

/// What its memory was seen to vary by: the allocator has an arena for each of some threads, and holes in them.
const SLACK_KIB: u64 = 4096;

/// Timers of its own have it allocate for a moment, so it is asked some times.
const N_READINGS: usize = 5;
const READING_INTERVAL: Duration = Duration::from_millis(100);

/// What the agent itself has of the kernel.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    n_descriptors: usize,
    n_children: usize,
}

fn held(pid: u32) -> Result<Held> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task"))?.flatten();
    let children = tasks.map(|task| {
        let children = fs::read_to_string(task.path().join("children"));
        children.unwrap_or_default().split_whitespace().count()
    });
    Ok(Held {
        n_children: children.sum(),
        n_descriptors: fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
    })
}

/// Memory of the agent that is no file's, in KiB.
fn anonymous_kib(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status_line(&status, "RssAnon")?;
    Ok(line.split(' ').next().context("no number")?.parse()?)
}

/// Bytes that the agent has allocated, once what it was at is done.
async fn allocated(world: &World, daemon: &Daemon) -> Result<usize> {
    let mut least = usize::MAX;
    for _ in 0..N_READINGS {
        tokio::time::sleep(READING_INTERVAL).await;
        let file = world.dir.join("allocated");
        kill(Pid::from_raw(daemon.pid().cast_signed()), Signal::SIGUSR1)?;
        let text = eventually("the agent's count", || Ok(fs::read_to_string(&file).ok()))?;
        fs::remove_file(file)?;
        least = least.min(text.parse()?);
    }
    Ok(least)
}

/// Has so many tasks come and go, some at once; one by itself, the next by a kill.
async fn rounds(world: &World, agent: &mut Agent, n_rounds: u32) -> Result<()> {
    let mut lanes = BTreeMap::new();
    let mut n_started = 0;
    for lane in 0..LANES {
        agent.run(world.lane(lane, n_started)?)?;
        lanes.insert(TaskId::new(format!("lane-{lane}"))?, lane);
        n_started += 1;
    }
    let mut n_ended = 0;
    while n_ended < n_started {
        let status = agent.status().await?.context("the agent is gone")?;
        let lane = *lanes.get(&status.task_id).context("whose status is this?")?;
        if status.state == TaskState::Running {
            agent.kill(&status.task_id)?;
        }
        if !status.state.is_terminal() {
            continue;
        }
        let is_well = matches!(status.state, TaskState::Killed | TaskState::Finished);
        ensure!(is_well, "{status:?}");
        n_ended += 1;
        if n_started < n_rounds {
            agent.run(world.lane(lane, n_started)?)?;
            n_started += 1;
        }
    }
    idle(world).await
}

#[test]
fn a_thousand_tasks_with_networks_and_images_leave_nothing() -> Result<()> {
    in_own_world(async |world| {
        let _sweep = Sweep(world);
        let mut master = Master::start().await?;
        let mut daemon = Daemon::start(world, &master)?;
        let mut agent = daemon.register(&mut master).await?.context("the agent is gone")?;
        let started = Instant::now();
        rounds(world, &mut agent, WARM_UP).await?;
        let (before, kept) = (left(world)?, sandboxes(world)?);
        let (own, memory) = (held(daemon.pid())?, anonymous_kib(daemon.pid())?);
        let bytes = allocated(world, &daemon).await?;
        rounds(world, &mut agent, ROUNDS).await?;
        let after = left(world)?;
        let more: Vec<_> = after.symmetric_difference(&before).collect();
        ensure!(more.is_empty(), "{more:#?}");
        ensure!(sandboxes(world)? == kept, "more files of tasks");
        ensure!(secrets(world).is_empty(), "the secret is in {:?}", secrets(world));
        let now = held(daemon.pid())?;
        let grown = anonymous_kib(daemon.pid())?.saturating_sub(memory);
        let more_bytes = allocated(world, &daemon).await?.saturating_sub(bytes);
        let took = started.elapsed();
        say(&format!(
            "{ROUNDS} tasks after {WARM_UP}: {more_bytes} bytes more than {bytes} are allocated, {grown} KiB more than \
             {memory} are used, {now:?}, in {took:.1?}"
        ));
        ensure!(more_bytes <= SLACK_BYTES, "{more_bytes} bytes more");
        ensure!(now == own, "{own:?}, {now:?}");
        ensure!(grown <= SLACK_KIB, "grown by {grown} KiB");
        daemon.stop().await
    })
}

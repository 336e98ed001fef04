//! An agent that has too little of something: tasks that run go on, nothing is told that is not on disk, and it recovers by
//! itself when there is enough again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use proffer_types::container::{Propagation, VolumeSource};
use proffer_types::{Resources, StatusReason, TaskExit, TaskId, TaskInfo, TaskState, TaskStatus};

use crate::life::{Daemon, Sweep, idle};
use crate::master::{Agent, Master};
use crate::world::{World, in_own_world, run, task, volume};

/// Longer than an agent waits before it tries again to write or to look.
const RETRIES: Duration = Duration::from_secs(3);

/// How often a full disk is filled again.
const TOP_UP: Duration = Duration::from_millis(20);

async fn await_state(agent: &mut Agent, id: &str, state: TaskState) -> Result<TaskStatus> {
    loop {
        let status = agent.status().await?.context("the agent is gone")?;
        if status.task_id.as_str() == id {
            if status.state == state {
                return Ok(status);
            }
            ensure!(!status.state.is_terminal(), "{status:?}");
        }
    }
}

/// Whether the agent says nothing terminal for a while.
async fn is_silent(agent: &mut Agent) -> Result<bool> {
    let end = Instant::now() + RETRIES;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        if let Ok(status) = tokio::time::timeout(left, agent.status()).await
            && status?.context("the agent is gone")?.state.is_terminal()
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A task that ends when the file `gate` is there, with so much more in its checkpoint.
fn tight(id: &str, n_bytes: usize, world: &World) -> Result<TaskInfo> {
    let script = "until test -e /srv/gate; do sleep 0.1; done; exit 3";
    let mut info = task(id, &["sh", "-c", script])?;
    info.resources = Resources::of(50, 12 << 20, 0);
    let open = VolumeSource::HostPath {
        path: world.dir.join("open").display().to_string(),
        propagation: Propagation::Private,
    };
    info.container.volumes.push(volume("/srv", open));
    info.container.env.insert("FILL".to_owned(), "x".repeat(n_bytes));
    Ok(info)
}

fn fill(dir: &Path) -> Result<()> {
    use std::io::Write as _;
    let mut file = fs::File::options()
        .create(true)
        .append(true)
        .open(dir.join("filler"))?;
    for size in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    Ok(())
}

#[test]
fn a_full_disk_delays_what_is_told_and_costs_no_task() -> Result<()> {
    in_own_world(async |world| {
        let _sweep = Sweep(world);
        let data = world.data();
        fs::create_dir(&data)?;
        mount(
            Some("none"),
            &data,
            Some("tmpfs"),
            MsFlags::empty(),
            Some("size=8m"),
        )?;
        let mut master = Master::start().await?;
        let mut daemon = Daemon::start(world, &master)?;
        let mut agent = daemon.register(&mut master).await?.context("the agent is gone")?;
        // A state takes more than the step, and a page 4 KiB: so the next state of some of them needs another page.
        let ids: Vec<String> = (0..32).map(|n| format!("t{n}")).collect();
        for (n, id) in ids.iter().enumerate() {
            agent.run(tight(id, n * 128, world)?)?;
        }
        let mut n_running = 0;
        while n_running < ids.len() {
            let status = agent.status().await?.context("the agent is gone")?;
            ensure!(!status.state.is_terminal(), "{status:?}");
            n_running += usize::from(status.state == TaskState::Running);
        }
        fill(&data)?;

        agent.run(task("late", &["true"])?)?;
        let refused = agent.status().await?.context("the agent is gone")?;
        ensure!(
            refused.task_id.as_str() == "late" && refused.state == TaskState::Dropped,
            "{refused:?}"
        );
        ensure!(refused.message.contains("No space left"), "{refused:?}");

        fs::write(world.dir.join("open/gate"), "")?;
        // None is acknowledged: an end that is forgotten leaves room for another.
        let mut told = BTreeMap::new();
        let end = Instant::now() + RETRIES;
        while Instant::now() < end {
            // What was written before anything was full may still be tidied up.
            fill(&data)?;
            if let Ok(status) = tokio::time::timeout(TOP_UP, agent.heard()).await {
                let status = status?.context("the agent is gone")?;
                if status.state.is_terminal() {
                    told.insert(status.task_id.clone(), status);
                }
            }
        }
        ensure!(told.len() < ids.len(), "all ends had room on the full disk");
        fs::remove_file(data.join("filler"))?;
        for status in told.values() {
            agent.acknowledge(status)?;
        }
        while told.len() < ids.len() {
            let status = agent.status().await?.context("the agent is gone")?;
            if status.state.is_terminal() {
                told.insert(status.task_id.clone(), status);
            }
        }
        for status in told.values() {
            let is_true = status.state == TaskState::Failed && status.exit == Some(TaskExit::Code(3));
            ensure!(is_true, "{status:?}");
        }
        idle(world).await?;
        agent.run(task("after", &["true"])?)?;
        await_state(&mut agent, "after", TaskState::Finished).await?;
        daemon.stop().await?;
        umount2(&data, MntFlags::MNT_DETACH)?;
        Ok(())
    })
}

fn limit_descriptors(pid: u32, soft: u64) -> Result<()> {
    let path = format!("/proc/{pid}/limits");
    let limits = fs::read_to_string(path)?;
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))
        .context("no such limit")?;
    let hard: u64 = line.split_whitespace().nth(4).context("no hard limit")?.parse()?;
    let limit = format!("--nofile={}:{hard}", soft.min(hard));
    run("prlimit", &[&format!("--pid={pid}"), &limit])?;
    Ok(())
}

#[test]
fn an_agent_without_descriptors_loses_no_task_and_guesses_no_end() -> Result<()> {
    in_own_world(async |world| {
        let _sweep = Sweep(world);
        let mut master = Master::start().await?;
        let mut daemon = Daemon::start(world, &master)?;
        let mut agent = daemon.register(&mut master).await?.context("the agent is gone")?;
        agent.run(tight("a", 1, world)?)?;
        await_state(&mut agent, "a", TaskState::Running).await?;
        agent.run(task("b", &["sleep", "1000"])?)?;
        await_state(&mut agent, "b", TaskState::Running).await?;
        let n_open = fs::read_dir(format!("/proc/{}/fd", daemon.pid()))?.count();
        limit_descriptors(daemon.pid(), u64::try_from(n_open / 2)?)?;

        agent.run(task("late", &["true"])?)?;
        let refused = agent.status().await?.context("the agent is gone")?;
        ensure!(
            refused.task_id.as_str() == "late" && refused.state.is_terminal(),
            "{refused:?}"
        );
        ensure!(refused.message.contains("Too many open files"), "{refused:?}");
        fs::write(world.dir.join("open/gate"), "")?;
        ensure!(
            is_silent(&mut agent).await?,
            "an end was told that could not be looked at"
        );

        limit_descriptors(daemon.pid(), u64::MAX)?;
        let ended = await_state(&mut agent, "a", TaskState::Failed).await?;
        ensure!(ended.exit == Some(TaskExit::Code(3)), "{ended:?}");
        ensure!(ended.reason == Some(StatusReason::CommandFailed), "{ended:?}");
        agent.kill(&TaskId::new("b")?)?;
        await_state(&mut agent, "b", TaskState::Killed).await?;
        idle(world).await?;
        daemon.stop().await
    })
}

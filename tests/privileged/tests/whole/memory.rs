//! A kernel without memory for what an agent asks of it: the task that needed it ends with the reason, nothing of it is left,
//! and the next one runs.
//!
//! No kernel can be asked to lack memory at a certain moment: so a tracer has single calls of a launch fail with what it would
//! say then.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use nix::libc;
use proffer_privileged_tests::steps::KILLED;
use proffer_privileged_tests::{say, skip};
use proffer_types::{TaskState, TaskStatus};

use crate::crash::{never, sample};
use crate::left::left;
use crate::life::{Daemon, Step, Sweep, idle, prepare, recover};
use crate::master::{Agent, Master};
use crate::world::{World, in_own_world};

/// The calls that make something, of those that are steps: what undoes needs no memory.
const CALLS: [&str; 12] = [
    "mount",
    "move_mount",
    "pivot_root",
    "clone",
    "clone3",
    "execve",
    "execveat",
    "unshare",
    "setns",
    "mkdir",
    "mkdirat",
    "symlinkat",
];

/// Those whose calls are meant: plugins and tools say what they like.
const CALLERS: [&str; 3] = ["agent", "whole-agent", "proffer-init"];

/// What a person reads of it.
const REASON: &str = "cannot allocate memory";

/// Waits until the task runs, or has ended.
async fn started_or_ended(agent: &mut Agent) -> Result<TaskStatus> {
    loop {
        let status = agent.status().await?.context("the agent is gone")?;
        if status.state == TaskState::Running || status.state.is_terminal() {
            return Ok(status);
        }
    }
}

/// Ends a task that runs.
async fn end(agent: &mut Agent, status: &TaskStatus) -> Result<()> {
    agent.kill(&status.task_id)?;
    loop {
        let status = agent.status().await?.context("the agent is gone")?;
        if status.state.is_terminal() {
            ensure!(status.state == TaskState::Killed, "{status:?}");
            return Ok(());
        }
    }
}

/// Runs a task with everything twice, and once more when the second one failed. Returns what became of those that failed.
async fn live(world: &World, master: &mut Master, step: &Step) -> Result<Vec<TaskStatus>> {
    let mut daemon = Daemon::start_failing(world, master, step, libc::ENOMEM)?;
    let Some(mut agent) = daemon.register(master).await? else {
        // What it needs itself was not there.
        daemon.died().await?;
        return Ok(Vec::new());
    };
    let mut failed = Vec::new();
    let mut n_left = 2;
    while n_left > 0 {
        n_left -= 1;
        agent.run(world.rich()?)?;
        let status = started_or_ended(&mut agent).await?;
        if status.state == TaskState::Running {
            end(&mut agent, &status).await?;
        } else {
            failed.push(status);
            ensure!(failed.len() == 1, "one call failed, and two tasks: {failed:?}");
            n_left = 1;
        }
        idle(world).await?;
    }
    daemon.stop().await?;
    Ok(failed)
}

fn logged(world: &World) -> Result<Vec<String>> {
    let log = fs::read_to_string(world.dir.join("steps"))?;
    Ok(log.lines().map(str::to_owned).collect())
}

/// The steps of a life that may need memory.
fn steps(world: &World) -> Result<Vec<Step>> {
    let mut counts = BTreeMap::new();
    let mut steps = Vec::new();
    for name in logged(world)? {
        let count = counts.entry(name.clone()).or_insert(0);
        *count += 1;
        let mut words = name.split(' ');
        let (who, call) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if CALLERS.contains(&who) && CALLS.contains(&call) {
            let nth = *count;
            steps.push((name, nth));
        }
    }
    Ok(steps)
}

#[test]
fn a_task_for_which_the_kernel_has_no_memory_says_so_and_leaves_nothing() -> Result<()> {
    if cfg!(not(target_arch = "x86_64")) {
        skip("no call can be failed on this architecture");
        return Ok(());
    }
    in_own_world(async |world| {
        let _sweep = Sweep(world);
        let mut master = Master::start().await?;
        let before = prepare(world, &mut master).await?;
        // The second time there is what is made once.
        for _ in 0..2 {
            live(world, &mut master, &never()).await?;
        }
        let chosen = sample(steps(world)?);
        let (mut n_told, mut complaints) = (0, Vec::new());
        for step in &chosen {
            let when = format!("no memory for {} {}", step.0, step.1);
            let failed = live(world, &mut master, step).await.context(when.clone())?;
            if !logged(world)?.iter().any(|line| line == KILLED) {
                continue;
            }
            n_told += failed.len();
            let unclear = failed
                .iter()
                .filter(|status| !status.message.to_lowercase().contains(REASON));
            complaints.extend(unclear.map(|status| format!("{when}: {status:?}")));
            if left(world)? != before {
                // It was to be undone as the agent stopped; the next one does.
                recover(world, &mut master).await?;
            }
            let after = left(world)?;
            let more = after.symmetric_difference(&before);
            complaints.extend(more.map(|line| format!("{when}: {line}")));
        }
        say(&format!(
            "{n_told} of {} calls without memory ended a task",
            chosen.len()
        ));
        ensure!(complaints.is_empty(), "{complaints:#?}");
        ensure!(
            n_told * 3 >= chosen.len(),
            "{n_told} of {} calls mattered",
            chosen.len()
        );
        Ok(())
    })
}

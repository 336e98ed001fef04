//! An agent is replaced by a newer one while its tasks run.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use proffer_types::TaskState;

use crate::left::left;
use crate::life::{Daemon, N_TASKS, Sweep, idle, prepare, up};
use crate::master::{Agent, Master};
use crate::world::{World, in_own_world};

/// Gives the checkpoints of tasks the form that an agent of format 1 would have given them: a directory each, with a file
/// for what never changes of it, one for its last state, and the one that pid 1 of its container has open.
fn make_format_1(world: &World) -> Result<()> {
    fs::remove_file(world.data().join("format"))?;
    for entry in fs::read_dir(world.data().join("tasks"))? {
        let path = entry?.path();
        if path.extension().is_some() {
            continue;
        }
        let bytes = fs::read(&path)?;
        ensure!(bytes.starts_with(b"PFTL"), "no task: {}", path.display());
        let records = records(bytes.get(8..).context("no header")?)?;
        fs::remove_file(&path)?;
        fs::create_dir(&path)?;
        write(&path.join("task"), records.first().context("no task")?)?;
        write(&path.join("state"), records.last().context("no state")?)?;
        fs::rename(path.with_extension("exit"), path.join("exit"))?;
    }
    Ok(())
}

fn records(mut rest: &[u8]) -> Result<Vec<&[u8]>> {
    let mut records = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_le_bytes(*length))?;
        records.push(after.get(4..4 + length).context("cut off")?);
        rest = &after[4 + length..];
    }
    Ok(records)
}

fn write(path: &Path, record: &[u8]) -> Result<()> {
    let version = 1_u32.to_le_bytes();
    let sum = crc32fast::hash(record).to_le_bytes();
    Ok(fs::write(path, [b"PFCK", &version[..], &sum, record].concat())?)
}

/// Kills all that an agent has, and waits until nothing is left of it.
pub(crate) async fn end_all(world: &World, agent: &mut Agent, n_tasks: usize) -> Result<()> {
    let mut n_ended = 0;
    while n_ended < n_tasks {
        let status = agent.status().await?.context("the agent is gone")?;
        if status.state.is_terminal() {
            ensure!(status.state == TaskState::Killed, "{status:?}");
            n_ended += 1;
        }
    }
    idle(world).await
}

#[test]
fn tasks_of_an_older_agent_are_taken_back_watched_and_ended() -> Result<()> {
    in_own_world(async |world| {
        let _sweep = Sweep(world);
        let mut master = Master::start().await?;
        let before = prepare(world, &mut master).await?;
        let mut daemon = Daemon::start(world, &master)?;
        let mut agent = daemon
            .register_or_end(&mut master)
            .await?
            .context("the agent ended")?
            .0;
        let running = up(world, &mut agent).await?.context("the agent is gone")?;
        daemon.kill().await?;
        make_format_1(world)?;

        let mut daemon = Daemon::start(world, &master)?;
        let registered = daemon.register_or_end(&mut master).await?;
        let (mut agent, tasks) = registered.context("the agent ended")?;
        let found = tasks
            .iter()
            .map(|task| task.info.id.clone())
            .collect::<std::collections::BTreeSet<_>>();
        ensure!(found == running, "{found:?}");
        for task in &tasks {
            ensure!(task.latest_status.state == TaskState::Running, "{task:?}");
            agent.kill(&task.info.id)?;
        }
        end_all(world, &mut agent, N_TASKS).await?;
        daemon.stop().await?;
        let after = left(world)?;
        let more: Vec<_> = after.symmetric_difference(&before).collect();
        ensure!(more.is_empty(), "{more:#?}");
        Ok(())
    })
}

#[test]
fn an_agent_older_than_its_directory_ends_and_the_tasks_go_on() -> Result<()> {
    in_own_world(async |world| {
        let _sweep = Sweep(world);
        let mut master = Master::start().await?;
        prepare(world, &mut master).await?;
        let mut daemon = Daemon::start(world, &master)?;
        let mut agent = daemon
            .register_or_end(&mut master)
            .await?
            .context("the agent ended")?
            .0;
        up(world, &mut agent).await?.context("the agent is gone")?;
        daemon.kill().await?;
        let format = world.data().join("format");
        let known = fs::read_to_string(&format)?;
        fs::write(&format, "proffer agent data, format 1000000\n")?;
        let before = left(world)?;

        let mut daemon = Daemon::start(world, &master)?;
        let registered = daemon.register_or_end(&mut master).await?;
        ensure!(
            registered.is_none(),
            "an agent that does not know the format has started"
        );
        ensure!(world.log().contains("in format 1000000"), "{}", world.log());
        ensure!(left(world)? == before, "it has changed something");

        fs::write(&format, known)?;
        let mut daemon = Daemon::start(world, &master)?;
        let registered = daemon.register_or_end(&mut master).await?;
        let (mut agent, tasks) = registered.context("the agent ended")?;
        for task in &tasks {
            agent.kill(&task.info.id)?;
        }
        end_all(world, &mut agent, N_TASKS).await?;
        daemon.stop().await
    })
}

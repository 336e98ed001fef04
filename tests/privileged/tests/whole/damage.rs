//! One file of an agent's is damaged while its tasks run and it does not. The next agent says which, and either ends
//! with a word on what to do, or goes on without what the file was for: other tasks do not notice, nothing runs
//! unaccounted for, nothing is left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use proffer_privileged_tests::say;
use proffer_types::{TaskId, TaskState};

use crate::left::{groups, left};
use crate::life::{Daemon, Sweep, idle, prepare, recover, up};
use crate::master::Master;
use crate::world::{World, in_own_world, tree};

/// Set to damage every kind of file in every way instead of in one: `make crash`.
const EVERY_STEP: &str = "PROFFER_EVERY_STEP";

/// How long an agent may take to have removed what it kills at its start.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is a task's own, or empty in any case.
const NOT_THE_AGENTS: [&str; 3] = ["sandboxes", "volumes", "lock"];

const WAYS: [&str; 4] = ["flipped", "cut", "a directory", "a link"];

fn damage(path: &Path, way: &str) -> Result<()> {
    let mut bytes = fs::read(path)?;
    match way {
        "flipped" => {
            let middle = bytes.len() / 2;
            *bytes.get_mut(middle).context("an empty file")? ^= 0x10;
            fs::write(path, bytes)?;
        }
        "cut" => fs::write(path, &bytes[..bytes.len() / 2])?,
        "a directory" => {
            fs::remove_file(path)?;
            fs::create_dir(path)?;
        }
        _ => {
            fs::remove_file(path)?;
            symlink("/etc/hostname", path)?;
        }
    }
    Ok(())
}

/// A path without what differs from task to task.
fn kind(path: &Path) -> String {
    let parts = path.iter().map(|part| {
        let part = part.to_string_lossy();
        let (name, rest) = part.split_once('.').unwrap_or((&part, ""));
        let is_id = name.len() >= 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        // Layers are numbered, and one that was damaged is not the same again.
        let is_id = is_id || name.bytes().all(|byte| byte.is_ascii_digit());
        match (is_id, rest) {
            (true, "") => "#".to_owned(),
            (true, rest) => format!("#.{rest}"),
            (false, _) => part.into_owned(),
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

/// The agent's own files, one of each kind.
fn files(world: &World) -> Result<BTreeMap<String, PathBuf>> {
    let data = world.data();
    let mut found = BTreeMap::new();
    for path in tree(&data) {
        let relative = path.strip_prefix(&data)?;
        let is_own = !NOT_THE_AGENTS.iter().any(|other| relative.starts_with(other));
        // Content of images is told from what is known of it by where it lies.
        let is_content = relative.starts_with("images/layers") && relative.iter().any(|part| part == "fs");
        let is_file = fs::symlink_metadata(&path).is_ok_and(|kind| kind.is_file() && kind.len() > 0);
        if is_own && !is_content && is_file {
            let mut kind = kind(relative);
            if relative.starts_with("networks") && fs::read_to_string(&path)?.contains("\"plugins\"") {
                kind.push_str(" of plugins");
            }
            found.entry(kind).or_insert(path);
        }
    }
    Ok(found)
}

/// The containers that have processes.
fn running(world: &World) -> BTreeSet<String> {
    let all = groups(world).into_iter();
    let with =
        all.filter(|group| fs::read_to_string(group.join("cgroup.procs")).is_ok_and(|pids| !pids.is_empty()));
    with.filter_map(|group| {
        let parts = group.iter().map(|part| part.to_string_lossy().into_owned());
        parts.rev().find(|part| part.len() == 16)
    })
    .collect()
}

/// One life with a file that is damaged in between.
async fn one(
    world: &World,
    master: &mut Master,
    before: &BTreeSet<String>,
    kind: &str,
    way: &str,
) -> Result<()> {
    let mut daemon = Daemon::start(world, master)?;
    let mut agent = daemon
        .register_or_end(master)
        .await?
        .context("the agent ended")?
        .0;
    let all = up(world, &mut agent).await?.context("the agent is gone")?;
    daemon.kill().await?;
    let Some(path) = files(world)?.remove(kind) else {
        anyhow::bail!("there is none in this life");
    };
    let whole = fs::read(&path)?;
    let log = fs::metadata(world.dir.join("agent.log"))?.len();
    damage(&path, way)?;

    let mut daemon = Daemon::start(world, master)?;
    let mut registered = daemon.register_or_end(master).await?;
    let said = fs::read(world.dir.join("agent.log"))?;
    let said = String::from_utf8_lossy(&said[usize::try_from(log)?..]).into_owned();
    let name = path
        .file_stem()
        .context("no name")?
        .to_string_lossy()
        .into_owned();
    if registered.is_none() {
        ensure!(said.contains(&name), "ended without naming it: {said}");
        match fs::symlink_metadata(&path)?.is_dir() {
            true => fs::remove_dir(&path)?,
            false => fs::remove_file(&path)?,
        }
        fs::write(&path, &whole)?;
        daemon = Daemon::start(world, master)?;
        registered = daemon.register_or_end(master).await?;
    }
    let (mut agent, tasks) = registered.context("the agent ended once more")?;
    let listed: BTreeSet<TaskId> = tasks.iter().map(|task| task.info.id.clone()).collect();
    ensure!(listed.is_subset(&all), "{listed:?}");
    // Those of a group share their fate.
    let lost = all.difference(&listed).count();
    ensure!(lost <= 1, "only {listed:?} are left: {said}");
    let deadline = Instant::now() + PATIENCE;
    while running(world).len() > listed.len() {
        ensure!(Instant::now() < deadline, "more run than are accounted for");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let ended = tasks
        .iter()
        .filter(|task| task.latest_status.state.is_terminal())
        .count();
    for id in &listed {
        agent.kill(id)?;
    }
    let mut n_ended = 0;
    while n_ended < listed.len() - ended {
        let status = agent.status().await?.context("the agent is gone")?;
        if status.state.is_terminal() {
            ensure!(
                matches!(status.state, TaskState::Killed | TaskState::Failed),
                "{status:?}"
            );
            n_ended += 1;
        }
    }
    idle(world).await?;
    daemon.stop().await?;
    let after = left(world)?;
    let is_kept = |line: &&String| line.starts_with("file damaged/");
    let more: Vec<_> = after
        .symmetric_difference(before)
        .filter(|line| !is_kept(line))
        .collect();
    ensure!(more.is_empty(), "left behind: {more:#?}");
    say(&format!(
        "{kind} {way}: {} of {} tasks left{}",
        listed.len(),
        all.len(),
        if said.contains(&name) { "" } else { ", not named" }
    ));
    Ok(())
}

#[test]
fn a_damaged_file_of_an_agent_costs_no_more_than_what_it_is_for() -> Result<()> {
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
        let kinds: Vec<String> = files(world)?.into_keys().collect();
        recover(world, &mut master).await?;
        let before = left(world)?;
        for (n, kind) in kinds.iter().enumerate() {
            for (m, way) in WAYS.iter().enumerate() {
                if std::env::var_os(EVERY_STEP).is_none() && n % WAYS.len() != m {
                    continue;
                }
                let tried = one(world, &mut master, &before, kind, way).await;
                tried.with_context(|| format!("{kind} {way}"))?;
            }
        }
        Ok(())
    })
}

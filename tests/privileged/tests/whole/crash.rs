//! An agent that is killed at any step of what it does for its tasks leaves nothing behind once the next one has taken over.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use proffer_privileged_tests::say;
use proffer_privileged_tests::steps::KILLED;

use crate::left::{left, sandboxes, secrets};
use crate::life::{Daemon, Step, Sweep, live, prepare, recover};
use crate::master::Master;
use crate::world::{World, in_own_world};

/// Set to take every step instead of one of each kind: `make crash`.
const EVERY_STEP: &str = "PROFFER_EVERY_STEP";

/// Agents that die at the same time: as many as the smallest machine has processors for.
const N_WORLDS: usize = 2;

/// So many at most are taken of steps without a path, such as messages of netlink.
const N_NAMELESS: usize = 3;

/// A step that no agent comes to.
pub(crate) fn never() -> Step {
    ("never".to_owned(), 1)
}

/// Lives a whole life; returns its steps.
async fn steps(world: &World, master: &mut Master) -> Result<Vec<Step>> {
    let mut daemon = Daemon::start_doomed(world, master, &never())?;
    let mut agent = daemon.register(master).await?.context("the agent is gone")?;
    ensure!(live(world, &mut daemon, &mut agent).await?, "the agent is gone");
    daemon.stop().await?;
    let mut counts = BTreeMap::new();
    let log = fs::read_to_string(world.dir.join("steps"))?;
    let steps = log.lines().map(|name| {
        let count = counts.entry(name.to_owned()).or_insert(0);
        *count += 1;
        (name.to_owned(), *count)
    });
    Ok(steps.collect())
}

/// What a step is one of: the call in its stage, whichever the task, the hierarchy, the file of an image or of a root.
pub(crate) fn kind(name: &str) -> String {
    let mut words = name.splitn(3, ' ');
    let mut word = || words.next().unwrap_or_default();
    let (who, call, path) = (word(), word(), word());
    let mut parts: Vec<&str> = path.split('/').collect();
    if path.starts_with("//sys/fs/cgroup/") && parts.len() > 5 {
        parts.remove(5);
    } else if path.starts_with("data/sandboxes/") && parts.len() > 3 {
        parts.remove(3);
    }
    let is_root = |part: &&str| ["fs", "upper", "rootfs"].contains(part);
    if let Some(place) = parts
        .iter()
        .position(is_root)
        .filter(|_| path.starts_with("data/"))
    {
        parts.truncate(place + 1);
    } else if who == "proffer-init" && path.starts_with("//") {
        parts.truncate(3);
    }
    format!("{who} {call} {}", parts.join("/"))
}

/// One step of each kind, not always the first, so that all tasks have their turn; of those that tell nothing but the call
/// some more.
pub(crate) fn sample(steps: Vec<Step>) -> Vec<Step> {
    let mut kinds: BTreeMap<String, Vec<Step>> = BTreeMap::new();
    for step in steps {
        kinds.entry(kind(&step.0)).or_default().push(step);
    }
    let mut chosen = Vec::new();
    for (kind, steps) in kinds {
        let n_wanted = if kind.ends_with(' ') { N_NAMELESS } else { 1 };
        let stride = steps.len().div_ceil(n_wanted);
        let first = turn(&kind, stride);
        chosen.extend(steps.into_iter().skip(first).step_by(stride));
    }
    chosen
}

/// Spreads names over numbers, in the same way in every run and world.
fn turn(name: &str, n: usize) -> usize {
    // The upper half is the better spread one.
    usize::try_from(crc32fast::hash(name.as_bytes()) >> 16).unwrap_or_default() % n
}

#[test]
fn an_agent_killed_before_any_step_leaves_nothing_once_the_next_has_taken_over() -> Result<()> {
    thread::scope(|scope| {
        let worlds = (0..N_WORLDS).map(|n| {
            let die = async move |world: &World| die_often(world, n).await;
            scope.spawn(move || in_own_world(die))
        });
        let worlds: Vec<_> = worlds.collect();
        let ends = worlds.into_iter().map(|world| world.join().expect("no panic"));
        ends.collect()
    })
}

/// Dies before each of the nth part of the steps.
async fn die_often(world: &World, n: usize) -> Result<()> {
    let _sweep = Sweep(world);
    let mut master = Master::start().await?;
    let left = prepare(world, &mut master).await?;
    let all = steps(world, &mut master).await?;
    let n_all = all.len();
    let chosen = match std::env::var_os(EVERY_STEP) {
        Some(_) => all,
        None => sample(all),
    };
    let is_own = |(name, nth): &&Step| (turn(name, N_WORLDS) + nth) % N_WORLDS == n;
    let own: Vec<&Step> = chosen.iter().filter(is_own).collect();
    let started = Instant::now();
    let mut found = Found {
        left,
        kept: sandboxes(world)?,
        complaints: Vec::new(),
    };
    let mut n_killed = 0;
    for step in &own {
        let when = format!("killed before {} {}", step.0, step.1);
        let is_killed = die(world, &mut master, step).await.context(when.clone())?;
        n_killed += usize::from(is_killed);
        found.compare(world, &when)?;
    }
    let (n_tried, took) = (own.len(), started.elapsed());
    say(&format!(
        "killed before {n_killed} of {n_tried} steps, of a life of {n_all}, in {took:.1?}"
    ));
    ensure!(found.complaints.is_empty(), "{:#?}", found.complaints);
    // No two lives are the same to the last step; but most must have met their end.
    ensure!(n_killed * 4 >= n_tried * 3, "{n_killed} of {n_tried} were killed");
    Ok(())
}

/// Has an agent die before a step, and the next one take over. False when it did not come to it.
async fn die(world: &World, master: &mut Master, step: &Step) -> Result<bool> {
    let mut daemon = Daemon::start_doomed(world, master, step)?;
    if let Some(mut agent) = daemon.register(master).await?
        && live(world, &mut daemon, &mut agent).await?
    {
        daemon.ask_to_stop();
    }
    daemon.died().await?;
    recover(world, master).await?;
    daemon.wait("every process to be gone").await?;
    let log = fs::read_to_string(world.dir.join("steps"))?;
    Ok(log.lines().any(|line| line == KILLED))
}

/// What was found so far.
struct Found {
    left: BTreeSet<String>,
    kept: BTreeSet<String>,
    complaints: Vec<String>,
}

impl Found {
    fn compare(&mut self, world: &World, when: &str) -> Result<()> {
        let (after, kept) = (left(world)?, sandboxes(world)?);
        let more = after.symmetric_difference(&self.left).cloned();
        let files = kept.difference(&self.kept).map(|file| format!("sandbox {file}"));
        let told = secrets(world).into_iter().map(|file| format!("secret in {file}"));
        for line in more.chain(files).chain(told) {
            let complaint = format!("{when}: {line}");
            say(&complaint);
            self.complaints.push(complaint);
        }
        if after != self.left {
            say(&world.log());
        }
        // So that each step is blamed for its own.
        self.left = after;
        self.kept.extend(kept);
        Ok(())
    }
}

//! The power goes, again and again, while everything is written to: what was acknowledged is there afterwards.
//!
//! Master, agent and framework have one machine, and one disk, to themselves. A seed decides when the power goes and how
//! eagerly the kernel puts on disk what nobody synced: early writes leave what is half, late ones nothing.
//! `PROFFER_POWER_LOSSES` is how often it goes, `PROFFER_POWER_SEED` repeats a run.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use proffer_privileged_tests::guest::machine::{Machine, Parts};
use proffer_privileged_tests::say;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::site::{RETRIES, Site};

const ADDRESS: &str = "10.78.0.11";

/// How often the power goes where nobody says.
const LOSSES: u64 = 4;

/// The longest that it stays once the cluster is up, and the longest that a start is given which it does not survive.
const LONGEST_MS: u64 = 6000;
const LONGEST_START_MS: u64 = 4000;

/// Tasks of each job.
const N_TASKS: usize = 2;

/// So that some finish before the power goes.
const BETWEEN_JOBS: Duration = Duration::from_millis(500);

/// How the disk is mounted: without the file system's own help for those who do not sync what they rename.
const OPTIONS: [&str; 3] = [
    "noauto_da_alloc,commit=1",
    "noauto_da_alloc,commit=30",
    "commit=5",
];

/// Hundredths of a second until what is written goes to disk by itself.
const WRITEBACK: [u32; 3] = [5, 100, 3000];

/// What was acknowledged, and what may have come to be without that.
#[derive(Debug, Default)]
struct Facts {
    agent_id: Option<String>,
    /// Each role's weight, and the one that was asked for after it.
    weights: BTreeMap<String, (u32, u32)>,
    /// MiB that are reserved, and those that may be.
    reserved: (u64, u64),
    jobs: BTreeSet<String>,
    /// Tasks that were reported finished, with how often they had run then.
    finished: BTreeMap<(String, usize), usize>,
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn boot(site: &Site, parts: &Parts, rng: &mut ChaCha8Rng) -> Result<Machine> {
    let mut machine = site.boot(parts, OPTIONS[rng.random_range(0..OPTIONS.len())])?;
    let eager = WRITEBACK[rng.random_range(0..WRITEBACK.len())];
    machine.sh(&format!(
        "cd /proc/sys/vm && echo {eager} >dirty_expire_centisecs && echo {eager} >dirty_writeback_centisecs; cd -"
    ))?;
    site.start_all(&mut machine)?;
    Ok(machine)
}

#[test]
fn what_was_acknowledged_is_there_after_a_power_loss() -> Result<()> {
    let Some(mut site) = Site::new(ADDRESS, &[])? else {
        return Ok(());
    };
    let seed = number("PROFFER_POWER_SEED").unwrap_or_else(now_ms);
    let losses = number("PROFFER_POWER_LOSSES").unwrap_or(LOSSES);
    say(&format!(
        "PROFFER_POWER_SEED={seed} PROFFER_POWER_LOSSES={losses}"
    ));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let parts = site.machine("all", ADDRESS)?;
    let mut facts = Facts::default();
    for n in 0..losses {
        say(&format!("power loss {} of {losses}", n + 1));
        let machine = boot(&site, &parts, &mut rng)?;
        // Some die while they still find out what there was.
        if n > 0 && rng.random_bool(0.25) {
            thread::sleep(Duration::from_millis(rng.random_range(0..LONGEST_START_MS)));
            machine.kill()?;
            continue;
        }
        site.await_whole(1, 1)?;
        facts
            .check(&site)
            .with_context(|| format!("after {n} losses: {}", site.logs()))?;
        let end = Instant::now() + Duration::from_millis(rng.random_range(0..LONGEST_MS));
        facts.make(&site, n, end, machine)?;
    }
    let machine = boot(&site, &parts, &mut rng)?;
    site.await_whole(1, 1)?;
    facts.check(&site).with_context(|| site.logs())?;
    facts.check_ends(&site).with_context(|| site.logs())?;
    site.check_logs()?;
    say(&format!(
        "the power went {losses} times: {} weights, {} MiB reserved, {} jobs, {} tasks seen finished",
        facts.weights.len(),
        facts.reserved.0,
        facts.jobs.len(),
        facts.finished.len(),
    ));
    machine.kill()
}

/// Asks for one thing after the other until nobody answers. `ask`: whether the nth was acknowledged.
fn until_dark(end: Instant, mut ask: impl FnMut(u64) -> bool) {
    // Longer than the power stays: what is asked for at its end is cut off.
    let end = end + Duration::from_secs(1);
    for n in 0.. {
        if Instant::now() > end || !ask(n) {
            return;
        }
    }
}

impl Facts {
    /// Has facts come to be until the power goes.
    fn make(&mut self, site: &Site, round: u64, end: Instant, machine: Machine) -> Result<()> {
        let agent = site.listed(&["agents"])?[0]["agent_id"].clone();
        let agent = agent.as_str().context("no id")?.to_owned();
        let Self {
            weights,
            reserved,
            jobs,
            finished,
            ..
        } = self;
        let seen = jobs.clone();
        thread::scope(|scope| {
            scope.spawn(move || {
                until_dark(end, |n| {
                    let role = format!("r{}", n % 4);
                    let weight = weights.entry(role.clone()).or_insert((1, 1));
                    weight.1 = weight.0 + 1;
                    let is_set = site
                        .ok(&["role", "set", &role, "--weight", &weight.1.to_string()])
                        .is_ok();
                    if is_set {
                        weight.0 = weight.1;
                    }
                    is_set
                });
            });
            scope.spawn(move || {
                until_dark(end, |_| {
                    reserved.1 = reserved.0 + 1;
                    let is_reserved = site.ok(&["role", "reserve", &agent, "disk(+kept):1MiB"]).is_ok();
                    if is_reserved {
                        reserved.0 = reserved.1;
                    }
                    is_reserved
                });
            });
            scope.spawn(move || {
                until_dark(end, |n| {
                    thread::sleep(BETWEEN_JOBS);
                    let name = format!("j{round}-{n}");
                    let is_submitted = site.submit(&name, N_TASKS, "true", RETRIES).is_ok();
                    if is_submitted {
                        jobs.insert(name);
                    }
                    is_submitted
                });
            });
            scope.spawn(move || {
                let mut jobs: BTreeSet<String> = seen;
                until_dark(end, |n| {
                    jobs.insert(format!("j{round}-{n}"));
                    let states: Vec<_> = jobs
                        .iter()
                        .map(|job| (job, site.json(&["job", "status", job])))
                        .collect();
                    let mut done = Vec::new();
                    for (job, state) in states {
                        let tasks = finished_tasks(&state.unwrap_or_default());
                        if tasks.len() == N_TASKS {
                            done.push(job.clone());
                        }
                        for index in tasks {
                            let n_runs = || site.n_runs(job, index);
                            finished.entry((job.clone(), index)).or_insert_with(n_runs);
                        }
                    }
                    jobs.retain(|job| !done.contains(job));
                    true
                });
            });
            thread::sleep(end.saturating_duration_since(Instant::now()));
            machine.kill()
        })?;
        // One that was shown was there, whatever became of the answer to whoever submitted it.
        self.jobs.extend(self.finished.keys().map(|(job, _)| job.clone()));
        Ok(())
    }

    /// Looks whether all of it is there.
    fn check(&mut self, site: &Site) -> Result<()> {
        let agents = site.listed(&["agents"])?;
        let id = agents[0]["agent_id"].as_str().context("no id")?;
        let known = self.agent_id.get_or_insert_with(|| id.to_owned());
        ensure!(
            agents.len() == 1 && id == known,
            "{known} is another agent now: {agents:?}"
        );

        let reserved = agents[0]["total"]["disk(+kept)"].clone();
        let (least, most) = self.reserved;
        let found = reserved.as_u64().unwrap_or_default() >> 20;
        ensure!(
            (least..=most).contains(&found),
            "{least} to {most} MiB are reserved: {agents:?}"
        );
        self.reserved = (found, found);

        let roles = site.listed(&["roles"])?;
        for (name, weight) in &mut self.weights {
            let role = roles.iter().find(|role| role["name"] == *name);
            let is = |weight: &u32| role.map_or(*weight == 1, |role| role["weight"] == f64::from(*weight));
            let found = [weight.0, weight.1].into_iter().find(is);
            let found = found.with_context(|| format!("{name} has {weight:?}: {roles:?}"))?;
            *weight = (found, found);
        }
        for job in &self.jobs {
            let state = site.json(&["job", "status", job])?;
            let tasks = finished_tasks(&state);
            for ((_, index), n_runs_then) in self.finished.range((job.clone(), 0)..(job.clone(), N_TASKS)) {
                ensure!(tasks.contains(index), "{job} {index} had finished: {state}");
                let n_runs = site.n_runs(job, *index);
                ensure!(
                    n_runs == *n_runs_then,
                    "{job} {index} ran again after it had finished"
                );
            }
        }
        Ok(())
    }

    /// Waits until all jobs have ended well.
    fn check_ends(&self, site: &Site) -> Result<()> {
        for job in &self.jobs {
            site.await_end(job)?;
            for index in 0..N_TASKS {
                ensure!(site.n_runs(job, index) > 0, "{job} {index} never ran");
            }
        }
        Ok(())
    }
}

/// The tasks of a job that have finished.
fn finished_tasks(job: &serde_json::Value) -> Vec<usize> {
    let tasks = job["tasks"].as_array().into_iter().flatten();
    let finished = tasks.filter(|task| task["state"] == "finished");
    let index = |task: &serde_json::Value| usize::try_from(task["index"].as_u64()?).ok();
    finished.filter_map(index).collect()
}

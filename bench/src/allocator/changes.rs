//! A full cluster of 50k agents, 6k frameworks and 500k tasks, and what one small change costs there.
//!
//! Not a shape of Mesos's. Its allocator answers a task's end in the next cycle, which looks at every agent: that
//! whole cycle is the reference. It answers a new agent at once, by a cycle over that one: that is the other.

use anyhow::{Context as _, Result, ensure};
use proffer_types::AgentId;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::measure::{Figure, heap_bytes, percentile, timed};
use super::shape::{add_frameworks, agent, full_agent, large_agent};
use super::subject::{Filter, Running, Subject};
use super::{Ours, Textbook};
use crate::report::{Report, Row};

const AGENTS: u64 = 50_000;
const FRAMEWORKS: u64 = 6000;
/// Changes of each kind measured; the reference's are few, as each is a cycle.
const CHANGES: u64 = 3000;
const TEXTBOOK_ENDS: u64 = 1;
const TEXTBOOK_CHANGES: u64 = 20;
const PERCENT: usize = 99;
const AIM_MS: f64 = 0.1;
const AIM_BYTES: f64 = (1_u64 << 30) as f64;

pub(super) fn run(report: &mut Report) -> Result<()> {
    let before = heap_bytes();
    let ours = full(Ours::new()?);
    let bytes = heap_bytes() - before;
    let before = heap_bytes();
    let textbook = full(Textbook::new(1));
    let textbook_bytes = heap_bytes() - before;
    let mut ours = Full::new(ours);
    let mut textbook = Full::new(textbook);

    let ends = ours.ends(CHANGES)?;
    Figure::new("one task ends, 50k x 6k, p99", vec![percentile(ends, PERCENT)], 1)
        .bytes(bytes)
        .beside(textbook.ends(TEXTBOOK_ENDS)?, None)
        .aim(AIM_MS)
        .add_to(report)?;
    let (leaves, joins) = ours.leaves_and_joins(CHANGES)?;
    let (textbook_leaves, textbook_joins) = textbook.leaves_and_joins(TEXTBOOK_CHANGES)?;
    Figure::new(
        "one agent joins, 50k x 6k, p99",
        vec![percentile(joins, PERCENT)],
        1,
    )
    .beside(textbook_joins, None)
    .aim(AIM_MS)
    .add_to(report)?;
    Figure::new(
        "one agent leaves, 50k x 6k, p99",
        vec![percentile(leaves, PERCENT)],
        0,
    )
    .beside(textbook_leaves, None)
    .aim(AIM_MS)
    .add_to(report)?;
    let mut row = Row::new(
        "allocator",
        "ledger and allocator, 500k tasks",
        bytes / f64::from(1 << 20),
        "MiB",
    );
    row = row.beside("textbook", Ok(textbook_bytes / f64::from(1 << 20)));
    row.bytes = Some(bytes);
    report.add(row.aim(AIM_BYTES / f64::from(1 << 20)))
}

/// Every agent filled to the last byte.
fn full<S: Subject>(mut subject: S) -> S {
    add_frameworks(&mut subject, FRAMEWORKS);
    let total = large_agent();
    for n in 0..AGENTS {
        subject.add_agent(&agent(n), &total, &full_agent(n, FRAMEWORKS));
    }
    subject.react();
    subject
}

/// The full cluster, and a list of what runs where.
struct Full<S> {
    subject: S,
    agents: Vec<(AgentId, Vec<Running>)>,
    next_agent: u64,
    rng: ChaCha8Rng,
}

impl<S: Subject> Full<S> {
    fn new(subject: S) -> Self {
        Self {
            subject,
            agents: (0..AGENTS)
                .map(|n| (agent(n), full_agent(n, FRAMEWORKS)))
                .collect(),
            next_agent: AGENTS,
            rng: ChaCha8Rng::seed_from_u64(1),
        }
    }

    /// Ends a task and makes the offer of its resources; whoever is offered them runs the same there.
    fn ends(&mut self, changes: u64) -> Result<Vec<f64>> {
        let mut times = Vec::new();
        for _ in 0..changes {
            let at = self.rng.random_range(0..self.agents.len());
            let (agent, tasks) = &mut self.agents[at];
            let nth = self.rng.random_range(0..tasks.len());
            let task = &mut tasks[nth];
            let (ms, ()) = timed(|| {
                self.subject.end_task(agent, task);
                self.subject.cycle();
            });
            times.push(ms);
            let offers = self.subject.take_offers();
            ensure!(
                offers.len() == 1,
                "{} offers after the end of a task",
                offers.len()
            );
            task.framework = offers[0].framework.clone();
            self.subject
                .answer(&offers[0], std::slice::from_ref(task), Filter::None);
        }
        Ok(times)
    }

    /// Takes a full agent away, then adds an empty one, whose offer is taken up whole by ten tasks.
    fn leaves_and_joins(&mut self, changes: u64) -> Result<(Vec<f64>, Vec<f64>)> {
        let mut leaves = Vec::new();
        let mut joins = Vec::new();
        let total = large_agent();
        for _ in 0..changes {
            let at = self.rng.random_range(0..self.agents.len());
            let (gone, _) = self.agents.swap_remove(at);
            let (ms, ()) = timed(|| {
                self.subject.remove_agent(&gone);
                self.subject.react();
            });
            leaves.push(ms);
            let new = agent(self.next_agent);
            let mut tasks = full_agent(self.next_agent, FRAMEWORKS);
            self.next_agent += 1;
            let (ms, ()) = timed(|| {
                self.subject.add_agent(&new, &total, &[]);
                self.subject.react();
            });
            joins.push(ms);
            let offers = self.subject.take_offers();
            let offer = offers.first().context("no offer of an agent that joined")?;
            ensure!(offers.len() == 1, "{} offers after an agent joined", offers.len());
            for task in &mut tasks {
                task.framework = offer.framework.clone();
            }
            self.subject.answer(offer, &tasks, Filter::None);
            self.agents.push((new, tasks));
        }
        Ok((leaves, joins))
    }
}

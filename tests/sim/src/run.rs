//! One run of one seed: faults first, then everything is healed and must come to an end.
//!
//! Source of the two phases: openraft's and TigerBeetle's simulators check safety under faults, then liveness after.

use std::time::Duration;

use proffer_types::Timestamp;

use crate::dice::Dice;
use crate::scenario::Scenario;
use crate::trace::{Reader, Trace};
use crate::world::World;

/// How long after the healing all work must have come to its end. The longest command runs for 3 minutes, the
/// longest filter for 40 s, an agent is given up after 75 s and an attempt on it after 5 minutes more; queueing for a
/// small cluster takes the rest.
const CONVERGES_WITHIN: Duration = Duration::from_secs(30 * 60);
/// How often it is looked whether all is quiet.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long it has to stay quiet.
const STAYS_QUIET: Duration = Duration::from_secs(20);

/// A fault put in on purpose, to see that the rules find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// Agents take late frames of older sessions for new ones.
    AgentFenceOff,
    /// Frames are lost without an end of their stream.
    LosesFrames,
    /// A checkpoint is said to be written and is not.
    ForgetsCheckpoints,
    /// What waits for acknowledgement of an agent's operations is lost on its disk.
    ForgetsOperations,
}

/// What to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    pub seed: u64,
    pub sabotage: Option<Sabotage>,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub seed: u64,
    /// Of every input and output of every core.
    pub trace_hash: u64,
    pub n_lines: u64,
    pub simulated: Duration,
    /// The rule that was broken, and how.
    pub violation: Option<String>,
}

/// Runs a seed. The lines of its trace go to `reader` as they come.
#[must_use]
pub fn run(options: Options, reader: Option<Reader>) -> Report {
    let mut dice = Dice::new(options.seed);
    let scenario = Scenario::draw(&mut dice);
    let mut trace = Trace::new(reader);
    trace.line(Timestamp(0), format_args!("seed {}: {scenario:?}", options.seed));
    let heals_at = scenario.faults.until;
    let mut world = World::new(scenario, dice, trace, options.sabotage);
    world.begin();
    play(&mut world, heals_at);
    Report {
        seed: options.seed,
        trace_hash: world.trace.hash(),
        n_lines: world.trace.n_lines(),
        simulated: world.now().since(Timestamp(0)),
        violation: world.violation,
    }
}

/// Lets things happen until all is quiet, a rule is broken, or time is up.
fn play(world: &mut World, heals_at: Timestamp) {
    let deadline = heals_at.after(CONVERGES_WITHIN);
    let mut next_look = heals_at;
    let mut quiet_since: Option<Timestamp> = None;
    while world.turn() {
        let now = world.now();
        if now < next_look || !world.healed {
            continue;
        }
        next_look = now.after(LOOK_EVERY);
        quiet_since = world.is_quiet().then(|| quiet_since.unwrap_or(now));
        if quiet_since.is_some_and(|since| now.since(since) >= STAYS_QUIET) {
            return;
        }
        if now > deadline {
            let unrest = world.unrest();
            world.break_rule("every runnable task ends", unrest);
        }
    }
}

//! One run of one scenario: faults first, then everything is healed and must come to an end.
//!
//! Source of the two phases: openraft's and TigerBeetle's simulators check safety under faults, then liveness after.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use proffer_types::Timestamp;

use crate::mask::Case;
use crate::sabotage::Sabotage;
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

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    pub case: Case,
    pub sabotage: Option<Sabotage>,
    /// Whether the report has a hash of the trace.
    pub hashes: bool,
}

/// A rule that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The time of the run.
    pub at: Duration,
    pub rule: String,
    pub complaint: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "at {:.3} s: {}: {}",
            self.at.as_secs_f64(),
            self.rule,
            self.complaint
        )
    }
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub case: Case,
    /// Of every input and output of every core, where it was asked for.
    pub trace_hash: Option<u64>,
    pub n_lines: u64,
    pub simulated: Duration,
    pub violation: Option<Violation>,
}

/// A run, step by step.
#[derive(Debug)]
pub struct Run {
    case: Case,
    world: World,
    next_look: Timestamp,
    quiet_since: Option<Timestamp>,
}

impl Run {
    /// At its beginning. The lines of its trace go to `reader` as they come.
    #[must_use]
    pub fn new(options: Options, reader: Option<Reader>) -> Self {
        let Options {
            case,
            sabotage,
            hashes,
        } = options;
        let (mut scenario, dice) = Scenario::of(case.seed);
        scenario.leave_out(&case.mask);
        let mut trace = Trace::new(hashes, reader);
        trace.line(Timestamp(0), format_args!("scenario {case}: {scenario:?}"));
        let next_look = scenario.faults.until;
        let mut world = World::new(scenario, case.mask.clone(), dice, trace, sabotage);
        world.begin();
        Self {
            case,
            world,
            next_look,
            quiet_since: None,
        }
    }

    /// Lets the next thing happen. False when all is quiet, a rule is broken, or time is up.
    pub fn turn(&mut self) -> bool {
        if !self.world.turn() {
            return false;
        }
        let now = self.world.now();
        if now < self.next_look || !self.world.healed {
            return true;
        }
        self.next_look = now.after(LOOK_EVERY);
        let is_quiet = self.world.is_quiet();
        self.quiet_since = is_quiet.then(|| self.quiet_since.unwrap_or(now));
        if self
            .quiet_since
            .is_some_and(|since| now.since(since) >= STAYS_QUIET)
        {
            return false;
        }
        if now > self.world.scenario.faults.until.after(CONVERGES_WITHIN) {
            let unrest = self.world.unrest();
            self.world.break_rule("every runnable task ends", unrest);
            return false;
        }
        true
    }

    /// The state of whoever is named as in the trace, `agent 3`, for people.
    #[must_use]
    pub fn state(&self, who: &str) -> Option<String> {
        self.world.state_of(who)
    }

    /// What came of it so far.
    #[must_use]
    pub fn report(self) -> Report {
        Report {
            case: self.case,
            trace_hash: self.world.trace.hash(),
            n_lines: self.world.trace.n_lines(),
            simulated: self.world.now().since(Timestamp(0)),
            violation: self.world.violation,
        }
    }
}

/// Runs a scenario to its end. The lines of its trace go to `reader` as they come.
#[must_use]
pub fn run(options: Options, reader: Option<Reader>) -> Report {
    let mut run = Run::new(options, reader);
    while run.turn() {}
    run.report()
}

/// Runs a scenario to its end; a panic of a core is a broken rule like any other.
#[must_use]
pub fn attempt(options: Options, reader: Option<Reader>) -> Report {
    let case = options.case.clone();
    catch_unwind(AssertUnwindSafe(|| run(options, reader))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Report {
            case,
            trace_hash: None,
            n_lines: 0,
            simulated: Duration::ZERO,
            violation: Some(Violation {
                at: Duration::ZERO,
                rule: "no core panics".to_owned(),
                complaint: text.unwrap_or_default(),
            }),
        }
    })
}

//! Whatever happens to the scheduler, its store, its clock and its tasks: no window of an at_most_once job runs twice,
//! every window has run, is open, or was missed, exactly one of them, and an at_least_once job misses none.
//!
//! The tests at the end leave out what makes that so, and show that it would be noticed.

use std::collections::{BTreeMap, BTreeSet};

use proffer_session::{Context, Scheduler};
use proffer_types::scheduler_link::Call;
use proffer_types::{TaskId, Timestamp};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::super::world::{World, job, launched, offer, status};
use crate::{Batch, Fate, MissedPolicy, RecurringView};

const JOB: &str = "J";
/// In seconds.
const INTERVAL: u64 = 10;
const EPSILON: u64 = 6;
/// Of an array of two, each holds half.
const TASKS: &str = "a*2";

#[derive(Debug, Clone)]
enum Step {
    Pass {
        seconds: u64,
    },
    /// Nobody runs for so long; then the scheduler goes on, or starts anew.
    Gap {
        seconds: u64,
        crash: bool,
    },
    /// Room for so many tasks; of those launched, some never arrive.
    Offer {
        cpus: u32,
        arrive: [bool; 2],
    },
    Update {
        nth: usize,
        state: usize,
    },
    Clock {
        seconds: i64,
    },
    Disconnect,
    Subscribe,
    Pause,
    Resume,
    Trigger,
    Crash,
}

/// A step, and how far the scheduler comes with what it wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Whole,
    /// It dies before it has committed.
    NotCommitted,
    /// It dies before anything is sent.
    NotSent,
}

/// What is left out of the scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sabotage {
    Nothing,
    /// The ledger stays in the store as it was first.
    Ledger,
    /// The runs of windows are not stored.
    Runs,
}

const SPARED: [&str; 4] = ["DROPPED", "UNKNOWN", "GONE", "LOST"];
const ARRIVED: [&str; 8] = [
    "RUNNING",
    "FINISHED",
    "FAILED",
    "UNKNOWN",
    "GONE",
    "UNREACHABLE",
    "KILLED",
    "GONE_BY_OPERATOR",
];

fn step() -> impl Strategy<Value = (Step, Progress)> {
    let step = prop_oneof![
        6 => (1..30_u64).prop_map(|seconds| Step::Pass { seconds }),
        2 => (1..60_u64, any::<bool>()).prop_map(|(seconds, crash)| Step::Gap { seconds, crash }),
        8 => (1..4_u32, any::<[bool; 2]>()).prop_map(|(cpus, arrive)| Step::Offer { cpus, arrive }),
        8 => (0..8_usize, 0..8_usize).prop_map(|(nth, state)| Step::Update { nth, state }),
        1 => (-100..100_i64).prop_map(|seconds| Step::Clock { seconds }),
        1 => Just(Step::Disconnect),
        1 => Just(Step::Subscribe),
        1 => Just(Step::Pause),
        1 => Just(Step::Resume),
        1 => Just(Step::Trigger),
        2 => Just(Step::Crash),
    ];
    let progress = prop_oneof![8 => Just(Progress::Whole), 1 => Just(Progress::NotCommitted), 1 => Just(Progress::NotSent)];
    (step, progress)
}

/// The scheduler, and what really happens to what it launches.
struct Play {
    world: World,
    sabotage: Sabotage,
    policy: MissedPolicy,
    /// By how many seconds the host's clock is ahead of the scheduler's.
    ahead: i64,
    first: Timestamp,
    ledger: (String, Vec<u8>),
    /// Launched, not ended as far as the scheduler was told; whether it arrived.
    tasks: BTreeMap<TaskId, bool>,
    /// Which places of the array ran in which run, by the name of the run, and how often.
    ran: BTreeMap<(String, String), u32>,
    n_offers: u32,
    paused: bool,
}

impl Play {
    fn new(policy: MissedPolicy, sabotage: Sabotage) -> Self {
        let mut world = World::new();
        let least = if policy == MissedPolicy::AtLeastOnce {
            " ~least"
        } else {
            ""
        };
        let text = format!("{JOB} {TASKS} ~every:{INTERVAL} ~epsilon:{EPSILON} ~history:100{least}");
        let spec = job(&text.split(' ').collect::<Vec<_>>());
        world.run(|batch, cx| batch.submit(spec, cx)).0.unwrap();
        let ledger = world.store.iter().find(|(key, _)| key.ends_with("/ledger"));
        let ledger = ledger.map(|(key, value)| (key.clone(), value.clone()));
        Self {
            first: world.batch.get_recurring(JOB).unwrap().next.unwrap(),
            ledger: ledger.unwrap(),
            world,
            sabotage,
            policy,
            ahead: 0,
            tasks: BTreeMap::new(),
            ran: BTreeMap::new(),
            n_offers: 0,
            paused: false,
        }
    }

    fn wall(&self) -> Timestamp {
        Timestamp(self.world.now().0.saturating_add_signed(self.ahead * 1000))
    }

    fn view(&self) -> RecurringView {
        self.world.batch.get_recurring(JOB).unwrap()
    }

    /// Runs a method of the scheduler as far as it comes.
    fn run(
        &mut self,
        progress: Progress,
        arrive: [bool; 2],
        method: impl FnOnce(&mut Batch, &mut Context<'_>),
    ) -> Result<(), String> {
        let before = self.world.store.clone();
        let ((), calls) = self.world.run(method);
        match self.sabotage {
            Sabotage::Nothing => {}
            Sabotage::Ledger => {
                let (key, value) = self.ledger.clone();
                self.world.store.insert(key, value);
            }
            Sabotage::Runs => self.world.store.retain(|key, _| !key.starts_with("job/")),
        }
        match progress {
            Progress::Whole => self.hear(calls, arrive)?,
            Progress::NotCommitted => {
                self.world.store = before;
                self.crash()?;
            }
            Progress::NotSent => {
                for task in launches(&calls) {
                    self.tasks.insert(task, false);
                }
                self.crash()?;
            }
        }
        self.check()
    }

    fn hear(&mut self, calls: Vec<Call>, arrive: [bool; 2]) -> Result<(), String> {
        for (task, arrives) in launches(&calls).into_iter().zip(arrive.into_iter().cycle()) {
            if !arrives {
                self.tasks.insert(task, false);
                continue;
            }
            let (run, place) = parts(&task);
            let times = self.ran.entry((run.clone(), place.clone())).or_default();
            *times += 1;
            if self.policy == MissedPolicy::AtMostOnce && *times > 1 {
                return Err(format!("{place} of {run} ran {times} times, at last as {task}"));
            }
            self.tasks.insert(task, true);
        }
        Ok(())
    }

    /// The scheduler starts anew: by the host's clock, with what is stored.
    fn crash(&mut self) -> Result<(), String> {
        let wall = self.wall();
        self.world.set_now(wall);
        self.ahead = 0;
        let recovered = self.world.recovered();
        self.world.batch = recovered;
        self.run(Progress::Whole, [true; 2], |batch, cx| {
            batch.subscribed(cx, &"F1".parse().unwrap());
        })
    }

    fn pass(&mut self, seconds: u64, progress: Progress) -> Result<(), String> {
        let end = Timestamp(self.world.now().0 + seconds * 1000);
        while let Some(due) = self.world.batch.next_deadline().filter(|due| *due <= end) {
            self.world
                .set_now(self.world.now().max(Timestamp(due.0.saturating_sub(1))));
            self.run(progress, [true; 2], Batch::tick)?;
            if progress != Progress::Whole {
                return Ok(());
            }
        }
        self.world.set_now(self.world.now().max(end));
        Ok(())
    }

    fn apply(&mut self, step: &Step, progress: Progress) -> Result<(), String> {
        match *step {
            Step::Pass { seconds } => self.pass(seconds, progress),
            Step::Gap { seconds, crash } => {
                self.world.wait(seconds);
                match crash {
                    true => self.crash(),
                    false => self.run(progress, [true; 2], Batch::tick),
                }
            }
            Step::Offer { cpus, arrive } => {
                self.n_offers += 1;
                let offer = offer(
                    &format!("O{}", self.n_offers),
                    &format!("cpus:{cpus};mem:64GiB"),
                    None,
                );
                self.run(progress, arrive, |batch, cx| batch.offers(cx, vec![offer]))
            }
            Step::Update { nth, state } => {
                let n = self.tasks.len().max(1);
                let Some((task, arrived)) = self
                    .tasks
                    .iter()
                    .nth(nth % n)
                    .map(|(id, arrived)| (id.clone(), *arrived))
                else {
                    return Ok(());
                };
                let state = if arrived {
                    ARRIVED[state % 8]
                } else {
                    SPARED[state % 4]
                };
                let status = status(task.as_str(), state);
                if progress == Progress::Whole && (status.state.is_terminal() || state == "UNKNOWN") {
                    self.tasks.remove(&task);
                }
                self.run(progress, [true; 2], |batch, cx| batch.update(cx, &status))
            }
            Step::Clock { seconds } => {
                self.ahead = seconds;
                let wall = Timestamp(self.wall().0 + 1);
                self.run(progress, [true; 2], |batch, cx| batch.set_clock(wall, cx))
            }
            Step::Disconnect => self.run(progress, [true; 2], |batch, cx| batch.disconnected(cx)),
            Step::Subscribe => self.run(progress, [true; 2], |batch, cx| {
                batch.subscribed(cx, &"F1".parse().unwrap());
            }),
            Step::Pause => {
                self.paused = true;
                self.run(progress, [true; 2], |batch, cx| batch.pause(JOB, cx).unwrap())
            }
            Step::Resume => self.run(progress, [true; 2], |batch, cx| batch.resume(JOB, cx).unwrap()),
            Step::Trigger => self.run(progress, [true; 2], |batch, cx| {
                let _ = batch.trigger(JOB, cx);
            }),
            Step::Crash => {
                let before = self.view();
                self.crash()?;
                let after = self.view();
                // Starting may decide about windows, and forget none of what was.
                let kept = n_windows(&before) <= n_windows(&after) && before.counts.ran <= after.counts.ran;
                kept.then_some(())
                    .ok_or_else(|| format!("{before:?} became {after:?}"))
            }
        }
    }

    /// Every window so far has one fate, and what ran was not missed.
    fn check(&self) -> Result<(), String> {
        if self.sabotage == Sabotage::Ledger {
            // Its count is wrong from the first window on; what comes of that is to be seen.
            return Ok(());
        }
        let job = self.view();
        let passed = (job.next.unwrap().0 - self.first.0) / (INTERVAL * 1000);
        let open = job.windows.iter().filter(|window| match &window.fate {
            Fate::Run { ended, triggered, .. } => ended.is_none() && !triggered,
            Fate::Missed(_) => false,
        });
        let accounted = job.counts.ran + job.counts.missed + open.count() as u64;
        if accounted != passed {
            return Err(format!(
                "{passed} windows, of which {accounted} are accounted for: {job:?}"
            ));
        }
        let ran: BTreeSet<_> = self.ran.keys().map(|(run, _)| run.as_str()).collect();
        for window in &job.windows {
            let Fate::Missed(missed) = &window.fate else {
                continue;
            };
            let mut at = missed.first;
            while at <= missed.last {
                let name = format!("{JOB}@{}", crate::schedule::compact(at));
                if ran.contains(name.as_str()) {
                    return Err(format!("{name} ran, and is said to be missed: {missed:?}"));
                }
                at.0 += INTERVAL * 1000;
            }
        }
        Ok(())
    }

    /// Nothing goes wrong any more: everything that waits runs, and all that runs finishes.
    fn heal(&mut self) -> Result<(), String> {
        let whole = Progress::Whole;
        self.apply(&Step::Subscribe, whole)?;
        self.apply(&Step::Resume, whole)?;
        for _ in 0..100 {
            for (task, arrived) in std::mem::take(&mut self.tasks) {
                let state = if arrived { "FINISHED" } else { "DROPPED" };
                let status = status(task.as_str(), state);
                self.run(whole, [true; 2], |batch, cx| batch.update(cx, &status))?;
            }
            self.pass(2, whole)?;
            let arrive = [true; 2];
            self.apply(&Step::Offer { cpus: 64, arrive }, whole)?;
        }
        let job = self.view();
        if self.policy == MissedPolicy::AtLeastOnce && !self.paused && job.counts.missed > 0 {
            return Err(format!("windows were missed: {job:?}"));
        }
        Ok(())
    }
}

/// How many windows it knows the fate of.
fn n_windows(view: &RecurringView) -> u64 {
    let n_runs = view
        .windows
        .iter()
        .filter(|window| matches!(window.fate, Fate::Run { .. }));
    view.counts.missed + n_runs.count() as u64
}

fn launches(calls: &[Call]) -> Vec<TaskId> {
    let operations = calls.iter().filter_map(|call| {
        let Call::Accept { operations, .. } = call else {
            return None;
        };
        Some(operations)
    });
    operations
        .flat_map(|operations| launched(operations).map(|task| task.id.clone()))
        .collect()
}

/// The run of a task, and the place in it, without the number of the job and of the attempt.
fn parts(task: &TaskId) -> (String, String) {
    let (job, rest) = task.as_str().split_once('.').unwrap();
    let (run, _) = job.rsplit_once('-').unwrap();
    (run.to_owned(), rest.split('-').next().unwrap().to_owned())
}

fn play(policy: MissedPolicy, sabotage: Sabotage, steps: &[(Step, Progress)]) -> Result<(), String> {
    let mut play = Play::new(policy, sabotage);
    for (step, progress) in steps {
        play.apply(step, *progress)?;
    }
    play.heal()
}

proptest! {
    #[test]
    fn no_window_runs_twice_and_each_has_one_fate(steps in prop::collection::vec(step(), 1..80)) {
        prop_assert_eq!(play(MissedPolicy::AtMostOnce, Sabotage::Nothing, &steps), Ok(()));
    }

    #[test]
    fn a_job_that_runs_at_least_once_misses_nothing(steps in prop::collection::vec(step(), 1..80)) {
        prop_assert_eq!(play(MissedPolicy::AtLeastOnce, Sabotage::Nothing, &steps), Ok(()));
    }
}

/// What is found of a scheduler that leaves something out, in how many tries.
fn found(sabotage: Sabotage, of: &str) -> Option<usize> {
    let mut runner = TestRunner::deterministic();
    let strategy = prop::collection::vec(step(), 1..80);
    (1..200).find(|_| {
        let steps = strategy.new_tree(&mut runner).unwrap().current();
        let found = play(MissedPolicy::AtMostOnce, sabotage, &steps);
        found.is_err_and(|problem| problem.contains(of))
    })
}

#[test]
fn a_scheduler_that_does_not_write_its_ledger_is_found_to_run_windows_twice() {
    assert!(found(Sabotage::Ledger, " times, at last as ").is_some());
}

#[test]
fn a_scheduler_that_does_not_write_its_runs_is_found_to_lose_windows() {
    assert!(found(Sabotage::Runs, "are accounted for").is_some());
}

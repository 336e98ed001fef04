//! A job of the batch scheduler that recurs: how often, how late it may be, and what becomes of a window that cannot run.
//!
//! Its tasks are small and short: what an `at_least_once` job could not run while things went wrong it makes up for
//! afterwards, and has to come to its end.

use std::time::Duration;

use proffer_batch_core::{JobSpec, MissedPolicy, Overlap, Schedule, When};
use proffer_types::{Resources, Timestamp};

use crate::dice::Dice;
use crate::machine::Behaviour;
use crate::scenario::BatchPlan;

/// The longest that a task of a window runs: shorter than any interval, so that there is no end to catching up only where
/// there is no room.
const MAX_TASK: Duration = Duration::from_secs(8);
/// In seconds. All windows of the longest run are fewer than what a ledger keeps.
const INTERVAL: std::ops::Range<u64> = 10..60;
/// Of what is past, all is kept: the rules look at every window.
const HISTORY: u32 = proffer_batch_core::MAX_HISTORY;
/// So long after the healing windows go on: what was away is given up by then (75 s), and windows have to run.
const GOES_ON_FOR: Duration = Duration::from_secs(150);

/// Makes a job recur, until some time after the healing.
pub(crate) fn recur(dice: &mut Dice, plan: &mut BatchPlan, healed: Timestamp) {
    let interval = dice.number(INTERVAL);
    let schedule = Schedule {
        when: When::Every {
            interval: Duration::from_secs(interval),
            start: None,
        },
        epsilon: Some(Duration::from_secs(dice.number(1..interval + 1))),
        overlap: [Overlap::Allow, Overlap::Skip, Overlap::Replace][dice.index(3)],
        missed: [MissedPolicy::AtMostOnce, MissedPolicy::AtLeastOnce][dice.index(2)],
        history: HISTORY,
    };
    plan.cancelled = Some(healed.after(GOES_ON_FOR));
    make_small(&mut plan.spec);
    plan.spec.schedule = Some(schedule);
}

fn make_small(spec: &mut JobSpec) {
    for task in &mut spec.tasks {
        let size = &task.resources;
        task.resources = Resources::of(size.cpu_millis().min(500), size.mem_bytes().min(256 << 20), 0);
        task.count = task.count.min(2);
        // Counted as an extra run only where the cluster lost it.
        task.retries = 0;
        if let Some(behaviour) = Behaviour::parse(&task.container.command) {
            let runs_for = behaviour.runs_for.min(MAX_TASK);
            task.container.command = Behaviour {
                runs_for,
                ..behaviour
            }
            .command();
        }
    }
}

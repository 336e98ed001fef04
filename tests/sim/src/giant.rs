//! A framework that wants an agent whole, for a moment, where services run that never end.
//!
//! Where one of them is in its way it waits for ever, and what ends on the agent is held for it: that must not keep
//! others from their ends.

use std::time::Duration;

use proffer_types::{Resources, Role, Timestamp};

use crate::clock::Clock;
use crate::dice::Dice;
use crate::machine::Behaviour;
use crate::scenario::{FrameworkPlan, Habits, Job, Scenario};

/// Of the clusters with services.
const PERMILLE: u32 = 400;
/// Short, so that holds begin and end several times in a run.
const HOLD_AFTER: Duration = Duration::from_secs(5);
const RUNS_FOR: Duration = Duration::from_secs(5);

impl Scenario {
    /// Adds one to some scenarios. Its dice are its own: all others stay what they were.
    pub(crate) fn add_giant(&mut self, dice: &mut Dice) {
        let has_services = self.frameworks.iter().any(|plan| !plan.services.is_empty());
        // What is left of what somebody sits on is not held.
        let hoards = self.frameworks.iter().any(|plan| plan.habits.hoards);
        let staying = self.agents.iter().filter(|agent| agent.leaves.is_none());
        let largest = staying.map(|agent| agent.total.cpu_millis()).max();
        if !has_services || hoards || !dice.chance(PERMILLE) {
            return;
        }
        if let Some(cpu_millis) = largest {
            self.hold_after = HOLD_AFTER;
            self.frameworks.push(draw(dice, cpu_millis, self.faults.until));
        }
    }
}

fn draw(dice: &mut Dice, cpu_millis: u64, until: Timestamp) -> FrameworkPlan {
    let roles = ["*", "eng", "ops"];
    let role = Role::new(roles[dice.index(roles.len())]).expect("a valid role");
    FrameworkPlan {
        clock: Clock::default(),
        roles: vec![role],
        failover_timeout: Duration::from_secs(7 * 24 * 3600),
        habits: Habits {
            may_wait_for_ever: true,
            states_demand: true,
            unreachable_patience: Duration::from_secs(60),
            max_refuse: Duration::from_secs(5),
            ..Habits::default()
        },
        jobs: vec![Job {
            arrives: Timestamp(dice.number(0..until.0)),
            resources: Resources::of(cpu_millis, 64 << 20, 0),
            takes_port: false,
            behaviour: Behaviour {
                runs_for: RUNS_FOR,
                code: 0,
                deaf: false,
            },
            killed_after: None,
            grace: Duration::from_secs(1),
            max_completion_time: None,
            is_left_out: false,
        }],
        batches: Vec::new(),
        services: Vec::new(),
        settles_at: until,
    }
}

//! What a user wants of the service scheduler, and when.
//!
//! Replicas are small: all those of a scenario fit on the smallest agent there is.

use std::collections::BTreeMap;
use std::time::Duration;

use proffer_service_core::{Amount, Mode, ServiceSpec, ServiceTask, UpdatePolicy, UpdateStrategy};
use proffer_types::container::{Check, CheckKind, RestartOn, RestartPolicy};
use proffer_types::{ContainerSpec, KillPolicy, PlacementRules, Resources, Role, Timestamp};

use crate::dice::Dice;
use crate::machine::Behaviour;

/// Of one service; there are at most two of a framework, and three frameworks: 1.8 cpus and 576 MiB in all.
const MAX_REPLICAS: u64 = 3;
const CPU_MILLIS: u64 = 100;
const MEM_BYTES: u64 = 32 << 20;
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

#[derive(Debug, Clone)]
pub(crate) struct ServicePlan {
    pub(crate) name: String,
    /// In order of time. `None` is none of that name.
    steps: Vec<(Timestamp, Option<ServiceSpec>)>,
    pub(crate) is_left_out: bool,
}

impl ServicePlan {
    /// What all replicas of a service take.
    pub(crate) fn most() -> Resources {
        Resources::of(MAX_REPLICAS * CPU_MILLIS, MAX_REPLICAS * MEM_BYTES, 0)
    }

    pub(crate) fn draw(dice: &mut Dice, n: usize, role: &Role, until: Timestamp) -> Self {
        let name = format!("s{n}");
        let mut spec = ServiceSpec {
            name: name.clone(),
            role: role.clone(),
            mode: Mode::Replicated,
            replicas: replicas(dice),
            lost_after: None,
            task: draw_task(dice),
            update: draw_update(dice),
            disruption: Amount::Count(1),
            labels: BTreeMap::new(),
            expose: Vec::new(),
            shutdown_delay: None,
            scaling: None,
        };
        let mut at = Timestamp(dice.number(0..until.0 / 2 + 1));
        let mut steps = vec![(at, Some(spec.clone()))];
        for _ in 0..dice.index(4) {
            at = at.after(dice.seconds(0..90)).min(until);
            if dice.chance(500) {
                spec.replicas = replicas(dice);
            } else {
                spec.task = draw_task(dice);
            }
            steps.push((at, Some(spec.clone())));
        }
        if dice.chance(150) {
            steps.push((at.after(dice.seconds(0..60)).min(until), None));
        }
        Self {
            name,
            steps,
            is_left_out: false,
        }
    }

    /// What is wanted by then; absent before the first wish.
    pub(crate) fn wanted_at(&self, now: Timestamp) -> Option<Option<&ServiceSpec>> {
        let mut past = self.steps.iter().filter(|(at, _)| *at <= now);
        past.next_back().map(|(_, spec)| spec.as_ref())
    }
}

fn replicas(dice: &mut Dice) -> u32 {
    u32::try_from(dice.number(1..MAX_REPLICAS + 1)).unwrap_or(1)
}

/// Nobody is there who promotes by hand.
fn draw_update(dice: &mut Dice) -> UpdatePolicy {
    let is_blue_green = dice.chance(200);
    let stops_first = dice.chance(300);
    let replicas = |dice: &mut Dice| Amount::Count(replicas(dice));
    UpdatePolicy {
        strategy: match is_blue_green {
            true => UpdateStrategy::BlueGreen,
            false => UpdateStrategy::Rolling,
        },
        max_surge: if stops_first {
            Amount::Count(0)
        } else {
            replicas(dice)
        },
        max_unavailable: if stops_first {
            replicas(dice)
        } else {
            Amount::Percent(50)
        },
        canary: u32::from(!is_blue_green && dice.chance(200)),
        promote_by_hand: false,
        min_healthy: dice.seconds(0..10),
        deadline: dice.seconds(60..300),
        auto_rollback: dice.chance(700),
    }
}

fn draw_task(dice: &mut Dice) -> ServiceTask {
    // Some end now and then; some of those are started again where they are.
    let ends = dice.chance(300);
    let behaviour = Behaviour {
        runs_for: if ends { dice.seconds(60..200) } else { FOREVER },
        code: 1,
        deaf: dice.chance(100),
    };
    let restart = RestartPolicy {
        on: if dice.chance(500) {
            RestartOn::Failure
        } else {
            RestartOn::Never
        },
        max: None,
        backoff: None,
    };
    let health = dice.chance(400).then(|| draw_check(dice));
    let readiness = dice.chance(300).then(|| draw_check(dice));
    ServiceTask {
        resources: Resources::of(CPU_MILLIS, MEM_BYTES, 0),
        container: ContainerSpec {
            command: behaviour.command(),
            restart,
            health,
            readiness,
            ..ContainerSpec::default()
        },
        kill_policy: KillPolicy {
            grace_period: Some(dice.millis(0..8_000)),
        },
        limits: Default::default(),
        rules: PlacementRules::default(),
        replica_rules: Vec::new(),
    }
}

fn draw_check(dice: &mut Dice) -> Check {
    Check {
        kind: CheckKind::Command(vec!["true".to_owned()]),
        delay: dice.seconds(0..5),
        interval: dice.seconds(5..20),
        timeout: Duration::from_secs(1),
        grace: dice.seconds(0..10),
        failures: u32::try_from(dice.number(1..4)).unwrap_or(1),
    }
}

//! What one seed stands for: how many of everything, how much work, and how much goes wrong.
//!
//! Drawn whole before the run starts, so that a run can be read from its first lines.

use std::time::Duration;

use proffer_batch_core::{JobSpec, TaskSpec};
use proffer_types::{ContainerSpec, KillPolicy, Ranges, ResourceName, Resources, Role, Timestamp};

use crate::dice::Dice;
use crate::machine::Behaviour;

const MIB: u64 = 1 << 20;
/// One in so many seeds has no faults at all: what fails there is plainly broken.
const CALM_PERMILLE: u32 = 50;
/// Nobody kills a task of a job: it has to end by itself.
const MAX_BATCH_TASK: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) allocator: &'static str,
    pub(crate) agents: Vec<Resources>,
    pub(crate) frameworks: Vec<FrameworkPlan>,
    pub(crate) faults: FaultPlan,
}

#[derive(Debug, Clone)]
pub(crate) struct FrameworkPlan {
    pub(crate) roles: Vec<Role>,
    pub(crate) failover_timeout: Duration,
    pub(crate) habits: Habits,
    pub(crate) jobs: Vec<Job>,
    /// What the batch scheduler is asked for, and when; empty for the workload's own scheduler.
    pub(crate) batches: Vec<(Timestamp, JobSpec)>,
}

/// How a scheduler treats what it is offered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Habits {
    /// In a thousand: it keeps an offer for a while before it decides.
    pub(crate) holds: u32,
    /// It states what it would run, and is offered just that.
    pub(crate) states_demand: bool,
    /// What it states goes in pairs that start together.
    pub(crate) gangs: bool,
    /// It runs some of what it runs in groups.
    pub(crate) groups: bool,
    /// It reserves disk, makes volumes of it, and gives all of that back in time.
    pub(crate) makes_volumes: bool,
    /// It asks for no offers while it has nothing to run.
    pub(crate) suppresses: bool,
    /// After so long it gives an unreachable task up and runs it elsewhere.
    pub(crate) unreachable_patience: Duration,
    /// It launches at most one task on an offer.
    pub(crate) one_at_a_time: bool,
    /// The longest filter it declines with.
    pub(crate) max_refuse: Duration,
}

/// One thing that has to be run to its end once, in however many attempts.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) arrives: Timestamp,
    pub(crate) resources: Resources,
    pub(crate) takes_port: bool,
    pub(crate) behaviour: Behaviour,
    /// So long after it runs, its scheduler kills it.
    pub(crate) killed_after: Option<Duration>,
    pub(crate) grace: Duration,
    pub(crate) max_completion_time: Option<Duration>,
}

/// Rates are means, in milliseconds between two faults of a kind; zero is never.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FaultPlan {
    /// When everything is repaired and nothing more goes wrong.
    pub(crate) until: Timestamp,
    pub(crate) mean_ms: u64,
    pub(crate) max_delay_ms: u64,
    pub(crate) late_permille: u32,
    /// In a thousand commits of the master's registry.
    pub(crate) commit_permille: u32,
    /// In a thousand checkpoints.
    pub(crate) checkpoint_permille: u32,
    /// In a thousand launches.
    pub(crate) launch_permille: u32,
    /// In a thousand steps with effects, the process dies in the middle of them.
    pub(crate) midway_permille: u32,
}

impl Scenario {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let n_agents = 1 + dice.index(4);
        let n_frameworks = 1 + dice.index(3);
        let faults = draw_faults(dice);
        let names = proffer_allocator::names();
        Self {
            allocator: names[dice.index(names.len())],
            agents: (0..n_agents).map(|_| draw_agent(dice)).collect(),
            frameworks: (0..n_frameworks).map(|_| draw_framework(dice, &faults)).collect(),
            faults,
        }
    }
}

fn draw_agent(dice: &mut Dice) -> Resources {
    Resources::of(
        dice.number(2..9) * 1000,
        dice.number(1..9) * 1024 * MIB,
        10_240 * MIB,
    )
    .with_ranges(
        ResourceName::Ports,
        Ranges::new([(31_000, 31_000 + dice.number(1..6))]),
    )
}

fn draw_framework(dice: &mut Dice, faults: &FaultPlan) -> FrameworkPlan {
    let roles = ["*", "eng", "eng/prod", "ops"];
    let n_roles = 1 + usize::from(dice.chance(200));
    let first = dice.index(roles.len());
    let role = |n: usize| Role::new(roles[(first + n) % roles.len()]).expect("a valid role");
    let n_jobs = 1 + dice.index(12);
    let patience = if dice.chance(150) {
        dice.seconds(20..90)
    } else {
        Duration::from_secs(7 * 24 * 3600)
    };
    let mut jobs: Vec<_> = (0..n_jobs).map(|_| draw_job(dice, faults)).collect();
    let is_batch = dice.chance(350);
    let batches = if is_batch {
        draw_batches(dice, &role(0), &jobs)
    } else {
        Vec::new()
    };
    let states_demand = dice.chance(400);
    let gangs = states_demand && dice.chance(600);
    if gangs {
        jobs.chunks_mut(2).for_each(pair_up);
    }
    FrameworkPlan {
        roles: (0..n_roles).map(role).collect(),
        failover_timeout: patience,
        habits: Habits {
            holds: if dice.chance(300) { 300 } else { 0 },
            states_demand,
            gangs,
            groups: dice.chance(300),
            makes_volumes: !states_demand && dice.chance(300),
            suppresses: dice.chance(300),
            unreachable_patience: if dice.chance(400) {
                Duration::ZERO
            } else {
                dice.seconds(60..300)
            },
            one_at_a_time: dice.chance(300),
            max_refuse: dice.seconds(0..40),
        },
        jobs,
        batches,
    }
}

/// Two jobs that come together, small enough to run together on any agent.
fn pair_up(pair: &mut [Job]) {
    let arrives = pair.first().map_or(Timestamp(0), |job| job.arrives);
    for job in pair {
        let size = &job.resources;
        job.arrives = arrives;
        job.resources = Resources::of(size.cpu_millis() / 2, size.mem_bytes() / 2, size.disk_bytes());
    }
}

fn draw_job(dice: &mut Dice, faults: &FaultPlan) -> Job {
    let long = dice.chance(250);
    let runs_for = if long {
        dice.seconds(20..180)
    } else {
        dice.millis(1..15_000)
    };
    let killed_after = dice.chance(200).then(|| dice.seconds(0..20));
    let forever = killed_after.is_some() && dice.chance(500);
    Job {
        arrives: Timestamp(dice.number(0..faults.until.0.max(1))),
        resources: Resources::of(
            dice.number(1..21) * 100,
            dice.number(1..17) * 64 * MIB,
            dice.number(0..5) * MIB,
        ),
        takes_port: dice.chance(250),
        behaviour: Behaviour {
            runs_for: if forever {
                Duration::from_secs(365 * 24 * 3600)
            } else {
                runs_for
            },
            code: if dice.chance(150) { 3 } else { 0 },
            deaf: dice.chance(200),
        },
        killed_after,
        grace: dice.millis(0..8_000),
        max_completion_time: dice.chance(100).then(|| dice.seconds(1..30)),
    }
}

/// The same commands as arrays and chains: each job has a task for one of them, mostly after the one before.
fn draw_batches(dice: &mut Dice, role: &Role, jobs: &[Job]) -> Vec<(Timestamp, JobSpec)> {
    let per_job = 1 + dice.index(3);
    let batches = jobs.chunks(per_job).enumerate().map(|(n, chunk)| {
        let tasks = chunk.iter().enumerate().map(|(m, job)| draw_task(dice, m, job));
        let spec = JobSpec {
            name: format!("b{n}"),
            role: role.clone(),
            priority: 0,
            tasks: tasks.collect(),
            gang: false,
            schedule: None,
        };
        (chunk[0].arrives, spec)
    });
    batches.collect()
}

fn draw_task(dice: &mut Dice, m: usize, job: &Job) -> TaskSpec {
    let follows = m > 0 && dice.chance(700);
    let runs_for = job.behaviour.runs_for.min(MAX_BATCH_TASK);
    TaskSpec {
        name: format!("t{m}"),
        count: u32::try_from(dice.number(1..4)).unwrap_or(1),
        after: follows.then(|| format!("t{}", m - 1)).into_iter().collect(),
        resources: job.resources.clone(),
        container: ContainerSpec {
            command: Behaviour {
                runs_for,
                ..job.behaviour
            }
            .command(),
            ..ContainerSpec::default()
        },
        retries: u32::try_from(dice.number(0..3)).unwrap_or(0),
        timeout: job.max_completion_time,
        kill_policy: KillPolicy {
            grace_period: Some(job.grace),
        },
        limits: Default::default(),
        rules: Default::default(),
        gang: false,
    }
}

fn draw_faults(dice: &mut Dice) -> FaultPlan {
    let calm = dice.chance(CALM_PERMILLE);
    let per = |permille: u32| if calm { 0 } else { permille };
    FaultPlan {
        until: Timestamp(dice.number(60_000..400_000)),
        mean_ms: if calm { 0 } else { dice.number(1_500..30_000) },
        max_delay_ms: *[0, 5, 50, 2_000].get(dice.index(4)).unwrap_or(&5),
        late_permille: per(300),
        commit_permille: per(50),
        checkpoint_permille: per(20),
        launch_permille: per(30),
        midway_permille: per(5),
    }
}

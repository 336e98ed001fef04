//! What one seed stands for: how many of everything, how much work, and how much goes wrong.
//!
//! Drawn whole before the run starts, so that a run can be read from its first lines.

use std::time::Duration;

use proffer_batch_core::{After, JobSpec, On, RetryPolicy, TaskSpec};
use proffer_types::{ContainerSpec, KillPolicy, Ranges, ResourceName, Resources, Role, Timestamp};

use crate::clock::Clock;
use crate::dice::Dice;
use crate::fault_plan::FaultPlan;
use crate::machine::Behaviour;
use crate::mask::Mask;
use crate::recurring_plan::recur;
use crate::service_plan::ServicePlan;

/// Of every agent.
pub(crate) const FIRST_PORT: u64 = 31_000;
const MIB: u64 = 1 << 20;
/// Of an agent.
const MIN_CPUS: u64 = 2;
const MIN_MEM_GIB: u64 = 1;
/// After all faults, services have that long before they are looked at; clocks that are ahead come on top.
const SETTLES_WITHIN: Duration = Duration::from_secs(45);
/// Nobody kills a task of a job: it has to end by itself.
const MAX_BATCH_TASK: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) allocator: &'static str,
    /// How long somebody waits before what ends is held for it.
    pub(crate) hold_after: Duration,
    /// The lease of those who stand for election.
    pub(crate) lease: Duration,
    /// Whether masters share a store; else there is one, with a store of its own.
    elects: bool,
    /// The clock of each master.
    pub(crate) masters: Vec<Clock>,
    /// The clock of the store.
    pub(crate) store: Clock,
    pub(crate) agents: Vec<AgentPlan>,
    pub(crate) frameworks: Vec<FrameworkPlan>,
    pub(crate) faults: FaultPlan,
}

#[derive(Debug, Clone)]
pub(crate) struct AgentPlan {
    pub(crate) clock: Clock,
    pub(crate) total: Resources,
    pub(crate) joins: Timestamp,
    /// When it is gone for good; those who stay have room for every job.
    pub(crate) leaves: Option<Timestamp>,
}

#[derive(Debug, Clone)]
pub(crate) struct FrameworkPlan {
    pub(crate) clock: Clock,
    pub(crate) roles: Vec<Role>,
    pub(crate) failover_timeout: Duration,
    pub(crate) habits: Habits,
    pub(crate) jobs: Vec<Job>,
    /// What the batch scheduler is asked for; empty for the workload's own scheduler.
    pub(crate) batches: Vec<BatchPlan>,
    /// What the service scheduler is asked for; empty for the others.
    pub(crate) services: Vec<ServicePlan>,
    /// From here on, by the framework's clock, every service has to be whole.
    pub(crate) settles_at: Timestamp,
}

impl FrameworkPlan {
    /// Makes all of its work small: where somebody sits on offers and is first, or chance is, what is left comes in
    /// pieces.
    fn shrink_work(&mut self) {
        let small = Resources::of(100, 64 * MIB, 0);
        for job in &mut self.jobs {
            job.resources = small.clone();
            job.takes_port = false;
        }
        for batch in &mut self.batches {
            for task in &mut batch.spec.tasks {
                task.resources = small.clone();
            }
        }
    }

    /// Makes no piece of its work larger than this, gangs of two included.
    fn bound_work(&mut self, most: &Resources) {
        let n = if self.habits.gangs { 2 } else { 1 };
        let bound = |size: &Resources| {
            Resources::of(
                size.cpu_millis().min(most.cpu_millis() / n),
                size.mem_bytes().min(most.mem_bytes() / n),
                size.disk_bytes(),
            )
        };
        for job in &mut self.jobs {
            job.resources = bound(&job.resources);
        }
        for task in self.batches.iter_mut().flat_map(|plan| &mut plan.spec.tasks) {
            task.resources = bound(&task.resources);
        }
    }

    /// How much there is to leave out.
    pub(crate) fn n_jobs(&self) -> usize {
        self.jobs.len().max(self.batches.len()).max(self.services.len())
    }

    /// Makes it one that only sits on offers.
    fn hoard(&mut self) {
        self.jobs.clear();
        self.batches.clear();
        self.services.clear();
        self.habits = Habits {
            hoards: true,
            suppresses: false,
            states_demand: false,
            gangs: false,
            ..self.habits
        };
    }

    fn leave_out(&mut self, n: usize) {
        if let Some(job) = self.jobs.get_mut(n) {
            job.is_left_out = true;
        }
        if let Some(batch) = self.batches.get_mut(n) {
            batch.is_left_out = true;
        }
        if let Some(service) = self.services.get_mut(n) {
            service.is_left_out = true;
        }
    }
}

/// How a scheduler treats what it is offered.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Habits {
    /// What it wants there may never be room for: nobody waits for it.
    pub(crate) may_wait_for_ever: bool,
    /// In a thousand: it keeps an offer for a while before it decides.
    pub(crate) holds: u32,
    /// It has nothing to run, and never answers an offer.
    pub(crate) hoards: bool,
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
    pub(crate) is_left_out: bool,
}

/// A job for the batch scheduler.
#[derive(Debug, Clone)]
pub(crate) struct BatchPlan {
    pub(crate) arrives: Timestamp,
    pub(crate) spec: JobSpec,
    /// When its user has enough of it.
    pub(crate) cancelled: Option<Timestamp>,
    pub(crate) is_left_out: bool,
}

impl Scenario {
    /// What a seed stands for, and the dice that the run goes on with.
    pub(crate) fn of(seed: u64) -> (Self, Dice) {
        let mut dice = Dice::new(seed);
        let mut scenario = Self::draw(&mut dice);
        scenario.add_giant(&mut Dice::new(!seed));
        (scenario, dice)
    }

    fn draw(dice: &mut Dice) -> Self {
        let n_agents = 1 + dice.index(4);
        let n_guests = dice.index(3).saturating_sub(1);
        let n_frameworks = 1 + dice.index(3);
        let elects = dice.chance(650);
        let n_masters = if elects { 1 + dice.index(3) } else { 1 };
        let faults = FaultPlan::draw(dice);
        let is_skewed = dice.chance(600);
        let clock = |dice: &mut Dice| {
            if is_skewed {
                Clock::draw(dice)
            } else {
                Clock::default()
            }
        };
        let names = proffer_allocator::names();
        let mut scenario = Self {
            allocator: names[dice.index(names.len())],
            hold_after: proffer_allocator::HOLD_AFTER,
            lease: Duration::from_secs([3, 3, 10][dice.index(3)]),
            elects,
            masters: (0..n_masters).map(|_| clock(dice)).collect(),
            store: clock(dice),
            agents: (0..n_agents + n_guests)
                .map(|n| AgentPlan {
                    clock: clock(dice),
                    ..draw_agent(dice, &faults, n >= n_agents)
                })
                .collect(),
            frameworks: (0..n_frameworks)
                .map(|n| {
                    let mut plan = draw_framework(dice, &faults);
                    plan.clock = clock(dice);
                    // One leaves the others enough to be found among what it sits on; two may not.
                    if n > 0 && n + 1 == n_frameworks && dice.chance(100) {
                        plan.hoard();
                    }
                    plan
                })
                .collect(),
            faults,
        };
        scenario.leave_room_for_services();
        let hoards = scenario.frameworks.iter().any(|plan| plan.habits.hoards);
        if hoards && scenario.allocator != "drf" {
            scenario
                .frameworks
                .iter_mut()
                .for_each(FrameworkPlan::shrink_work);
        }
        scenario
    }

    /// Services never end: every job has to fit beside all of them.
    fn leave_room_for_services(&mut self) {
        let services = self.frameworks.iter().flat_map(|plan| &plan.services);
        let most = ServicePlan::most().times(u32::try_from(services.count()).unwrap_or(u32::MAX));
        let smallest = Resources::of(MIN_CPUS * 1000, MIN_MEM_GIB * 1024 * MIB, u64::MAX);
        let left = smallest.minus(&most);
        for plan in &mut self.frameworks {
            plan.bound_work(&left);
        }
    }

    /// Takes out what is masked, nodes and planned faults aside, which never start.
    pub(crate) fn leave_out(&mut self, mask: &Mask) {
        if mask.mishaps {
            self.faults = self.faults.clone().without_mishaps();
        }
        for (of, n) in &mask.jobs {
            if let Some(framework) = self.frameworks.get_mut(*of) {
                framework.leave_out(*n);
            }
        }
    }

    /// Whether masters stand for election before they lead.
    pub(crate) fn elects(&self) -> bool {
        self.elects
    }
}

/// A guest comes late and leaves again.
fn draw_agent(dice: &mut Dice, faults: &FaultPlan, is_guest: bool) -> AgentPlan {
    let ports = Ranges::new([(FIRST_PORT, FIRST_PORT + dice.number(1..6))]);
    let total = Resources::of(
        dice.number(MIN_CPUS..9) * 1000,
        dice.number(MIN_MEM_GIB..9) * 1024 * MIB,
        10_240 * MIB,
    );
    let (joins, stays) = (dice.number(0..faults.until.0), dice.seconds(10..200));
    let joins_late = is_guest || dice.chance(100);
    let joins = Timestamp(if joins_late { joins } else { 0 });
    AgentPlan {
        clock: Clock::default(),
        total: total.with_ranges(ResourceName::Ports, ports),
        joins,
        leaves: is_guest.then(|| joins.after(stays).min(faults.until)),
    }
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
    let n_services = dice.index(2);
    let batches = if is_batch {
        draw_batches(dice, &role(0), &jobs, faults.until)
    } else {
        Vec::new()
    };
    let services = if !is_batch && dice.chance(300) {
        let draw = |n| ServicePlan::draw(dice, n, &role(0), faults.until);
        (0..1 + n_services).map(draw).collect()
    } else {
        Vec::new()
    };
    let states_demand = dice.chance(400);
    let gangs = states_demand && dice.chance(600);
    if gangs {
        jobs.chunks_mut(2).for_each(pair_up);
    }
    FrameworkPlan {
        clock: Clock::default(),
        roles: (0..n_roles).map(role).collect(),
        failover_timeout: patience,
        habits: Habits {
            holds: if dice.chance(300) { 300 } else { 0 },
            may_wait_for_ever: false,
            hoards: false,
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
        services,
        settles_at: faults.until.after(SETTLES_WITHIN),
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
        is_left_out: false,
    }
}

/// The same commands as arrays and chains: each job has a task for one of them, mostly after the one before.
fn draw_batches(dice: &mut Dice, role: &Role, jobs: &[Job], healed: Timestamp) -> Vec<BatchPlan> {
    let per_job = 1 + dice.index(3);
    let n_recurring = [0, 1, 2][dice.index(3)];
    let batches = jobs.chunks(per_job).enumerate().map(|(n, chunk)| {
        let tasks = chunk.iter().enumerate().map(|(m, job)| draw_task(dice, m, job));
        let spec = JobSpec {
            name: format!("b{n}"),
            role: role.clone(),
            tasks: tasks.collect(),
            ..JobSpec::default()
        };
        let arrives = chunk[0].arrives;
        BatchPlan {
            arrives,
            spec,
            cancelled: dice.chance(150).then(|| arrives.after(dice.seconds(0..60))),
            is_left_out: false,
        }
    });
    let mut batches: Vec<_> = batches.collect();
    for plan in batches.iter_mut().take(n_recurring) {
        recur(dice, plan, healed);
    }
    batches
}

/// Mostly all of it must have finished.
fn draw_after(dice: &mut Dice, m: usize) -> After {
    let on = [On::Success, On::Success, On::Success, On::Failure, On::Any];
    After {
        task: format!("t{m}"),
        on: on[dice.index(on.len())],
        each: false,
    }
}

fn draw_task(dice: &mut Dice, m: usize, job: &Job) -> TaskSpec {
    let follows = m > 0 && dice.chance(700);
    let runs_for = job.behaviour.runs_for.min(MAX_BATCH_TASK);
    TaskSpec {
        name: format!("t{m}"),
        count: u32::try_from(dice.number(1..4)).unwrap_or(1),
        after: follows.then(|| draw_after(dice, m - 1)).into_iter().collect(),
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
        retry: RetryPolicy {
            backoff: Duration::from_secs(dice.number(0..4)),
            ..RetryPolicy::default()
        },
        max_running: dice.chance(300).then_some(1),
        timeout: job.max_completion_time,
        kill_policy: KillPolicy {
            grace_period: Some(job.grace),
        },
        limits: Default::default(),
        rules: Default::default(),
        gang: false,
    }
}

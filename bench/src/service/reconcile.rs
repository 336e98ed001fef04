//! One pass over 1,000 services of 10 replicas each: what a subscription costs the scheduler, and a minute without news.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use proffer_service_core::{
    Amount, Key, Mode, Pool, ReplicaState, ServiceSpec, ServiceTask, Services, UpdatePolicy,
};
use proffer_session::{Context, Output, Scheduler};
use proffer_types::{
    AgentId, ContainerSpec, KillPolicy, Limits, MasterId, Offer, PlacementRules, Role, StatusSource,
    TaskCondition, TaskId, TaskState, TaskStatus, Timestamp,
};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::row;
use crate::report::Report;

const SERVICES: usize = 1000;
const REPLICAS: u32 = 10;
const ROUNDS: usize = 50;
/// Milliseconds.
const AIM_MS: f64 = 10.0;

pub(super) fn run(report: &mut Report) -> Result<()> {
    let mut world = World::new()?;
    let framework = MasterId::from_random(0).framework(1);
    let (mut passes, mut ticks, mut loops) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        passes.push(world.time(|services, cx| services.subscribed(cx, &framework)));
        world.now = world.now.after(Duration::from_secs(60));
        ticks.push(world.time(Scheduler::tick));
        loops.push(textbook(&world.services));
    }
    let book = middle(loops);
    let case = format!("{SERVICES} services of {REPLICAS}");
    report.add(
        row(format!("{case}: reconcile pass"), middle(passes), "ms")
            .beside("a loop that counts what runs", Ok(book))
            .aim(AIM_MS),
    )?;
    report.add(
        row(format!("{case}: tick without news"), middle(ticks), "ms")
            .beside("a loop that counts what runs", Ok(book)),
    )
}

/// Counts by service what runs, as a controller without an index does.
fn textbook(services: &Services) -> f64 {
    let views = services.list();
    let states: Vec<(&str, u32, ReplicaState)> = views
        .iter()
        .flat_map(|view| {
            let replicas = view.replicas.iter();
            replicas.map(|replica| (view.spec.name.as_str(), replica.slot, replica.state))
        })
        .collect();
    let start = Instant::now();
    let mut running: BTreeMap<&str, u32> = BTreeMap::new();
    for (name, _, state) in &states {
        if *state == ReplicaState::Running {
            *running.entry(name).or_default() += 1;
        }
    }
    let missing: u32 = running.values().map(|n| REPLICAS.saturating_sub(*n)).sum();
    black_box(missing);
    start.elapsed().as_secs_f64() * 1e3
}

struct World {
    services: Services,
    now: Timestamp,
    rng: ChaCha8Rng,
}

impl World {
    /// All replicas run and are available.
    fn new() -> Result<Self> {
        let mut world = Self {
            services: Services::new(Pool::default(), Key::new([7; 32])),
            now: Timestamp(1_000_000),
            rng: ChaCha8Rng::seed_from_u64(0),
        };
        for nth in 0..SERVICES {
            let spec = spec(&format!("service-{nth}"))?;
            world.run(|services, cx| services.apply(spec, cx)).0?;
        }
        let resources = "cpus:100000;mem:100TiB".parse()?;
        let offer = Offer {
            id: MasterId::from_random(0).offer(1),
            framework_id: MasterId::from_random(0).framework(1),
            agent_id: AgentId::new("a")?,
            hostname: "a".to_owned(),
            address: "10.0.0.1:5051".to_owned(),
            role: Role::default(),
            resources,
            attributes: Vec::new(),
            domain: None,
            shapes: Vec::new(),
            gang: None,
            unavailability: None,
        };
        let mut n = 1;
        while world.waiting() > 0 && n < 1000 {
            n += 1;
            let offer = Offer {
                id: MasterId::from_random(0).offer(n),
                ..offer.clone()
            };
            world.run(|services, cx| services.offers(cx, vec![offer]));
        }
        let tasks: Vec<TaskId> = world
            .services
            .list()
            .into_iter()
            .flat_map(|view| view.replicas)
            .filter_map(|replica| replica.task_id)
            .collect();
        for task_id in tasks {
            let status = running(task_id, world.now);
            world.run(|services, cx| services.update(cx, &status));
        }
        world.now = world.now.after(Duration::from_secs(60));
        world.run(Scheduler::tick);
        let n_running = world.count(ReplicaState::Running);
        ensure!(
            n_running == SERVICES * REPLICAS as usize,
            "{n_running} replicas run"
        );
        Ok(world)
    }

    fn waiting(&self) -> usize {
        self.count(ReplicaState::Waiting)
    }

    fn count(&self, state: ReplicaState) -> usize {
        let views = self.services.list();
        let replicas = views.iter().flat_map(|view| &view.replicas);
        replicas.filter(|replica| replica.state == state).count()
    }

    fn run<T>(&mut self, call: impl FnOnce(&mut Services, &mut Context<'_>) -> T) -> (T, Output) {
        let (mut output, mut held) = (Output::default(), Vec::new());
        let mut cx = Context::new(self.now, &mut self.rng, &mut output, &mut held);
        let result = call(&mut self.services, &mut cx);
        (result, output)
    }

    /// Milliseconds.
    fn time(&mut self, call: impl FnOnce(&mut Services, &mut Context<'_>)) -> f64 {
        let start = Instant::now();
        self.run(call);
        start.elapsed().as_secs_f64() * 1e3
    }
}

fn spec(name: &str) -> Result<ServiceSpec> {
    Ok(ServiceSpec {
        name: name.to_owned(),
        role: Role::default(),
        mode: Mode::Replicated,
        replicas: REPLICAS,
        task: ServiceTask {
            resources: "cpus:0.1;mem:16MiB".parse().context("no resources")?,
            container: ContainerSpec {
                command: vec!["server".to_owned()],
                ..ContainerSpec::default()
            },
            kill_policy: KillPolicy::default(),
            limits: Limits::default(),
            rules: PlacementRules::default(),
            replica_rules: Vec::new(),
        },
        lost_after: None,
        update: UpdatePolicy::default(),
        disruption: Amount::Count(1),
        labels: BTreeMap::new(),
        expose: Vec::new(),
        shutdown_delay: None,
        scaling: None,
    })
}

fn running(task_id: TaskId, now: Timestamp) -> TaskStatus {
    TaskStatus {
        task_id,
        agent_id: None,
        state: TaskState::Running,
        source: StatusSource::Agent,
        reason: None,
        message: String::new(),
        timestamp: now,
        uuid: None,
        exit: None,
        usage: None,
        condition: TaskCondition::default(),
    }
}

fn middle(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

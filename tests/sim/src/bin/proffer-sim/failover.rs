//! What a failover costs the master's core: a new master starts from its registry, its framework subscribes and asks about
//! each of its tasks, every agent registers with all it runs, and the framework asks once more and is answered.
//!
//! Processor time of this thread, so that what else the machine does hardly counts. Beside it the least that anybody could
//! do with the same messages: each task and each agent put into a hash map.

use std::collections::HashMap;
use std::time::Duration;

use proffer_master_core::{
    AgentRecord, Command, Config, FrameworkRecord, LinkId, Master, Output, Registry, Upkeep,
};
use proffer_types::agent_link::RegisteredTask;
use proffer_types::scheduler_link::Call;
use proffer_types::{
    AgentId, AgentInfo, Capabilities, FrameworkId, FrameworkInfo, Resources, Role, StatusSource,
    TaskCondition, TaskId, TaskInfo, TaskState, TaskStatus, Timestamp,
};

use crate::{number, say, value};

/// Of the largest failover that Mesos published figures of: 19 s on the wall, of all parts.
const AGENTS: u64 = 40_000;
const TASKS_PER_AGENT: u64 = 10;
/// Seconds.
const AIM: f64 = 1.0;
/// As the session asks.
const NAMED_PER_CALL: usize = 1000;
const GIB: u64 = 1 << 30;
/// All of it takes place at one moment: no timer of the master's gets in between.
const NOW: Timestamp = Timestamp(1_000_000);

pub(crate) struct Arguments {
    n_agents: u64,
    n_tasks: u64,
}

impl Arguments {
    pub(crate) fn parse(words: &mut dyn Iterator<Item = &str>) -> Result<Self, String> {
        let mut arguments = Self {
            n_agents: AGENTS,
            n_tasks: TASKS_PER_AGENT,
        };
        while let Some(word) = words.next() {
            match word {
                "--agents" => arguments.n_agents = number(value(words, word)?)?,
                "--tasks-per-agent" => arguments.n_tasks = number(value(words, word)?)?,
                _ => return Err(format!("`failover` knows no `{word}`")),
            }
        }
        Ok(arguments)
    }
}

/// What there is before the failover, and what is said after it.
struct Scene {
    framework_id: FrameworkId,
    registry: Registry,
    /// By agent.
    tasks: Vec<Vec<RegisteredTask>>,
}

/// Whether the master's core knows everything again afterwards.
pub(crate) fn run(arguments: &Arguments) -> Result<bool, String> {
    let scene = scene(arguments).map_err(|error| format!("an id cannot be made: {error}"))?;
    let n_tasks = scene.tasks.iter().map(Vec::len).sum::<usize>();
    let (took, n_answers, master) = {
        let commands = commands(&scene);
        let registry = scene.registry.clone();
        let allocator = proffer_allocator::by_name("drf").map_err(|error| error.to_string())?;
        let start = cpu_seconds()?;
        let mut master = Master::recover(Config::default(), allocator, 1, 2, registry);
        let n_answers = play(&mut master, commands);
        (cpu_seconds()? - start, n_answers, master)
    };
    let reference = {
        let commands = commands(&scene);
        let start = cpu_seconds()?;
        let n_known = hash(commands);
        let took = cpu_seconds()? - start;
        if n_known != n_tasks {
            return Err(format!("the reference knows {n_known} of {n_tasks} tasks"));
        }
        took
    };
    let n_known = master.state().tasks().count();
    say(&format!(
        "failover: {} agents with {n_tasks} tasks: {took:.2} s of the processor in the master's core, \
         {reference:.2} s to put the same into hash maps ({:.1}); aim {AIM} s",
        scene.tasks.len(),
        took / reference
    ));
    if n_known != n_tasks || n_answers < n_tasks {
        say(&format!(
            "the master knows {n_known} tasks, and gave {n_answers} answers"
        ));
        return Ok(false);
    }
    Ok(true)
}

/// Lets the core take each command, and whatever follows from it at once; counts the updates it sends.
fn play(master: &mut Master, commands: Vec<Command>) -> usize {
    let mut n_answers = 0;
    let mut step = |master: &mut Master, command: Command| {
        let mut out = Output::default();
        master.step(NOW, command, &mut out);
        let updates = out.effects.iter().filter(|effect| {
            use proffer_master_core::Effect;
            use proffer_types::scheduler_link::Event;
            matches!(
                effect,
                Effect::ToFramework {
                    event: Event::Update(_),
                    ..
                }
            )
        });
        n_answers += updates.count();
    };
    step(master, Command::Tick);
    for command in commands {
        step(master, command);
        while master.next_deadline().is_some_and(|due| due <= NOW) {
            step(master, Command::Tick);
        }
    }
    n_answers
}

/// The least that can be done: everything is found again by its id.
fn hash(commands: Vec<Command>) -> usize {
    let mut agents: HashMap<AgentId, AgentInfo> = HashMap::new();
    let mut tasks: HashMap<(FrameworkId, TaskId), RegisteredTask> = HashMap::new();
    for command in commands {
        if let Command::AgentRegister {
            info,
            agent_id: Some(agent_id),
            tasks: listed,
            ..
        } = command
        {
            agents.insert(agent_id, info);
            tasks.extend(listed.into_iter().map(|task| {
                let key = (task.framework_id.clone(), task.info.id.clone());
                (key, task)
            }));
        }
    }
    tasks.len()
}

/// What is said to the new master, in order.
fn commands(scene: &Scene) -> Vec<Command> {
    let framework = LinkId(0);
    let calls = |calls| Command::SchedulerCalls {
        link: framework,
        calls,
    };
    let info = scene.registry.frameworks.iter().map(|record| record.info.clone());
    let subscribe = info.map(|info| {
        calls(vec![Call::Subscribe {
            info,
            suppressed_roles: Default::default(),
            adopt: false,
        }])
    });
    let all = scene.tasks.iter().flatten();
    let all: Vec<_> = all
        .map(|task| (task.info.id.clone(), Some(task.info.agent_id.clone())))
        .collect();
    let question = || {
        let chunks = all.chunks(NAMED_PER_CALL).map(<[_]>::to_vec);
        chunks
            .map(|tasks| calls(vec![Call::Reconcile { tasks }]))
            .collect::<Vec<_>>()
    };
    let agents = scene.registry.agents.iter().zip(&scene.tasks).zip(1..);
    let registrations = agents.map(|((record, tasks), link)| Command::AgentRegister {
        link: LinkId(link),
        info: record.info.clone(),
        agent_id: Some(record.agent_id.clone()),
        tasks: tasks.clone(),
        operations: Vec::new(),
    });
    subscribe
        .chain(question())
        .chain(registrations)
        .chain(question())
        .collect()
}

fn scene(arguments: &Arguments) -> Result<Scene, Box<dyn std::error::Error>> {
    let framework_id = FrameworkId::new("00000001-f0")?;
    let mut scene = Scene {
        registry: Registry {
            frameworks: vec![framework_record(&framework_id)],
            ..Registry::default()
        },
        framework_id,
        tasks: Vec::new(),
    };
    for n in 0..arguments.n_agents {
        let agent_id = AgentId::new(format!("00000001-a{n}"))?;
        let tasks = (0..arguments.n_tasks).map(|m| -> Result<_, Box<dyn std::error::Error>> {
            let id = TaskId::new(format!("job-{n}.task.{m}"))?;
            Ok(task(&scene.framework_id, id, &agent_id))
        });
        let tasks = tasks.collect::<Result<_, _>>()?;
        scene.tasks.push(tasks);
        let info = agent_info(n);
        scene.registry.agents.push(AgentRecord {
            agent_id,
            info,
            unreachable_since: None,
            gone_since: None,
            upkeep: Upkeep::default(),
        });
    }
    Ok(scene)
}

fn framework_record(framework_id: &FrameworkId) -> FrameworkRecord {
    FrameworkRecord {
        framework_id: framework_id.clone(),
        info: FrameworkInfo {
            id: Some(framework_id.clone()),
            name: "batch".to_owned(),
            roles: [Role::default()].into(),
            failover_timeout: Duration::from_secs(7 * 24 * 3600),
            services: Vec::new(),
            labels: Default::default(),
            capabilities: Capabilities::default(),
            preferences: Default::default(),
        },
        order: 0,
        failover_deadline: None,
        completed: false,
        orphaned_since: None,
    }
}

/// With room for more, which can be offered.
fn agent_info(n: u64) -> AgentInfo {
    AgentInfo {
        hostname: format!("host{n}"),
        address: format!("host{n}:5051"),
        resources: Resources::of(16_000, 64 * GIB, 1000 * GIB),
        attributes: Vec::new(),
        version: "1".to_owned(),
        cgroups: "cgroup v2".to_owned(),
        domain: None,
        can_suspend: false,
    }
}

fn task(framework_id: &FrameworkId, id: TaskId, agent_id: &AgentId) -> RegisteredTask {
    let resources = Resources::of(1_000, GIB, GIB);
    RegisteredTask {
        framework_id: framework_id.clone(),
        role: Role::default(),
        group: None,
        latest_status: TaskStatus {
            task_id: id.clone(),
            agent_id: Some(agent_id.clone()),
            state: TaskState::Running,
            source: StatusSource::Agent,
            reason: None,
            message: String::new(),
            timestamp: NOW,
            uuid: None,
            exit: None,
            usage: None,
            condition: TaskCondition::default(),
        },
        info: TaskInfo::new(id, agent_id.clone(), resources, ["sleep", "1000"]),
    }
}

/// What this thread has cost so far: the first number, in nanoseconds (the kernel's Documentation/scheduler/sched-stats).
#[expect(clippy::cast_precision_loss, reason = "a thread runs for days, not for years")]
fn cpu_seconds() -> Result<f64, String> {
    let path = "/proc/thread-self/schedstat";
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let spent = text.split_whitespace().next().unwrap_or_default();
    Ok(number(spent)? as f64 / 1e9)
}

//! The batch framework, a master and an agent under simulated time: the pure cores, joined by queues that take no time.
//!
//! The nodes are the cores of one agent; a job of n nodes is a task of n cores. The agent does what it is told at once; a task
//! ends when its run time is over, which is before its time limit. While nothing happens, and has not for a while, time is
//! skipped: there would be nothing in it but heartbeats.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use proffer_allocator::by_name;
use proffer_batch_core::{Batch, JobSpec, Policy, QueueSettings};
use proffer_master_core::{Command, Config, Effect, LinkId, Master, Output as Said, Registry};
use proffer_session::{Input, Output, Session};
use proffer_types::agent_link::{AgentMessage, MasterMessage};
use proffer_types::scheduler_link::Event;
use proffer_types::{
    AgentId, AgentInfo, Backfill, Capabilities, FrameworkId, FrameworkInfo, Resources, Role,
    Session as AgentSession, StatusSource, StatusUuid, TaskCondition, TaskId, TaskState, TaskStatus,
    Timestamp,
};

use super::trace::Job;
use crate::batch::array;

const GIB: u64 = 1 << 30;
/// Longer than any trace: what nobody says nobody waits for.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
/// After the last arrival or end every timer is served for so long: what is held, or not offered again, changes by itself.
const ALERT: Duration = Duration::from_secs(120);
/// Turns of the loop at one moment; more are a bug.
const MAX_TURNS: usize = 1_000_000;

/// When each job starts.
pub(super) fn run(backfill: Backfill, jobs: &[Job], n_nodes: u32) -> Result<Vec<u64>> {
    let mut cluster = Cluster::new(backfill, n_nodes)?;
    let mut arrivals = jobs.iter().enumerate().peekable();
    loop {
        let arrival = arrivals.peek().map(|(_, job)| millis(job.arrives));
        let Some(now) = cluster.next(arrival) else {
            break;
        };
        cluster.now = now;
        cluster.end_tasks()?;
        while let Some((n, job)) = arrivals.next_if(|(_, job)| millis(job.arrives) <= now) {
            cluster.submit(n, job)?;
        }
        cluster.settle()?;
        if arrivals.peek().is_none() && cluster.starts.len() == jobs.len() {
            break;
        }
    }
    ensure!(
        cluster.starts.len() == jobs.len(),
        "{} of {} jobs started",
        cluster.starts.len(),
        jobs.len()
    );
    Ok(cluster.starts.values().copied().collect())
}

fn millis(seconds: u64) -> Timestamp {
    // Nothing is at 0, which stands for never in some places.
    Timestamp((seconds + 1) * 1000)
}

struct Cluster {
    now: Timestamp,
    alert_until: Timestamp,
    master: Master,
    session: Session<Batch>,
    /// What the master is to hear next.
    commands: VecDeque<Command>,
    /// Running tasks, by when each ends.
    ends: BTreeSet<(Timestamp, TaskId)>,
    tasks: BTreeMap<TaskId, Running>,
    /// Of each job, in milliseconds.
    run_times: Vec<u64>,
    /// By job, in seconds.
    starts: BTreeMap<usize, u64>,
    n_statuses: u64,
}

struct Running {
    framework_id: FrameworkId,
    session: AgentSession,
    agent_id: AgentId,
}

const FRAMEWORK: LinkId = LinkId(0);
const AGENT: LinkId = LinkId(1);

impl Cluster {
    fn new(backfill: Backfill, n_nodes: u32) -> Result<Self> {
        let allocator = by_name("drf").map_err(|error| anyhow!("{error}"))?;
        let config = Config {
            heartbeat_interval: NEVER,
            ..Config::default()
        };
        let master = Master::recover(config, allocator, 1, 1, Registry::default());
        let session = Session::recover(framework_info(), 1, Vec::new(), Batch::new())?;
        let mut cluster = Self {
            now: millis(0),
            alert_until: millis(0),
            master,
            session,
            commands: VecDeque::new(),
            ends: BTreeSet::new(),
            tasks: BTreeMap::new(),
            run_times: Vec::new(),
            starts: BTreeMap::new(),
            n_statuses: 0,
        };
        cluster.commands.push_back(Command::AgentRegister {
            link: AGENT,
            info: agent_info(n_nodes),
            agent_id: None,
            tasks: Vec::new(),
            operations: Vec::new(),
        });
        cluster.input(Input::Connected)?;
        cluster.settle()?;
        cluster.set(backfill)?;
        cluster.settle()?;
        Ok(cluster)
    }

    /// The first come is the first served, but for what may go before it.
    fn set(&mut self, backfill: Backfill) -> Result<()> {
        let settings = QueueSettings {
            policy: Policy::Fcfs,
            backfill,
            ..QueueSettings::default()
        };
        let mut out = Output::default();
        let set = self.session.with(self.now, &mut out, |batch, cx| {
            batch.set_queue(&Role::default(), settings, cx)
        });
        set?;
        self.said(out)
    }

    fn submit(&mut self, n: usize, job: &Job) -> Result<()> {
        ensure!(self.run_times.len() == n, "jobs arrive in order");
        self.run_times.push(job.runs * 1000);
        let mut spec = array(&format!("j{n}"), 1, f64::from(job.n_nodes));
        for task in &mut spec.tasks {
            task.timeout_ms = job.limit * 1000;
        }
        let spec = JobSpec::try_from(spec).map_err(|error| anyhow!("{error}"))?;
        let mut out = Output::default();
        let submitted = self
            .session
            .with(self.now, &mut out, |batch, cx| batch.submit(spec, cx));
        submitted?;
        self.said(out)
    }

    /// When something happens next; none when nothing ever will.
    fn next(&mut self, arrival: Option<Timestamp>) -> Option<Timestamp> {
        let end = self.ends.first().map(|(at, _)| *at);
        let event = [arrival, end].into_iter().flatten().min();
        let timers = [self.master.next_deadline(), self.session.next_deadline()];
        let timer = timers.into_iter().flatten().min();
        let timer = timer
            .filter(|at| *at <= self.alert_until)
            .map(|at| at.max(self.now));
        let next = [event, timer].into_iter().flatten().min()?;
        if event == Some(next) {
            self.alert_until = next.after(ALERT);
        }
        Some(next)
    }

    fn end_tasks(&mut self) -> Result<()> {
        while let Some((at, id)) = self.ends.first().cloned().filter(|(at, _)| *at <= self.now) {
            self.ends.remove(&(at, id.clone()));
            let running = self.tasks.remove(&id).context("a task ended twice")?;
            self.tell(&running, id, TaskState::Finished);
        }
        Ok(())
    }

    fn tell(&mut self, running: &Running, task_id: TaskId, state: TaskState) {
        self.n_statuses += 1;
        let status = TaskStatus {
            task_id,
            agent_id: Some(running.agent_id.clone()),
            state,
            source: StatusSource::Agent,
            reason: None,
            message: String::new(),
            timestamp: self.now,
            uuid: Some(StatusUuid(u128::from(self.n_statuses).to_be_bytes())),
            exit: None,
            usage: None,
            condition: TaskCondition::default(),
        };
        self.commands.push_back(Command::AgentFrame {
            link: AGENT,
            session: running.session,
            messages: vec![AgentMessage::Status {
                framework_id: running.framework_id.clone(),
                status,
                latest_state: state,
                latest_suspension: 0,
            }],
        });
    }

    /// Lets everything happen that happens now.
    fn settle(&mut self) -> Result<()> {
        for _ in 0..MAX_TURNS {
            let due = |at: Option<Timestamp>| at.is_some_and(|at| at <= self.now);
            if let Some(command) = self.commands.pop_front() {
                self.command(command)?;
            } else if due(self.master.next_deadline()) {
                self.command(Command::Tick)?;
            } else if due(self.session.next_deadline()) {
                self.input(Input::Tick)?;
            } else {
                return Ok(());
            }
        }
        bail!("it does not come to rest")
    }

    fn command(&mut self, command: Command) -> Result<()> {
        let mut out = Said::default();
        self.master.step(self.now, command, &mut out);
        for effect in out.effects {
            match effect {
                Effect::ToFramework { event, .. } => self.event(event)?,
                Effect::ToAgent {
                    link,
                    session,
                    message,
                } => self.agent(link, session, message)?,
                Effect::CloseLink { reason, .. } => bail!("the master closes a link: {reason}"),
                Effect::Reply { .. } => {}
            }
        }
        Ok(())
    }

    fn event(&mut self, event: Event) -> Result<()> {
        self.input(Input::Event(event))
    }

    fn input(&mut self, input: Input) -> Result<()> {
        let mut out = Output::default();
        self.session.step(self.now, input, &mut out);
        self.said(out)
    }

    /// There is no store: nothing here restarts.
    fn said(&mut self, out: Output) -> Result<()> {
        ensure!(!out.disconnect && out.refused.is_none(), "the framework leaves");
        if !out.calls.is_empty() {
            self.commands.push_back(Command::SchedulerCalls {
                link: FRAMEWORK,
                calls: out.calls,
            });
        }
        Ok(())
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "agents here have nothing else to do"
    )]
    fn agent(&mut self, link: LinkId, session: AgentSession, message: MasterMessage) -> Result<()> {
        match message {
            MasterMessage::RunTask {
                framework_id, info, ..
            } => {
                let job = info
                    .name
                    .strip_prefix('j')
                    .and_then(|name| name.split('.').next());
                let job: usize = job.context("a task of no job")?.parse()?;
                let running = Running {
                    framework_id,
                    session,
                    agent_id: info.agent_id.clone(),
                };
                let runs = self.run_times.get(job).context("no such job")?;
                self.starts.entry(job).or_insert(self.now.0 / 1000 - 1);
                self.ends.insert((Timestamp(self.now.0 + runs), info.id.clone()));
                self.tell(&running, info.id.clone(), TaskState::Running);
                self.tasks.insert(info.id.clone(), running);
            }
            MasterMessage::Heartbeat { interval } => self.commands.push_back(Command::AgentFrame {
                link,
                session,
                messages: vec![AgentMessage::Heartbeat { interval }],
            }),
            MasterMessage::KillTask { task_id, .. } => bail!("task {task_id} is to be killed"),
            MasterMessage::RunGroup { .. } => bail!("a task group is launched"),
            _ => {}
        }
        Ok(())
    }
}

fn framework_info() -> FrameworkInfo {
    FrameworkInfo {
        id: None,
        name: "batch".to_owned(),
        roles: [Role::default()].into(),
        failover_timeout: NEVER,
        services: Vec::new(),
        labels: BTreeMap::new(),
        capabilities: Capabilities::default(),
        preferences: BTreeMap::new(),
    }
}

fn agent_info(n_nodes: u32) -> AgentInfo {
    AgentInfo {
        hostname: "host".to_owned(),
        address: "host:5051".to_owned(),
        resources: Resources::of(u64::from(n_nodes) * 1000, 1024 * GIB, GIB),
        attributes: Vec::new(),
        version: "1".to_owned(),
        cgroups: "cgroup v2".to_owned(),
        domain: None,
        can_suspend: false,
    }
}

//! A cluster and a provider, as far as an autoscaler sees them: one tick is five seconds.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use proffer_types::{AgentId, GangId, Resources, Shape, ShapeId, Timestamp};

use crate::view::membership_attributes;
use crate::{
    Action, AgentSeen, AgentShape, Autoscaler, Config, Decision, Drain, Ended, Phase, Presence, Unmet, View,
};

pub(super) const TICK: Duration = Duration::from_secs(5);

/// How the provider takes a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Works,
    /// Exits with 1, and nothing was done.
    Refuses,
    /// Is killed after five minutes; the machine may be there.
    Hangs,
    /// Says that all is well, and no agent ever registers.
    Forgets,
}

#[derive(Debug, Clone)]
pub(super) struct Wish {
    pub(super) id: u64,
    pub(super) each: Resources,
    pub(super) count: u32,
    pub(super) gang: Option<u64>,
    /// How long each task runs.
    pub(super) runs: Duration,
    pub(super) over_limit: u32,
    pub(super) since: Timestamp,
}

#[derive(Debug, Clone)]
struct Agent {
    seen: AgentSeen,
    machine: String,
    tasks: Vec<(Resources, Timestamp)>,
}

#[derive(Debug, Clone)]
struct Running {
    machine: String,
    action: Action,
    until: Timestamp,
    mood: Mood,
}

pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) autoscaler: Autoscaler,
    config: Config,
    agents: BTreeMap<String, Agent>,
    /// What the provider has: shape, and when its agent registers.
    pub(super) machines: BTreeMap<String, (String, Option<Timestamp>)>,
    pub(super) wishes: Vec<Wish>,
    running: Vec<Running>,
    pub(super) moods: VecDeque<Mood>,
    pub(super) boot: Duration,
    pub(super) decisions: Vec<Decision>,
    n_agents: u64,
}

pub(super) fn config(shapes: &[(&str, &str, u32, u32)]) -> Config {
    let shape = |(name, resources, min, max): &(&str, &str, u32, u32)| AgentShape {
        name: (*name).to_owned(),
        resources: resources.parse().unwrap(),
        attributes: Vec::new(),
        domain: None,
        min: *min,
        max: *max,
    };
    Config {
        shapes: shapes.iter().map(shape).collect(),
        scale_up_delay: Duration::from_secs(10),
        idle: Duration::from_secs(600),
        cooldown: Duration::from_secs(60),
        registration: Duration::from_secs(300),
        backoff: Duration::from_secs(60),
        unreachable: Duration::from_secs(1200),
        at_once: 5,
    }
}

impl World {
    pub(super) fn new(config: Config) -> Self {
        config.check().unwrap();
        Self {
            now: Timestamp(1_000_000_000),
            autoscaler: Autoscaler::new(config.clone(), crate::Memory::default(), BTreeSet::new()),
            config,
            agents: BTreeMap::new(),
            machines: BTreeMap::new(),
            wishes: Vec::new(),
            running: Vec::new(),
            moods: VecDeque::new(),
            boot: Duration::from_secs(30),
            decisions: Vec::new(),
            n_agents: 0,
        }
    }

    pub(super) fn wish(&mut self, each: &str, count: u32, gang: Option<u64>, runs: Duration) -> u64 {
        let id = self.wishes.iter().map(|wish| wish.id + 1).max().unwrap_or(0);
        self.wishes.push(Wish {
            id,
            each: each.parse().unwrap(),
            count,
            gang,
            runs,
            over_limit: 0,
            since: self.now,
        });
        id
    }

    /// Another autoscaler takes over what this one wrote down; providers that were running go on.
    pub(super) fn restart(&mut self) {
        let written = serde_json::to_string(self.autoscaler.memory()).unwrap();
        let busy = self.running.iter().map(|running| running.machine.clone());
        let memory = serde_json::from_str(&written).unwrap();
        self.autoscaler = Autoscaler::new(self.config.clone(), memory, busy.collect());
    }

    /// An agent is lost, and nobody knows whether its machine is.
    pub(super) fn lose(&mut self, nth: usize) {
        let n = self.agents.len().max(1);
        if let Some(agent) = self.agents.values_mut().nth(nth % n) {
            agent.tasks.clear();
            agent.seen.presence = Presence::Unreachable(Duration::ZERO);
        }
    }

    pub(super) fn n_active(&self, shape: &str) -> usize {
        let agents = self.agents.values();
        agents
            .filter(|agent| agent.seen.membership().is_some_and(|(of, _)| of == shape))
            .filter(|agent| agent.seen.presence == Presence::Active && agent.seen.drain.is_none())
            .count()
    }

    pub(super) fn n_waiting(&self) -> u32 {
        self.wishes.iter().map(|wish| wish.count).sum()
    }

    /// What people were told, without what was done.
    pub(super) fn told(&self) -> Vec<&str> {
        let said = self
            .decisions
            .iter()
            .filter(|decision| decision.action == Action::Nothing);
        said.map(|decision| &decision.why[..]).collect()
    }

    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now.after(time);
        while self.now < end {
            self.tick();
        }
    }

    pub(super) fn tick(&mut self) {
        self.now = self.now.after(TICK);
        self.register();
        self.finish();
        self.schedule();
        let view = self.view();
        let decisions = self.autoscaler.step(self.now, &view);
        for decision in decisions {
            self.check(&view, &decision);
            self.carry_out(&decision);
            self.decisions.push(decision);
        }
        for shape in &self.config.shapes {
            let n = self.machines.values().filter(|(of, _)| *of == shape.name).count();
            assert!(
                n <= usize::try_from(shape.max).unwrap(),
                "{n} machines of {}",
                shape.name
            );
        }
    }

    fn register(&mut self) {
        let now = self.now;
        for (name, (shape, registers)) in &self.machines {
            if registers.is_some_and(|at| at <= now) && !self.agents.contains_key(name) {
                let of = self.config.shapes.iter().find(|of| of.name == *shape).unwrap();
                let mut info = of.info();
                info.attributes = membership_attributes(shape, name);
                self.n_agents += 1;
                let seen = AgentSeen {
                    id: AgentId::new(format!("a{}", self.n_agents)).unwrap(),
                    info,
                    presence: Presence::Active,
                    used: Resources::new(),
                    n_tasks: 0,
                    drain: None,
                    is_deactivated: false,
                };
                let agent = Agent {
                    seen,
                    machine: name.clone(),
                    tasks: Vec::new(),
                };
                self.agents.insert(name.clone(), agent);
            }
        }
    }

    /// Tasks end, and the provider's runs.
    fn finish(&mut self) {
        let now = self.now;
        for agent in self.agents.values_mut() {
            agent.tasks.retain(|(_, end)| *end > now);
            if let Presence::Unreachable(time) = &mut agent.seen.presence {
                *time += TICK;
            }
        }
        let (over, running) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(|running| running.until <= now);
        self.running = running;
        let over: Vec<Running> = over;
        for run in over {
            let ended = match (&run.action, run.mood) {
                (Action::Remove { .. }, Mood::Works | Mood::Forgets) => {
                    self.machines.remove(&run.machine);
                    if let Some(agent) = self.agents.get_mut(&run.machine) {
                        assert!(agent.tasks.is_empty(), "{} was removed with tasks", run.machine);
                        agent.seen.presence = Presence::Away;
                    }
                    Ended::Done
                }
                (_, Mood::Refuses) => Ended::Failed("no".to_owned()),
                (_, Mood::Hangs) => Ended::Unknown("killed".to_owned()),
                (_, Mood::Works | Mood::Forgets) => Ended::Done,
            };
            self.autoscaler.ended(now, &run.machine, &run.action, &ended);
        }
    }

    /// A scheduler of the simplest kind; gangs start whole.
    fn schedule(&mut self) {
        let now = self.now;
        let mut agents = self.agents.clone();
        for gang in self.wishes.iter().map(|wish| wish.gang).collect::<BTreeSet<_>>() {
            let before = (agents.clone(), self.wishes.clone());
            for wish in self.wishes.iter_mut().filter(|wish| wish.gang == gang) {
                for agent in agents.values_mut() {
                    let seen = &agent.seen;
                    let is_open = seen.presence == Presence::Active && seen.drain.is_none();
                    while is_open && wish.count > 0 && free(agent).contains(&wish.each) {
                        agent.tasks.push((wish.each.clone(), now.after(wish.runs)));
                        (wish.count, wish.since) = (wish.count - 1, now);
                    }
                }
            }
            let is_whole = self
                .wishes
                .iter()
                .filter(|wish| wish.gang == gang)
                .all(|wish| wish.count == 0);
            if gang.is_some() && !is_whole {
                (agents, self.wishes) = before;
            }
        }
        self.agents = agents;
        self.wishes.retain(|wish| wish.count + wish.over_limit > 0);
        for agent in self.agents.values_mut() {
            agent.seen.n_tasks = u32::try_from(agent.tasks.len()).unwrap();
            agent.seen.used = agent.tasks.iter().map(|(each, _)| each).sum();
        }
    }

    /// As the master would tell it: what of gangs has room is taken to be met.
    fn view(&self) -> View {
        let mut agents = self.agents.clone();
        let mut view = View {
            agents: self.agents.values().map(|agent| agent.seen.clone()).collect(),
            ..View::default()
        };
        for wish in &self.wishes {
            let mut count = wish.count;
            for agent in agents.values_mut() {
                let is_open = agent.seen.presence == Presence::Active && agent.seen.drain.is_none();
                while is_open && count > 0 && free(agent).contains(&wish.each) {
                    agent.tasks.push((wish.each.clone(), self.now));
                    count -= 1;
                    view.needed.insert(agent.seen.id.clone());
                }
            }
            if count + wish.over_limit > 0 {
                view.unmet.push(unmet(wish, count, self.now));
            }
        }
        view
    }

    /// What must hold of each decision.
    fn check(&self, view: &View, decision: &Decision) {
        let agent = self.agents.get(&decision.machine);
        match &decision.action {
            Action::Drain { agent: id } => {
                let agent = agent.unwrap();
                assert_eq!(agent.seen.id, *id);
                assert!(agent.tasks.is_empty(), "{decision:?}");
                let mut unmet = view.unmet.iter().filter(|unmet| unmet.shape.count > 0);
                let fits = unmet.find(|unmet| agent.seen.info.resources.contains(&unmet.shape.resources));
                assert_eq!(fits, None, "{decision:?} though something waits");
                let (shape, _) = agent.seen.membership().unwrap();
                let min = self.config.shapes.iter().find(|of| of.name == shape).unwrap().min;
                assert!(
                    self.n_active(shape) > usize::try_from(min).unwrap(),
                    "{decision:?} below min"
                );
            }
            Action::Remove { agent: id, .. } => {
                let is_out = |agent: &Agent| {
                    let is_lost = matches!(agent.seen.presence, Presence::Unreachable(_));
                    is_lost || agent.seen.drain == Some(Drain::Drained)
                };
                assert!(id.is_none() || agent.is_none_or(is_out), "{decision:?}");
            }
            Action::Undrain { .. } => assert!(agent.unwrap().seen.drain.is_some()),
            Action::Add { .. } => assert!(!self.machines.contains_key(&decision.machine)),
            Action::MarkGone { .. } => assert!(!self.machines.contains_key(&decision.machine)),
            Action::Nothing => return,
        }
        let mut running = self.running.iter();
        assert!(
            running.all(|run| run.machine != decision.machine),
            "two runs for one: {decision:?}"
        );
    }

    fn carry_out(&mut self, decision: &Decision) {
        let machine = decision.machine.clone();
        let is_run = matches!(decision.action, Action::Add { .. } | Action::Remove { .. });
        if is_run {
            let mood = self.moods.pop_front().unwrap_or(Mood::Works);
            let takes = match mood {
                Mood::Hangs => Duration::from_secs(300),
                Mood::Works | Mood::Refuses | Mood::Forgets => Duration::from_secs(10),
            };
            if let (Action::Add { shape }, Mood::Works | Mood::Forgets | Mood::Hangs) =
                (&decision.action, mood)
            {
                let registers = (mood == Mood::Works).then(|| self.now.after(self.boot));
                self.machines.insert(machine.clone(), (shape.clone(), registers));
            }
            self.running.push(Running {
                machine,
                action: decision.action.clone(),
                until: self.now.after(takes),
                mood,
            });
            return;
        }
        if let Some(agent) = self.agents.get_mut(&machine) {
            match &decision.action {
                Action::Drain { .. } => agent.seen.drain = Some(Drain::Drained),
                Action::Undrain { .. } => agent.seen.drain = None,
                Action::MarkGone { .. } => drop(self.agents.remove(&machine)),
                Action::Add { .. } | Action::Remove { .. } | Action::Nothing => {}
            }
        }
        if decision.action != Action::Nothing {
            self.autoscaler
                .ended(self.now, &machine, &decision.action, &Ended::Done);
        }
    }

    /// Nothing is on its way, and the provider has what the master knows of.
    pub(super) fn assert_settled(&self) {
        let moving = &self.autoscaler.memory().machines;
        assert!(moving.is_empty(), "{moving:?}");
        let known: BTreeSet<_> = self.agents.values().map(|agent| &agent.machine).collect();
        assert_eq!(known, self.machines.keys().collect());
    }

    pub(super) fn phases(&self) -> Vec<Phase> {
        let machines = self.autoscaler.memory().machines.values();
        machines.map(|machine| machine.phase).collect()
    }
}

fn free(agent: &Agent) -> Resources {
    let used: Resources = agent.tasks.iter().map(|(each, _)| each).sum();
    agent.seen.info.resources.plain().minus(&used)
}

fn unmet(wish: &Wish, count: u32, now: Timestamp) -> Unmet {
    Unmet {
        framework_id: "f".parse().unwrap(),
        framework: "batch".to_owned(),
        role: "eng".parse().unwrap(),
        shape: Shape {
            gang: wish.gang.map(GangId),
            ..Shape::new(ShapeId(wish.id), wish.each.clone(), count)
        },
        over_limit: (wish.over_limit > 0).then(|| (wish.over_limit, "eng".to_owned(), "cpus".to_owned())),
        constraints: Default::default(),
        region: None,
        waiting: now.since(wish.since),
    }
}

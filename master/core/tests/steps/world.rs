//! A master with peers that are names. After every step the invariants are checked, and the state is compared with
//! the fold of the events.
//!
//! Ids are written without the first master's name: `a0`, `f0`, `o0`; those of a later one as `m2-a0`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proffer_master_core::{
    Command, Config, Effect, LinkId, Master, Output, Registry, RegistryChange, RoleConfig, State, Upkeep,
};
use proffer_types::agent_link::{AgentMessage, MasterMessage};
use proffer_types::scheduler_link::{Call, Event};
use proffer_types::{
    OperationStatus, ResourceChange, Role, Session, StatusUuid, TaskStatus, Timestamp, Unavailability,
};

pub(crate) struct World {
    allocator: &'static str,
    master: Master,
    folded: State,
    registry: Registry,
    config: Config,
    term: u32,
    pub(crate) now: Timestamp,
    /// Every master so far, first to last.
    masters: Vec<String>,
    n_links: u64,
    pub(crate) n_uuids: u8,
    names: BTreeMap<LinkId, String>,
    links: BTreeMap<String, LinkId>,
    late: BTreeMap<String, LinkId>,
    pub(crate) sessions: BTreeMap<String, Session>,
    /// Who has been given an id.
    pub(crate) known: BTreeSet<String>,
    /// The newest uuid each framework saw of a task, with the agent.
    pub(crate) uuids: BTreeMap<(String, String), (String, StatusUuid)>,
    /// The role each task was launched in, as its agent keeps it.
    pub(crate) roles: BTreeMap<String, Role>,
    pub(crate) muted: BTreeSet<String>,
    pub(crate) shows_shapes: bool,
    pub(crate) shows_away: bool,
    pub(crate) shows_registry: bool,
    lines: String,
}

fn start(allocator: &str, config: &Config, term: u32, registry: &Registry) -> (Master, State) {
    let allocator = proffer_allocator::by_name(allocator).unwrap();
    let seed = u64::from(term);
    let master = Master::recover(config.clone(), allocator, seed, term, registry.clone());
    let folded = State::new(config, master.id().clone(), term, registry);
    (master, folded)
}

impl World {
    pub(crate) fn new(allocator: &'static str) -> Self {
        let (config, registry) = (Config::default(), Registry::default());
        let (master, folded) = start(allocator, &config, 1, &registry);
        Self {
            allocator,
            masters: vec![master.id().to_string()],
            master,
            folded,
            registry,
            config,
            term: 1,
            now: Timestamp(0),
            n_links: 0,
            n_uuids: 0,
            names: BTreeMap::new(),
            links: BTreeMap::new(),
            late: BTreeMap::new(),
            sessions: BTreeMap::new(),
            known: BTreeSet::new(),
            uuids: BTreeMap::new(),
            roles: BTreeMap::new(),
            muted: BTreeSet::new(),
            shows_shapes: false,
            shows_away: false,
            shows_registry: false,
            lines: String::new(),
        }
    }

    /// The same master with another setting. Before anything happens.
    pub(crate) fn set(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        (self.master, self.folded) = start(self.allocator, &self.config, self.term, &self.registry);
        self.masters = vec![self.master.id().to_string()];
    }

    pub(crate) fn finish(self) -> String {
        self.lines
    }

    /// Takes a link for a peer that registers on it later.
    pub(crate) fn dial_ahead(&mut self, name: &str) {
        let link = LinkId(self.n_links);
        self.n_links += 1;
        self.names.insert(link, format!("{name}(late)"));
        self.late.insert(name.to_owned(), link);
    }

    /// A new link for a peer; an older one of the same name stays up, nameless here.
    pub(crate) fn dial(&mut self, name: &str) -> LinkId {
        if let Some(name) = name.strip_suffix("(late)") {
            return self.late[name];
        }
        let link = LinkId(self.n_links);
        self.n_links += 1;
        if let Some(old) = self.links.insert(name.to_owned(), link) {
            self.names.insert(old, format!("{name}(old)"));
        }
        self.names.insert(link, name.to_owned());
        link
    }

    pub(crate) fn link(&self, name: &str) -> LinkId {
        *self
            .links
            .get(name)
            .unwrap_or_else(|| panic!("nobody is called {name}"))
    }

    pub(crate) fn has_link(&self, name: &str) -> bool {
        self.links.contains_key(name)
    }

    /// The id behind a name: `a0`, or `m2-a0`.
    pub(crate) fn id(&self, name: &str) -> String {
        let later = name.strip_prefix('m').and_then(|rest| rest.split_once('-'));
        match later.and_then(|(nth, rest)| Some((nth.parse::<usize>().ok()?, rest))) {
            Some((nth, rest)) => format!("{}-{rest}", self.masters[nth - 1]),
            None => format!("{}-{name}", self.masters[0]),
        }
    }

    /// The master's own operations are named after it.
    pub(crate) fn id_of_operation(&self, name: &str) -> String {
        let own = name.strip_prefix("own-");
        own.map_or_else(|| name.to_owned(), |rest| format!("{}-{rest}", self.masters[0]))
    }

    /// A text with every id replaced by its name.
    pub(crate) fn named(&self, text: &str) -> String {
        let text = text.replace(&format!("{}-", self.masters[0]), "");
        let later = self.masters.iter().enumerate().skip(1);
        later.fold(text, |text, (nth, master)| {
            text.replace(master, &format!("m{}", nth + 1))
        })
    }

    /// Kills the master and starts another one on what is in the store. Nobody has a link any more.
    pub(crate) fn restart(&mut self) {
        self.term += 1;
        (self.master, self.folded) = start(self.allocator, &self.config, self.term, &self.registry);
        self.masters.push(self.master.id().to_string());
        self.links.clear();
        self.names.clear();
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        let until = self.now.after(time);
        while let Some(at) = self.master.next_deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.step(Command::Tick);
            let next = self.master.next_deadline();
            assert!(
                next.is_none_or(|next| next > self.now),
                "a tick leaves nothing due"
            );
        }
        self.now = until;
    }

    /// Has a shell wait for its store for a while, and hear nothing.
    pub(crate) fn deaf(&mut self, time: Duration) {
        let until = self.now.after(time);
        let mut n_beats = 0;
        while self.now < until {
            self.now = self.now.after(Duration::from_secs(1));
            let mut output = Output::default();
            self.master.beat(self.now, &mut output);
            self.master.sanity_check();
            assert!(
                output.events.is_empty() && output.registry.is_empty(),
                "{output:?}"
            );
            n_beats += output.effects.len();
        }
        self.say(&format!("{n_beats} heartbeats"));
    }

    pub(crate) fn show_roles(&mut self) {
        for role in self.master.snapshot().roles {
            self.say(&format!("role {} has {}", role.role, role.allocated));
        }
    }

    pub(crate) fn show_answers(&mut self) {
        for agent in self.master.snapshot().agents {
            for asked in &agent.asked {
                let answer = asked.answer.map(|answer| {
                    let word = if answer.accepted { "accepted" } else { "declined" };
                    format!("{word} at {}s", answer.at.0 / 1000)
                });
                let answer = answer.unwrap_or_else(|| "nothing".to_owned());
                let (framework, n_tasks) = (&asked.framework_id, asked.n_tasks);
                self.say(&format!(
                    "{framework} with {n_tasks} tasks on {} said {answer}",
                    agent.agent_id
                ));
            }
        }
    }

    pub(crate) fn say(&mut self, line: &str) {
        self.lines += &self.named(line);
        self.lines += "\n";
    }

    pub(crate) fn step(&mut self, command: Command) {
        let mut output = Output::default();
        self.master.step(self.now, command, &mut output);
        self.master.sanity_check();
        for event in &output.events {
            self.folded.apply(event);
        }
        assert_eq!(
            &self.folded,
            self.master.state(),
            "the state is the fold of its events"
        );
        let n_durable = output.events.iter().filter(|event| event.durable()).count();
        assert_eq!(
            n_durable,
            output.registry.len(),
            "each durable event leaves one record"
        );
        for change in &output.registry {
            self.registry.apply(change);
            if self.shows_registry {
                self.say(&record(change));
            }
        }
        for effect in output.effects {
            self.hear(effect);
        }
    }

    fn hear(&mut self, effect: Effect) {
        match effect {
            Effect::ToAgent {
                link,
                session,
                message,
            } => {
                let name = self.names[&link].clone();
                self.agent_hears(&name, link, session, message);
            }
            Effect::ToFramework { link, event } => {
                let name = self.names[&link].clone();
                self.framework_hears(&name, link, event);
            }
            Effect::CloseLink { link, reason } => {
                let name = self.names[&link].clone();
                self.say(&format!("{name} closed: {reason}"));
            }
            Effect::Reply { result, .. } => {
                let result = result.map_or_else(|error| error.to_string(), |()| "done".to_owned());
                self.say(&format!("operator <- {result}"));
            }
        }
    }

    fn agent_hears(&mut self, name: &str, link: LinkId, session: Session, message: MasterMessage) {
        let line = match message {
            MasterMessage::Registered { agent_id, .. } => {
                self.sessions.insert(name.to_owned(), session);
                let id = self.named(agent_id.as_str());
                self.known.insert(id.clone());
                format!("registered as {id}")
            }
            MasterMessage::RunTask {
                framework_id,
                role,
                info,
            } => {
                let task = format!("{framework_id}/{}", info.id);
                self.roles.insert(self.named(&task), role);
                format!("run {task} {}", info.resources)
            }
            MasterMessage::RunGroup {
                framework_id,
                role,
                group,
                tasks,
            } => {
                let mut line = format!("run group {group} of {framework_id}");
                for info in tasks {
                    let task = format!("{framework_id}/{}", info.id);
                    self.roles.insert(self.named(&task), role.clone());
                    line += &format!(" {} {}", info.id, info.resources);
                }
                line
            }
            MasterMessage::ApplyOperation {
                framework_id,
                id,
                change,
            } => {
                let id = id.map_or_else(String::new, |id| id.to_string());
                format!("apply {framework_id}/{id} {}", describe(&change))
            }
            MasterMessage::AcknowledgeOperation {
                framework_id,
                operation_id,
                uuid,
            } => format!(
                "acknowledge operation {framework_id}/{operation_id} #{}",
                uuid.0[0]
            ),
            MasterMessage::KillTask {
                framework_id,
                task_id,
                kill_policy,
            } => {
                let grace = kill_policy.grace_period.map(|grace| format!(" in {grace:?}"));
                format!("kill {framework_id}/{task_id}{}", grace.unwrap_or_default())
            }
            MasterMessage::SuspendTask {
                framework_id,
                task_id,
            } => format!("suspend {framework_id}/{task_id}"),
            MasterMessage::ResumeTask {
                framework_id,
                task_id,
                suspension,
            } => format!("resume {framework_id}/{task_id}*{suspension}"),
            MasterMessage::AcknowledgeStatus {
                framework_id,
                task_id,
                uuid,
            } => format!("acknowledge {framework_id}/{task_id} #{}", uuid.0[0]),
            MasterMessage::ShutdownFramework { framework_id } => format!("shut down {framework_id}"),
            MasterMessage::Refused { message } => format!("refused: {message}"),
            MasterMessage::Gone { message } => format!("gone: {message}"),
            MasterMessage::Heartbeat { interval } => {
                if !self.muted.contains(name) {
                    let messages = vec![AgentMessage::Heartbeat { interval }];
                    self.step(Command::AgentFrame {
                        link,
                        session,
                        messages,
                    });
                }
                return;
            }
        };
        self.say(&format!("{name} <- {line}"));
    }

    fn framework_hears(&mut self, name: &str, link: LinkId, event: Event) {
        let lines = match event {
            Event::Subscribed { framework_id, .. } => {
                let id = self.named(framework_id.as_str());
                self.known.insert(id.clone());
                vec![format!("subscribed as {id}")]
            }
            Event::Offers(offers) => offers
                .iter()
                .map(|o| {
                    let shapes = o.shapes.iter().map(|(shape, n)| format!(" {n} of {}", shape.0));
                    let gang = o
                        .gang
                        .map(|gang| format!(" gang {} of {}", gang.id.0, gang.n_offers));
                    let window = o.unavailability.map(window_text);
                    let rest: String = shapes.chain(gang).chain(window).collect();
                    format!("offer {} {} {} {}{rest}", o.id, o.agent_id, o.role, o.resources)
                })
                .collect(),
            Event::InverseOffers(offers) => offers
                .iter()
                .map(|o| {
                    let window = match o.is_drained {
                        true => format!(" drained until {}s", o.unavailability.start.0 / 1000),
                        false => window_text(o.unavailability),
                    };
                    format!("inverse offer {} {} {}{window}", o.id, o.agent_id, o.resources)
                })
                .collect(),
            Event::RescindInverse(id) => vec![format!("rescind inverse {id}")],
            Event::Rescind(id) => vec![format!("rescind {id}")],
            Event::Update(status) => vec![self.update(name, &status)],
            Event::OperationUpdate(status) => vec![self.operation_update(name, &status)],
            Event::AgentLost(id) => vec![format!("agent {id} lost")],
            Event::Shapes { n_agents, largest } if self.shows_shapes => {
                let largest: Vec<_> = largest.iter().map(ToString::to_string).collect();
                vec![format!("{n_agents} agents up to [{}]", largest.join(", "))]
            }
            Event::Error { message } => vec![format!("error: {message}")],
            Event::Heartbeat if !self.muted.contains(name) => {
                let calls = vec![Call::Ping];
                return self.step(Command::SchedulerCalls { link, calls });
            }
            Event::AgentAway { agent_id, away_for } if self.shows_away => {
                vec![format!("agent {agent_id} away for {away_for:?}")]
            }
            Event::AgentBack(id) if self.shows_away => vec![format!("agent {id} back")],
            // For frameworks that ask for it only.
            Event::Agents { agents, gone } => {
                let known = agents.iter().map(|known| {
                    let used = if known.is_offered { "" } else { " out of use" };
                    format!(" {} {}{used}", known.id, known.info.resources)
                });
                let gone = gone.iter().map(|id| format!(" {id} gone"));
                vec![format!(
                    "agents{}",
                    known.chain(gone).collect::<Vec<_>>().join(",")
                )]
            }
            Event::Shapes { .. } | Event::Heartbeat | Event::AgentAway { .. } | Event::AgentBack(_) => return,
        };
        for line in lines {
            self.say(&format!("{name} <- {line}"));
        }
    }

    fn operation_update(&mut self, name: &str, status: &OperationStatus) -> String {
        let id = status.operation_id.to_string();
        let mut line = format!("operation {id} {}", status.state.as_str());
        if !status.message.is_empty() {
            line += &format!(" ({})", status.message);
        }
        if let (Some(uuid), Some(agent)) = (status.uuid, &status.agent_id) {
            line += &format!(" #{}", uuid.0[0]);
            let seen = (self.named(agent.as_str()), uuid);
            self.uuids.insert((name.to_owned(), id), seen);
        }
        line
    }

    fn update(&mut self, name: &str, status: &TaskStatus) -> String {
        let task = status.task_id.to_string();
        let mut line = format!("{task} {}", status.state.as_str());
        if status.condition.is_suspended() {
            line += &format!("*{}", status.condition.suspension);
        }
        if let Some(reason) = status.reason {
            line += &format!(" {}", reason.as_str());
        }
        if !status.message.is_empty() {
            line += &format!(" ({})", status.message);
        }
        if let (Some(uuid), Some(agent)) = (status.uuid, &status.agent_id) {
            line += &format!(" #{}", uuid.0[0]);
            let seen = (self.named(agent.as_str()), uuid);
            self.uuids.insert((name.to_owned(), task), seen);
        }
        line
    }
}

/// What is not the default of a role.
fn settings(config: &RoleConfig) -> String {
    let mut words = vec![format!("weight {}", config.weight_millis)];
    if config.priority != 0 {
        words.push(format!("priority {}", config.priority));
    }
    if !config.quota.guarantee.is_empty() {
        words.push(format!("guarantee {}", config.quota.guarantee));
    }
    for (name, limit) in &config.quota.limit {
        words.push(format!("limit {name}:{limit}"));
    }
    words.join(" ")
}

fn describe(change: &ResourceChange) -> String {
    match change {
        ResourceChange::Reserve {
            resources,
            reservation,
        } => format!("reserve {resources} to {}", reservation.role),
        ResourceChange::Unreserve { resources } => format!("unreserve {resources}"),
        ResourceChange::Create { disk, volume } => format!("create {} of {disk}", volume.id),
        ResourceChange::Destroy { volume } => format!("destroy {volume}"),
        ResourceChange::Grow {
            volume,
            addition_bytes,
        } => format!("grow {volume} by {addition_bytes}"),
        ResourceChange::Shrink {
            volume,
            subtract_bytes,
        } => format!("shrink {volume} by {subtract_bytes}"),
    }
}

fn upkeep(upkeep: &Upkeep) -> String {
    let deactivated = upkeep.deactivated.map(|_| " deactivated".to_owned());
    let drain = upkeep.drain.as_ref();
    let drain = drain.map(|drain| {
        let asks = drain.kills_at.map(|at| format!(" until {}s", at.0 / 1000));
        let asks = asks.unwrap_or_default();
        format!(" {:?} {}/{}{asks}", drain.phase, drain.request, drain.position)
    });
    let windows = upkeep.windows.iter().map(|window| {
        let begun = if window.begun { " begun" } else { "" };
        format!(" {}{}{begun}", window.name, window_text(window.time))
    });
    deactivated.into_iter().chain(drain).chain(windows).collect()
}

/// ` [60s..90s)`
fn window_text(time: Unavailability) -> String {
    format!(" [{}s..{}s)", time.start.0 / 1000, time.end().0 / 1000)
}

fn record(change: &RegistryChange) -> String {
    match change {
        RegistryChange::PutAgent(r) => {
            let since = r
                .unreachable_since
                .map(|since| format!(" unreachable since {since:?}"));
            let gone = r.gone_since.map(|since| format!(" gone since {since:?}"));
            let since = since.or(gone).unwrap_or_default();
            format!(
                "store agent {} {}{since}{}",
                r.agent_id,
                r.info.resources,
                upkeep(&r.upkeep)
            )
        }
        RegistryChange::PutFramework(r) => {
            let until = r.failover_deadline.map(|until| format!(" away until {until:?}"));
            let completed = if r.completed { " completed" } else { "" };
            let until = until.unwrap_or_default();
            let orphaned = r.orphaned_since.map(|since| format!(" orphaned since {since:?}"));
            let orphaned = orphaned.unwrap_or_default();
            format!(
                "store framework {} order {}{until}{orphaned}{completed}",
                r.framework_id, r.order
            )
        }
        RegistryChange::PutRole(r) => format!("store role {} {}", r.role, settings(&r.config)),
        RegistryChange::DeleteAgent(id) => format!("forget agent {id}"),
        RegistryChange::DeleteFramework(id) => format!("forget framework {id}"),
        RegistryChange::DeleteRole(role) => format!("forget role {role}"),
    }
}

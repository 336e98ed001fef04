//! What goes wrong, and when: breaks, partitions, crashes, and requests of operators, until everything is healed.

use std::collections::BTreeMap;
use std::time::Duration;

use proffer_master_core::{OperatorRequest, Snapshot};
use proffer_types::{KillPolicy, Kind, Reservation, Resources, Role};

use crate::dice::Dice;
use crate::facts::Fact;
use crate::fault_plan::FaultKind;
use crate::network::{Direction, Peer};
use crate::world::{Happening, Node, World};

impl World {
    pub(crate) fn fault(&mut self, n: usize) {
        let Some(fault) = self.scenario.faults.planned.get(n).copied() else {
            return;
        };
        if self.healed {
            return;
        }
        // Whom it hits does not depend on what else there is.
        let mut dice = Dice::new(fault.seed);
        std::mem::swap(&mut self.dice, &mut dice);
        self.strike(fault.kind);
        std::mem::swap(&mut self.dice, &mut dice);
    }

    fn strike(&mut self, kind: FaultKind) {
        let agent = self.dice.index(self.agents.len());
        let framework = self.dice.index(self.frameworks.len());
        // Mostly it is the leader that matters.
        let master = self.dice.index(self.masters.len());
        let leader = self.leader().filter(|_| self.dice.chance(600));
        let master = leader.unwrap_or(master);
        let client = if self.dice.chance(500) {
            Peer::Agent(agent)
        } else {
            Peer::Framework(framework)
        };
        match kind {
            FaultKind::StreamBreaks => self.break_a_stream(),
            FaultKind::ClientCutOff => self.cut_off(client, master),
            FaultKind::AgentCrashes => self.crash_agent(agent),
            FaultKind::HostReboots => self.reboot_host(agent),
            FaultKind::MasterCrashes => self.crash_master(master),
            FaultKind::MasterStops => self.stop_master(master),
            FaultKind::MasterHangs => self.hang_a_while(Node::Master(master)),
            FaultKind::AgentHangs => self.hang_a_while(Node::Agent(agent)),
            FaultKind::FrameworkCrashes => self.crash_framework(framework),
            FaultKind::FrameworkHangs => self.hang_a_while(Node::Framework(framework)),
            FaultKind::StoreCutOff => self.cut_off_store(master),
            FaultKind::StoreHangs => self.hang_a_while(Node::Store),
            FaultKind::OperatorAsks => self.ask_for_something(),
        }
    }

    fn hang_a_while(&mut self, node: Node) {
        let length = self.length();
        self.hang(node, length);
    }

    fn break_a_stream(&mut self) {
        let streams = self.network.whole();
        if !streams.is_empty() {
            let stream = streams[self.dice.index(streams.len())];
            self.say(format_args!("fault: {stream:?} breaks"));
            self.network.break_off(stream, &mut self.queue, &mut self.dice);
        }
    }

    /// Mostly short, sometimes long enough to be given up; over when all is healed.
    fn length(&mut self) -> Duration {
        let length = if self.dice.chance(600) {
            self.dice.millis(1..14_000)
        } else {
            self.dice.seconds(14..150)
        };
        length.min(self.scenario.faults.until.since(self.now()))
    }

    /// One client, from one master or all, in one direction or both.
    fn cut_off(&mut self, client: Peer, master: usize) {
        let until = self.now().after(self.length());
        let masters = if self.dice.chance(500) {
            0..self.masters.len()
        } else {
            master..master + 1
        };
        let directions = self.directions();
        self.say(format_args!(
            "fault: between {client:?} and masters {masters:?} nothing goes {directions:?} until {until:?}"
        ));
        for master in masters {
            for direction in directions {
                self.network.cut(client, master, *direction, until);
            }
        }
    }

    fn cut_off_store(&mut self, master: usize) {
        let until = self.now().after(self.length());
        let directions = self.directions();
        self.say(format_args!(
            "fault: between master {master} and the store nothing goes {directions:?} until {until:?}"
        ));
        for direction in directions {
            self.store_cuts.insert((master, *direction), until);
        }
    }

    fn directions(&mut self) -> &'static [Direction] {
        match self.dice.number(0..4) {
            0 => &[Direction::Up],
            1 => &[Direction::Down],
            _ => &[Direction::Up, Direction::Down],
        }
    }

    /// How long a process stays down: mostly a restart, sometimes long enough to be given up.
    pub(crate) fn downtime(&mut self) -> Duration {
        let down = if self.dice.chance(800) {
            self.dice.millis(1..5_000)
        } else {
            self.dice.seconds(5..150)
        };
        let left = self.scenario.faults.until.since(self.now());
        down.min(left + Duration::from_secs(3))
    }

    /// An operator's request at a random moment.
    fn ask_for_something(&mut self) {
        let leader = self.leader();
        let Some(core) = leader.and_then(|m| self.masters[m].core()) else {
            return;
        };
        let snapshot = core.snapshot();
        let operation = match self.dice.number(0..16) {
            0..3 => Some(self.quota()),
            3..5 => self.reservation(&snapshot),
            5..7 => Some(OperatorRequest::SetRole {
                role: self.role(),
                weight_millis: Some(self.dice.number(1..10) * 500),
                priority: None,
                guarantee: None,
                limit: None,
                force: false,
            }),
            7..10 => self.kill(&snapshot),
            _ => self.upkeep(&snapshot),
        };
        if let Some(operation) = operation {
            self.master_asked(operation);
        }
    }

    fn kill(&mut self, snapshot: &Snapshot) -> Option<OperatorRequest> {
        let tasks = &snapshot.tasks;
        let task = (!tasks.is_empty()).then(|| &tasks[self.dice.index(tasks.len())])?;
        Some(OperatorRequest::KillTask {
            framework_id: task.framework_id.clone(),
            task_id: task.info.id.clone(),
            kill_policy: KillPolicy::default(),
        })
    }

    /// A quota for some role: now and then one that the cluster cannot keep.
    fn quota(&mut self) -> OperatorRequest {
        let some = |dice: &mut Dice| Resources::of(dice.number(0..9) * 500, dice.number(0..9) << 28, 0);
        let limit = self.dice.chance(500).then(|| some(&mut self.dice));
        OperatorRequest::SetRole {
            role: self.role(),
            weight_millis: None,
            priority: self.dice.chance(300).then(|| i32::from(self.dice.chance(500))),
            guarantee: self.dice.chance(300).then(|| some(&mut self.dice)),
            limit: limit.map(|limit| {
                let scalars = limit.scalars().map(|(name, units)| (name.clone(), units));
                scalars.collect()
            }),
            force: self.dice.chance(300),
        }
    }

    /// Reserves some disk, or gives some back.
    fn reservation(&mut self, snapshot: &Snapshot) -> Option<OperatorRequest> {
        let agents: Vec<_> = snapshot.agents.iter().collect();
        if agents.is_empty() {
            return None;
        }
        let agent = agents[self.dice.index(agents.len())];
        let agent_id = agent.agent_id.clone();
        let kinds: Vec<_> = agent
            .info
            .resources
            .kinds()
            .filter(|(kind, _)| kind.volume.is_none())
            .collect();
        if kinds.is_empty() || self.dice.chance(400) {
            let kind = Kind::reserved([Reservation::dynamic(Role::new("eng").ok()?)]);
            let disk = Resources::of(0, 0, self.dice.number(1..32) << 20);
            let resources = Resources::new().with_kind(kind, disk).ok()?;
            return Some(OperatorRequest::Reserve { agent_id, resources });
        }
        let (kind, bundle) = kinds[self.dice.index(kinds.len())];
        let resources = Resources::new().with_kind(kind.clone(), bundle.clone()).ok()?;
        Some(OperatorRequest::Unreserve { agent_id, resources })
    }

    fn role(&mut self) -> Role {
        let roles = ["*", "eng", "eng/prod", "ops"];
        Role::new(roles[self.dice.index(roles.len())]).expect("a valid role")
    }

    /// Quotas would keep work from its end: they are lifted, again and again until none is left.
    pub(crate) fn lift_quotas(&mut self) {
        let leader = self.leader();
        let core = leader.and_then(|m| self.masters[m].core());
        let roles = core.map(|core| core.snapshot().roles);
        let is_down = roles.is_none();
        let limited = roles
            .into_iter()
            .flatten()
            .filter(|role| !role.quota.is_default());
        let limited: Vec<Role> = limited.map(|view| view.role).collect();
        if is_down || !limited.is_empty() {
            self.queue.after(Duration::from_secs(2), Happening::LiftQuotas);
        }
        for role in limited {
            self.master_asked(OperatorRequest::SetRole {
                role,
                weight_millis: None,
                priority: None,
                guarantee: Some(Resources::new()),
                limit: Some(BTreeMap::new()),
                force: false,
            });
        }
    }

    /// From here on everything works, and what is down comes up.
    pub(crate) fn heal(&mut self) {
        let now = self.now();
        self.trace.line(now, format_args!("healed"));
        self.healed = true;
        self.observe(&Fact::Healed);
        self.repair();
        self.queue.after(Duration::from_secs(1), Happening::LiftQuotas);
        self.queue
            .after(Duration::from_secs(1), Happening::AgentsGivenBack);
        self.network.late_permille = 0;
        self.network.max_delay_ms = self.network.max_delay_ms.min(50);
    }
}

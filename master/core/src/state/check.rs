//! Whether the state is in order; for tests and the simulator.

use std::collections::{BTreeMap, BTreeSet};

use proffer_allocator::{Claim, ClaimKind};
use proffer_types::{AgentId, FrameworkId, Resources, Role};

use super::{AgentPresence, Deadline, Peer, State};

impl State {
    /// Checks every invariant. Panics with what is broken.
    pub fn check(&self) {
        self.check_claims();
        self.check_bundles();
        self.check_operations();
        self.check_agents();
        self.check_upkeep();
        self.check_inverse();
        self.check_links();
        self.check_orphans();
        self.check_deadlines();
    }

    /// Claims are exactly the outstanding offers and the tasks that hold resources.
    fn check_claims(&self) {
        let mut owned = BTreeSet::new();
        for (id, offer) in self.offers() {
            let claim = self.ledger.claim_of(offer.claim).expect("an offer has a claim");
            assert!(owned.insert(offer.claim), "the claim of offer {id} is its own");
            assert_eq!(claim.kind, ClaimKind::Offer, "the claim of offer {id}");
            self.check_claim(claim, &offer.agent_id, &offer.framework_id, &offer.role);
            let gang = offer.gang.as_ref().map(|bundle| bundle.gang);
            assert_eq!(claim.gang, gang, "the gang of offer {id}");
        }
        for task in self.tasks() {
            let info = &task.view.info;
            let holds = task.view.state.holds_resources();
            assert_eq!(
                task.claim.is_some(),
                holds,
                "whether task {} has a claim",
                info.id
            );
            let Some(ix) = task.claim else {
                continue;
            };
            let claim = self.ledger.claim_of(ix).expect("the claim of a task is there");
            assert!(owned.insert(ix), "the claim of task {} is its own", info.id);
            assert_eq!(claim.kind, ClaimKind::Task, "the claim of task {}", info.id);
            let held = info.held(task.view.status.condition.is_suspended());
            assert_eq!(claim.resources, *held, "what the claim of task {} holds", info.id);
            let gave_up = match task.view.status.condition.is_suspended() {
                true => info.resources.cpus(),
                false => Resources::new(),
            };
            assert_eq!(claim.suspended, gave_up, "what task {} gave up", info.id);
            self.check_claim(claim, &info.agent_id, &task.view.framework_id, &task.view.role);
        }
        let all: BTreeSet<_> = self.ledger.claims().map(|(ix, _)| ix).collect();
        assert_eq!(all, owned, "every claim is of an offer or a task");
        self.ledger.check();
    }

    fn check_claim(&self, claim: &Claim, agent: &AgentId, framework: &FrameworkId, role: &Role) {
        let on = self.ledger.agent(claim.agent).map(|entry| &entry.id);
        assert_eq!(on, Some(agent), "the agent of a claim");
        assert_eq!(
            Some(claim.leaf),
            self.ledger.leaf_ix(framework, role),
            "the leaf of a claim"
        );
    }

    fn check_operations(&self) {
        let listed = self
            .agents()
            .flat_map(|(id, agent)| agent.operations.iter().map(move |key| (key.clone(), id.clone())));
        let listed: Vec<_> = listed.collect();
        let all = self
            .operations()
            .map(|(framework, id, entry)| ((framework.clone(), id.clone()), entry.agent_id.clone()));
        let all: BTreeMap<_, _> = all.collect();
        assert_eq!(
            listed.len(),
            all.len(),
            "every operation is in the list of one agent"
        );
        assert_eq!(
            listed.into_iter().collect::<BTreeMap<_, _>>(),
            all,
            "the agents of operations"
        );
    }

    fn check_bundles(&self) {
        let mut expected: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (id, offer) in self.offers() {
            if let Some(bundle) = &offer.gang {
                expected
                    .entry(bundle.first.clone())
                    .or_default()
                    .insert(id.clone());
            }
        }
        assert_eq!(self.offers.bundles, expected, "the index of bundles");
        for (first, offers) in &expected {
            let owners: BTreeSet<_> = offers
                .iter()
                .filter_map(|id| self.offer(id))
                .map(|offer| (&offer.framework_id, &offer.role, &offer.gang))
                .collect();
            assert_eq!(owners.len(), 1, "bundle {first} is of one gang");
        }
    }

    fn check_agents(&self) {
        for (id, agent) in self.agents() {
            let tasks: BTreeSet<_> = self
                .tasks()
                .filter(|task| task.view.info.agent_id == *id)
                .map(|task| (task.view.framework_id.clone(), task.view.info.id.clone()))
                .collect();
            assert_eq!(agent.tasks, tasks, "the index of tasks of agent {id}");
            let offers: BTreeSet<_> = self
                .offers()
                .filter(|(_, offer)| offer.agent_id == *id)
                .map(|(offer, _)| offer.clone())
                .collect();
            assert_eq!(agent.offers, offers, "the index of offers of agent {id}");
            let ix = self.ledger.agent_ix(id);
            let entry = ix.and_then(|ix| self.ledger.agent(ix));
            match agent.presence {
                AgentPresence::Active { .. } => {
                    let entry = entry.expect("an active agent is in the ledger");
                    assert_eq!(
                        entry.active,
                        agent.upkeep.is_offered(),
                        "whether agent {id} is active in the ledger"
                    );
                    assert_eq!(
                        entry.out_of_use, !entry.active,
                        "whether agent {id} is out of use"
                    );
                    assert!(
                        entry.active || offers.is_empty(),
                        "agent {id} is out of use and offered"
                    );
                    assert_eq!(entry.info, agent.info, "what the ledger knows of agent {id}");
                }
                AgentPresence::Disconnected { .. } => {
                    assert!(entry.is_some_and(|e| !e.active), "agent {id} must not be offered");
                    assert!(offers.is_empty(), "agent {id} is away and offered");
                }
                AgentPresence::Recovered { .. } | AgentPresence::Unreachable { .. } => {
                    assert!(entry.is_none(), "agent {id} must not be in the ledger");
                    assert!(offers.is_empty(), "agent {id} is away and offered");
                }
            }
        }
        for (id, framework) in self.frameworks() {
            let offers: BTreeSet<_> = self
                .offers()
                .filter(|(_, offer)| offer.framework_id == *id)
                .map(|(offer, _)| offer.clone())
                .collect();
            assert_eq!(framework.offers, offers, "the index of offers of framework {id}");
            assert!(
                offers.is_empty() || framework.link().is_some(),
                "framework {id} is away and holds offers"
            );
        }
    }

    fn check_links(&self) {
        let n_recovered = self.agents().filter(|(_, agent)| agent.is_recovered()).count();
        assert_eq!(
            u32::try_from(n_recovered),
            Ok(self.n_recovered_agents()),
            "how many agents are expected back"
        );
        let agents = self
            .agents()
            .filter_map(|(id, agent)| Some((agent.link()?.0, Peer::Agent(id.clone()))));
        let frameworks = self
            .frameworks()
            .filter_map(|(id, framework)| Some((framework.link()?, Peer::Framework(id.clone()))));
        let links: BTreeMap<_, _> = agents.chain(frameworks).collect();
        assert_eq!(self.links, links, "links must be those of agents and frameworks");
    }

    fn check_deadlines(&self) {
        let mut expected = BTreeSet::new();
        for (id, agent) in self.agents() {
            if let Some(deadline) = agent.upkeep.asks_until() {
                expected.insert((deadline, Deadline::Drain(id.clone())));
            }
            if let Some(turn) = agent.upkeep.next_turn() {
                expected.insert((turn, Deadline::Window(id.clone())));
            }
            match agent.presence {
                AgentPresence::Disconnected { deadline }
                | AgentPresence::Recovered {
                    deadline: Some(deadline),
                } => {
                    expected.insert((deadline, Deadline::Agent(id.clone())));
                }
                AgentPresence::Recovered { deadline: None }
                | AgentPresence::Active { .. }
                | AgentPresence::Unreachable { .. } => {}
            }
        }
        for (id, framework) in self.frameworks() {
            if let Some(deadline) = framework.deadline() {
                expected.insert((deadline, Deadline::Framework(id.clone())));
            }
        }
        for (id, offer) in self.offers() {
            if let Some(expires) = offer.expires {
                expected.insert((expires, Deadline::Offer(id.clone())));
            }
        }
        expected.extend(self.inverse_deadlines());
        assert_eq!(self.deadlines, expected, "the index of deadlines");
    }
}

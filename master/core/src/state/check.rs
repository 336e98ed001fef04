//! Whether the state is in order; for tests and the simulator.

use std::collections::{BTreeMap, BTreeSet};

use proffer_allocator::{Claim, ClaimId};

use super::{AgentPresence, Deadline, Peer, State};

impl State {
    /// Checks every invariant. Panics with what is broken.
    pub fn check(&self) {
        self.check_claims();
        self.check_agents();
        self.check_links();
        self.check_deadlines();
    }

    /// Claims are exactly the outstanding offers and the tasks that hold resources.
    fn check_claims(&self) {
        let offers = self.offers().map(|(id, offer)| {
            let claim = Claim {
                agent_id: offer.agent_id.clone(),
                framework_id: offer.framework_id.clone(),
                role: offer.role.clone(),
                resources: offer.resources.clone(),
            };
            (ClaimId::Offer(id.clone()), claim)
        });
        let holding = self.tasks().filter(|task| task.view.state.holds_resources());
        let tasks = holding.map(|task| {
            let view = &task.view;
            let claim = Claim {
                agent_id: view.info.agent_id.clone(),
                framework_id: view.framework_id.clone(),
                role: view.role.clone(),
                resources: view.info.resources.clone(),
            };
            (
                ClaimId::Task(view.framework_id.clone(), view.info.id.clone()),
                claim,
            )
        });
        let expected: BTreeMap<_, _> = offers.chain(tasks).collect();
        let actual: BTreeMap<_, _> = self
            .ledger
            .claims()
            .map(|(id, claim)| (id.clone(), claim.clone()))
            .collect();
        assert_eq!(
            actual, expected,
            "claims must be the offers and the tasks that hold resources"
        );
        self.ledger.check();
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
            let entry = self.ledger.agent(id);
            match agent.presence {
                AgentPresence::Active { .. } => {
                    let entry = entry.expect("an active agent is in the ledger");
                    assert!(entry.active, "agent {id} must be active in the ledger");
                    assert_eq!(
                        entry.total, agent.info.resources,
                        "the total of agent {id} in the ledger"
                    );
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
        assert_eq!(self.deadlines, expected, "the index of deadlines");
    }
}

//! Inverse offers: who is asked to leave an agent that is drained, or before its maintenance window, and what they said.
//!
//! Of each agent the drain is asked about that it is in, until its deadline, or its first window, while that is to come. An
//! inverse offer stands until it is declined or rescinded, with the drain or window, or until the framework's subscription
//! ends; one that is accepted, too: so its framework hears that it need not leave any more. Answers are kept as long
//! as the drain asks, or the window is; they are soft state, and a new master asks anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proffer_allocator::Change;
use proffer_types::{AgentId, FrameworkId, InverseOffer, OfferId, Resources, Timestamp, Unavailability};

use super::{Deadline, Framework, State};
use crate::{Announced, InverseEnd};

/// What became of asking one framework for one agent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// The one that stands.
    offer: Option<OfferId>,
    /// The last word on this drain or window.
    pub answer: Option<InverseAnswer>,
    quiet: Quiet,
}

/// A framework's answer to an inverse offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InverseAnswer {
    pub accepted: bool,
    pub at: Timestamp,
}

/// How long not to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Quiet {
    #[default]
    Not,
    Until(Timestamp),
    /// In this subscription, about this drain or window.
    ForGood,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct InverseOffers {
    standing: BTreeMap<OfferId, (AgentId, FrameworkId)>,
    asked: BTreeMap<AgentId, BTreeMap<FrameworkId, Asked>>,
}

impl State {
    /// Whom an inverse offer that stands asks for which agent.
    #[must_use]
    pub fn inverse_offer(&self, id: &OfferId) -> Option<&(AgentId, FrameworkId)> {
        self.inverse.standing.get(id)
    }

    /// Who was asked about the agent's drain or first window, and what they said.
    pub fn asked_for(&self, agent: &AgentId) -> impl Iterator<Item = (&FrameworkId, &Asked)> {
        self.inverse.asked.get(agent).into_iter().flatten()
    }

    /// Whether there is anything to ask, or to take back.
    pub(crate) fn asks_nothing(&self) -> bool {
        let is_quiet = self.agents.windows.is_empty() && self.agents.drains.is_empty();
        is_quiet && self.inverse.asked.is_empty()
    }

    /// The agents that have windows or are in a drain. An agent may come more than once.
    pub(crate) fn agents_to_leave(&self) -> impl Iterator<Item = &AgentId> {
        self.agents
            .windows
            .values()
            .flatten()
            .chain(self.agents_in_drains())
    }

    /// Who is to be asked about an agent: the frameworks that are there and have tasks on it, if it is drained and its
    /// deadline is to come, or its first window. With what their tasks hold.
    pub(crate) fn to_be_asked(&self, id: &AgentId) -> BTreeMap<FrameworkId, Resources> {
        let mut holders = BTreeMap::new();
        let agent = self.agent(id).filter(|agent| agent.upkeep.announced().is_some());
        for (framework, task) in agent.into_iter().flat_map(|agent| &agent.tasks) {
            let is_there = self.framework(framework).and_then(Framework::link).is_some();
            let task = self.task(framework, task).filter(|task| task.claim.is_some());
            if let (true, Some(task)) = (is_there, task) {
                let sum: &mut Resources = holders.entry(framework.clone()).or_default();
                sum.add(&task.view.held());
            }
        }
        holders
    }

    /// Whether a framework that is to be asked was, or wants to be left alone.
    pub(crate) fn is_asked(&self, agent: &AgentId, framework: &FrameworkId) -> bool {
        let asked = self.inverse.asked.get(agent).and_then(|all| all.get(framework));
        asked.is_some_and(|asked| asked.offer.is_some() || asked.quiet != Quiet::Not)
    }

    /// An inverse offer that stands as its scheduler sees it.
    pub(crate) fn inverse_offer_view(&self, id: &OfferId, resources: Resources) -> Option<InverseOffer> {
        let (agent_id, framework_id) = self.inverse_offer(id)?;
        let agent = self.agent(agent_id)?;
        let announced = agent.upkeep.announced()?;
        let unavailability = match announced {
            Announced::Window(time) => time,
            // Its operator ends it.
            Announced::Drain(start) => Unavailability {
                start,
                duration: Duration::from_millis(u64::MAX),
            },
        };
        Some(InverseOffer {
            id: id.clone(),
            framework_id: framework_id.clone(),
            agent_id: agent_id.clone(),
            hostname: agent.info.hostname.clone(),
            unavailability,
            is_drained: matches!(announced, Announced::Drain(_)),
            resources,
        })
    }

    pub(super) fn inverse_offer_made(
        &mut self,
        id: &OfferId,
        framework: &FrameworkId,
        agent: &AgentId,
    ) -> Vec<Change> {
        self.offers.n_made += 1;
        self.edit_asked(agent, framework, |asked| {
            asked.offer = Some(id.clone());
            asked.quiet = Quiet::Not;
        });
        let key = (agent.clone(), framework.clone());
        self.inverse.standing.insert(id.clone(), key);
        Vec::new()
    }

    pub(super) fn inverse_offer_ended(
        &mut self,
        id: &OfferId,
        end: InverseEnd,
        at: Timestamp,
    ) -> Vec<Change> {
        let Some((agent, framework)) = self.inverse.standing.get(id).cloned() else {
            return Vec::new();
        };
        let answer = |accepted| Some(InverseAnswer { accepted, at });
        self.edit_asked(&agent, &framework, |asked| match end {
            InverseEnd::Accepted => {
                asked.quiet = Quiet::ForGood;
                asked.answer = answer(true);
            }
            InverseEnd::Declined { until } => {
                asked.offer = None;
                asked.quiet = Quiet::Until(until);
                asked.answer = answer(false);
            }
            InverseEnd::Rescinded => asked.offer = None,
        });
        if end != InverseEnd::Accepted {
            self.inverse.standing.remove(id);
        }
        Vec::new()
    }

    pub(super) fn inverse_refusal_over(&mut self, framework: &FrameworkId, agent: &AgentId) -> Vec<Change> {
        self.edit_asked(agent, framework, |asked| asked.quiet = Quiet::Not);
        Vec::new()
    }

    /// What was asked of a framework ends with its subscription; what it said stays.
    pub(super) fn end_asking(&mut self, framework: &FrameworkId) {
        for agent in self.asked_agents(framework) {
            self.edit_asked(&agent, framework, |asked| {
                asked.offer = None;
                asked.quiet = Quiet::Not;
            });
        }
        self.inverse.standing.retain(|_, (_, asked)| asked != framework);
    }

    /// Nothing is left of what was asked of a framework.
    pub(super) fn forget_asked_framework(&mut self, framework: &FrameworkId) {
        for agent in self.asked_agents(framework) {
            self.edit_asked(&agent, framework, |asked| *asked = Asked::default());
        }
        self.inverse.standing.retain(|_, (_, asked)| asked != framework);
    }

    /// Nothing is left of what was asked about an agent.
    pub(super) fn forget_asked_agent(&mut self, agent: &AgentId) {
        let asked = self.inverse.asked.get(agent).into_iter().flatten();
        let frameworks: Vec<_> = asked.map(|(framework, _)| framework.clone()).collect();
        for framework in frameworks {
            self.edit_asked(agent, &framework, |asked| *asked = Asked::default());
            self.inverse
                .standing
                .retain(|_, (of, by)| (&*of, &*by) != (agent, &framework));
        }
    }

    fn asked_agents(&self, framework: &FrameworkId) -> Vec<AgentId> {
        let asked = self.inverse.asked.iter();
        let with = asked.filter(|(_, asked)| asked.contains_key(framework));
        with.map(|(agent, _)| agent.clone()).collect()
    }

    /// Changes an entry, with its deadline; one that says nothing any more is dropped.
    fn edit_asked(&mut self, agent: &AgentId, framework: &FrameworkId, edit: impl FnOnce(&mut Asked)) {
        let of_agent = self.inverse.asked.entry(agent.clone()).or_default();
        let asked = of_agent.entry(framework.clone()).or_default();
        let old = asked.due();
        edit(asked);
        let new = asked.due();
        if *asked == Asked::default() {
            of_agent.remove(framework);
        }
        if of_agent.is_empty() {
            self.inverse.asked.remove(agent);
        }
        let whose = Deadline::Inverse(agent.clone(), framework.clone());
        self.set_deadline(&whose, old, new);
    }

    pub(super) fn inverse_deadlines(&self) -> impl Iterator<Item = (Timestamp, Deadline)> {
        let asked = self.inverse.asked.iter();
        let all = asked.flat_map(|(agent, asked)| asked.iter().map(move |one| (agent, one)));
        all.filter_map(|(agent, (framework, asked))| {
            Some((asked.due()?, Deadline::Inverse(agent.clone(), framework.clone())))
        })
    }

    pub(super) fn check_inverse(&self) {
        let mut standing = BTreeMap::new();
        for (id, asked) in &self.inverse.asked {
            let agent = self.agent(id).expect("an agent that is asked for is there");
            let is_to_leave = !agent.upkeep.windows.is_empty() || agent.upkeep.asks_until().is_some();
            assert!(is_to_leave, "agent {id} is drained, or has a window");
            for (framework, asked) in asked {
                assert_ne!(
                    asked,
                    &Asked::default(),
                    "what is kept of {framework} says something"
                );
                if let Some(offer) = &asked.offer {
                    let key = (id.clone(), framework.clone());
                    assert_eq!(standing.insert(offer.clone(), key), None, "whose {offer} is");
                }
            }
        }
        assert_eq!(self.inverse.standing, standing, "the index of inverse offers");
        let agents: BTreeSet<_> = self.agents_to_leave().chain(self.inverse.asked.keys()).collect();
        for agent in agents {
            let holders = self.to_be_asked(agent);
            for framework in holders.keys() {
                assert!(
                    self.is_asked(agent, framework),
                    "{framework} was asked for agent {agent}"
                );
            }
            for (framework, asked) in self.asked_for(agent) {
                assert!(
                    asked.unanswered().is_none() || holders.contains_key(framework),
                    "{framework} is asked for agent {agent}, and has nothing there"
                );
            }
        }
    }
}

impl Asked {
    /// The inverse offer that stands, answered by yes or not yet.
    #[must_use]
    pub fn offer(&self) -> Option<&OfferId> {
        self.offer.as_ref()
    }

    /// The inverse offer that waits for an answer.
    #[must_use]
    pub fn unanswered(&self) -> Option<&OfferId> {
        self.offer.as_ref().filter(|_| self.quiet != Quiet::ForGood)
    }

    fn due(&self) -> Option<Timestamp> {
        match self.quiet {
            Quiet::Until(until) => Some(until),
            Quiet::Not | Quiet::ForGood => None,
        }
    }
}

//! What is known of an attempt, in little memory: a million of them are kept.
//!
//! Of a status that was heard, all but the mark it was acknowledged by; the id of the task follows from its place.

use std::collections::BTreeSet;

use proffer_types::{
    AgentId, StatusReason, StatusSource, TaskCondition, TaskExit, TaskId, TaskState, TaskStatus, Timestamp,
    Usage,
};

/// The latest status of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) state: TaskState,
    pub(crate) reason: Option<StatusReason>,
    source: StatusSource,
    pub(crate) exit: Option<TaskExit>,
    timestamp: Timestamp,
    agent_id: Option<AgentId>,
    pub(crate) usage: Option<Usage>,
    rest: Option<Box<Rest>>,
}

/// What most attempts do not have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Rest {
    message: String,
    condition: TaskCondition,
}

impl Report {
    /// Keeps a status.
    pub(crate) fn of(status: TaskStatus, agents: &mut Agents) -> Self {
        let rest = Rest {
            message: status.message,
            condition: status.condition,
        };
        Self {
            state: status.state,
            reason: status.reason,
            source: status.source,
            exit: status.exit,
            timestamp: status.timestamp,
            agent_id: status.agent_id.map(|id| agents.share(id)),
            usage: status.usage,
            rest: (rest != Rest::default()).then(|| Box::new(rest)),
        }
    }

    /// For people; empty when there is nothing to add.
    pub(crate) fn message(&self) -> &str {
        self.rest.as_ref().map_or("", |rest| &rest.message)
    }

    /// Which suspension it is in; 0 when it is in none.
    pub(crate) fn suspension(&self) -> u32 {
        self.rest.as_ref().map_or(0, |rest| rest.condition.suspension)
    }

    /// Where it is, or was.
    pub(crate) fn agent_id(&self) -> Option<&AgentId> {
        self.agent_id.as_ref()
    }

    /// The status it was made of.
    pub(crate) fn status(&self, task_id: TaskId) -> TaskStatus {
        let rest = self.rest.as_deref();
        TaskStatus {
            task_id,
            agent_id: self.agent_id.clone(),
            state: self.state,
            source: self.source,
            reason: self.reason,
            message: self.message().to_owned(),
            timestamp: self.timestamp,
            uuid: None,
            exit: self.exit,
            usage: self.usage,
            condition: rest.map(|rest| rest.condition.clone()).unwrap_or_default(),
        }
    }
}

/// Agents that are remembered at once, to share the texts of their ids: some megabyte. What is forgotten is only not shared.
const MAX_AGENTS: usize = 10_000;

/// Ids of agents, each in memory once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Agents(BTreeSet<AgentId>);

impl Agents {
    fn share(&mut self, id: AgentId) -> AgentId {
        if let Some(known) = self.0.get(&id) {
            return known.clone();
        }
        if self.0.len() >= MAX_AGENTS {
            self.0.clear();
        }
        self.0.insert(id.clone());
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_takes_at_most_128_bytes_when_there_is_nothing_to_add() {
        let status = TaskStatus {
            task_id: TaskId::new("J-1.a.0").unwrap(),
            agent_id: Some(AgentId::new("A1").unwrap()),
            state: TaskState::Finished,
            source: StatusSource::Agent,
            reason: None,
            message: String::new(),
            timestamp: Timestamp(1),
            uuid: None,
            exit: Some(TaskExit::Code(0)),
            usage: Some(Usage::default()),
            condition: TaskCondition::default(),
        };
        let report = Report::of(status.clone(), &mut Agents::default());
        assert_eq!(report.rest, None);
        assert!(size_of::<Report>() <= 128);
        assert_eq!(report.status(status.task_id.clone()), status);
    }
}

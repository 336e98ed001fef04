//! What a handler works with: the time, the state to read, and the two ways to have an effect.
//!
//! [`Cx::emit`] is the only writer of the state; everything else that happens is in the output.

use proffer_allocator::Change;
use proffer_types::agent_link::MasterMessage;
use proffer_types::{
    AgentId, FrameworkId, StatusReason, StatusSource, TaskId, TaskState, TaskStatus, Timestamp,
    scheduler_link,
};

use crate::state::{Agent, Framework, State};
use crate::{CloseReason, Config, Effect, Event, LinkId, Output};

pub(crate) struct Cx<'a> {
    pub(crate) now: Timestamp,
    pub(crate) config: &'a Config,
    pub(crate) state: &'a mut State,
    pub(crate) out: &'a mut Output,
    /// What changed in the ledger, for the allocator to observe after the handler.
    pub(crate) changes: &'a mut Vec<Change>,
}

impl Cx<'_> {
    /// Applies a fact and records it; a durable one with the record it leaves in the store.
    pub(crate) fn emit(&mut self, event: Event) {
        self.changes.extend(self.state.apply(&event));
        self.out.registry.extend(self.state.registry_change(&event));
        self.out.events.push(event);
    }

    /// Sends to an agent, if it is there. Says whether it is.
    pub(crate) fn tell_agent(&mut self, agent: &AgentId, message: MasterMessage) -> bool {
        let link = self.state.agent(agent).and_then(Agent::link);
        if let Some((link, session)) = link {
            self.out.effects.push(Effect::ToAgent {
                link,
                session,
                message,
            });
        }
        link.is_some()
    }

    /// Sends to a framework, if it is there.
    pub(crate) fn tell_framework(&mut self, framework: &FrameworkId, event: scheduler_link::Event) {
        let link = self.state.framework(framework).and_then(Framework::link);
        if let Some(link) = link {
            self.send(link, event);
        }
    }

    pub(crate) fn send(&mut self, link: LinkId, event: scheduler_link::Event) {
        self.out.effects.push(Effect::ToFramework { link, event });
    }

    pub(crate) fn close(&mut self, link: LinkId, reason: CloseReason) {
        self.out.effects.push(Effect::CloseLink { link, reason });
    }

    /// Tells a scheduler what is wrong for good, and ends its stream.
    pub(crate) fn refuse_scheduler(&mut self, link: LinkId, message: String) {
        let error = scheduler_link::Event::Error {
            message: message.clone(),
        };
        self.send(link, error);
        self.close(link, CloseReason::Refused(message));
    }

    /// A status the master makes itself: no acknowledgement, no retry.
    pub(crate) fn status(
        &self,
        task: &TaskId,
        agent: Option<&AgentId>,
        state: TaskState,
        reason: StatusReason,
        message: impl Into<String>,
    ) -> TaskStatus {
        TaskStatus {
            task_id: task.clone(),
            agent_id: agent.cloned(),
            state,
            source: StatusSource::Master,
            reason: Some(reason),
            message: message.into(),
            timestamp: self.now,
            uuid: None,
            exit: None,
            usage: None,
            condition: proffer_types::TaskCondition::default(),
        }
    }

    /// Records a status the master made for a live task, and tells the framework.
    pub(crate) fn update_task(&mut self, framework: &FrameworkId, status: TaskStatus) {
        let (task_id, state) = (status.task_id.clone(), status.state);
        let latest_suspension = status.condition.suspension;
        self.emit(Event::TaskUpdated {
            framework_id: framework.clone(),
            status: status.clone(),
            latest_state: state,
            latest_suspension,
        });
        self.tell_framework(framework, scheduler_link::Event::Update(status));
        if state.is_terminal() {
            // Nobody acknowledges what the master says.
            self.emit(Event::TaskCompleted {
                framework_id: framework.clone(),
                task_id,
            });
        }
    }
}

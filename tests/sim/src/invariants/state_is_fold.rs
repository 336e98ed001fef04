//! The master's state is the fold of its events: folded here a second time, it comes to the same.
//!
//! Source: architecture, "Cores and shells": `emit` is the only writer of state.

use std::collections::{BTreeMap, BTreeSet};

use proffer_master_core::{Event, Snapshot, State};
use proffer_types::{AgentId, FrameworkId, Resources, TaskId, TaskState, Timestamp};

use super::Invariant;
use crate::facts::Fact;

#[derive(Debug, Default)]
pub(crate) struct StateIsFold {
    folded: Option<State>,
    /// Folded by hand, without any of the master's code.
    tasks: BTreeMap<(FrameworkId, TaskId), TaskState>,
}

impl Invariant for StateIsFold {
    fn name(&self) -> &'static str {
        "state is the fold of events"
    }

    fn observe(&mut self, _now: Timestamp, fact: &Fact<'_>) -> Result<(), String> {
        match fact {
            Fact::MasterStarted(state) => {
                self.tasks.clear();
                self.folded = Some((*state).clone());
            }
            Fact::MasterEvent(event) => {
                if let Some(folded) = &mut self.folded {
                    folded.apply(event);
                }
                return self.fold(event);
            }
            Fact::MasterState { state, snapshot } => {
                if self.folded.as_ref().is_some_and(|folded| folded != *state) {
                    return Err(format!("folded {:?}, the master has {state:?}", self.folded));
                }
                self.compare(snapshot)?;
                return claims(snapshot);
            }
            _ => {}
        }
        Ok(())
    }
}

impl StateIsFold {
    fn fold(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::TaskLaunched {
                framework_id, info, ..
            } => self.add(framework_id, &info.id, TaskState::Staging),
            Event::TaskAdded {
                framework_id,
                info,
                status,
                ..
            } => self.add(framework_id, &info.id, status.state),
            Event::TaskReported {
                framework_id,
                task_id,
                state,
                ..
            } => {
                let key = (framework_id.clone(), task_id.clone());
                if let Some(task) = self.tasks.get_mut(&key).filter(|task| !task.is_terminal()) {
                    *task = *state;
                }
                Ok(())
            }
            Event::TaskUpdated {
                framework_id,
                status,
                latest_state,
                ..
            } => {
                let key = (framework_id.clone(), status.task_id.clone());
                let Some(state) = self.tasks.get_mut(&key) else {
                    return Err(format!("{}/{} was updated, but is not there", key.0, key.1));
                };
                if state.is_terminal() && latest_state != state {
                    return Err(format!(
                        "{}/{} went from {state:?} to {latest_state:?}",
                        key.0, key.1
                    ));
                }
                *state = *latest_state;
                Ok(())
            }
            Event::TaskCompleted {
                framework_id,
                task_id,
            } => {
                let state = self.tasks.remove(&(framework_id.clone(), task_id.clone()));
                if state.is_some_and(TaskState::is_terminal) {
                    Ok(())
                } else {
                    Err(format!("{framework_id}/{task_id} was completed as {state:?}"))
                }
            }
            _ => Ok(()),
        }
    }

    fn add(&mut self, framework_id: &FrameworkId, task_id: &TaskId, state: TaskState) -> Result<(), String> {
        match self.tasks.insert((framework_id.clone(), task_id.clone()), state) {
            None => Ok(()),
            Some(old) => Err(format!(
                "{framework_id}/{task_id} was added as {state:?}, but it is there as {old:?}"
            )),
        }
    }

    fn compare(&self, snapshot: &Snapshot) -> Result<(), String> {
        let tasks = snapshot
            .tasks
            .iter()
            .map(|task| ((task.framework_id.clone(), task.info.id.clone()), task.state));
        let tasks: BTreeMap<_, _> = tasks.collect();
        if tasks == self.tasks {
            Ok(())
        } else {
            Err(format!("folded {:?}, the master has {tasks:?}", self.tasks))
        }
    }
}

/// What the ledger says is used and offered is what tasks and offers add up to.
fn claims(snapshot: &Snapshot) -> Result<(), String> {
    let agents: BTreeSet<&AgentId> = snapshot.agents.iter().map(|agent| &agent.agent_id).collect();
    for agent in &snapshot.agents {
        let on_it = snapshot
            .tasks
            .iter()
            .filter(|task| task.info.agent_id == agent.agent_id);
        let used = on_it
            .filter(|task| task.state.holds_resources())
            .fold(Resources::new(), |sum, task| sum.plus(&task.held()));
        if used != agent.used {
            return Err(format!(
                "agent {}: tasks hold {used:?}, the ledger has {:?}",
                agent.agent_id, agent.used
            ));
        }
    }
    let stray = snapshot
        .offers
        .iter()
        .find(|offer| !agents.contains(&offer.agent_id));
    stray.map_or(Ok(()), |offer| {
        Err(format!("offer {} is of an agent that is not there", offer.id))
    })
}

//! Messages to the master, as text.

use std::fmt::Write as _;

use proffer_types::agent_link::AgentMessage;

use super::{HEARTBEAT, World, role};

impl World {
    pub(super) fn sent(&mut self, message: AgentMessage) {
        match message {
            AgentMessage::Register {
                agent_id,
                tasks,
                operations,
                ..
            } => {
                let kept = tasks.iter().all(|task| task.role == role());
                assert!(kept, "a task keeps the role of its launch: {tasks:?}");
                let tasks = tasks.iter().map(|task| {
                    let status = &task.latest_status;
                    let suspended = if status.condition.is_suspended() { "*" } else { "" };
                    format!(" {}={}{suspended}", task.info.id, status.state.as_str())
                });
                let operations = operations
                    .iter()
                    .map(|it| format!(" {}={}", it.status.operation_id, it.status.state.as_str()));
                let id = agent_id.map_or("new".into(), |id| id.to_string());
                let listed = tasks.chain(operations).collect::<String>();
                let text = format!("-> register {id}{listed}");
                self.line(&text);
            }
            AgentMessage::Status {
                status,
                latest_state,
                latest_suspension,
                ..
            } => {
                let mut text = format!("-> {} {}", status.task_id, status.state.as_str());
                if latest_state != status.state {
                    write!(text, " (now {})", latest_state.as_str()).unwrap();
                }
                if latest_suspension != status.condition.suspension {
                    write!(text, " (now suspension={latest_suspension})").unwrap();
                }
                if let Some(reason) = status.reason {
                    write!(text, " {}", reason.as_str()).unwrap();
                }
                let condition = &status.condition;
                let words = [
                    condition
                        .healthy
                        .map(|yes| if yes { " healthy" } else { " unhealthy" }),
                    condition
                        .ready
                        .map(|yes| if yes { " ready" } else { " not-ready" }),
                ];
                text.extend(words.into_iter().flatten());
                if condition.is_suspended() {
                    write!(text, " suspension={}", condition.suspension).unwrap();
                }
                if condition.restarts > 0 {
                    write!(text, " restarts={}", condition.restarts).unwrap();
                }
                if !status.message.is_empty() {
                    write!(text, ": {}", status.message).unwrap();
                }
                self.uuids
                    .insert(status.task_id.to_string(), status.uuid.unwrap());
                self.line(&text);
            }
            AgentMessage::OperationUpdate { status, .. } => {
                let mut text = format!("-> {} {}", status.operation_id, status.state.as_str());
                if !status.message.is_empty() {
                    write!(text, ": {}", status.message).unwrap();
                }
                self.uuids
                    .insert(status.operation_id.to_string(), status.uuid.unwrap());
                self.line(&text);
            }
            AgentMessage::Total(resources) => self.line(&format!("-> total {resources}")),
            AgentMessage::Heartbeat { interval } => {
                if let Some(interval) = interval.filter(|interval| *interval != HEARTBEAT) {
                    self.line(&format!("-> a heartbeat each {interval:?}"));
                }
            }
        }
    }
}

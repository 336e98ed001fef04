//! The receiving end of an agent's stream: puts chunked registrations together.
//!
//! Between `Register` and `RegisterDone` nothing but `RegisterTasks` and `RegisterOperations` may come, and no more
//! than the caps.
//! `(idle) --Register--> open --RegisterTasks, RegisterOperations--> open --RegisterDone--> (idle), one whole message`

use proffer_types::agent_link::{AgentMessage, RegisteredOperation, RegisteredTask};
use proffer_types::{AgentId, AgentInfo, Resources, Session};
use prost::Message as _;

use crate::error::{At as _, ConvertError};
use crate::text::{at_most, parse_optional, some_millis};
use crate::v1;
use crate::v1::agent_message::Message as FromAgent;

/// The most tasks one agent may register: far above what one machine runs, low enough that a hostile
/// agent cannot fill the master's memory.
pub const MAX_REGISTERED_TASKS: usize = 10_000;
/// The most operations that wait for an acknowledgement on one agent: each is a change of one machine's resources.
pub const MAX_REGISTERED_OPERATIONS: usize = 10_000;
/// The most bytes of one registration's tasks and operations.
pub const MAX_REGISTRATION_BYTES: usize = 64 << 20;

/// Puts the frames of one agent's stream together to whole messages.
#[derive(Debug, Default)]
pub struct Registration {
    open: Option<Box<Open>>,
}

#[derive(Debug)]
struct Open {
    info: AgentInfo,
    agent_id: Option<AgentId>,
    tasks: Vec<RegisteredTask>,
    operations: Vec<RegisteredOperation>,
    n_bytes: usize,
}

impl Registration {
    /// Takes the next frame and returns the frame's session (`None` before registration) with every
    /// message that is now whole. After an error the stream should be closed.
    pub fn push(
        &mut self,
        frame: v1::AgentFrame,
    ) -> Result<(Option<Session>, Vec<AgentMessage>), ConvertError> {
        let session = (frame.session != 0).then_some(Session(frame.session));
        let mut whole = Vec::new();
        for (index, message) in frame.messages.into_iter().enumerate() {
            whole.extend(self.message(message).at_item("messages", index)?);
        }
        Ok((session, whole))
    }

    fn message(&mut self, message: v1::AgentMessage) -> Result<Option<AgentMessage>, ConvertError> {
        let message = message.message.ok_or_else(|| ConvertError::missing("message"))?;
        match (self.open.take(), message) {
            (None, FromAgent::Register(register)) => {
                self.open = Some(Box::new(Open::new(register).at("register")?));
                Ok(None)
            }
            (Some(mut open), FromAgent::RegisterTasks(chunk)) => {
                open.add_tasks(chunk).at("register_tasks")?;
                self.open = Some(open);
                Ok(None)
            }
            (Some(mut open), FromAgent::RegisterOperations(chunk)) => {
                open.add_operations(chunk).at("register_operations")?;
                self.open = Some(open);
                Ok(None)
            }
            (Some(open), FromAgent::RegisterDone(_)) => Ok(Some(AgentMessage::Register {
                info: open.info,
                agent_id: open.agent_id,
                tasks: open.tasks,
                operations: open.operations,
            })),
            (None, FromAgent::Status(status)) => super::status(status).at("status").map(Some),
            (None, FromAgent::OperationUpdate(update)) => {
                super::operation_update(update).at("operation_update").map(Some)
            }
            (None, FromAgent::Total(total)) => {
                let total = total
                    .resources
                    .ok_or_else(|| ConvertError::missing("total.resources"))?;
                let total = Resources::try_from(total).at("total.resources")?;
                Ok(Some(AgentMessage::Total(total)))
            }
            (None, FromAgent::Heartbeat(heartbeat)) => Ok(Some(AgentMessage::Heartbeat {
                interval: some_millis(heartbeat.interval_ms),
            })),
            (
                Some(_),
                FromAgent::Register(_)
                | FromAgent::Status(_)
                | FromAgent::OperationUpdate(_)
                | FromAgent::Total(_)
                | FromAgent::Heartbeat(_),
            ) => Err(ConvertError::new(
                "message",
                "interrupts a registration that is not done",
            )),
            (
                None,
                FromAgent::RegisterTasks(_) | FromAgent::RegisterOperations(_) | FromAgent::RegisterDone(_),
            ) => Err(ConvertError::new(
                "message",
                "continues a registration that was not opened",
            )),
        }
    }
}

impl Open {
    fn new(message: v1::agent_message::Register) -> Result<Self, ConvertError> {
        Ok(Self {
            info: message
                .agent_info
                .ok_or_else(|| ConvertError::missing("agent_info"))?
                .try_into()
                .at("agent_info")?,
            agent_id: parse_optional("agent_id", &message.agent_id)?,
            tasks: Vec::new(),
            operations: Vec::new(),
            n_bytes: 0,
        })
    }

    fn add_tasks(&mut self, chunk: v1::agent_message::RegisterTasks) -> Result<(), ConvertError> {
        self.grow(chunk.encoded_len())?;
        let n_tasks = self.tasks.len() + chunk.tasks.len();
        at_most(
            "tasks",
            n_tasks,
            MAX_REGISTERED_TASKS,
            "tasks in one registration",
        )?;
        for (index, task) in chunk.tasks.into_iter().enumerate() {
            self.tasks
                .push(RegisteredTask::try_from(task).at_item("tasks", index)?);
        }
        Ok(())
    }
    fn add_operations(&mut self, chunk: v1::agent_message::RegisterOperations) -> Result<(), ConvertError> {
        self.grow(chunk.encoded_len())?;
        let n_operations = self.operations.len() + chunk.operations.len();
        at_most(
            "operations",
            n_operations,
            MAX_REGISTERED_OPERATIONS,
            "operations in one registration",
        )?;
        for (index, operation) in chunk.operations.into_iter().enumerate() {
            self.operations
                .push(RegisteredOperation::try_from(operation).at_item("operations", index)?);
        }
        Ok(())
    }

    fn grow(&mut self, n_bytes: usize) -> Result<(), ConvertError> {
        self.n_bytes += n_bytes;
        at_most(
            "message",
            self.n_bytes,
            MAX_REGISTRATION_BYTES,
            "bytes in one registration",
        )
    }
}

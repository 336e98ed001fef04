//! The acknowledgement of an operation's status: the agent forgets the operation, not what it did.

use proffer_types::{FrameworkId, OperationId, StatusUuid};

use crate::{Agent, Event, Output};

pub(crate) fn handle(
    agent: &mut Agent,
    framework_id: FrameworkId,
    operation_id: OperationId,
    uuid: StatusUuid,
    out: &mut Output,
) {
    if agent.operations.acknowledge(&framework_id, &operation_id, uuid) {
        agent.save_resources(out);
    } else {
        out.event(Event::OperationIgnored {
            framework_id,
            operation_id,
            what: "acknowledgement",
        });
    }
}

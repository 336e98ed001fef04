//! The checkpoint of the resources was not written: it is tried again, and no operation is reported until then.

use proffer_types::Timestamp;

use crate::config::CHECKPOINT_RETRY;
use crate::{Agent, Event, Output};

pub(crate) fn handle(agent: &mut Agent, now: Timestamp, error: String, out: &mut Output) {
    out.event(Event::ResourcesFailed { error });
    agent.operations.forget_sent();
    // Whether one was among what was skipped is not told; one too many does no harm.
    agent.operations.total_due = true;
    agent.operations.save_at = Some(now.after(CHECKPOINT_RETRY));
}

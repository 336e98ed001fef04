//! An operator declared the agent gone: its tasks are killed, each with its own grace, and it ends when they are dead.
//!
//! Nobody waits for what becomes of them: their frameworks were told already.

use proffer_types::Timestamp;

use super::stop;
use crate::{Agent, Output};

pub(crate) fn handle(agent: &mut Agent, now: Timestamp, message: String, out: &mut Output) {
    agent.close_link("the agent is gone by an operator's word", out);
    agent.gone = Some(message);
    stop::handle(agent, now, true, out);
}

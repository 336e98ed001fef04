//! The stream is lost, and the session with it; tasks go on.

use crate::{Agent, LinkId, Output};

pub(crate) fn handle(agent: &mut Agent, link: LinkId, out: &mut Output) {
    if agent.link.id() == Some(link) {
        agent.lose_session("the stream ended", out);
    }
}

//! An agent whose master says anything.
//!
//! Whatever it makes of that has to be sound: its own check holds after every message.

use proffer_agent_core::{Agent, Command, Config, LinkId, Output, Recovered};
use proffer_types::{AgentInfo, Session, Timestamp};
use proffer_wire::agent_link::from_master_frame;
use proffer_wire::v1;
use proffer_wire::v1::master_message::{KillTask, Message, Registered, RunTask};
use prost::Message as _;

use crate::{joined, master, pieces};

/// More than a run needs to get anywhere.
const MAX_PIECES: usize = 64;
/// How long after one another frames come; some deadlines pass within a handful.
const STEP_MS: [u64; 4] = [0, 10, 6_000, 80_000];
const LINK: LinkId = LinkId(1);

pub(crate) fn run(input: &[u8]) {
    lived(input);
}

/// An agent hears all of it. Returns the most tasks that it had at once.
fn lived(input: &[u8]) -> usize {
    let mut n_tasks = 0;
    let info = AgentInfo::try_from(master::agent_info()).expect("it is sound");
    let mut now = Timestamp(1_000_000);
    let (mut agent, mut out) = Agent::recover(now, Config { info }, 1, Recovered::default());
    let mut step = |now, command| {
        agent.step(now, command, &mut out);
        agent.sanity_check();
        out = Output::new();
        n_tasks = n_tasks.max(agent.tasks().count());
    };
    step(now, Command::LinkUp { link: LINK });
    for (kind, bytes) in pieces(input).into_iter().take(MAX_PIECES) {
        now = Timestamp(now.0 + STEP_MS[usize::from(kind & 3)]);
        let frame = v1::MasterFrame::decode(bytes).map(from_master_frame);
        match (kind >> 2 & 3, frame) {
            (0 | 1, Ok(Ok((session, messages)))) => {
                // No master has to guess its session.
                let session = Session(session.0.min(1));
                let link = LINK;
                step(
                    now,
                    Command::MasterFrame {
                        link,
                        session,
                        messages,
                    },
                );
            }
            (2, _) => step(now, Command::Tick),
            (3, _) => {
                step(now, Command::LinkDown { link: LINK });
                step(now, Command::LinkUp { link: LINK });
            }
            _ => {}
        }
    }
    n_tasks
}

fn frame(messages: Vec<Message>) -> Vec<u8> {
    let messages = messages.into_iter().map(|message| v1::MasterMessage {
        message: Some(message),
    });
    let frame = v1::MasterFrame {
        session: 1,
        messages: messages.collect(),
    };
    frame.encode_to_vec()
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let registered = Registered {
        agent_id: master::agent_id(),
        master_id: master::id().to_string(),
        heartbeat_interval_ms: 5_000,
    };
    let (framework_id, role) = (master::id().framework(0).to_string(), "web".to_owned());
    let task = |id: &str| Some(master::task(id, &master::agent_id()));
    let run = |id: &str| {
        Message::RunTask(RunTask {
            framework_id: framework_id.clone(),
            role: role.clone(),
            task_info: task(id),
        })
    };
    let kill = KillTask {
        framework_id: framework_id.clone(),
        task_id: "t".to_owned(),
        ..KillTask::default()
    };
    vec![joined(&[
        (0, frame(vec![Message::Registered(registered)])),
        (1, frame(vec![run("t"), run("u")])),
        (10, Vec::new()),
        (1, frame(vec![Message::KillTask(kill)])),
        (12, Vec::new()),
    ])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_gets_as_far_as_tasks() {
        for seed in seeds() {
            // One runs; the other found no cpus left, and its refusal waits for acknowledgement.
            assert_eq!(lived(&seed), 2);
        }
    }
}

//! A master with an agent and a framework, either of which may say anything in any order.
//!
//! Whatever it makes of that has to be sound, and what it says has to be such as others understand.

use proffer_master_core::{Command, Config, Effect, LinkId, Master, Output, Registry};
use proffer_types::agent_link::AgentMessage;
use proffer_types::{MasterId, Session, Timestamp};
use proffer_wire::agent_link::{Registration, from_master_frame, master_frames};
use proffer_wire::scheduler_link::{event_frames, from_call_frame, from_event_frame};
use proffer_wire::v1;
use proffer_wire::v1::scheduler_call::Call;
use prost::Message as _;

use crate::{joined, pieces};

/// How long after one another things happen; some deadlines pass within a handful.
const STEP_MS: [u64; 4] = [0, 10, 6_000, 80_000];
/// More than a run needs to get anywhere.
const MAX_PIECES: usize = 64;
const AGENT_LINKS: [u64; 2] = [1, 3];
const FRAMEWORK_LINKS: [u64; 2] = [2, 4];

struct World {
    master: Master,
    now: Timestamp,
    /// Of each link of agents: what it is in the middle of.
    registrations: [Registration; 2],
    /// That the master opened last.
    session: Session,
    /// What the master last offered.
    offer: String,
    out: Output,
}

pub(crate) fn run(input: &[u8]) {
    let mut world = World::new();
    for (kind, bytes) in pieces(input).into_iter().take(MAX_PIECES) {
        world.piece(kind, bytes);
    }
}

impl World {
    fn new() -> Self {
        let allocator = proffer_allocator::by_name("drf").expect("it is built in");
        Self {
            master: Master::recover(Config::default(), allocator, 1, 1, Registry::default()),
            now: Timestamp(1_000_000),
            registrations: Default::default(),
            session: Session(0),
            offer: String::new(),
            out: Output::default(),
        }
    }

    /// The two low bits say how late it is, the others who speaks.
    fn piece(&mut self, kind: u8, bytes: &[u8]) {
        self.now = Timestamp(self.now.0 + STEP_MS[usize::from(kind & 3)]);
        let which = usize::from(kind >> 2 & 1);
        match kind >> 3 & 7 {
            0 | 1 => self.agent_says(which, bytes),
            2 | 3 => self.framework_says(which, bytes),
            4 => self.step(Command::AgentLinkLost {
                link: LinkId(AGENT_LINKS[which]),
            }),
            5 => self.step(Command::SchedulerLinkLost {
                link: LinkId(FRAMEWORK_LINKS[which]),
            }),
            _ => self.step(Command::Tick),
        }
    }

    fn agent_says(&mut self, which: usize, bytes: &[u8]) {
        let Ok(mut frame) = v1::AgentFrame::decode(bytes) else {
            return;
        };
        // No peer has to guess its session.
        if frame.session != 0 {
            frame.session = self.session.0;
        }
        let link = LinkId(AGENT_LINKS[which]);
        let Ok((session, messages)) = self.registrations[which].push(frame) else {
            self.registrations[which] = Registration::default();
            return self.step(Command::AgentLinkLost { link });
        };
        for message in messages {
            let session = session.unwrap_or(self.session);
            let command = if let AgentMessage::Register {
                info,
                agent_id,
                tasks,
                operations,
            } = message
            {
                Command::AgentRegister {
                    link,
                    info,
                    agent_id,
                    tasks,
                    operations,
                }
            } else {
                let messages = vec![message];
                Command::AgentFrame {
                    link,
                    session,
                    messages,
                }
            };
            self.step(command);
        }
    }

    fn framework_says(&mut self, which: usize, bytes: &[u8]) {
        let Ok(mut frame) = v1::SchedulerCalls::decode(bytes) else {
            return;
        };
        // Nor what it was offered.
        for call in &mut frame.calls {
            if let Some(Call::Accept(accept)) = &mut call.call {
                let latest = accept.offer_ids.iter_mut().filter(|id| id.as_str() == LATEST);
                latest.for_each(|id| id.clone_from(&self.offer));
            }
        }
        let link = LinkId(FRAMEWORK_LINKS[which]);
        match from_call_frame(frame) {
            Ok(calls) => self.step(Command::SchedulerCalls { link, calls }),
            Err(_) => self.step(Command::SchedulerLinkLost { link }),
        }
    }

    fn step(&mut self, command: Command) {
        self.master.step(self.now, command, &mut self.out);
        self.master.sanity_check();
        let out = std::mem::take(&mut self.out);
        for effect in out.effects {
            self.said(&effect);
        }
    }

    fn said(&mut self, effect: &Effect) {
        match effect {
            Effect::ToAgent { session, message, .. } => {
                self.session = (*session).max(self.session);
                for frame in master_frames(*session, std::slice::from_ref(message)) {
                    let understood = from_master_frame(frame).map(|(_, messages)| messages);
                    assert_eq!(understood.as_ref(), Ok(&vec![message.clone()]));
                }
            }
            Effect::ToFramework { event, .. } => {
                for frame in event_frames(std::slice::from_ref(event)) {
                    let mut offers = frame.events.iter().filter_map(|event| match &event.event {
                        Some(v1::scheduler_event::Event::Offers(offers)) => offers.offers.last(),
                        _ => None,
                    });
                    if let Some(offer) = offers.next_back() {
                        self.offer.clone_from(&offer.offer_id);
                    }
                    assert!(from_event_frame(frame).is_ok());
                }
            }
            Effect::CloseLink { .. } | Effect::Reply { .. } => {}
        }
    }
}

/// Stands for the id of the newest offer.
const LATEST: &str = "latest";

/// Of every master here: they have one seed.
pub(crate) fn id() -> MasterId {
    World::new().master.id().clone()
}

pub(crate) fn agent_id() -> String {
    id().agent(0).to_string()
}

pub(crate) fn resources() -> v1::Resources {
    let scalar = |name: &str, value: f64| v1::Resource {
        name: name.to_owned(),
        value: Some(v1::resource::Value::Scalar(value)),
        ..v1::Resource::default()
    };
    v1::Resources {
        items: vec![scalar("cpus", 4.0), scalar("mem", 4e9)],
    }
}

pub(crate) fn agent_info() -> v1::AgentInfo {
    v1::AgentInfo {
        hostname: "host".to_owned(),
        address: "127.0.0.1:5051".to_owned(),
        resources: Some(resources()),
        ..v1::AgentInfo::default()
    }
}

/// The frame with which an agent registers.
pub(crate) fn registration() -> v1::AgentFrame {
    use v1::agent_message::{Message, Register, RegisterDone};
    let register = Register {
        agent_info: Some(agent_info()),
        ..Register::default()
    };
    let messages = [
        Message::Register(register),
        Message::RegisterDone(RegisterDone {}),
    ];
    v1::AgentFrame {
        session: 0,
        messages: messages
            .map(|message| v1::AgentMessage {
                message: Some(message),
            })
            .into(),
    }
}

pub(crate) fn framework_info() -> v1::FrameworkInfo {
    v1::FrameworkInfo {
        name: "fuzz".to_owned(),
        roles: vec!["web".to_owned()],
        failover_timeout_ms: Some(60_000),
        ..v1::FrameworkInfo::default()
    }
}

fn call(call: Call) -> v1::SchedulerCalls {
    v1::SchedulerCalls {
        calls: vec![v1::SchedulerCall { call: Some(call) }],
    }
}

pub(crate) fn subscription() -> v1::SchedulerCalls {
    call(Call::Subscribe(v1::scheduler_call::Subscribe {
        framework_info: Some(framework_info()),
        suppressed_roles: Vec::new(),
        adopt: false,
    }))
}

pub(crate) fn task(id: &str, agent_id: &str) -> v1::TaskInfo {
    v1::TaskInfo {
        task_id: id.to_owned(),
        agent_id: agent_id.to_owned(),
        resources: Some(v1::Resources {
            items: vec![resources().items.swap_remove(0)],
        }),
        container: Some(v1::ContainerSpec {
            command: vec!["true".to_owned()],
            ..v1::ContainerSpec::default()
        }),
        ..v1::TaskInfo::default()
    }
}

/// The frame that launches a task on an offer.
pub(crate) fn acceptance(offer: &str) -> v1::SchedulerCalls {
    let launch = v1::operation::Launch {
        tasks: vec![task("t", &agent_id())],
    };
    call(Call::Accept(v1::scheduler_call::Accept {
        offer_ids: vec![offer.to_owned()],
        operations: vec![v1::Operation {
            operation: Some(v1::operation::Operation::Launch(launch)),
            ..v1::Operation::default()
        }],
        ..v1::scheduler_call::Accept::default()
    }))
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let status = v1::agent_message::Status {
        framework_id: id().framework(0).to_string(),
        status: Some(v1::TaskStatus {
            task_id: "t".to_owned(),
            state: v1::TaskState::TaskRunning.into(),
            source: v1::StatusSource::SourceAgent.into(),
            uuid: vec![7; 16],
            ..v1::TaskStatus::default()
        }),
        latest_state: v1::TaskState::TaskRunning.into(),
        latest_suspension: 0,
    };
    let status = v1::AgentFrame {
        session: 1,
        messages: vec![v1::AgentMessage {
            message: Some(v1::agent_message::Message::Status(status)),
        }],
    };
    let begin = [
        (0, registration().encode_to_vec()),
        (16, subscription().encode_to_vec()),
        (16, acceptance(LATEST).encode_to_vec()),
        (0, status.encode_to_vec()),
    ];
    let lost = [
        (33, Vec::new()),
        (4, registration().encode_to_vec()),
        (43, Vec::new()),
        (51, Vec::new()),
    ];
    vec![joined(&begin), joined(&[&begin[..], &lost].concat())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_get_as_far_as_a_running_task() {
        for seed in seeds() {
            let mut world = World::new();
            let mut states = Vec::new();
            for (kind, bytes) in pieces(&seed) {
                world.piece(kind, bytes);
                let snapshot = world.master.snapshot();
                states.extend(snapshot.tasks.iter().map(|task| task.state));
            }
            assert!(states.contains(&proffer_types::TaskState::Running), "{states:?}");
        }
    }
}

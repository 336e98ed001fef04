//! The master's shell: a batch of commands, one commit, then the effects.
//!
//! A failed commit drops the core, its effects and its links, and recovers from the store, as a crash does.

use std::time::Duration;

use proffer_allocator::by_name;
use proffer_master_core::{
    Command, Config, Effect, Event, LinkId, Master, OperatorRequest, Output, RequestId,
};
use proffer_store_api::Fault;
use proffer_types::agent_link::{AgentMessage, MasterMessage};
use proffer_types::{Session, TaskState, Timestamp};

use crate::facts::Fact;
use crate::network::{Direction, Frame, Parcel, Peer, StreamId};
use crate::registry::{Fence, Store};
use crate::world::{Happening, World};

#[derive(Debug, Default)]
pub(crate) struct MasterShell {
    pub(crate) core: Option<Master>,
    /// Counts starts and crashes.
    pub(crate) life: u32,
    store: Store,
    fence: Option<Fence>,
    inbox: Vec<Command>,
    runs_soon: bool,
    wakes_at: Option<Timestamp>,
    n_requests: u64,
}

impl MasterShell {
    /// Whether it is up and knows of no task that anybody waits for. Those of an agent that lost its id stay
    /// unreachable.
    pub(crate) fn is_quiet(&self) -> bool {
        let over = |core: &Master| {
            core.state()
                .tasks()
                .all(|task| task.view.state == TaskState::Unreachable)
        };
        self.core.as_ref().is_some_and(over)
    }

    pub(crate) fn unrest(&self) -> String {
        let tasks = self.core.iter().flat_map(|core| core.snapshot().tasks);
        let tasks: Vec<_> = tasks
            .map(|task| format!("{}/{} {:?}", task.framework_id, task.info.id, task.state))
            .collect();
        format!("master: tasks {tasks:?}")
    }
}

impl World {
    pub(crate) fn start_master(&mut self) {
        if self.master.core.is_some() {
            return;
        }
        let now = self.now();
        let (seed, budget) = (self.dice.seed(), self.dice.number(1..200));
        let master = &mut self.master;
        master.life += 1;
        let Ok((term, fence)) = master.store.begin_term() else {
            self.queue.after(Duration::from_secs(1), Happening::StartMaster);
            return;
        };
        master.fence = Some(fence);
        let config = Config {
            allocation_budget: budget,
            ..Config::default()
        };
        let allocator = by_name(self.scenario.allocator).expect("a built-in allocator");
        let core = Master::recover(config, allocator, seed, term, master.store.read());
        self.trace
            .line(now, format_args!("master starts, term {term}, {}", core.id()));
        let state = core.state().clone();
        master.core = Some(core);
        master.inbox.clear();
        master.runs_soon = false;
        master.wakes_at = None;
        self.observe(&Fact::MasterStarted(&state));
        self.master_gets(Command::Tick);
    }

    pub(crate) fn crash_master(&mut self) {
        if self.master.core.is_none() {
            return;
        }
        let now = self.now();
        self.trace.line(now, format_args!("fault: the master crashes"));
        let down = self.downtime();
        self.drop_master(down);
    }

    /// Ends the core and every link; all else is in the store.
    fn drop_master(&mut self, down: Duration) {
        self.master.core = None;
        self.master.life += 1;
        for stream in self.network.at_master() {
            self.network.break_off(stream, &mut self.queue, &mut self.dice);
            self.network
                .deafen(stream, Direction::Up, &mut self.queue, &mut self.dice);
        }
        self.queue.after(down, Happening::StartMaster);
    }

    pub(crate) fn master_receives(&mut self, stream: StreamId, peer: Peer, parcel: Parcel) {
        let link = LinkId(stream.0);
        match (parcel, peer) {
            (Parcel::Frame(frame), _) => self.master_gets_frame(link, frame),
            (Parcel::Close, Peer::Agent(_)) => {
                self.close(stream, Direction::Down);
                self.master_gets(Command::AgentLinkLost { link });
            }
            (Parcel::Close, Peer::Framework(_)) => {
                self.close(stream, Direction::Down);
                self.master_gets(Command::SchedulerLinkLost { link });
            }
        }
    }

    pub(crate) fn master_receives_late(&mut self, stream: StreamId, _peer: Peer, frame: Frame) {
        // A registration opens a stream of its own; one found in an old queue is dropped with its stream.
        let opens = |message: &AgentMessage| matches!(message, AgentMessage::Register { .. });
        let stale = matches!(&frame, Frame::FromAgent { messages, .. } if messages.iter().any(opens));
        if !stale && !matches!(frame, Frame::Calls(_)) {
            self.master_gets_frame(LinkId(stream.0), frame);
        }
    }

    fn master_gets_frame(&mut self, link: LinkId, frame: Frame) {
        match frame {
            Frame::FromAgent {
                session: Session(0),
                messages,
            } => {
                for message in messages {
                    if let AgentMessage::Register {
                        info,
                        agent_id,
                        tasks,
                        operations,
                    } = message
                    {
                        self.master_gets(Command::AgentRegister {
                            link,
                            info,
                            agent_id,
                            tasks,
                            operations,
                        });
                    }
                }
            }
            Frame::FromAgent { session, messages } => {
                self.master_gets(Command::AgentFrame {
                    link,
                    session,
                    messages,
                });
            }
            Frame::Calls(calls) => self.master_gets(Command::SchedulerCalls { link, calls }),
            Frame::ToAgent { .. } | Frame::Events(_) => {}
        }
    }

    pub(crate) fn master_asked(&mut self, operation: OperatorRequest) {
        self.master.n_requests += 1;
        let request = RequestId(self.master.n_requests);
        self.master_gets(Command::Operator { request, operation });
    }

    /// Puts a command in the queue; the shell takes all that has gathered when it gets to it.
    fn master_gets(&mut self, command: Command) {
        if self.master.core.is_none() {
            return;
        }
        self.master.inbox.push(command);
        if !self.master.runs_soon {
            self.master.runs_soon = true;
            let slow = self.mishap(20);
            let delay = self.dice.millis(0..if slow { 3_000 } else { 3 });
            let life = self.master.life;
            self.queue.after(delay, Happening::MasterRuns { life });
        }
    }

    pub(crate) fn master_wakes(&mut self, life: u32) {
        if self.master.life != life {
            return;
        }
        self.master.wakes_at = None;
        let now = self.now();
        let due = self.master.core.as_ref().and_then(Master::next_deadline);
        if due.is_some_and(|due| due <= now) {
            self.master_gets(Command::Tick);
        } else {
            self.master_sleeps();
        }
    }

    fn master_sleeps(&mut self) {
        let Some(due) = self.master.core.as_ref().and_then(Master::next_deadline) else {
            return;
        };
        if self.master.wakes_at.is_none_or(|at| due < at) {
            self.master.wakes_at = Some(due);
            self.queue.at(
                due,
                Happening::MasterWakes {
                    life: self.master.life,
                },
            );
        }
    }

    pub(crate) fn master_runs(&mut self, life: u32) {
        let now = self.now();
        if self.master.life != life {
            return;
        }
        self.master.runs_soon = false;
        let commands = std::mem::take(&mut self.master.inbox);
        let Some(core) = &mut self.master.core else { return };
        let mut out = Output::default();
        for command in commands {
            self.trace.line(now, format_args!("master <- {command:?}"));
            core.step(now, command, &mut out);
            core.sanity_check();
        }
        self.trace.line(now, format_args!("master -> {out:?}"));
        if !self.master_commits(&out) {
            return;
        }
        for event in &out.events {
            self.observe(&Fact::MasterEvent(event));
        }
        // Out of the world for as long as the rules of the same world look at it.
        if let Some(core) = self.master.core.take() {
            self.observe(&Fact::MasterState {
                state: core.state(),
                snapshot: &core.snapshot(),
            });
            self.master.core = Some(core);
        }
        self.master_carries_out(out.effects);
        self.master_sleeps();
    }

    /// Writes what is durable. False when that failed, or the master died of it.
    fn master_commits(&mut self, out: &Output) -> bool {
        if out.registry.is_empty() {
            return true;
        }
        if self.mishap(self.scenario.faults.commit_permille) {
            let fault = if self.dice.chance(500) {
                Fault::Before
            } else {
                Fault::After
            };
            self.master.store.fail_next(fault);
        }
        let Some(fence) = self.master.fence else {
            return false;
        };
        let committed = self.master.store.commit(fence, &out.registry);
        self.tell_of_completed(out);
        if let Err(error) = committed {
            let now = self.now();
            self.trace
                .line(now, format_args!("fault: the commit fails: {error}"));
            let back_off = self.dice.millis(100..2_000);
            self.drop_master(back_off);
            return false;
        }
        true
    }

    fn tell_of_completed(&mut self, out: &Output) {
        for event in &out.events {
            if let Event::FrameworkCompleted { framework_id } = event {
                let records = self.master.store.read().frameworks;
                if records
                    .iter()
                    .any(|record| record.completed && record.framework_id == *framework_id)
                {
                    self.observe(&Fact::FrameworkCompleted { framework_id });
                }
            }
        }
    }

    fn master_carries_out(&mut self, effects: Vec<Effect>) {
        let permille = self.scenario.faults.midway_permille;
        let dies_at = (!effects.is_empty() && self.mishap(permille)).then(|| self.dice.index(effects.len()));
        let mut frames: Vec<(StreamId, Frame)> = Vec::new();
        for (index, effect) in effects.into_iter().enumerate() {
            if dies_at == Some(index) {
                self.master_sends(&mut frames);
                self.crash_master();
                return;
            }
            match effect {
                Effect::ToAgent {
                    link,
                    session,
                    message,
                } => to_agent(&mut frames, link, session, message),
                Effect::ToFramework { link, event } => match frames.last_mut() {
                    Some((stream, Frame::Events(events))) if stream.0 == link.0 => events.push(event),
                    _ => frames.push((StreamId(link.0), Frame::Events(vec![event]))),
                },
                Effect::CloseLink { link, .. } => {
                    self.master_sends(&mut frames);
                    self.master_closes(StreamId(link.0));
                }
                Effect::Reply { .. } => {}
            }
        }
        self.master_sends(&mut frames);
    }

    fn master_sends(&mut self, frames: &mut Vec<(StreamId, Frame)>) {
        for (stream, frame) in frames.drain(..) {
            self.send(stream, Direction::Down, frame);
        }
    }

    fn master_closes(&mut self, stream: StreamId) {
        let peer = self.network.peer(stream);
        self.close(stream, Direction::Down);
        // Telling it of a link it closed is harmless; some shells will.
        if self.dice.chance(500) {
            match peer {
                Some(Peer::Agent(_)) => self.master_gets(Command::AgentLinkLost {
                    link: LinkId(stream.0),
                }),
                Some(Peer::Framework(_)) => self.master_gets(Command::SchedulerLinkLost {
                    link: LinkId(stream.0),
                }),
                None => {}
            }
        }
    }
}

fn to_agent(frames: &mut Vec<(StreamId, Frame)>, link: LinkId, of: Session, message: MasterMessage) {
    match frames.last_mut() {
        Some((stream, Frame::ToAgent { session, messages })) if stream.0 == link.0 && *session == of => {
            messages.push(message);
        }
        _ => frames.push((
            StreamId(link.0),
            Frame::ToAgent {
                session: of,
                messages: vec![message],
            },
        )),
    }
}

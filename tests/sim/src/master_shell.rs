//! A master's process: it stands, leads, and ends; what it takes in from its streams.
//!
//! `down -> standing -> leading -> standing ..`: see `standing` for how it comes to lead, `tenure` for what it does then.

use std::time::Duration;

use proffer_master_core::{Agent, Command, LinkId, Master, OperatorRequest, RequestId};
use proffer_types::agent_link::AgentMessage;
use proffer_types::{AgentId, Session, Timestamp};

use crate::clock::Clock;
use crate::network::{Direction, Frame, Parcel, Peer, StreamId};
use crate::standing::{Lease, Phase};
use crate::store_link::Request;
use crate::tenure::Tenure;
use crate::world::{Happening, World};

#[derive(Debug)]
pub(crate) struct MasterShell {
    pub(crate) clock: Clock,
    /// Counts starts and ends of the process.
    pub(crate) life: u32,
    pub(crate) phase: Phase,
    pub(crate) lease: Option<Lease>,
    /// The one answer of the store that it waits for, keep-alives aside.
    pub(crate) waits_for: Option<Request>,
    pub(crate) tenure: Option<Tenure>,
    /// Who it believes to lead, while it stands by.
    pub(crate) believes: Option<usize>,
    pub(crate) back_off: Duration,
    /// When it asked for the lease it waits for, by its clock.
    pub(crate) granting_since: Timestamp,
}

impl MasterShell {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            life: 0,
            phase: Phase::Down,
            lease: None,
            waits_for: None,
            tenure: None,
            believes: None,
            back_off: Duration::ZERO,
            granting_since: Timestamp(0),
        }
    }

    pub(crate) fn core(&self) -> Option<&Master> {
        self.tenure.as_ref().map(|tenure| &tenure.core)
    }

    /// Whether it leads and knows of no task that anybody waits for. Those of an agent that lost its id, or is gone,
    /// stay.
    pub(crate) fn is_quiet(&self) -> bool {
        let over = |core: &Master| {
            let agent = |id: &AgentId| core.state().agent(id);
            let is_away = |id: &AgentId| agent(id).is_none_or(Agent::is_unreachable);
            let mut tasks = core.state().tasks();
            tasks.all(|task| is_away(&task.view.info.agent_id))
        };
        self.core().is_some_and(over)
    }

    pub(crate) fn unrest(&self) -> String {
        let tasks = self.core().into_iter().flat_map(|core| core.snapshot().tasks);
        let tasks: Vec<_> = tasks
            .map(|task| format!("{}/{} {:?}", task.framework_id, task.info.id, task.state))
            .collect();
        format!("{:?}, tasks {tasks:?}", self.phase)
    }
}

impl World {
    pub(crate) fn start_master(&mut self, m: usize) {
        if self.masters[m].phase != Phase::Down {
            return;
        }
        let master = &mut self.masters[m];
        master.life += 1;
        master.back_off = Duration::ZERO;
        self.say(format_args!("master {m} starts"));
        self.master_stands(m);
    }

    pub(crate) fn crash_master(&mut self, m: usize) {
        if self.masters[m].phase == Phase::Down {
            return;
        }
        self.say(format_args!("fault: master {m} crashes"));
        self.end_master(m);
    }

    /// As by SIGTERM: the lead is given up at once.
    pub(crate) fn stop_master(&mut self, m: usize) {
        if self.masters[m].phase == Phase::Down {
            return;
        }
        self.say(format_args!("fault: master {m} is stopped"));
        self.resign(m);
        self.end_master(m);
    }

    /// Ends the process and every link; all else is in the store.
    fn end_master(&mut self, m: usize) {
        let master = &mut self.masters[m];
        master.life += 1;
        master.phase = Phase::Down;
        (master.lease, master.waits_for, master.tenure) = (None, None, None);
        for stream in self.network.at_master(m) {
            self.network.break_off(stream, &mut self.queue, &mut self.dice);
            self.network
                .deafen(stream, Direction::Up, &mut self.queue, &mut self.dice);
        }
        let down = self.downtime();
        self.queue.after(down, Happening::StartMaster(m));
    }

    /// Who leads, as far as one of them can tell.
    pub(crate) fn leader(&self) -> Option<usize> {
        (0..self.masters.len()).find(|m| self.masters[*m].core().is_some() && self.is_sure(*m))
    }

    pub(crate) fn master_receives(&mut self, m: usize, stream: StreamId, peer: Peer, parcel: Parcel) {
        let link = LinkId(stream.0);
        match (parcel, peer) {
            (Parcel::Frame(frame), _) => self.master_gets_frame(m, link, frame),
            (Parcel::Close, Peer::Agent(_)) => {
                self.close(stream, Direction::Down);
                self.master_gets(m, Command::AgentLinkLost { link });
            }
            (Parcel::Close, Peer::Framework(_)) => {
                self.close(stream, Direction::Down);
                self.master_gets(m, Command::SchedulerLinkLost { link });
            }
        }
    }

    pub(crate) fn master_receives_late(&mut self, m: usize, stream: StreamId, frame: Frame) {
        // A registration opens a stream of its own; one found in an old queue is dropped with its stream.
        let opens = |message: &AgentMessage| matches!(message, AgentMessage::Register { .. });
        let stale = matches!(&frame, Frame::FromAgent { messages, .. } if messages.iter().any(opens));
        if !stale && !matches!(frame, Frame::Calls(_)) {
            self.master_gets_frame(m, LinkId(stream.0), frame);
        }
    }

    fn master_gets_frame(&mut self, m: usize, link: LinkId, frame: Frame) {
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
                        self.master_gets(
                            m,
                            Command::AgentRegister {
                                link,
                                info,
                                agent_id,
                                tasks,
                                operations,
                            },
                        );
                    }
                }
            }
            Frame::FromAgent { session, messages } => {
                self.master_gets(
                    m,
                    Command::AgentFrame {
                        link,
                        session,
                        messages,
                    },
                );
            }
            Frame::Calls(calls) => self.master_gets(m, Command::SchedulerCalls { link, calls }),
            Frame::ToAgent { .. } | Frame::Events(_) => {}
        }
    }

    pub(crate) fn master_asked(&mut self, operation: OperatorRequest) {
        let Some(m) = self.leader() else { return };
        self.n_requests += 1;
        let request = RequestId(self.n_requests);
        self.master_gets(m, Command::Operator { request, operation });
    }

    /// Puts a command in the queue; the shell takes all that has gathered when it gets to it.
    pub(crate) fn master_gets(&mut self, m: usize, command: Command) {
        if let Some(tenure) = &mut self.masters[m].tenure {
            tenure.inbox.push(command);
            self.master_runs_soon(m);
        }
    }

    /// What of the masters is not quiet, for people.
    pub(crate) fn masters_unrest(&self) -> String {
        let masters = self.masters.iter().enumerate();
        let masters: Vec<_> = masters
            .map(|(m, master)| format!("master {m}: {}", master.unrest()))
            .collect();
        masters.join("; ")
    }
}

/// The masters of a cluster as a client dials them: in turn, the one that was named before all others, once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Masters {
    n_dialled: usize,
    named: Option<usize>,
}

impl Masters {
    pub(crate) fn dial(&mut self, n_masters: usize) -> usize {
        self.named.take().unwrap_or_else(|| {
            let next = self.n_dialled % n_masters.max(1);
            self.n_dialled += 1;
            next
        })
    }

    pub(crate) fn follow(&mut self, leader: usize) {
        self.named = Some(leader);
    }
}

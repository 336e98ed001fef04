//! Streams between clients and the master: ordered, delayed, and broken now and then.
//!
//! Like TCP, a stream loses nothing, doubles nothing and reorders nothing as long as it lives; when it breaks, what was
//! under way is delivered, lost, or left in a queue and delivered late, after the receiver has gone on to another stream.
//! So frames of two streams of one client overtake each other, and what a client said on an old stream and says again on
//! a new one comes twice. A cut is between one client and one master, and has a direction: it delays everything that goes
//! this way to its end, the news of a close included.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use proffer_types::agent_link::{AgentMessage, MasterMessage};
use proffer_types::scheduler_link::{Call, Event};
use proffer_types::{Session, Timestamp};

use crate::dice::Dice;
use crate::queue::Queue;
use crate::world::Happening;

/// The end of a stream that dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    Agent(usize),
    Framework(usize),
}

/// Towards the master, or from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Direction {
    Up,
    Down,
}

/// Never used twice in a run; greater means later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StreamId(pub(crate) u64);

#[derive(Debug, Clone)]
pub(crate) enum Frame {
    FromAgent {
        session: Session,
        messages: Vec<AgentMessage>,
    },
    ToAgent {
        session: Session,
        messages: Vec<MasterMessage>,
    },
    Calls(Vec<Call>),
    Events(Vec<Event>),
}

#[derive(Debug)]
pub(crate) enum Parcel {
    Frame(Frame),
    Close,
}

#[derive(Debug, Default)]
struct Pipe {
    /// With the time before which each is not there.
    under_way: VecDeque<(Timestamp, Parcel)>,
    /// Nothing is delivered before this, so that order is kept.
    last: Timestamp,
    /// The receiver no longer listens.
    deaf: bool,
}

/// Which processes hold the ends: what is left of a stream is gone with its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lives {
    pub(crate) client: u32,
    pub(crate) master: u32,
}

#[derive(Debug)]
struct Stream {
    peer: Peer,
    master: usize,
    lives: Lives,
    up: Pipe,
    down: Pipe,
    broken: bool,
}

impl Stream {
    fn pipe(&mut self, direction: Direction) -> &mut Pipe {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Network {
    streams: BTreeMap<StreamId, Stream>,
    cuts: BTreeMap<(Peer, usize, Direction), Timestamp>,
    n_streams: u64,
    /// The longest delay of a frame, in milliseconds.
    pub(crate) max_delay_ms: u64,
    /// How often, in a thousand, a frame of a broken stream is delivered late instead of lost.
    pub(crate) late_permille: u32,
}

impl Network {
    pub(crate) fn new(max_delay_ms: u64, late_permille: u32) -> Self {
        Self {
            max_delay_ms,
            late_permille,
            ..Self::default()
        }
    }

    pub(crate) fn open(&mut self, peer: Peer, master: usize, lives: Lives) -> StreamId {
        self.n_streams += 1;
        let id = StreamId(self.n_streams);
        let stream = Stream {
            peer,
            master,
            lives,
            up: Pipe::default(),
            down: Pipe::default(),
            broken: false,
        };
        self.streams.insert(id, stream);
        id
    }

    pub(crate) fn peer(&self, id: StreamId) -> Option<Peer> {
        self.streams.get(&id).map(|stream| stream.peer)
    }

    /// Which master a stream leads to.
    pub(crate) fn master(&self, id: StreamId) -> Option<usize> {
        self.streams.get(&id).map(|stream| stream.master)
    }

    /// The streams that are neither broken nor closed by an end.
    pub(crate) fn whole(&self) -> Vec<StreamId> {
        let whole = |stream: &Stream| !stream.broken && !stream.up.deaf && !stream.down.deaf;
        self.streams
            .iter()
            .filter(|(_, stream)| whole(stream))
            .map(|(id, _)| *id)
            .collect()
    }

    /// The streams that a master still listens to.
    pub(crate) fn at_master(&self, master: usize) -> Vec<StreamId> {
        self.streams
            .iter()
            .filter(|(_, stream)| stream.master == master && !stream.up.deaf)
            .map(|(id, _)| *id)
            .collect()
    }

    /// Nothing more goes this way before then.
    pub(crate) fn cut(&mut self, peer: Peer, master: usize, direction: Direction, until: Timestamp) {
        self.cuts.insert((peer, master, direction), until);
    }

    /// Whether the two cannot open a stream now, which takes both directions.
    pub(crate) fn is_cut(&self, peer: Peer, master: usize, now: Timestamp) -> bool {
        let directions = [Direction::Up, Direction::Down];
        let mut untils = directions
            .iter()
            .filter_map(|direction| self.cuts.get(&(peer, master, *direction)));
        untils.any(|until| *until > now)
    }

    pub(crate) fn send(
        &mut self,
        id: StreamId,
        direction: Direction,
        frame: Frame,
        queue: &mut Queue<Happening>,
        dice: &mut Dice,
    ) {
        let delay = dice.millis(0..self.max_delay_ms + 1);
        self.push(id, direction, Parcel::Frame(frame), delay, queue);
    }

    fn push(
        &mut self,
        id: StreamId,
        direction: Direction,
        parcel: Parcel,
        delay: Duration,
        queue: &mut Queue<Happening>,
    ) {
        let now = queue.now();
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.broken) else {
            return;
        };
        let pipe = stream.pipe(direction);
        pipe.last = pipe.last.max(now.after(delay));
        pipe.under_way.push_back((pipe.last, parcel));
        queue.at(
            pipe.last,
            Happening::Arrive {
                stream: id,
                direction,
            },
        );
    }

    /// The next parcel, unless a partition holds it up or nobody listens.
    pub(crate) fn arrive(
        &mut self,
        id: StreamId,
        direction: Direction,
        queue: &mut Queue<Happening>,
    ) -> Option<Parcel> {
        let now = queue.now();
        let stream = self.streams.get_mut(&id)?;
        let cut = self.cuts.get(&(stream.peer, stream.master, direction));
        if let Some(until) = cut.copied().filter(|until| *until > now) {
            queue.at(
                until,
                Happening::Arrive {
                    stream: id,
                    direction,
                },
            );
            return None;
        }
        let pipe = stream.pipe(direction);
        pipe.under_way.front().filter(|(due, _)| *due <= now)?;
        let (_, parcel) = pipe.under_way.pop_front()?;
        if pipe.deaf {
            return None;
        }
        if matches!(parcel, Parcel::Close) {
            pipe.deaf = true;
        }
        self.tidy(id);
        Some(parcel)
    }

    /// One end closes: the other hears of it after what was sent before; the closer hears no more, except what
    /// was in its queues already and comes late.
    pub(crate) fn close(
        &mut self,
        id: StreamId,
        by: Direction,
        queue: &mut Queue<Happening>,
        dice: &mut Dice,
    ) {
        let outgoing = by;
        let incoming = match by {
            Direction::Up => Direction::Down,
            Direction::Down => Direction::Up,
        };
        let delay = dice.millis(0..self.max_delay_ms + 1);
        self.push(id, outgoing, Parcel::Close, delay, queue);
        self.deafen(id, incoming, queue, dice);
    }

    /// The network drops the stream: each end keeps a part of what was under way and hears of the end in its own time.
    pub(crate) fn break_off(&mut self, id: StreamId, queue: &mut Queue<Happening>, dice: &mut Dice) {
        for direction in [Direction::Up, Direction::Down] {
            let Some(stream) = self.streams.get_mut(&id) else {
                return;
            };
            let pipe = stream.pipe(direction);
            let keep = dice.index(pipe.under_way.len() + 1);
            let lost: Vec<Parcel> = pipe.under_way.drain(keep..).map(|(_, parcel)| parcel).collect();
            self.strand(id, direction, lost, queue, dice);
            // Either the kernel tells at once, or nobody does until a heartbeat is missed.
            let delay = if dice.chance(700) {
                dice.millis(0..100)
            } else {
                dice.seconds(1..40)
            };
            self.push(id, direction, Parcel::Close, delay, queue);
        }
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.broken = true;
        }
    }

    /// The receiver of this direction is gone or has given up on the stream.
    pub(crate) fn deafen(
        &mut self,
        id: StreamId,
        direction: Direction,
        queue: &mut Queue<Happening>,
        dice: &mut Dice,
    ) {
        let Some(stream) = self.streams.get_mut(&id) else {
            return;
        };
        let pipe = stream.pipe(direction);
        pipe.deaf = true;
        let lost: Vec<Parcel> = pipe.under_way.drain(..).map(|(_, parcel)| parcel).collect();
        self.strand(id, direction, lost, queue, dice);
        self.tidy(id);
    }

    /// Parcels without a stream: lost, or late.
    fn strand(
        &mut self,
        id: StreamId,
        direction: Direction,
        parcels: Vec<Parcel>,
        queue: &mut Queue<Happening>,
        dice: &mut Dice,
    ) {
        let Some(stream) = self.streams.get(&id) else {
            return;
        };
        let (peer, master, lives) = (stream.peer, stream.master, stream.lives);
        // A scheduler's driver reads from one stream at a time: nothing of an old one is left.
        if peer_reads_one(peer, direction) {
            return;
        }
        for parcel in parcels {
            if let Parcel::Frame(frame) = parcel
                && dice.chance(self.late_permille)
            {
                let delay = dice.millis(0..60_000);
                queue.after(
                    delay,
                    Happening::Late {
                        stream: id,
                        peer,
                        master,
                        lives,
                        frame,
                    },
                );
            }
        }
    }

    fn tidy(&mut self, id: StreamId) {
        let done = |stream: &Stream| stream.up.deaf && stream.down.deaf;
        if self.streams.get(&id).is_some_and(done) {
            self.streams.remove(&id);
        }
    }
}

fn peer_reads_one(peer: Peer, direction: Direction) -> bool {
    matches!((peer, direction), (Peer::Framework(_), Direction::Down))
}

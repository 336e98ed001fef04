//! What operators decided of an agent. Durable, and independent of whether the agent is there.

use std::time::Duration;

use proffer_types::{Timestamp, Unavailability};

/// What operators decided of one agent; nothing, as a rule.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Upkeep {
    /// Since when it is not offered. Its tasks stay.
    pub deactivated: Option<Timestamp>,
    /// Its tasks are to end.
    pub drain: Option<Drain>,
    /// The maintenance windows to come, and the one that it is in: by start, none overlapping another.
    pub windows: Vec<Window>,
}

/// One agent's part in a maintenance window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Windows of one name were scheduled together, and are the same but for what became of them.
    pub name: String,
    pub time: Unavailability,
    /// The longest that a task is given to end at the start, whatever it asks for itself.
    pub max_grace: Option<Duration>,
    /// Whether it has begun.
    pub begun: bool,
}

/// That an agent's tasks are to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drain {
    /// Names the request, among those that agents are in now: the agents of one request share its budget.
    pub request: u64,
    /// When the agent's turn comes, among those of the request.
    pub position: u32,
    /// The most agents of the request that are draining or drained at a time; 1 or more.
    pub at_once: u32,
    /// The longest that a task is given to end, whatever it asks for itself.
    pub max_grace: Option<Duration>,
    /// How long frameworks have to leave from the agent's turn on, before what is left is killed; zero means none.
    pub notice: Duration,
    /// When what is left is killed. Present while frameworks are asked: the agent is draining, and nothing was killed yet.
    pub kills_at: Option<Timestamp>,
    /// Whether the agent is gone once it is drained.
    pub mark_gone: bool,
    pub phase: DrainPhase,
    /// When the phase began.
    pub since: Timestamp,
    /// It began with the agent's maintenance window, and ends with it.
    pub by_window: bool,
}

/// How far a drain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DrainPhase {
    /// As many agents of the request as may be are draining or drained; this one goes on as before.
    Waiting,
    /// Not offered; frameworks are asked to leave it, and then its tasks killed.
    Draining,
    /// No task is left, and nobody has yet to hear of one.
    Drained,
}

impl Upkeep {
    /// Whether the agent may be offered, as far as operators are concerned.
    #[must_use]
    pub fn is_offered(&self) -> bool {
        self.deactivated.is_none() && !self.is_draining()
    }

    /// The next window that has not begun.
    #[must_use]
    pub fn coming(&self) -> Option<&Window> {
        self.windows.iter().find(|window| !window.begun)
    }

    /// What frameworks with tasks there are asked about: the drain that the agent is in until its tasks are killed; or its
    /// first window, unless that has begun.
    #[must_use]
    pub fn announced(&self) -> Option<Announced> {
        if self.is_draining() {
            return self.asks_until().map(Announced::Drain);
        }
        let first = self.windows.first().filter(|window| !window.begun);
        first.map(|window| Announced::Window(window.time))
    }

    /// Until when frameworks are asked to leave before what is left is killed, while the agent is in such a drain.
    #[must_use]
    pub fn asks_until(&self) -> Option<Timestamp> {
        self.drain.as_ref().and_then(|drain| drain.kills_at)
    }

    /// When a window begins or ends next.
    #[must_use]
    pub fn next_turn(&self) -> Option<Timestamp> {
        let first = self.windows.first();
        first.map(|window| match window.begun {
            true => window.time.end(),
            false => window.time.start,
        })
    }

    /// Whether what runs there is to be killed: it is draining or drained, and nobody is asked any more.
    #[must_use]
    pub fn is_cleared(&self) -> bool {
        self.is_draining() && self.asks_until().is_none()
    }

    /// Whether the agent is to have no tasks: it is draining or drained.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.drain
            .as_ref()
            .is_some_and(|drain| drain.phase != DrainPhase::Waiting)
    }
}

/// What frameworks are asked to leave an agent for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Announced {
    Window(Unavailability),
    /// It is being drained; what is left then is killed.
    Drain(Timestamp),
}

/// Why an agent whose time is over is not given up yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemovalDelay {
    /// As many as may be were given up a short time ago.
    Limit,
    /// So many did not come back after the master's start that an operator has to look.
    TooManyAway,
}

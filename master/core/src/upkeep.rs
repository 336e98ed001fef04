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
    /// Not offered; its tasks are being killed.
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

    /// The first window, unless it has begun: what frameworks are asked about.
    #[must_use]
    pub fn announced(&self) -> Option<&Window> {
        self.windows.first().filter(|window| !window.begun)
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

    /// Whether the agent is to have no tasks: it is draining or drained.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.drain
            .as_ref()
            .is_some_and(|drain| drain.phase != DrainPhase::Waiting)
    }
}

/// Why an agent whose time is over is not given up yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemovalDelay {
    /// As many as may be were given up a short time ago.
    Limit,
    /// So many did not come back after the master's start that an operator has to look.
    TooManyAway,
}

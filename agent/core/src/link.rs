//! The link to the master as the agent sees it.
//!
//! `Down --stream opened--> Registering --Registered--> Up --lost | silent--> Down`. A session belongs to one
//! link; everything of another link or session is dropped.

use std::time::Duration;

use proffer_types::{Session, Timestamp};

use crate::LinkId;
use crate::config::{MIN_HEARTBEAT, MISSED_HEARTBEATS};

/// Where the link is in its life.
#[derive(Debug)]
pub(crate) enum Link {
    Down,
    Registering {
        link: LinkId,
        deadline: Timestamp,
    },
    Up {
        link: LinkId,
        session: Session,
        heartbeat: Duration,
        next_heartbeat: Timestamp,
        /// Lost when nothing came by then.
        deadline: Timestamp,
    },
}

impl Link {
    /// The link and session that status updates may use.
    pub(crate) fn session(&self) -> Option<(LinkId, Session)> {
        match self {
            Self::Down | Self::Registering { .. } => None,
            Self::Up { link, session, .. } => Some((*link, *session)),
        }
    }

    /// The open stream, registered or not.
    pub(crate) fn id(&self) -> Option<LinkId> {
        match self {
            Self::Down => None,
            Self::Registering { link, .. } | Self::Up { link, .. } => Some(*link),
        }
    }

    /// The master tells another interval, which the agent confirms at once, since the master waits for that before it goes
    /// by it.
    pub(crate) fn beat_by(&mut self, now: Timestamp, interval: Duration) {
        let Self::Up {
            heartbeat,
            next_heartbeat,
            deadline,
            ..
        } = self
        else {
            return;
        };
        *heartbeat = interval.max(MIN_HEARTBEAT);
        *next_heartbeat = now;
        *deadline = silent_at(now, *heartbeat);
    }

    /// When something is due on the link.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        match self {
            Self::Down => None,
            Self::Registering { deadline, .. } => Some(*deadline),
            Self::Up {
                next_heartbeat,
                deadline,
                ..
            } => Some(*next_heartbeat.min(deadline)),
        }
    }
}

/// When a master that was heard of now counts as lost.
pub(crate) fn silent_at(now: Timestamp, heartbeat: Duration) -> Timestamp {
    now.after(heartbeat.saturating_mul(MISSED_HEARTBEATS))
}

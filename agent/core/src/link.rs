//! The link to the master as the agent sees it.
//!
//! `Down --stream opened--> Registering --Registered--> Up --lost | silent--> Down`. A session belongs to one
//! link; everything of another link or session is dropped.

use std::time::Duration;

use proffer_types::{Session, Timestamp};

use crate::LinkId;

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

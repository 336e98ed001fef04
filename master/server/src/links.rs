//! The streams that are open, by link: where the core's messages leave.
//!
//! A link that is closed takes no more messages; what was sent before still goes out, then the status. A peer
//! that does not read is cut off at once, with what waits for it.
//!
//! `open --close--> draining --> ended`, `open --too far behind--> ended`

mod outgoing;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::stream::BoxStream;
use proffer_master_core::LinkId;
use proffer_wire::v1;
use prost::Message;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::links::outgoing::Outgoing;

/// The outgoing half of a stream.
pub(crate) type Responses<T> = BoxStream<'static, Result<T, Status>>;

/// All open links; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Links {
    open: Arc<Mutex<BTreeMap<LinkId, Link>>>,
    minted: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Link {
    Agent(Outgoing<v1::MasterFrame>),
    Scheduler(Outgoing<v1::SchedulerEvents>),
}

/// A link just opened, as its stream's task holds it.
pub(crate) struct Opened<T> {
    pub(crate) link: LinkId,
    pub(crate) responses: Responses<T>,
    /// Cancelled when the link is closed: nothing more is read from the peer.
    pub(crate) closed: CancellationToken,
    /// Cancelled when nobody is left to be sent anything.
    pub(crate) gone: CancellationToken,
}

impl Links {
    pub(crate) fn open_agent(&self) -> Opened<v1::MasterFrame> {
        self.open(Link::Agent)
    }

    pub(crate) fn open_scheduler(&self) -> Opened<v1::SchedulerEvents> {
        self.open(Link::Scheduler)
    }

    fn open<T: Message + 'static>(&self, kind: impl FnOnce(Outgoing<T>) -> Link) -> Opened<T> {
        let link = LinkId(self.minted.fetch_add(1, Ordering::Relaxed) + 1);
        let (outgoing, responses) = outgoing::channel();
        let (closed, gone) = (outgoing.closed(), outgoing.gone());
        self.links().insert(link, kind(outgoing));
        Opened {
            link,
            responses,
            closed,
            gone,
        }
    }

    /// Sends frames to an agent. A link that is gone takes none; its loss is on its way to the core.
    pub(crate) fn to_agent(&self, link: LinkId, frames: Vec<v1::MasterFrame>) {
        let mut links = self.links();
        if let Some(Link::Agent(outgoing)) = links.get(&link)
            && !outgoing.send(frames)
        {
            links.remove(&link);
        }
    }

    /// Sends frames to a scheduler.
    pub(crate) fn to_scheduler(&self, link: LinkId, frames: Vec<v1::SchedulerEvents>) {
        let mut links = self.links();
        if let Some(Link::Scheduler(outgoing)) = links.get(&link)
            && !outgoing.send(frames)
        {
            links.remove(&link);
        }
    }

    /// Ends a stream after what was sent to it before.
    pub(crate) fn close(&self, link: LinkId, status: Status) {
        if let Some(link) = self.links().remove(&link) {
            link.close(status);
        }
    }

    /// Ends all streams.
    pub(crate) fn close_all(&self, status: &Status) {
        for link in std::mem::take(&mut *self.links()).into_values() {
            link.close(status.clone());
        }
    }

    /// No step of a change here can panic, so a poisoned lock still guards a whole map.
    fn links(&self) -> MutexGuard<'_, BTreeMap<LinkId, Link>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    fn close(self, status: Status) {
        match self {
            Self::Agent(outgoing) => outgoing.close(status),
            Self::Scheduler(outgoing) => outgoing.close(status),
        }
    }
}

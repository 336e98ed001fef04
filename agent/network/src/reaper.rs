//! Removal of interfaces, many at once.
//!
//! Whenever interfaces are removed the kernel waits until nobody can be using them any more, tens of milliseconds on a
//! busy machine, and nobody else can change interfaces meanwhile. So those that go together are gathered in an interface
//! group (ip-link(8)), which the kernel removes in one go.

use std::io;

use tokio::sync::{mpsc, oneshot};

use crate::links::Links;

/// The most interfaces of one removal.
const MAX_BATCH: usize = 256;

/// Beyond it those who want an interface removed wait.
const MAX_QUEUED: usize = 256;

#[derive(Debug)]
pub(crate) struct Reaper {
    queue: mpsc::Sender<Wanted>,
}

#[derive(Debug)]
struct Wanted {
    name: String,
    done: oneshot::Sender<io::Result<()>>,
}

impl Reaper {
    /// `group` must be nobody else's on the host. Must be called on a runtime.
    pub(crate) fn new(links: Links, group: u32) -> Self {
        let (queue, wanted) = mpsc::channel(MAX_QUEUED);
        tokio::spawn(reap(links, group, wanted));
        Self { queue }
    }

    /// Removes an interface, and the other end of a pair; one that is not there is no error.
    pub(crate) async fn remove(&self, name: String) -> io::Result<()> {
        let stopping = || io::Error::other("the agent is stopping");
        let (done, outcome) = oneshot::channel();
        let queued = self.queue.send(Wanted { name, done }).await;
        queued.map_err(|_| stopping())?;
        outcome.await.map_err(|_| stopping())?
    }
}

async fn reap(links: Links, group: u32, mut queue: mpsc::Receiver<Wanted>) {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, MAX_BATCH).await > 0 {
        let mut gathered = Vec::new();
        for wanted in batch.drain(..) {
            match links.set_group(&wanted.name, group).await {
                Ok(true) => gathered.push(wanted.done),
                // Nobody waiting is nobody's loss, here and below.
                Ok(false) => drop(wanted.done.send(Ok(()))),
                Err(error) => drop(wanted.done.send(Err(error))),
            }
        }
        let removed = match gathered.is_empty() {
            true => Ok(()),
            false => links.delete_group(group).await,
        };
        for done in gathered {
            let _ = done.send(match &removed {
                Ok(()) => Ok(()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            });
        }
    }
}

//! What is told of services, to whoever watches.
//!
//! One task takes the changes from the scheduler as they happen; watchers get all there is, and then each change. What is told
//! and who is subscribed change under one lock, so that nobody misses one or has one twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proffer_sdk::Handle;
use proffer_service_core::Services;
use proffer_types::discovery::{DiscoveredService, ServiceName};
use proffer_types::policy::ClusterNetwork;
use proffer_wire::discovery::frames;
use proffer_wire::v1::WatchResponse;
use tokio::sync::broadcast;

/// Changes that come closer together are told at once.
const PAUSE: Duration = Duration::from_millis(20);
/// How many changes a watcher may be behind until it gets all there is anew.
const MAX_BEHIND: usize = 64;

/// All there is.
#[derive(Debug, Default)]
struct Told {
    services: BTreeMap<ServiceName, DiscoveredService>,
    network: ClusterNetwork,
}

/// One change, as it is sent.
pub(crate) type Change = Arc<Vec<WatchResponse>>;

#[derive(Debug)]
pub(crate) struct Hub {
    told: Mutex<Option<Told>>,
    changes: broadcast::Sender<Change>,
}

impl Hub {
    /// A hub that follows the scheduler for as long as that runs.
    pub(crate) fn follow(handle: Handle<Services>) -> Arc<Self> {
        let hub = Arc::new(Self {
            told: Mutex::new(None),
            changes: broadcast::Sender::new(MAX_BEHIND),
        });
        tokio::spawn(follow(Arc::downgrade(&hub), handle));
        hub
    }

    /// All there is, and the changes after that.
    pub(crate) fn subscribe(&self) -> (Vec<WatchResponse>, broadcast::Receiver<Change>) {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = self.changes.subscribe();
        let all = told.as_ref().map(|told| {
            let services: Vec<_> = told.services.values().cloned().collect();
            frames(&services, &[], Some(&told.network), true)
        });
        // Before the first change nothing is known, which is not the same as that there is nothing.
        (all.unwrap_or_default(), changes)
    }

    /// Takes what may have changed, and tells what has.
    fn tell(&self, changes: Vec<(ServiceName, Option<DiscoveredService>)>, network: Option<ClusterNetwork>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = told.is_none();
        let told = told.get_or_insert_default();
        let known = &mut told.services;
        let (mut changed, mut removed) = (Vec::new(), Vec::new());
        for (name, now) in changes {
            match now {
                Some(now) if known.get(&name) != Some(&now) => {
                    known.insert(name, now.clone());
                    changed.push(now);
                }
                Some(_) => {}
                None => removed.extend(known.remove(&name).map(|_| name)),
            }
        }
        let network = network.filter(|network| *network != told.network);
        if let Some(network) = &network {
            told.network = network.clone();
        }
        let frames = frames(&changed, &removed, network.as_ref(), is_first);
        if !frames.is_empty() {
            // Nobody may be watching.
            drop(self.changes.send(Arc::new(frames)));
        }
    }
}

async fn follow(hub: std::sync::Weak<Hub>, handle: Handle<Services>) {
    let mut progress = handle.watch();
    loop {
        let taken = handle.call(|services, _| (services.take_changes(), services.take_network()));
        let Ok((changes, network)) = taken.await else {
            return;
        };
        let Some(hub) = hub.upgrade() else {
            return;
        };
        hub.tell(changes, network);
        drop(hub);
        tokio::time::sleep(PAUSE).await;
        if progress.changed().await.is_err() {
            return;
        }
    }
}

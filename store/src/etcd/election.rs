//! Who of several processes leads: etcd's own election, under a lease.
//!
//! A leader may act only while its lease is certain to stand: from the moment a keep-alive that was answered was *sent*,
//! for the lease's time less a margin for clocks that run apart. By its own clock it so stops before etcd lets another
//! one win. Writes are fenced besides, by the revision of what they are based on.

use std::time::Duration;

use async_trait::async_trait;
use etcd_client::{Client, ConnectOptions, LeaderKey, ResignOptions};
use proffer_store_api::lease::{KEEP_ALIVES, RETRY, certain_for};
pub use proffer_store_api::lease::{MAX_LEASE, MIN_LEASE};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::etcd::error::words;
use crate::etcd::{CONNECT_TIMEOUT, EtcdAddress, KEEP_ALIVE, REQUEST_TIMEOUT};
use crate::{Election, Leadership};

/// One of several who would lead.
#[derive(Clone)]
pub struct Candidate {
    client: Client,
    name: String,
    lease: Duration,
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Candidate")
            .field("name", &self.name)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

/// The lead, once it is won.
struct Lead {
    client: Client,
    key: LeaderKey,
    lease: Lease,
}

impl std::fmt::Debug for Lead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leadership")
            .field("lease", &self.lease.id)
            .finish_non_exhaustive()
    }
}

impl Candidate {
    /// Prepares to stand in the election of the stores at that address; nothing is asked of etcd yet. `lease`, in whole
    /// seconds, is kept within [`MIN_LEASE`] and [`MAX_LEASE`].
    pub async fn new(address: &EtcdAddress, lease: Duration) -> Result<Self, String> {
        // Standing in an election takes as long as others lead.
        let options = ConnectOptions::new()
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_keep_alive(KEEP_ALIVE, REQUEST_TIMEOUT)
            .with_keep_alive_while_idle(true)
            .with_require_leader(true);
        let client = Client::connect(&address.servers, Some(options)).await;
        Ok(Self {
            client: client.map_err(|error| words(&error))?,
            name: format!("{}/leader", address.prefix),
            lease: lease.clamp(MIN_LEASE, MAX_LEASE),
        })
    }

    async fn attempt(&self, says: &str) -> Option<Lead> {
        let lease = Lease::grant(&self.client, self.lease).await?;
        let mut client = self.client.clone();
        let key = tokio::select! {
            won = client.campaign(self.name.as_str(), says, lease.id) => won.ok()?.leader()?.clone(),
            () = lease.ran_out() => return None,
        };
        Some(Lead {
            client: self.client.clone(),
            key,
            lease,
        })
    }
}

#[async_trait]
impl Election for Candidate {
    async fn campaign(&self, says: &str) -> Box<dyn Leadership> {
        loop {
            if let Some(lead) = self.attempt(says).await {
                return Box::new(lead);
            }
            sleep(RETRY).await;
        }
    }

    async fn leader(&self) -> Option<String> {
        let mut client = self.client.clone();
        let answer = timeout(REQUEST_TIMEOUT, client.leader(self.name.as_str())).await;
        let answer = answer.ok()?.ok()?;
        let says = answer.kv()?.value_str().ok()?;
        Some(says.to_owned())
    }
}

#[async_trait]
impl Leadership for Lead {
    fn is_certain(&self) -> bool {
        Instant::now() < *self.lease.until.borrow()
    }

    async fn lost(&self) {
        self.lease.ran_out().await;
    }

    async fn resign(&self) {
        let mut client = self.client.clone();
        let options = ResignOptions::new().with_leader(self.key.clone());
        // If it does not work the lease runs out.
        let _ = timeout(REQUEST_TIMEOUT, client.resign(Some(options))).await;
        let _ = timeout(REQUEST_TIMEOUT, client.lease_revoke(self.lease.id)).await;
    }
}

/// A lease that is kept alive for as long as this lives.
struct Lease {
    id: i64,
    /// Until when it certainly stands.
    until: watch::Receiver<Instant>,
    keeper: JoinHandle<()>,
}

impl Lease {
    async fn grant(client: &Client, time: Duration) -> Option<Self> {
        let sent = Instant::now();
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let mut client = client.clone();
        let granted = timeout(REQUEST_TIMEOUT, client.lease_grant(seconds, None)).await;
        let id = granted.ok()?.ok()?.id();
        let (until, watched) = watch::channel(sent + certain_for(time));
        let keeper = tokio::spawn(keep_alive(client, id, time, until));
        Some(Self {
            id,
            until: watched,
            keeper,
        })
    }

    async fn ran_out(&self) {
        let mut prolonged = self.until.clone();
        loop {
            let until = *prolonged.borrow_and_update();
            if until <= Instant::now() {
                return;
            }
            tokio::select! {
                () = sleep_until(until) => {}
                changed = prolonged.changed() => if changed.is_err() {
                    // Its keeper is gone: nobody prolongs it.
                    return sleep_until(until).await;
                },
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// Keeps a lease alive until etcd has dropped it.
async fn keep_alive(mut client: Client, id: i64, time: Duration, until: watch::Sender<Instant>) {
    // The streams do not come back by themselves after a fault.
    while let Ok(Ok((mut keeper, mut answers))) = timeout(time, client.lease_keep_alive(id)).await {
        loop {
            let sent = Instant::now();
            let Ok(()) = keeper.keep_alive().await else { break };
            match timeout(time / KEEP_ALIVES, answers.message()).await {
                Ok(Ok(Some(answer))) if answer.ttl() > 0 => {
                    until.send_replace(sent + certain_for(time));
                }
                // Dropped by etcd.
                Ok(Ok(Some(_))) => return,
                _ => break,
            }
            sleep(time / KEEP_ALIVES).await;
        }
        if *until.borrow() <= Instant::now() {
            return;
        }
        sleep(RETRY).await;
    }
}

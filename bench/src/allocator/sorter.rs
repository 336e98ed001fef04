//! The DRF sorter of the reference: the clients of one level in the order of their dominant shares.
//!
//! As in Mesos: sorted whole when anything but an allocation changed, and otherwise kept sorted by moving the one
//! client that was allocated something; who asks gets a list of its own.

use std::collections::HashMap;
use std::hash::Hash;

use proffer_types::Resources;

/// The scalars of the whole cluster.
#[derive(Debug, Default)]
pub(super) struct Total {
    pub(super) sum: Resources,
    /// Changes whenever the sum does.
    pub(super) version: u64,
}

#[derive(Debug)]
struct Client<K> {
    key: K,
    active: bool,
    share: f64,
    /// Allocations so far: of equal shares, the one with fewer comes first.
    n_allocations: u64,
    allocated: Resources,
}

#[derive(Debug)]
pub(super) struct Sorter<K> {
    clients: Vec<Client<K>>,
    index: HashMap<K, usize>,
    /// The active clients; in order, unless dirty.
    order: Vec<usize>,
    dirty: bool,
    version: u64,
}

impl<K: Clone + Eq + Hash + Ord> Sorter<K> {
    pub(super) fn new() -> Self {
        Self {
            clients: Vec::new(),
            index: HashMap::new(),
            order: Vec::new(),
            dirty: false,
            version: 0,
        }
    }

    pub(super) fn add(&mut self, key: &K) {
        if self.index.contains_key(key) {
            return;
        }
        let at = self.clients.len();
        self.index.insert(key.clone(), at);
        self.clients.push(Client {
            key: key.clone(),
            active: true,
            share: 0.0,
            n_allocations: 0,
            allocated: Resources::new(),
        });
        self.order.push(at);
        self.dirty = true;
    }

    pub(super) fn deactivate(&mut self, key: &K) {
        if let Some(at) = self.index.get(key).copied() {
            self.clients[at].active = false;
            self.order.retain(|other| *other != at);
        }
    }

    /// The active clients, the lowest share first.
    pub(super) fn sort(&mut self, total: &Total) -> Vec<K> {
        if self.dirty || self.version != total.version {
            for at in &self.order {
                self.clients[*at].share = share(&self.clients[*at].allocated, &total.sum);
            }
            let clients = &self.clients;
            self.order
                .sort_unstable_by(|a, b| before(&clients[*a], &clients[*b]));
            self.dirty = false;
            self.version = total.version;
        }
        self.order
            .iter()
            .map(|at| self.clients[*at].key.clone())
            .collect()
    }

    /// Counts an allocation and moves the client to its place.
    pub(super) fn allocated(&mut self, key: &K, scalars: &Resources, total: &Total) {
        let Some(at) = self.index.get(key).copied() else {
            return;
        };
        let client = &mut self.clients[at];
        client.allocated.add(scalars);
        client.n_allocations += 1;
        if self.dirty || self.version != total.version || !client.active {
            return;
        }
        client.share = share(&client.allocated, &total.sum);
        let Some(mut place) = self.order.iter().position(|other| *other == at) else {
            return;
        };
        let comes_before = |a: usize, b: usize| before(&self.clients[a], &self.clients[b]).is_lt();
        while place > 0 && comes_before(at, self.order[place - 1]) {
            self.order.swap(place, place - 1);
            place -= 1;
        }
        while place + 1 < self.order.len() && comes_before(self.order[place + 1], at) {
            self.order.swap(place, place + 1);
            place += 1;
        }
    }

    pub(super) fn unallocated(&mut self, key: &K, scalars: &Resources) {
        if let Some(at) = self.index.get(key) {
            self.clients[*at].allocated.subtract(scalars);
            self.dirty = true;
        }
    }

    pub(super) fn allocation(&self, key: &K) -> Option<&Resources> {
        self.index.get(key).map(|at| &self.clients[*at].allocated)
    }
}

#[expect(clippy::cast_precision_loss, reason = "the shares of the textbook are floats")]
fn share(allocated: &Resources, total: &Resources) -> f64 {
    let part = |(name, units): (_, u64)| units as f64 / total.scalar(name).max(1) as f64;
    allocated.scalars().map(part).fold(0.0, f64::max)
}

fn before<K: Ord>(a: &Client<K>, b: &Client<K>) -> std::cmp::Ordering {
    let shares = a.share.total_cmp(&b.share);
    shares
        .then(a.n_allocations.cmp(&b.n_allocations))
        .then_with(|| a.key.cmp(&b.key))
}

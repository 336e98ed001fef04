//! The endpoints of one port of a service: which is next, which gets nothing for a while, and what each served.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proffer_types::Timestamp;
use proffer_types::discovery::{BalancePolicy, DiscoveredPort, DiscoveredService, OutlierDetection};
use proffer_types::edge_report::{EndpointCondition, Traffic};
use rand::Rng;

use crate::balance::{self, Member};
use crate::outlier::{self, Record};
use crate::retry::Budget;
use crate::traffic::{self, Outcome};

/// An endpoint that was chosen. Whoever got it gives it back with [`Pool::release`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    /// Names the endpoint in this pool, and no other one ever.
    pub handle: u64,
    pub address: SocketAddr,
}

#[derive(Debug, Clone)]
struct Slot {
    handle: u64,
    id: Arc<str>,
    address: SocketAddr,
    member: Member,
    record: Record,
    /// A static address that did not answer when it was last connected to.
    is_unreachable: bool,
    /// Not told any more; kept while something is open there, or not yet reported.
    has_left: bool,
    /// Since the last report.
    traffic: Traffic,
}

/// What an endpoint served since the last time that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    pub endpoint: Arc<str>,
    pub traffic: Traffic,
    pub in_flight: u32,
}

/// The endpoints of a port.
#[derive(Debug, Clone)]
pub struct Pool {
    policy: BalancePolicy,
    outlier: OutlierDetection,
    retries: u32,
    /// By ascending handle.
    slots: Vec<Slot>,
    /// The places of those that can be chosen.
    eligible: Vec<usize>,
    /// When one that is ejected can be chosen again.
    returns_at: Option<Timestamp>,
    turn: usize,
    next_handle: u64,
    budget: Budget,
    total: Traffic,
    n_retries: u64,
    n_ejections: u64,
}

impl Pool {
    /// One without endpoints.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            policy: BalancePolicy::default(),
            outlier: OutlierDetection::default(),
            retries: 0,
            slots: Vec::new(),
            eligible: Vec::new(),
            returns_at: None,
            turn: 0,
            next_handle: 0,
            budget: Budget::new(now),
            total: Traffic::default(),
            n_retries: 0,
            n_ejections: 0,
        }
    }

    /// Takes over the endpoints and settings of a port. An endpoint that stays where it was keeps what is known of it.
    pub fn update(&mut self, service: &DiscoveredService, port: &DiscoveredPort, now: Timestamp) {
        self.policy = port.policy;
        self.outlier = port.outlier;
        self.retries = port.retries;
        let mut told: BTreeMap<(Arc<str>, SocketAddr), u32> = service
            .endpoints
            .iter()
            .filter_map(|endpoint| {
                let number = endpoint.port(port.name.as_ref())?;
                let address = SocketAddr::new(endpoint.address, number.get());
                Some(((endpoint.id.clone(), address), endpoint.weight))
            })
            .collect();
        for slot in &mut self.slots {
            match told.remove(&(slot.id.clone(), slot.address)) {
                Some(weight) if !slot.has_left => slot.member.weight = weight,
                // It is back while something of its former time is still open.
                Some(weight) => (slot.has_left, slot.member.weight) = (false, weight),
                None => slot.has_left = true,
            }
        }
        for ((id, address), weight) in told {
            self.slots.push(Slot {
                handle: self.next_handle,
                id,
                address,
                member: Member::new(weight),
                record: Record::default(),
                is_unreachable: false,
                has_left: false,
                traffic: Traffic::default(),
            });
            self.next_handle += 1;
        }
        self.tidy();
        self.sort_out(now);
    }

    /// The next endpoint, none of `tried`; `None` when there is no other one.
    pub fn pick(&mut self, now: Timestamp, tried: &[u64], rng: &mut impl Rng) -> Option<Pick> {
        if self.returns_at.is_some_and(|at| at <= now) {
            self.sort_out(now);
        }
        let index = balance::choose(
            self.policy,
            &mut self.slots,
            |slot| &mut slot.member,
            &self.eligible,
            |slot| !tried.contains(&slot.handle),
            &mut self.turn,
            rng,
        )?;
        let slot = &mut self.slots[index];
        slot.member.in_flight += 1;
        match tried {
            [] => self.budget.earn(),
            _ => self.n_retries += 1,
        }
        Some(Pick {
            handle: slot.handle,
            address: slot.address,
        })
    }

    /// Whether there is an endpoint to choose that is none of `tried`.
    #[must_use]
    pub fn has_other(&self, tried: &[u64]) -> bool {
        let mut eligible = self.eligible.iter();
        eligible.any(|place| !tried.contains(&self.slots[*place].handle))
    }

    /// Whether an endpoint is still told of: a session may go on there.
    #[must_use]
    pub fn is_told(&self, handle: u64) -> bool {
        self.place(handle)
            .is_some_and(|place| !self.slots[place].has_left)
    }

    /// Whether one more retry is allowed after so many attempts.
    pub fn may_retry(&mut self, n_attempts: u32, now: Timestamp) -> bool {
        n_attempts <= self.retries && self.budget.spend(now)
    }

    /// How one ended, and after how long. What it means for the endpoint is drawn from it.
    pub fn judge(&mut self, handle: u64, now: Timestamp, outcome: Outcome, took: Duration) {
        traffic::record(&mut self.total, outcome, took);
        let Some(place) = self.place(handle) else { return };
        let slot = &mut self.slots[place];
        traffic::record(&mut slot.traffic, outcome, took);
        match outcome.verdict() {
            None => {}
            Some(true) => slot.record.succeeded(),
            Some(false) => {
                let told = self.slots.iter().filter(|slot| !slot.has_left);
                let n_told = told.clone().count();
                let n_ejected = told.filter(|slot| slot.record.is_ejected(now)).count();
                let room = n_ejected < outlier::most_ejected(&self.outlier, n_told);
                let slot = &mut self.slots[place];
                if slot.record.failed(&self.outlier, now, room) {
                    self.n_ejections += 1;
                    self.sort_out(now);
                }
            }
        }
    }

    /// Nothing of this pick is open any more.
    pub fn release(&mut self, handle: u64) {
        let Some(place) = self.place(handle) else { return };
        let member = &mut self.slots[place].member;
        member.in_flight = member.in_flight.saturating_sub(1);
    }

    /// Whether a static address could be connected to.
    pub fn probed(&mut self, id: &str, is_reachable: bool, now: Timestamp) {
        let mut changed = false;
        for slot in self.slots.iter_mut().filter(|slot| *slot.id == *id) {
            changed |= slot.is_unreachable == is_reachable;
            slot.is_unreachable = !is_reachable;
        }
        if changed {
            self.sort_out(now);
        }
    }

    /// What each endpoint served since the last call, but for those that served nothing and have nothing open.
    pub fn take_served(&mut self, now: Timestamp) -> Vec<Served> {
        let mut served = Vec::new();
        for slot in &mut self.slots {
            let traffic = std::mem::take(&mut slot.traffic);
            if traffic.count > 0 || slot.member.in_flight > 0 {
                served.push(Served {
                    endpoint: slot.id.clone(),
                    traffic,
                    in_flight: slot.member.in_flight,
                });
            }
        }
        self.tidy();
        self.sort_out(now);
        served
    }

    /// The endpoints that get nothing, and why.
    pub fn findings(&self, now: Timestamp) -> impl Iterator<Item = (&Arc<str>, EndpointCondition)> {
        let told = self.slots.iter().filter(|slot| !slot.has_left);
        told.filter_map(move |slot| {
            let condition = match (slot.is_unreachable, slot.record.is_ejected(now)) {
                (true, _) => EndpointCondition::Unreachable,
                (false, true) => EndpointCondition::Ejected,
                (false, false) => return None,
            };
            Some((&slot.id, condition))
        })
    }

    /// Everything served since the start, by endpoints that have left too.
    #[must_use]
    pub fn total(&self) -> &Traffic {
        &self.total
    }

    /// Retries since the start.
    #[must_use]
    pub fn n_retries(&self) -> u64 {
        self.n_retries
    }

    /// Ejections since the start.
    #[must_use]
    pub fn n_ejections(&self) -> u64 {
        self.n_ejections
    }

    /// Everything open now.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        let open = self.slots.iter().map(|slot| u64::from(slot.member.in_flight));
        open.sum()
    }

    /// How many endpoints there are, and how many of them can be chosen.
    #[must_use]
    pub fn n_endpoints(&self) -> (usize, usize) {
        let told = self.slots.iter().filter(|slot| !slot.has_left);
        (told.count(), self.eligible.len())
    }

    fn place(&self, handle: u64) -> Option<usize> {
        self.slots.binary_search_by_key(&handle, |slot| slot.handle).ok()
    }

    /// Forgets those that have left and of which nothing is open or to be reported.
    fn tidy(&mut self) {
        self.slots
            .retain(|slot| !slot.has_left || slot.member.in_flight > 0 || slot.traffic.count > 0);
    }

    /// Says anew who can be chosen: whoever is neither ejected nor unreachable; if that is nobody, whoever is not
    /// unreachable; if that is nobody, everybody. Envoy calls that panic.
    fn sort_out(&mut self, now: Timestamp) {
        let told = || self.slots.iter().filter(|slot| !slot.has_left);
        self.returns_at = told().filter_map(|slot| slot.record.returns_at(now)).min();
        let choose = |good: &dyn Fn(&Slot) -> bool| -> Vec<usize> {
            let places = self.slots.iter().enumerate();
            places
                .filter(|(_, slot)| !slot.has_left && good(slot))
                .map(|(place, _)| place)
                .collect()
        };
        let mut eligible = choose(&|slot| !slot.is_unreachable && !slot.record.is_ejected(now));
        if eligible.is_empty() {
            eligible = choose(&|slot| !slot.is_unreachable);
        }
        if eligible.is_empty() {
            eligible = choose(&|_| true);
        }
        self.eligible = eligible;
    }
}

#[cfg(test)]
mod tests;

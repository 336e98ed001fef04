//! One port of a service, with its endpoints: what listeners send to.

use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proffer_edge_core::pool::{Pick, Pool};
use proffer_edge_core::traffic::Outcome;
use proffer_types::discovery::{DiscoveredPort, DiscoveredService, PortProtocol, ServiceName};
use rand::SeedableRng as _;
use rand::rngs::SmallRng;

use crate::clock;

/// What tells routes apart: a TCP and a UDP port may have one number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RouteKey {
    pub(crate) service: ServiceName,
    pub(crate) port: NonZeroU16,
    pub(crate) protocol: PortProtocol,
}

/// A port of a service. It stays the same while its endpoints and settings change.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) key: RouteKey,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    pool: Pool,
    rng: SmallRng,
}

impl Route {
    pub(crate) fn new(key: RouteKey) -> Self {
        let state = State {
            pool: Pool::new(clock::now()),
            rng: SmallRng::from_rng(&mut rand::rng()),
        };
        Self {
            key,
            state: Mutex::new(state),
        }
    }

    pub(crate) fn update(&self, service: &DiscoveredService, port: &DiscoveredPort) {
        self.state().pool.update(service, port, clock::now());
    }

    /// The next endpoint, none of `tried`. What is open there ends with the value.
    pub(crate) fn pick(self: &Arc<Self>, tried: &[u64]) -> Option<Open> {
        let mut state = self.state();
        let State { pool, rng } = &mut *state;
        let pick = pool.pick(clock::now(), tried, rng)?;
        Some(Open {
            route: Arc::clone(self),
            pick,
        })
    }

    /// Whether one more attempt is allowed after so many.
    pub(crate) fn may_retry(&self, n_attempts: usize) -> bool {
        let n_attempts = u32::try_from(n_attempts).unwrap_or(u32::MAX);
        self.state().pool.may_retry(n_attempts, clock::now())
    }

    /// Whether there is an endpoint that is none of `tried`.
    pub(crate) fn has_other(&self, tried: &[u64]) -> bool {
        self.state().pool.has_other(tried)
    }

    /// Looks at, or changes, what is known of the endpoints.
    pub(crate) fn with_pool<T>(&self, look: impl FnOnce(&mut Pool) -> T) -> T {
        look(&mut self.state().pool)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves counts that are off by one at worst.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that is open at an endpoint: it counts there until this is dropped.
#[derive(Debug)]
pub(crate) struct Open {
    route: Arc<Route>,
    pub(crate) pick: Pick,
}

impl Open {
    /// Says how it went, and how long it took.
    pub(crate) fn judge(&self, outcome: Outcome, took: Duration) {
        let mut state = self.route.state();
        state.pool.judge(self.pick.handle, clock::now(), outcome, took);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.route.state().pool.release(self.pick.handle);
    }
}

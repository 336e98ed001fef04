//! One listener for each address and port that a service is reached by, as services come and go.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use proffer_edge_core::catalog::Services;
use proffer_types::discovery::PortProtocol;
use proffer_types::edge_report::ListenerFailure;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::addresses::Addresses;
use crate::proxy::{Proxy, http, tcp, udp};
use crate::route::{Route, RouteKey};
use crate::sockets;
use crate::state::{Routes, Shared};

/// Pauses between attempts to have a listener.
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// How often addresses that nobody uses any more are looked for.
const TIDY_EVERY: Duration = Duration::from_secs(5);

/// A place to listen at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    address: SocketAddr,
    is_udp: bool,
}

struct Listening {
    route: Arc<Route>,
    /// Ends the listener, and in good order what goes through it.
    stop: CancellationToken,
}

struct Failing {
    reason: String,
    wait: Duration,
    again_at: Instant,
}

/// What services want to be reached by: who is first has a place that two want.
struct Wanted {
    places: BTreeMap<Place, Arc<Route>>,
    taken: Vec<ListenerFailure>,
}

fn wanted(services: &Services, routes: &Routes) -> Wanted {
    let mut wanted = Wanted {
        places: BTreeMap::new(),
        taken: Vec::new(),
    };
    for service in services.values() {
        for port in &service.ports {
            let key = RouteKey {
                service: service.name.clone(),
                port: port.number,
                protocol: port.protocol,
            };
            let Some(route) = routes.get(&key) else { continue };
            let own = service.virtual_address.map(|address| (address, port.number));
            let published = port.published.map(|number| (Ipv4Addr::UNSPECIFIED, number));
            for (address, number) in own.into_iter().chain(published) {
                let place = Place {
                    address: (address, number.get()).into(),
                    is_udp: port.protocol == PortProtocol::Udp,
                };
                match wanted.places.get(&place) {
                    Some(other) => {
                        let reason = format!("{} has it", other.key.service);
                        wanted.taken.push(failure(route, place, reason));
                    }
                    None => drop(wanted.places.insert(place, Arc::clone(route))),
                }
            }
        }
    }
    wanted
}

fn failure(route: &Route, place: Place, reason: String) -> ListenerFailure {
    ListenerFailure {
        service: route.key.service.clone(),
        port: route.key.port.get(),
        address: place.address.to_string(),
        reason,
    }
}

/// Has the listeners that are wanted until `shutdown`; then none, without waiting for what goes through them.
pub(crate) async fn run(
    shared: Arc<Shared>,
    proxy: Proxy,
    addresses: Arc<Addresses>,
    shutdown: CancellationToken,
) {
    let mut changes = shared.changes();
    let mut listeners = Listeners {
        shared,
        proxy,
        addresses,
        listening: BTreeMap::new(),
        failing: BTreeMap::new(),
    };
    let mut tidy_at = Instant::now() + TIDY_EVERY;
    loop {
        let wanted = listeners.settle().await;
        if Instant::now() >= tidy_at {
            let kept = wanted.places.keys().map(|place| place.address.ip());
            listeners.addresses.tidy(&kept.collect()).await;
            tidy_at = Instant::now() + TIDY_EVERY;
        }
        let again_at = listeners.failing.values().map(|failing| failing.again_at).min();
        let next = again_at.map_or(tidy_at, |at| at.min(tidy_at));
        tokio::select! {
            () = shutdown.cancelled() => break,
            changed = changes.changed() => if changed.is_err() { break },
            () = sleep_until(next) => {}
        }
    }
    for listening in listeners.listening.values() {
        listening.stop.cancel();
    }
}

struct Listeners {
    shared: Arc<Shared>,
    proxy: Proxy,
    addresses: Arc<Addresses>,
    listening: BTreeMap<Place, Listening>,
    failing: BTreeMap<Place, Failing>,
}

impl Listeners {
    /// Ends the listeners that are not wanted any more, and tries those that are missing and due.
    async fn settle(&mut self) -> Wanted {
        let wanted = wanted(&self.shared.services.load(), &self.shared.routes.load());
        self.listening.retain(|place, listening| {
            // A task that ended by itself had a socket that is of no use any more.
            let is_same = |route: &Arc<Route>| Arc::ptr_eq(route, &listening.route);
            let stays = wanted.places.get(place).is_some_and(is_same) && !listening.stop.is_cancelled();
            if !stays {
                listening.stop.cancel();
            }
            stays
        });
        self.failing.retain(|place, _| wanted.places.contains_key(place));
        let now = Instant::now();
        for (place, route) in &wanted.places {
            let is_due = self
                .failing
                .get(place)
                .is_none_or(|failing| failing.again_at <= now);
            if !self.listening.contains_key(place) && is_due {
                self.listen(*place, route).await;
            }
        }
        let mut failures = wanted.taken.clone();
        failures.extend(self.failing.iter().filter_map(|(place, failing)| {
            let route = wanted.places.get(place)?;
            Some(failure(route, *place, failing.reason.clone()))
        }));
        if *self.shared.failures.load().as_ref() != failures {
            self.shared.failures.store(Arc::new(failures));
        }
        wanted
    }

    async fn listen(&mut self, place: Place, route: &Arc<Route>) {
        let mut started = self.start(place, route);
        if let Err(error) = &started
            && error.kind() == io::ErrorKind::AddrNotAvailable
        {
            started = match self.addresses.add(place.address.ip()).await {
                Ok(()) => self.start(place, route),
                Err(error) => Err(error),
            };
        }
        match started {
            Ok(stop) => {
                let route = Arc::clone(route);
                self.listening.insert(place, Listening { route, stop });
                if self.failing.remove(&place).is_some() {
                    info!(address = %place.address, "listening after all");
                }
            }
            Err(error) => {
                let before = self.failing.get(&place);
                if before.is_none() {
                    let service = &route.key.service;
                    warn!(address = %place.address, %service, %error, "cannot listen; trying again");
                }
                let wait = before.map_or(RETRY_MIN, |before| (before.wait * 2).min(RETRY_MAX));
                let failing = Failing {
                    reason: error.to_string(),
                    wait,
                    again_at: Instant::now() + wait,
                };
                self.failing.insert(place, failing);
            }
        }
    }

    fn start(&self, place: Place, route: &Arc<Route>) -> io::Result<CancellationToken> {
        let stop = CancellationToken::new();
        let (proxy, route) = (self.proxy.clone(), Arc::clone(route));
        match route.key.protocol {
            PortProtocol::Tcp => {
                let listener = sockets::tcp(place.address)?;
                let task = tcp::run(listener, route, proxy.clone(), stop.clone());
                proxy.tasks.spawn(task);
            }
            PortProtocol::Http => {
                let listener = sockets::tcp(place.address)?;
                let task = http::run(listener, route, proxy.clone(), stop.clone());
                proxy.tasks.spawn(task);
            }
            PortProtocol::Udp => {
                let socket = sockets::udp(place.address)?;
                let task = udp::run(socket, route, proxy.clone(), stop.clone());
                proxy.tasks.spawn(task);
            }
        }
        Ok(stop)
    }
}

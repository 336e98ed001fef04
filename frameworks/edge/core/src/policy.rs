//! Network policies as packet filter rules of one host.
//!
//! Who a packet is from is known where its sender runs: the edge there knows which address is whose, and lets a container
//! reach only what policies let it reach, wherever that is. What leaves a host has the host's address, so hosts of the cluster
//! are trusted, and whoever is neither a host nor a container of this one is outside, and goes by address.

mod script;
mod spans;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use proffer_types::container::Protocol;
use proffer_types::discovery::{DiscoveredService, PortProtocol, ServiceName};
use proffer_types::policy::{ClusterNetwork, IngressRule, Member, Numbers, Peer};

use self::spans::Spans;
use crate::catalog::Services;

pub use self::script::{BRIDGE_SET, INET_SET, NO_BRIDGE, NO_INET};

/// What is to be known of a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Host {
    /// All its addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// Where containers may have addresses.
    pub networks: Vec<Network>,
}

/// A network that the host has an address in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    pub address: Ipv4Addr,
    pub prefix: u8,
    /// Of the host's interface there.
    pub mac: [u8; 6],
}

/// Where a packet goes: an address, and a port there.
type Target = (Ipv4Addr, Protocol, u16);

/// What is let through on one host, whatever the family of its tables.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ruleset {
    /// Whose packets are let through wherever they go.
    hosts: BTreeSet<IpAddr>,
    /// Who may reach an address of this or another host, or one of the virtual ones.
    addresses: BTreeMap<Target, Spans>,
    /// Who may reach a port at any address of this host.
    local: BTreeMap<(Protocol, u16), Spans>,
    /// What may reach containers of this host at their own addresses.
    containers: BTreeMap<Ipv4Addr, Vec<Allowed>>,
    /// By which interface of the host packets of, and to, these containers are led, which a bridge would pass on by itself.
    routers: BTreeMap<Ipv4Addr, [u8; 6]>,
    /// Hardware addresses of these containers, where they are known.
    guarded: BTreeSet<[u8; 6]>,
}

/// Some sources, and the ports they may reach: all, or some of a protocol.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Allowed {
    ports: Option<(Protocol, u16, u16)>,
    from: Spans,
}

/// What policies say of one service: the rules of those that select it, each with its sources on this host and outside.
type Guard<'a> = Vec<(&'a IngressRule, &'a Spans)>;

/// What is to be enforced on a host; nothing, while there is no policy.
#[must_use]
pub fn ruleset(services: &Services, cluster: &ClusterNetwork, host: &Host) -> Option<Ruleset> {
    if cluster.policies.is_empty() {
        return None;
    }
    let locals = locals(services, host);
    let policies: Vec<_> = cluster
        .policies
        .iter()
        .map(|policy| {
            let rules = policy.ingress.iter();
            let rules: Vec<_> = rules.map(|rule| (rule, sources(rule, &locals))).collect();
            (policy, rules)
        })
        .collect();
    let mut guards: BTreeMap<&ServiceName, Guard<'_>> = BTreeMap::new();
    for (name, service) in services {
        let selecting = policies
            .iter()
            .filter(|(policy, _)| policy.selects(name, &service.network.labels));
        for (_, rules) in selecting {
            let guard = guards.entry(name).or_default();
            guard.extend(rules.iter().map(|(rule, from)| (*rule, from)));
        }
    }
    let mut ruleset = Ruleset {
        hosts: cluster.hosts.iter().copied().collect(),
        ..Ruleset::default()
    };
    for (name, service) in services {
        if let Some(guard) = guards.get(name) {
            for member in &service.network.members {
                ruleset.guard_member(member, guard, host);
            }
        }
        ruleset.guard_doors(service, &guards, cluster, host);
    }
    Some(ruleset)
}

/// The services that have containers on the host, with the addresses of these.
fn locals<'a>(services: &'a Services, host: &Host) -> Vec<(&'a DiscoveredService, Vec<u32>)> {
    let of = |service: &'a DiscoveredService| {
        let members = service.network.members.iter();
        let here = members.filter(|member| host.addresses.contains(&member.host));
        let addresses: Vec<_> = here
            .filter_map(|member| member.address)
            .map(Ipv4Addr::to_bits)
            .collect();
        (!addresses.is_empty()).then_some((service, addresses))
    };
    services.values().filter_map(|service| of(service)).collect()
}

/// Whom a rule lets in.
fn sources(rule: &IngressRule, locals: &[(&DiscoveredService, Vec<u32>)]) -> Spans {
    if rule.from.is_empty() {
        return Spans::all();
    }
    let mut spans = Spans::default();
    for peer in &rule.from {
        if let Peer::Addresses { block, except } = peer {
            let except = except.iter().map(|block| block.bounds());
            let block: Spans = [block.bounds()].into_iter().collect();
            spans = spans.or(&block.without(&except.collect()));
        }
        let meant = locals
            .iter()
            .filter(|(service, _)| peer.is(&service.name, &service.network.labels));
        let addresses = meant.flat_map(|(_, addresses)| addresses.iter().map(|address| (*address, *address)));
        spans = spans.or(&addresses.collect());
    }
    spans
}

/// Who may reach a port of a service's tasks.
fn allowed(guard: &Guard<'_>, protocol: Protocol, name: &str, number: std::num::NonZeroU16) -> Spans {
    let mut spans = Spans::default();
    for (rule, from) in guard {
        let is_meant = rule.ports.is_empty() || rule.ports.iter().any(|port| port.is(protocol, name, number));
        if is_meant {
            spans = spans.or(from);
        }
    }
    spans
}

/// What may reach a task at its own address, at ports that it declares and others.
fn at_own_address(guard: &Guard<'_>, member: &Member) -> Vec<Allowed> {
    let mut all = BTreeSet::new();
    let mut add = |ports, from: &Spans| {
        if !from.is_empty() {
            let from = from.clone();
            all.insert(Allowed { ports, from });
        }
    };
    for (rule, from) in guard {
        if rule.ports.is_empty() {
            add(None, from);
        }
        for port in &rule.ports {
            match &port.numbers {
                Numbers::All => add(Some((port.protocol, 0, u16::MAX)), from),
                Numbers::Range(first, last) => add(Some((port.protocol, first.get(), last.get())), from),
                Numbers::Name(_) => {
                    let named = member
                        .ports
                        .iter()
                        .filter(|of| port.is(of.protocol, &of.name, of.number));
                    named.for_each(|of| add(Some((of.protocol, of.number.get(), of.number.get())), from));
                }
            }
        }
    }
    all.into_iter().collect()
}

impl Ruleset {
    /// Guards a task where it is reached: at its host, and at its own address.
    fn guard_member(&mut self, member: &Member, guard: &Guard<'_>, host: &Host) {
        let is_here = host.addresses.contains(&member.host);
        for port in &member.ports {
            let from = allowed(guard, port.protocol, &port.name, port.number);
            let number = port.host_number.get();
            match (is_here, member.host) {
                (true, _) => self.guard_local(port.protocol, number, &from),
                (false, IpAddr::V4(address)) => self.guard_address((address, port.protocol, number), &from),
                // Containers have no way to IPv6.
                (false, IpAddr::V6(_)) => {}
            }
        }
        let Some(address) = member.address.filter(|_| is_here) else {
            return;
        };
        self.containers
            .entry(address)
            .or_insert_with(|| at_own_address(guard, member));
        let around = host.networks.iter().filter(|network| network.holds(address));
        if let Some(network) = around.max_by_key(|network| network.prefix) {
            self.routers.insert(address, network.mac);
            self.guarded.extend(network.mac_of(address));
        }
    }

    /// Guards the ports of a name by what is behind them: who may not reach all of that may not reach the name.
    fn guard_doors(
        &mut self,
        service: &DiscoveredService,
        guards: &BTreeMap<&ServiceName, Guard<'_>>,
        cluster: &ClusterNetwork,
        host: &Host,
    ) {
        for door in &service.network.doors {
            let Some(guard) = guards.get(&door.service) else {
                continue;
            };
            let from = allowed(guard, door.protocol, &door.target_name, door.target);
            if let Some(address) = service.virtual_address {
                self.guard_address((address, door.protocol, door.port.get()), &from);
            }
            let is_it = |port: &&proffer_types::discovery::DiscoveredPort| {
                let is_udp = port.protocol == PortProtocol::Udp;
                port.number == door.port && is_udp == (door.protocol == Protocol::Udp)
            };
            let port = service.ports.iter().find(is_it);
            let Some(published) = port.and_then(|port| port.published) else {
                continue;
            };
            self.guard_local(door.protocol, published.get(), &from);
            for other in cluster
                .hosts
                .iter()
                .filter(|other| !host.addresses.contains(other))
            {
                if let IpAddr::V4(address) = other {
                    self.guard_address((*address, door.protocol, published.get()), &from);
                }
            }
        }
    }

    fn guard_local(&mut self, protocol: Protocol, number: u16, from: &Spans) {
        let known = self.local.entry((protocol, number)).or_insert_with(Spans::all);
        *known = known.and(from);
    }

    fn guard_address(&mut self, target: Target, from: &Spans) {
        let known = self.addresses.entry(target).or_insert_with(Spans::all);
        *known = known.and(from);
    }
}

impl Network {
    fn holds(&self, address: Ipv4Addr) -> bool {
        let differing = self.address.to_bits() ^ address.to_bits();
        differing
            .checked_shr(32 - u32::from(self.prefix.min(32)))
            .unwrap_or(0)
            == 0
    }

    /// The hardware address of a container, where the network is an agent's, whose hardware addresses go with the others.
    fn mac_of(&self, address: Ipv4Addr) -> Option<[u8; 6]> {
        let mac = |address: Ipv4Addr| {
            let [a, b, c, d] = address.octets();
            [0x02, 0x50, a, b, c, d]
        };
        (mac(self.address) == self.mac).then(|| mac(address))
    }
}

#[cfg(test)]
mod tests;

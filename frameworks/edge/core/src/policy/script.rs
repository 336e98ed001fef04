//! The rules as `nft` takes them.
//!
//! What a packet costs does not grow with the number of services: where it goes is one look-up in each of three maps, and who
//! it is from one in a set. A table is made anew as a whole, in one transaction: there is no moment without rules, and it does
//! not matter who made the one before.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Write as _};
use std::net::IpAddr;

use proffer_types::container::Protocol;

use super::{Allowed, Ruleset, Spans};

const INET_TABLE: &str = "inet proffer_policy";
const BRIDGE_TABLE: &str = "bridge proffer_policy";
/// A small set that is there while the table is, as `nft list set` names it.
pub const INET_SET: &str = "inet proffer_policy hosts6";
/// As [`INET_SET`].
pub const BRIDGE_SET: &str = "bridge proffer_policy guarded";
/// Removes a table that may or may not be there.
pub const NO_INET: &str = "add table inet proffer_policy\ndelete table inet proffer_policy\n";
/// As [`NO_INET`].
pub const NO_BRIDGE: &str = "add table bridge proffer_policy\ndelete table bridge proffer_policy\n";

/// Each chain and each set once, however many use it.
#[derive(Default)]
struct Shared {
    sets: BTreeMap<Spans, usize>,
    chains: BTreeMap<Vec<Allowed>, usize>,
}

impl Shared {
    fn chain(&mut self, allowed: Vec<Allowed>) -> usize {
        for spans in allowed.iter().map(|allowed| &allowed.from) {
            let next = self.sets.len();
            if !self.sets.contains_key(spans) {
                self.sets.insert(spans.clone(), next);
            }
        }
        let next = self.chains.len();
        *self.chains.entry(allowed).or_insert(next)
    }

    /// The chain for a port that these may reach.
    fn port(&mut self, from: &Spans) -> usize {
        let from = (!from.is_empty()).then(|| from.clone());
        let allowed = from.map(|from| Allowed { ports: None, from });
        self.chain(allowed.into_iter().collect())
    }
}

fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

impl Ruleset {
    /// The table before routing. It sees whatever is not made by the host itself, before the agents' tables turn published
    /// ports into containers.
    #[must_use]
    pub fn inet(&self) -> String {
        let mut shared = Shared::default();
        let addresses = self.addresses.iter().map(|((address, protocol, port), from)| {
            let chain = shared.port(from);
            format!("{address} . {} . {port} : goto c{chain}", name(*protocol))
        });
        let addresses: Vec<_> = addresses.collect();
        let local = self.local.iter().map(|((protocol, port), from)| {
            let chain = shared.port(from);
            format!("{} . {port} : goto c{chain}", name(*protocol))
        });
        let local: Vec<_> = local.collect();
        let containers = self.containers.iter().map(|(address, allowed)| {
            let chain = shared.chain(allowed.clone());
            format!("{address} : goto c{chain}")
        });
        let containers: Vec<_> = containers.collect();

        let mut text = format!("{NO_INET}table {INET_TABLE} {{\n");
        let (v4, v6): (BTreeSet<_>, BTreeSet<_>) = self.hosts.iter().partition(|host| host.is_ipv4());
        let hosts = |of: BTreeSet<&IpAddr>| of.iter().map(ToString::to_string).collect::<Vec<_>>();
        block(&mut text, "set hosts4", "ipv4_addr", hosts(v4));
        block(&mut text, "set hosts6", "ipv6_addr", hosts(v6));
        let mut sets: Vec<_> = shared.sets.iter().filter(|(spans, _)| !spans.is_all()).collect();
        sets.sort_unstable_by_key(|(_, nth)| **nth);
        for (spans, nth) in sets {
            let typed = "ipv4_addr\n        flags interval";
            block(&mut text, &format!("set s{nth}"), typed, [spans]);
        }
        let mut chains: Vec<_> = shared.chains.iter().collect();
        chains.sort_unstable_by_key(|(_, nth)| **nth);
        for (allowed, nth) in chains {
            let _ = writeln!(text, "    chain c{nth} {{");
            for Allowed { ports, from } in allowed {
                let ports = ports.map(|(protocol, first, last)| {
                    let protocol = name(protocol);
                    match first == last {
                        true => format!("meta l4proto {protocol} th dport {first} "),
                        false => format!("meta l4proto {protocol} th dport {first}-{last} "),
                    }
                });
                let set = shared.sets.get(from).filter(|_| !from.is_all());
                let from = set.map(|nth| format!("ip saddr @s{nth} "));
                let _ = writeln!(
                    text,
                    "        {}{}accept",
                    ports.unwrap_or_default(),
                    from.unwrap_or_default()
                );
            }
            text.push_str("        drop\n    }\n");
        }
        let target = "ipv4_addr . inet_proto . inet_service : verdict";
        block(&mut text, "map addresses", target, addresses);
        block(
            &mut text,
            "map local",
            "inet_proto . inet_service : verdict",
            local,
        );
        block(&mut text, "map containers", "ipv4_addr : verdict", containers);
        text.push_str(
            "    chain prerouting {
        type filter hook prerouting priority -150; policy accept;
        iif lo accept
        ct state established,related accept
        ip saddr @hosts4 accept
        ip6 saddr @hosts6 accept
        ip daddr . meta l4proto . th dport vmap @addresses
        fib daddr type local meta l4proto . th dport vmap @local
        ip daddr vmap @containers
    }
}
",
        );
        text
    }

    /// The table of bridges. A bridge passes on by itself what containers on it send to each other. Of guarded containers that
    /// is led to the host in place of it, both ways, which routes it by way of the other table. Containers have no other
    /// protocol than IPv4, and what is sent to a guarded one by any other is dropped.
    #[must_use]
    pub fn bridge(&self) -> String {
        if self.routers.is_empty() {
            return NO_BRIDGE.to_owned();
        }
        let mut text = format!("{NO_BRIDGE}table {BRIDGE_TABLE} {{\n");
        let routers = self.routers.iter();
        let routers = routers.map(|(address, router)| format!("{address} : {}", mac(*router)));
        block(&mut text, "map routers", "ipv4_addr : ether_addr", routers);
        let guarded = self.guarded.iter().map(|of| mac(*of));
        block(&mut text, "set guarded", "ether_addr", guarded);
        text.push_str(
            "    chain prerouting {
        type filter hook prerouting priority -300; policy accept;
        meta pkttype other ether daddr set ip daddr map @routers meta pkttype set host
        meta pkttype other ether daddr set ip saddr map @routers meta pkttype set host
        ether daddr @guarded ether type != { ip, arp } drop
    }
}
",
        );
        text
    }
}

fn mac(of: [u8; 6]) -> String {
    let [a, b, c, d, e, f] = of;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

/// A set or map; `nft` takes no empty list of elements.
fn block<T: Display>(text: &mut String, head: &str, typed: &str, elements: impl IntoIterator<Item = T>) {
    let elements: Vec<String> = elements.into_iter().map(|element| element.to_string()).collect();
    let _ = writeln!(text, "    {head} {{\n        type {typed}");
    if !elements.is_empty() {
        let _ = writeln!(text, "        elements = {{ {} }}", elements.join(", "));
    }
    text.push_str("    }\n");
}

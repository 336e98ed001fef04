//! The answers to DNS questions.
//!
//! `web.service.proffer`, `web.NS.service.proffer`: the addresses of the endpoints; SRV their ports too, with one target per
//! address, `HEX.addr.proffer`. `_PORT._PROTOCOL.` before it: that port alone. `web.virtual.proffer`,
//! `web.NS.virtual.proffer`: the service's own address, and SRV its ports.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proffer_types::discovery::{
    DiscoveredPort, DiscoveredService, Endpoint, Label, PortProtocol, ServiceName,
};
use rand::{Rng, RngExt as _};

use crate::catalog::Services;

/// The zone: all names end in this label.
pub const ZONE: &str = "proffer";
/// The namespace of names that have none.
pub const DEFAULT_NAMESPACE: &str = "default";
/// For how long an answer holds, in seconds, of names that are not there too.
pub const TTL_S: u32 = 1;
/// The most records of an answer: with their targets' addresses they fit into 64 KiB.
pub const MAX_ANSWERS: usize = 500;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    A,
    Aaaa,
    Srv,
    Soa,
    /// Every address.
    Any,
    /// What this zone has of no name.
    Other,
}

/// One record; names are absolute, without the dot at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub name: String,
    pub data: Data,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    Address(IpAddr),
    Srv { weight: u16, port: u16, target: String },
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Records {
        answers: Vec<Record>,
        /// The addresses of SRV targets.
        additionals: Vec<Record>,
    },
    /// The zone's own record.
    Soa,
    /// The name is known, and has nothing of that kind.
    NoData,
    /// There is no such name.
    NxDomain,
    /// Not of our zone.
    Refused,
}

/// Answers a question. `labels` are those of the name, in lower case, as it is written. An endpoint is told of if `is_up`.
pub fn answer(
    services: &Services,
    labels: &[&str],
    kind: Kind,
    is_up: impl Fn(&DiscoveredService, &Endpoint) -> bool,
    rng: &mut impl Rng,
) -> Answer {
    let question = Question {
        services,
        name: labels.join("."),
        kind,
    };
    match labels {
        [ZONE] if kind == Kind::Soa => Answer::Soa,
        [ZONE] | ["service" | "virtual" | "addr", ZONE] => Answer::NoData,
        [address, "addr", ZONE] => match from_hex(address) {
            Some(address) => question.addresses([address]),
            None => Answer::NxDomain,
        },
        [rest @ .., "service", ZONE] => match question.find(rest) {
            Ok((service, ports)) => question.endpoints(service, ports, is_up, rng),
            Err(answer) => answer,
        },
        [rest @ .., "virtual", ZONE] => match question.find(rest) {
            Ok((service, ports)) => question.virtual_service(service, ports),
            Err(answer) => answer,
        },
        [.., ZONE] => Answer::NxDomain,
        _ => Answer::Refused,
    }
}

struct Question<'a> {
    services: &'a Services,
    name: String,
    kind: Kind,
}

/// The ports that a name means: all, or one by `_PORT._PROTOCOL`.
type Ports<'a> = (Vec<&'a DiscoveredPort>, bool);

impl<'a> Question<'a> {
    /// The service that the labels before the kind of name mean, and its ports.
    fn find(&self, labels: &[&str]) -> Result<(&'a DiscoveredService, Ports<'a>), Answer> {
        let n_under = labels.iter().take_while(|label| label.starts_with('_')).count();
        let (under, base) = labels.split_at(n_under);
        let (name, namespace) = match base {
            [name] => (*name, DEFAULT_NAMESPACE),
            [name, namespace] => (*name, *namespace),
            _ => return Err(Answer::NxDomain),
        };
        let (Ok(label), Ok(namespace)) = (name.parse(), namespace.parse()) else {
            return Err(Answer::NxDomain);
        };
        let full = ServiceName {
            namespace,
            name: label,
        };
        let Some(service) = self.services.get(&full) else {
            let is_namespace = base.len() == 1
                && under.is_empty()
                && self
                    .services
                    .keys()
                    .any(|service| service.namespace.as_str() == name);
            return Err(match is_namespace {
                true => Answer::NoData,
                false => Answer::NxDomain,
            });
        };
        match under {
            [] => Ok((service, (service.ports.iter().collect(), false))),
            ["_tcp" | "_udp"] => Err(Answer::NoData),
            [port, protocol] => {
                let mut ports = service.ports.iter();
                let port = ports.find(|of| {
                    let protocol_of = match of.protocol {
                        PortProtocol::Udp => "_udp",
                        PortProtocol::Tcp | PortProtocol::Http => "_tcp",
                    };
                    of.name.as_ref().map(Label::as_str) == Some(&port[1..]) && protocol_of == *protocol
                });
                match port {
                    Some(port) => Ok((service, (vec![port], true))),
                    None => Err(Answer::NxDomain),
                }
            }
            _ => Err(Answer::NxDomain),
        }
    }

    fn endpoints(
        &self,
        service: &DiscoveredService,
        (ports, is_one): Ports<'_>,
        is_up: impl Fn(&DiscoveredService, &Endpoint) -> bool,
        rng: &mut impl Rng,
    ) -> Answer {
        let up = service
            .endpoints
            .iter()
            .filter(|endpoint| is_up(service, endpoint));
        let mut up: Vec<&Endpoint> = up.collect();
        shuffle(&mut up, rng);
        match self.kind {
            Kind::Srv => {
                let one = |endpoint: &&Endpoint, port: &&DiscoveredPort| {
                    let number = endpoint.port(port.name.as_ref())?;
                    Some((endpoint.address, endpoint.weight, number.get()))
                };
                let targets = up
                    .iter()
                    .flat_map(|endpoint| ports.iter().filter_map(move |port| one(endpoint, port)));
                self.targets(targets)
            }
            Kind::A | Kind::Aaaa | Kind::Any if !is_one => {
                let mut seen = BTreeSet::new();
                let addresses = up.iter().map(|endpoint| endpoint.address);
                self.addresses(addresses.filter(move |address| seen.insert(*address)))
            }
            Kind::A | Kind::Aaaa | Kind::Any | Kind::Soa | Kind::Other => Answer::NoData,
        }
    }

    fn targets(&self, targets: impl Iterator<Item = (IpAddr, u32, u16)>) -> Answer {
        let (mut answers, mut additionals) = (Vec::new(), Vec::<Record>::new());
        let mut seen = BTreeSet::new();
        for (address, weight, port) in targets.take(MAX_ANSWERS) {
            let target = format!("{}.addr.{ZONE}", hex(address));
            let weight = u16::try_from(weight).unwrap_or(u16::MAX);
            if seen.insert(address) {
                let name = target.clone();
                let data = Data::Address(address);
                additionals.push(Record { name, data });
            }
            let data = Data::Srv { weight, port, target };
            answers.push(self.record(data));
        }
        records(answers, additionals)
    }

    fn virtual_service(&self, service: &DiscoveredService, (ports, is_one): Ports<'_>) -> Answer {
        let Some(address) = service.virtual_address else {
            return Answer::NoData;
        };
        match self.kind {
            Kind::Srv => {
                let numbers = ports
                    .iter()
                    .map(|port| (IpAddr::V4(address), 1, port.number.get()));
                self.targets(numbers)
            }
            Kind::A | Kind::Aaaa | Kind::Any if !is_one => self.addresses([IpAddr::V4(address)]),
            Kind::A | Kind::Aaaa | Kind::Any | Kind::Soa | Kind::Other => Answer::NoData,
        }
    }

    /// Those addresses that are of the kind that is asked for.
    fn addresses(&self, addresses: impl IntoIterator<Item = IpAddr>) -> Answer {
        let wanted = addresses.into_iter().filter(|address| match self.kind {
            Kind::A => address.is_ipv4(),
            Kind::Aaaa => address.is_ipv6(),
            Kind::Any => true,
            Kind::Srv | Kind::Soa | Kind::Other => false,
        });
        let wanted = wanted.take(MAX_ANSWERS);
        records(
            wanted
                .map(|address| self.record(Data::Address(address)))
                .collect(),
            Vec::new(),
        )
    }

    fn record(&self, data: Data) -> Record {
        Record {
            name: self.name.clone(),
            data,
        }
    }
}

fn records(answers: Vec<Record>, additionals: Vec<Record>) -> Answer {
    match answers.is_empty() {
        true => Answer::NoData,
        false => Answer::Records { answers, additionals },
    }
}

/// Fisher and Yates, of as many as an answer has room for.
fn shuffle<T>(items: &mut [T], rng: &mut impl Rng) {
    for place in 0..items.len().min(MAX_ANSWERS) {
        let other = rng.random_range(place..items.len());
        items.swap(place, other);
    }
}

fn hex(address: IpAddr) -> String {
    let mut text = String::new();
    let mut put = |octets: &[u8]| {
        for octet in octets {
            // Writing to a string cannot fail.
            let _ = write!(text, "{octet:02x}");
        }
    };
    match address {
        IpAddr::V4(address) => put(&address.octets()),
        IpAddr::V6(address) => put(&address.octets()),
    }
    text
}

fn from_hex(text: &str) -> Option<IpAddr> {
    if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    match text.len() {
        8 => u32::from_str_radix(text, 16)
            .ok()
            .map(|bits| Ipv4Addr::from_bits(bits).into()),
        32 => u128::from_str_radix(text, 16)
            .ok()
            .map(|bits| Ipv6Addr::from_bits(bits).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;

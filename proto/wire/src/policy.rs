//! Network policies, and what edges are told to enforce them.

use std::net::IpAddr;
use std::num::NonZeroU16;

use proffer_types::container::Protocol;
use proffer_types::discovery::{Label, MAX_ENDPOINTS, ServiceName};
use proffer_types::edge_report::PolicyReport;
use proffer_types::policy::{
    Block, ClusterNetwork, Door, IngressRule, MAX_HOSTS, MAX_POLICIES, MAX_RULES, Member, MemberPort,
    NetworkPolicy, Numbers, Peer, PolicyPort, ServiceNetwork,
};

use crate::discovery::{MAX_PORTS, port_number, service_name};
use crate::error::{At as _, ConvertError};
use crate::text::{at_most, labels, message as cut, name, optional_text, parse, parse_all, parse_optional};
use crate::v1;

/// The most agents of one host that a report names.
pub const MAX_AGENTS_OF_HOST: usize = 64;
/// The most ports of a service's doors: as many as it has, to as many services as there are.
const MAX_DOORS: usize = 64_000;
/// Every namespace.
const ALL: &str = "*";

/// Converts every item of a repeated field, of which there may be so many.
fn all<M, T>(
    field: &str,
    items: Vec<M>,
    limit: usize,
    convert: impl Fn(M) -> Result<T, ConvertError>,
) -> Result<Vec<T>, ConvertError> {
    at_most(field, items.len(), limit, field)?;
    let items = items.into_iter().enumerate();
    items
        .map(|(index, item)| convert(item).at_item(field, index))
        .collect()
}

impl TryFrom<v1::NetworkPolicy> for NetworkPolicy {
    type Error = ConvertError;

    fn try_from(message: v1::NetworkPolicy) -> Result<Self, ConvertError> {
        let name: ServiceName = parse("name", &message.name)?;
        if name.full() != message.name && format!("{}.{}", name.name, name.namespace) != message.name {
            return Err(ConvertError::new("name", "is not in lower case"));
        }
        let ingress = all("ingress", message.ingress, MAX_RULES, |rule| {
            ingress_rule(rule, &name.namespace)
        })?;
        Ok(Self {
            selector: labels("selector", message.selector.into_iter().collect())?,
            ingress,
            name,
        })
    }
}

fn ingress_rule(message: v1::IngressRule, own: &Label) -> Result<IngressRule, ConvertError> {
    Ok(IngressRule {
        from: all("from", message.from, MAX_RULES, |peer| policy_peer(peer, own))?,
        ports: all("ports", message.ports, MAX_RULES, PolicyPort::try_from)?,
    })
}

fn policy_peer(message: v1::PolicyPeer, own: &Label) -> Result<Peer, ConvertError> {
    use v1::policy_peer::Peer as Wire;
    match message.peer {
        None => Err(ConvertError::missing("peer")),
        Some(Wire::Services(services)) => Ok(Peer::Services {
            namespace: match services.namespace.as_str() {
                "" => Some(own.clone()),
                ALL => None,
                namespace => Some(parse("services.namespace", namespace)?),
            },
            selector: labels("services.selector", services.selector.into_iter().collect())?,
        }),
        Some(Wire::Service(service)) => Ok(Peer::Service(parse("service", &service)?)),
        Some(Wire::Addresses(addresses)) => {
            let block: Block = parse("addresses.cidr", &addresses.cidr)?;
            at_most("addresses.except", addresses.except.len(), MAX_RULES, "blocks")?;
            let except: Vec<Block> = parse_all("addresses.except", &addresses.except)?;
            if let Some(other) = except.iter().find(|other| !block.holds(**other)) {
                let problem = format!("{other} is not within {block}");
                return Err(ConvertError::new("addresses.except", problem));
            }
            Ok(Peer::Addresses { block, except })
        }
    }
}

fn protocol(number: i32) -> Result<Protocol, ConvertError> {
    match v1::PortProtocol::try_from(number) {
        Ok(v1::PortProtocol::Unspecified | v1::PortProtocol::PortTcp) => Ok(Protocol::Tcp),
        Ok(v1::PortProtocol::PortUdp) => Ok(Protocol::Udp),
        Ok(v1::PortProtocol::PortHttp) => Err(ConvertError::new("protocol", "is neither TCP nor UDP")),
        Err(_) => Err(ConvertError::unknown_number("protocol", number)),
    }
}

fn protocol_number(protocol: Protocol) -> i32 {
    match protocol {
        Protocol::Tcp => v1::PortProtocol::PortTcp,
        Protocol::Udp => v1::PortProtocol::PortUdp,
    }
    .into()
}

impl TryFrom<v1::PolicyPort> for PolicyPort {
    type Error = ConvertError;

    fn try_from(message: v1::PolicyPort) -> Result<Self, ConvertError> {
        use v1::policy_port::Port;
        let last = message.last;
        let numbers = match message.port {
            Some(Port::Number(number)) => {
                let first = port_number("number", number)?;
                let last = if last == 0 {
                    first
                } else {
                    port_number("last", last)?
                };
                if last < first {
                    return Err(ConvertError::new("last", format_args!("{last} is below {first}")));
                }
                Numbers::Range(first, last)
            }
            Some(Port::Name(_)) | None if last != 0 => {
                return Err(ConvertError::new("last", "stands beside a number alone"));
            }
            Some(Port::Name(of)) if of.is_empty() => return Err(ConvertError::new("name", "is empty")),
            Some(Port::Name(of)) => Numbers::Name(name("name", of)?),
            None => Numbers::All,
        };
        let protocol = protocol(message.protocol)?;
        Ok(Self { protocol, numbers })
    }
}

impl From<&NetworkPolicy> for v1::NetworkPolicy {
    fn from(policy: &NetworkPolicy) -> Self {
        Self {
            name: policy.name.full(),
            selector: policy.selector.clone(),
            ingress: policy.ingress.iter().map(Into::into).collect(),
        }
    }
}

impl From<&IngressRule> for v1::IngressRule {
    fn from(rule: &IngressRule) -> Self {
        Self {
            from: rule.from.iter().map(Into::into).collect(),
            ports: rule.ports.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Peer> for v1::PolicyPeer {
    fn from(peer: &Peer) -> Self {
        use v1::policy_peer::Peer as Wire;
        let peer = match peer {
            Peer::Services { namespace, selector } => Wire::Services(v1::ServicePeers {
                namespace: namespace.as_ref().map_or(ALL, Label::as_str).to_owned(),
                selector: selector.clone(),
            }),
            Peer::Service(service) => Wire::Service(service.full()),
            Peer::Addresses { block, except } => Wire::Addresses(v1::AddressBlock {
                cidr: block.to_string(),
                except: except.iter().map(Block::to_string).collect(),
            }),
        };
        Self { peer: Some(peer) }
    }
}

impl From<&PolicyPort> for v1::PolicyPort {
    fn from(port: &PolicyPort) -> Self {
        use v1::policy_port::Port;
        let (numbers, last) = match &port.numbers {
            Numbers::All => (None, 0),
            Numbers::Name(name) => (Some(Port::Name(name.clone())), 0),
            Numbers::Range(first, last) => {
                let after = if last > first { last.get() } else { 0 };
                (Some(Port::Number(first.get().into())), after.into())
            }
        };
        Self {
            protocol: protocol_number(port.protocol),
            port: numbers,
            last,
        }
    }
}

fn addresses(field: &str, texts: &[String], limit: usize) -> Result<Vec<IpAddr>, ConvertError> {
    at_most(field, texts.len(), limit, "addresses")?;
    parse_all(field, texts)
}

impl TryFrom<v1::ClusterNetwork> for ClusterNetwork {
    type Error = ConvertError;

    fn try_from(message: v1::ClusterNetwork) -> Result<Self, ConvertError> {
        Ok(Self {
            hosts: addresses("hosts", &message.hosts, MAX_HOSTS)?,
            policies: all(
                "policies",
                message.policies,
                MAX_POLICIES,
                NetworkPolicy::try_from,
            )?,
        })
    }
}

impl From<&ClusterNetwork> for v1::ClusterNetwork {
    fn from(network: &ClusterNetwork) -> Self {
        Self {
            hosts: network.hosts.iter().map(IpAddr::to_string).collect(),
            policies: network.policies.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::ServiceNetwork> for ServiceNetwork {
    type Error = ConvertError;

    fn try_from(message: v1::ServiceNetwork) -> Result<Self, ConvertError> {
        Ok(Self {
            labels: labels("labels", message.labels.into_iter().collect())?,
            members: all("members", message.members, 2 * MAX_ENDPOINTS, Member::try_from)?,
            doors: all("doors", message.doors, MAX_DOORS, Door::try_from)?,
        })
    }
}

impl From<&ServiceNetwork> for v1::ServiceNetwork {
    fn from(network: &ServiceNetwork) -> Self {
        Self {
            labels: network.labels.clone(),
            members: network.members.iter().map(Into::into).collect(),
            doors: network.doors.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::ServiceMember> for Member {
    type Error = ConvertError;

    fn try_from(message: v1::ServiceMember) -> Result<Self, ConvertError> {
        Ok(Self {
            host: parse("host", &message.host)?,
            address: parse_optional("address", &message.address)?,
            ports: all("ports", message.ports, MAX_PORTS, MemberPort::try_from)?,
        })
    }
}

impl From<&Member> for v1::ServiceMember {
    fn from(member: &Member) -> Self {
        Self {
            host: member.host.to_string(),
            address: optional_text(member.address.as_ref()),
            ports: member.ports.iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::MemberPort> for MemberPort {
    type Error = ConvertError;

    fn try_from(message: v1::MemberPort) -> Result<Self, ConvertError> {
        Ok(Self {
            protocol: protocol(message.protocol)?,
            name: name("name", message.name)?,
            number: port_number("number", message.number)?,
            host_number: port_number("host_number", message.host_number)?,
        })
    }
}

impl From<&MemberPort> for v1::MemberPort {
    fn from(port: &MemberPort) -> Self {
        Self {
            protocol: protocol_number(port.protocol),
            name: port.name.clone(),
            number: u16_of(port.number),
            host_number: u16_of(port.host_number),
        }
    }
}

fn u16_of(number: NonZeroU16) -> u32 {
    number.get().into()
}

impl TryFrom<v1::ServiceDoor> for Door {
    type Error = ConvertError;

    fn try_from(message: v1::ServiceDoor) -> Result<Self, ConvertError> {
        Ok(Self {
            protocol: protocol(message.protocol)?,
            port: port_number("port", message.port)?,
            service: service_name(message.service)?,
            target_name: name("target_name", message.target_name)?,
            target: port_number("target", message.target)?,
        })
    }
}

impl From<&Door> for v1::ServiceDoor {
    fn from(door: &Door) -> Self {
        Self {
            protocol: protocol_number(door.protocol),
            port: u16_of(door.port),
            service: Some((&door.service).into()),
            target_name: door.target_name.clone(),
            target: u16_of(door.target),
        }
    }
}

impl TryFrom<v1::PolicyReport> for PolicyReport {
    type Error = ConvertError;

    fn try_from(message: v1::PolicyReport) -> Result<Self, ConvertError> {
        Ok(Self {
            hosts: addresses("hosts", &message.hosts, MAX_AGENTS_OF_HOST)?,
            problem: cut(message.problem),
        })
    }
}

impl From<&PolicyReport> for v1::PolicyReport {
    fn from(report: &PolicyReport) -> Self {
        Self {
            hosts: report.hosts.iter().map(IpAddr::to_string).collect(),
            problem: report.problem.clone(),
        }
    }
}

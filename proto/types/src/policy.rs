//! Network policies: who may reach the replicas of services, in the terms of Kubernetes' NetworkPolicy.
//!
//! A service that no policy selects accepts everything; one that at least one selects accepts what any rule of these allows.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;
use std::str::FromStr;

use thiserror::Error;

use crate::container::Protocol;
use crate::discovery::{Label, ServiceName};

/// The most policies there may be.
pub const MAX_POLICIES: usize = 1000;
/// The most rules of a policy, peers of a rule, ports of a rule, and blocks left out of a block.
pub const MAX_RULES: usize = 64;
/// All policies together, in bytes on the wire: an edge is told all of them at once.
pub const MAX_POLICY_BYTES: usize = 512 << 10;
/// The most hosts of a cluster.
pub const MAX_HOSTS: usize = 20_000;

/// Labels of services; those of a selector must all be there.
pub type Labels = BTreeMap<String, String>;

/// Who may reach some services of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// Its namespace is that of the services it is about.
    pub name: ServiceName,
    /// Labels that they have; none selects all of the namespace.
    pub selector: Labels,
    /// What they accept. At most [`MAX_RULES`]; without any, nothing.
    pub ingress: Vec<IngressRule>,
}

/// Some sources, and what they may reach.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct IngressRule {
    /// At most [`MAX_RULES`]; none means everybody.
    pub from: Vec<Peer>,
    /// At most [`MAX_RULES`]; none means every port.
    pub ports: Vec<PolicyPort>,
}

/// Sources of packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// Replicas of the services of a namespace, or of all, that have these labels.
    Services {
        namespace: Option<Label>,
        selector: Labels,
    },
    /// Replicas of one service.
    Service(ServiceName),
    /// Addresses, but for some of them. At most [`MAX_RULES`] are left out.
    Addresses { block: Block, except: Vec<Block> },
}

/// Ports of a protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyPort {
    pub protocol: Protocol,
    pub numbers: Numbers,
}

/// Which ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Numbers {
    All,
    /// The port of the service's task that has this name.
    Name(String),
    /// From the first to the last, as the task listens on them.
    Range(NonZeroU16, NonZeroU16),
}

/// Addresses with the same first bits, as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Block {
    network: Ipv4Addr,
    prefix: u8,
}

/// A text that is no such block.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{}` is not a block of IPv4 addresses like 10.0.0.0/8, with no bit set after the prefix", .0.escape_debug())]
pub struct ParseBlockError(String);

/// What edges know of the cluster for the sake of policies; nothing, while there is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterNetwork {
    /// Of the agents. At most [`MAX_HOSTS`].
    pub hosts: Vec<IpAddr>,
    /// At most [`MAX_POLICIES`].
    pub policies: Vec<NetworkPolicy>,
}

/// What edges know of a service for the sake of policies; nothing, while there is none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceNetwork {
    /// Those that policies ask for.
    pub labels: Labels,
    /// Its tasks that were launched and have not ended, whether they serve or not.
    pub members: Vec<Member>,
    /// What its ports lead to; of a port that is not here, to nothing.
    pub doors: Vec<Door>,
}

/// A task of a service, as packets see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The address of its host.
    pub host: IpAddr,
    /// Its own, in the network of its host; none as long as that is not known, and of a task in its host's network.
    pub address: Option<Ipv4Addr>,
    pub ports: Vec<MemberPort>,
}

/// A port of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberPort {
    pub protocol: Protocol,
    /// May be empty.
    pub name: String,
    /// At the task's own address.
    pub number: NonZeroU16,
    /// At its host's.
    pub host_number: NonZeroU16,
}

/// A port of a name, and the port of a service's tasks that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    pub protocol: Protocol,
    /// The port of the name.
    pub port: NonZeroU16,
    pub service: ServiceName,
    /// Of the task's port; may be empty.
    pub target_name: String,
    /// Of the task's port.
    pub target: NonZeroU16,
}

/// Whether labels are as a selector asks.
#[must_use]
pub fn has_all(labels: &Labels, selector: &Labels) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

impl NetworkPolicy {
    /// Whether it is about a service.
    #[must_use]
    pub fn selects(&self, service: &ServiceName, labels: &Labels) -> bool {
        self.name.namespace == service.namespace && has_all(labels, &self.selector)
    }

    /// The keys of labels that it asks for.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        let peers = self.ingress.iter().flat_map(|rule| &rule.from);
        let of_peers = peers.filter_map(|peer| match peer {
            Peer::Services { selector, .. } => Some(selector.keys()),
            Peer::Service(_) | Peer::Addresses { .. } => None,
        });
        self.selector.keys().chain(of_peers.flatten())
    }
}

impl Peer {
    /// Whether replicas of a service are meant.
    #[must_use]
    pub fn is(&self, service: &ServiceName, labels: &Labels) -> bool {
        match self {
            Self::Services { namespace, selector } => {
                let is_there = namespace.as_ref().is_none_or(|of| *of == service.namespace);
                is_there && has_all(labels, selector)
            }
            Self::Service(name) => name == service,
            Self::Addresses { .. } => false,
        }
    }
}

impl PolicyPort {
    /// Whether a task's port is meant.
    #[must_use]
    pub fn is(&self, protocol: Protocol, name: &str, number: NonZeroU16) -> bool {
        self.protocol == protocol
            && match &self.numbers {
                Numbers::All => true,
                Numbers::Name(of) => !name.is_empty() && of.eq_ignore_ascii_case(name),
                Numbers::Range(first, last) => (*first..=*last).contains(&number),
            }
    }
}

impl Block {
    /// The first and the last address, as numbers.
    #[must_use]
    pub fn bounds(self) -> (u32, u32) {
        let first = self.network.to_bits();
        (
            first,
            first | u32::MAX.checked_shr(self.prefix.into()).unwrap_or(0),
        )
    }

    /// Whether all of the other one is in it.
    #[must_use]
    pub fn holds(self, other: Self) -> bool {
        let ((first, last), (from, to)) = (self.bounds(), other.bounds());
        first <= from && to <= last
    }
}

impl FromStr for Block {
    type Err = ParseBlockError;

    fn from_str(text: &str) -> Result<Self, ParseBlockError> {
        let parse = || {
            let (network, prefix) = text.split_once('/')?;
            let is_number = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
            let prefix = prefix.parse().ok().filter(|prefix| is_number && *prefix <= 32)?;
            let block = Self {
                network: network.parse().ok()?,
                prefix,
            };
            let (first, last) = block.bounds();
            let rest = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
            (first & rest == 0 && last >= first).then_some(block)
        };
        parse().ok_or_else(|| ParseBlockError(text.chars().take(80).collect()))
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_an_address_and_a_prefix_with_nothing_after_it() {
        let bounds = |text: &str| text.parse::<Block>().map(Block::bounds);
        assert_eq!(bounds("0.0.0.0/0"), Ok((0, u32::MAX)));
        assert_eq!(bounds("10.0.0.0/8"), Ok((0x0a00_0000, 0x0aff_ffff)));
        assert_eq!(bounds("10.0.0.7/32"), Ok((0x0a00_0007, 0x0a00_0007)));
        for bad in [
            "",
            "10.0.0.0",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "::/0",
            "10.0.0.0/8 ",
        ] {
            assert!(bounds(bad).is_err(), "{bad}");
        }
    }
}

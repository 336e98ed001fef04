//! What an operator says about networks.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

/// What an operator says about networks.
#[derive(Debug, Clone)]
pub struct Config {
    /// Tells this agent's interfaces and rules from those of others on the host.
    pub tag: Tag,
    /// Whether the agent has no power over the host's network, and so can connect nobody to it.
    pub is_rootless: bool,
    /// Where attachments are remembered; a directory of this crate's own. Created when missing.
    pub records: PathBuf,
    /// What addresses the bridge gives out. Its first one is the bridge's own.
    pub bridge_subnet: Subnet,
    /// Whether the bridge may switch on forwarding of packets for the host.
    pub set_ip_forward: bool,
    /// Where CNI network configurations are.
    pub cni_config_dir: PathBuf,
    /// Where CNI plugins are, looked through in order.
    pub cni_plugin_dirs: Vec<PathBuf>,
}

/// 8 hexadecimal digits: what is left of an interface name (`IFNAMSIZ`, 15 bytes) for a prefix and a host number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag(u32);

impl Tag {
    /// Writes a number as a tag.
    #[must_use]
    pub fn new(number: u32) -> Self {
        Self(number)
    }

    /// An interface group of the agent's own: not 0, which is that of all interfaces, and no number that people choose.
    pub(crate) fn interface_group(self) -> u32 {
        const OURS: u32 = 1 << 30;
        OURS | (self.0 & (OURS - 1))
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// A range of IPv4 addresses by prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    network: Ipv4Addr,
    prefix: u8,
}

/// A text that is no range of addresses for containers.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a subnet such as 10.88.0.0/16, with a prefix of 8 to 29 bits and no bits after it")]
pub struct ParseSubnetError(String);

impl Subnet {
    /// Leaves room for the bridge and five containers.
    const MAX_PREFIX: u8 = 29;
    /// Leaves 24 bits of host number, as an interface name has room for.
    const MIN_PREFIX: u8 = 8;

    /// The bits of the prefix.
    #[must_use]
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// The bridge's own address.
    #[must_use]
    pub fn gateway(self) -> Ipv4Addr {
        self.at(1)
    }

    /// How many addresses containers may have: all but the network's, the bridge's and the broadcast address.
    #[must_use]
    pub fn n_hosts(self) -> u32 {
        (1 << (32 - self.prefix)) - 3
    }

    /// The n-th address for containers, from 0.
    #[must_use]
    pub fn host(self, n: u32) -> Ipv4Addr {
        self.at(2 + n)
    }

    /// What [`Subnet::host`] would need to give that address.
    #[must_use]
    pub fn host_number(self, address: Ipv4Addr) -> Option<u32> {
        let n = address.to_bits().checked_sub(self.host(0).to_bits())?;
        (n < self.n_hosts()).then_some(n)
    }

    /// Whether the two have an address in common.
    #[must_use]
    pub fn overlaps(self, address: Ipv4Addr, prefix: u8) -> bool {
        let shift = 32 - u32::from(self.prefix.min(prefix));
        address.to_bits().checked_shr(shift) == self.network.to_bits().checked_shr(shift)
    }

    fn at(self, n: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network.to_bits() + n)
    }
}

/// One that is unlikely to be in use: `10.88.0.0/16`.
impl Default for Subnet {
    fn default() -> Self {
        Self {
            network: Ipv4Addr::new(10, 88, 0, 0),
            prefix: 16,
        }
    }
}

impl FromStr for Subnet {
    type Err = ParseSubnetError;

    fn from_str(text: &str) -> Result<Self, ParseSubnetError> {
        let parsed = || {
            let (network, prefix) = text.split_once('/')?;
            let (network, prefix) = (network.parse::<Ipv4Addr>().ok()?, prefix.parse::<u8>().ok()?);
            let is_sized = (Self::MIN_PREFIX..=Self::MAX_PREFIX).contains(&prefix);
            let is_whole = is_sized && network.to_bits() << prefix == 0;
            (is_whole && !network.is_loopback() && !network.is_multicast() && !network.is_unspecified())
                .then_some(Self { network, prefix })
        };
        parsed().ok_or_else(|| ParseSubnetError(text.to_owned()))
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_gives_every_address_but_the_first_two_and_the_last() {
        let subnet = "10.1.2.8/29".parse::<Subnet>().unwrap();
        let hosts: Vec<String> = (0..subnet.n_hosts())
            .map(|n| subnet.host(n).to_string())
            .collect();
        assert_eq!(
            hosts,
            ["10.1.2.10", "10.1.2.11", "10.1.2.12", "10.1.2.13", "10.1.2.14"]
        );
        assert_eq!(subnet.gateway().to_string(), "10.1.2.9");
        assert_eq!(subnet.host_number("10.1.2.14".parse().unwrap()), Some(4));
        for outside in ["10.1.2.8", "10.1.2.9", "10.1.2.15", "10.1.2.16"] {
            assert_eq!(subnet.host_number(outside.parse().unwrap()), None, "{outside}");
        }
    }

    #[test]
    fn a_subnet_overlaps_what_holds_it_and_what_it_holds() {
        let subnet = Subnet::default();
        for (address, prefix, overlaps) in [
            ("10.88.3.4", 32, true),
            ("10.0.0.1", 8, true),
            ("10.89.0.1", 16, false),
            ("192.168.0.1", 24, false),
            ("192.168.0.1", 0, true),
        ] {
            assert_eq!(
                subnet.overlaps(address.parse().unwrap(), prefix),
                overlaps,
                "{address}/{prefix}"
            );
        }
    }

    #[test]
    fn what_is_no_subnet_is_refused() {
        for bad in [
            "",
            "10.88.0.0",
            "10.88.0.1/16",
            "10.0.0.0/7",
            "10.0.0.0/30",
            "127.0.0.0/8",
            "::/64",
            "0.0.0.0/8",
        ] {
            assert!(bad.parse::<Subnet>().is_err(), "{bad}");
        }
        assert_eq!(Subnet::default().to_string().parse(), Ok(Subnet::default()));
    }
}

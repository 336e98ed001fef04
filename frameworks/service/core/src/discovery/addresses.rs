//! The addresses that virtual services get.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use std::collections::BTreeSet;

use thiserror::Error;

/// The shortest prefix: what is wanted of it is a thousand addresses at most.
const MIN_PREFIX: u8 = 8;
/// The longest: two addresses, of which the first names the network.
const MAX_PREFIX: u8 = 31;

/// A network of which virtual services have their addresses, such as `10.213.0.0/16`. Its first address is not given away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    network: Ipv4Addr,
    prefix: u8,
}

/// A text that is no such network.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` is not an IPv4 network like 10.213.0.0/16, with {MIN_PREFIX} to {MAX_PREFIX} bits of prefix and none after it"
)]
pub struct ParsePoolError(String);

impl Default for Pool {
    fn default() -> Self {
        Self {
            network: Ipv4Addr::new(10, 213, 0, 0),
            prefix: 16,
        }
    }
}

impl Pool {
    /// The lowest address that is not in use.
    pub(crate) fn free(self, used: impl Iterator<Item = Ipv4Addr>) -> Option<Ipv4Addr> {
        let first = self.network.to_bits();
        let size = u32::MAX >> self.prefix;
        let used: BTreeSet<u32> = used.map(Ipv4Addr::to_bits).collect();
        let mut all = (1..=size).map(|nth| first | nth);
        all.find(|address| !used.contains(address))
            .map(Ipv4Addr::from_bits)
    }
}

impl FromStr for Pool {
    type Err = ParsePoolError;

    fn from_str(text: &str) -> Result<Self, ParsePoolError> {
        let parse = || {
            let (network, prefix) = text.split_once('/')?;
            let (network, prefix) = (network.parse::<Ipv4Addr>().ok()?, prefix.parse::<u8>().ok()?);
            let is_good =
                (MIN_PREFIX..=MAX_PREFIX).contains(&prefix) && network.to_bits() & (u32::MAX >> prefix) == 0;
            is_good.then_some(Self { network, prefix })
        };
        parse().ok_or_else(|| ParsePoolError(text.chars().take(80).collect()))
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_address_is_given_and_the_first_never() {
        let pool: Pool = "10.0.0.4/30".parse().unwrap();
        let used = |texts: &[&str]| {
            let used: Vec<Ipv4Addr> = texts.iter().map(|text| text.parse().unwrap()).collect();
            pool.free(used.into_iter()).map(|free| free.to_string())
        };
        assert_eq!(used(&[]).as_deref(), Some("10.0.0.5"));
        assert_eq!(used(&["10.0.0.5", "10.0.0.7"]).as_deref(), Some("10.0.0.6"));
        assert_eq!(used(&["10.0.0.5", "10.0.0.6", "10.0.0.7"]), None);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10.0.0.0",
            "10.0.0.1/16",
            "10.0.0.0/33",
            "10.0.0.0/0",
            "::/64",
            "10.0.0.0/-1",
        ] {
            assert!(text.parse::<Pool>().is_err(), "{text}");
        }
    }
}

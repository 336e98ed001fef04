//! Where a store on etcd is: `etcd://host:2379[,host:2379..][/prefix]`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// What all keys of the store begin with, where the address does not say.
const DEFAULT_PREFIX: &str = "proffer";
const SCHEME: &str = "etcd://";

/// The servers of an etcd cluster, and the part of its keys that is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdAddress {
    /// `host:port`, at least one.
    pub servers: Vec<String>,
    /// Without slashes around it. Two stores in one etcd must not share it.
    pub prefix: String,
}

/// An address that is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not etcd://HOST:PORT[,HOST:PORT..][/PREFIX]")]
pub struct AddressError(String);

impl EtcdAddress {
    /// The place of one more store for the same cluster: what each has in etcd is apart from the others.
    #[must_use]
    pub fn below(mut self, name: &str) -> Self {
        self.prefix = format!("{}/{name}", self.prefix);
        self
    }
}

impl FromStr for EtcdAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let refuse = || AddressError(text.escape_debug().to_string());
        let rest = text.strip_prefix(SCHEME).ok_or_else(refuse)?;
        let (servers, prefix) = match rest.split_once('/') {
            Some((servers, prefix)) => (servers, prefix),
            None => (rest, DEFAULT_PREFIX),
        };
        let servers = servers.split(',').map(str::to_owned).collect::<Vec<_>>();
        let is_good = servers.iter().all(|server| is_server(server)) && is_prefix(prefix);
        is_good
            .then(|| Self {
                servers,
                prefix: prefix.to_owned(),
            })
            .ok_or_else(refuse)
    }
}

impl fmt::Display for EtcdAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.servers.join(","), self.prefix)
    }
}

fn is_server(server: &str) -> bool {
    let Some((host, port)) = server.rsplit_once(':') else {
        return false;
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    !host.is_empty() && host.chars().all(is_host) && port.parse::<u16>().is_ok_and(|port| port != 0)
}

fn is_prefix(prefix: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-._".contains(c))
    };
    prefix.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_servers_and_a_prefix() {
        for (text, shown) in [
            ("etcd://127.0.0.1:2379", "etcd://127.0.0.1:2379/proffer"),
            ("etcd://a:1,b.c:2/x/y", "etcd://a:1,b.c:2/x/y"),
            ("etcd://[::1]:2379/x", "etcd://[::1]:2379/x"),
        ] {
            let address = text.parse::<EtcdAddress>().map(|address| address.to_string());
            assert_eq!(address, Ok(shown.to_owned()));
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "etcd://",
            "http://a:1",
            "etcd://a",
            "etcd://a:0",
            "etcd://a:70000",
            "etcd://a:1,",
            "etcd://a b:1",
            "etcd://a:1/",
            "etcd://a:1//x",
            "etcd://a:1/x/",
            "etcd://u:p@a:1",
            "etcd://a:1/x?y",
        ] {
            assert!(text.parse::<EtcdAddress>().is_err(), "{text}");
        }
    }
}

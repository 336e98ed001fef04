//! What CNI plugins return.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::Value;

use super::CniError;
use super::plugin::shortened;
use crate::request::Dns;

/// The most addresses that are taken from a result.
const MAX_ADDRESSES: usize = 64;

/// The most name servers, search domains and options each: far more than any resolver looks at (resolv.conf(5)).
const MAX_NAMES: usize = 64;

/// Of a result, what concerns the container (specification 1.0, section 5); the rest is for the next plugin.
#[derive(Debug, Deserialize)]
struct Success {
    #[serde(default)]
    ips: Vec<Ip>,
    #[serde(default)]
    dns: Dns,
}

#[derive(Debug, Deserialize)]
struct Ip {
    /// With its prefix.
    address: String,
}

/// A plugin's output as it goes to the next one.
pub(super) fn parse(plugin: &str, output: &[u8]) -> Result<Value, CniError> {
    let wrong = |why: String| CniError::Result {
        plugin: plugin.to_owned(),
        why: shortened(why),
    };
    let value: Value = serde_json::from_slice(output).map_err(|error| wrong(error.to_string()))?;
    if !value.is_object() {
        return Err(wrong("it is no object".to_owned()));
    }
    read(plugin, &value)?;
    Ok(value)
}

/// Addresses and name servers.
pub(super) fn read(plugin: &str, result: &Value) -> Result<(Vec<IpAddr>, Dns), CniError> {
    let wrong = |why: String| CniError::Result {
        plugin: plugin.to_owned(),
        why: shortened(why),
    };
    let Success { ips, dns } = Success::deserialize(result).map_err(|error| wrong(error.to_string()))?;
    if ips.len() > MAX_ADDRESSES {
        return Err(wrong(format!("{} addresses", ips.len())));
    }
    let names = [&dns.nameservers, &dns.search, &dns.options];
    if let Some(names) = names.iter().find(|names| names.len() > MAX_NAMES) {
        return Err(wrong(format!("{} entries in a list of `dns`", names.len())));
    }
    let address = |Ip { address }: Ip| {
        let text = address
            .split_once('/')
            .map_or(address.as_str(), |(address, _)| address);
        text.parse()
            .map_err(|_| wrong(format!("`{}` is no address", text.escape_debug())))
    };
    let addresses = ips.into_iter().map(address).collect::<Result<_, _>>()?;
    Ok((addresses, dns))
}

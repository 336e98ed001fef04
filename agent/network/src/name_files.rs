//! The files by which a container resolves names: `/etc/hosts` (hosts(5)) and `/etc/resolv.conf` (resolv.conf(5)).
//!
//! Pure text: the host's own files are arguments.

use std::fmt::Write as _;
use std::net::IpAddr;

use thiserror::Error;

use crate::request::Dns;

/// The longest name of a host, in bytes (RFC 1035, section 2.3.4).
const MAX_NAME_BYTES: usize = 253;

/// Something that cannot stand in such a file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    #[error("`{0}` is no IP address")]
    Address(String),
    #[error("`{0}` is no name of a host")]
    Name(String),
}

/// `/etc/hosts`: loopback, the container's own name under each of its addresses, and further lines of address and name.
/// A container without addresses finds itself on loopback.
pub fn hosts(own_name: &str, addresses: &[IpAddr], more: &[(String, String)]) -> Result<String, NameError> {
    let mut text = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n".to_owned();
    let own_name = checked(own_name)?;
    for address in addresses {
        let _ = writeln!(text, "{address} {own_name}");
    }
    if addresses.is_empty() {
        let _ = writeln!(text, "127.0.0.1 {own_name}");
    }
    text += &more_hosts(more)?;
    Ok(text)
}

/// Lines of `/etc/hosts`.
pub fn more_hosts(more: &[(String, String)]) -> Result<String, NameError> {
    let mut text = String::new();
    for (address, name) in more {
        let address = parsed(address)?;
        let _ = writeln!(text, "{address} {}", checked(name)?);
    }
    Ok(text)
}

/// `/etc/resolv.conf`: these servers if there are any, else those of the host.
///
/// Of the host's file the search list and the options are kept. With a network of its own a container cannot reach a
/// server on the host's loopback, so those are left out.
pub fn resolv_conf(
    servers: &[String],
    told: &Dns,
    host: &str,
    own_network: bool,
) -> Result<String, NameError> {
    let mut text = String::new();
    let named = if servers.is_empty() {
        &told.nameservers
    } else {
        servers
    };
    for server in named {
        let _ = writeln!(text, "nameserver {}", parsed(server)?);
    }
    if named.is_empty() {
        for server in host_servers(host, own_network) {
            let _ = writeln!(text, "nameserver {server}");
        }
    }
    if told.search.is_empty() && told.domain.is_empty() && told.options.is_empty() {
        for line in host
            .lines()
            .filter(|line| is_one_of(line, &["search", "domain", "options"]))
        {
            let _ = writeln!(text, "{line}");
        }
        return Ok(text);
    }
    if !told.domain.is_empty() {
        let _ = writeln!(text, "domain {}", checked(&told.domain)?);
    }
    if !told.search.is_empty() {
        let names = told
            .search
            .iter()
            .map(|name| checked(name))
            .collect::<Result<Vec<_>, _>>()?;
        let _ = writeln!(text, "search {}", names.join(" "));
    }
    if !told.options.is_empty() {
        let options = told
            .options
            .iter()
            .map(|option| option_word(option))
            .collect::<Result<Vec<_>, _>>()?;
        let _ = writeln!(text, "options {}", options.join(" "));
    }
    Ok(text)
}

/// Whether a host's `/etc/resolv.conf` has only servers that containers cannot reach, as with systemd-resolved.
#[must_use]
pub fn is_unreachable(host: &str) -> bool {
    host_servers(host, true).next().is_none() && host_servers(host, false).next().is_some()
}

fn host_servers(host: &str, own_network: bool) -> impl Iterator<Item = &str> {
    let servers = host.lines().filter(|line| is_one_of(line, &["nameserver"]));
    let servers = servers.filter_map(|line| line.split_ascii_whitespace().nth(1));
    servers.filter(move |server| {
        // A link-local one has an interface after a `%`, which the container does not have.
        !own_network
            || server
                .parse::<IpAddr>()
                .is_ok_and(|address| !address.is_loopback())
    })
}

fn is_one_of(line: &str, words: &[&str]) -> bool {
    line.split_ascii_whitespace()
        .next()
        .is_some_and(|word| words.contains(&word))
}

fn parsed(address: &str) -> Result<IpAddr, NameError> {
    address
        .parse()
        .map_err(|_| NameError::Address(address.escape_debug().to_string()))
}

fn checked(name: &str) -> Result<&str, NameError> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if (1..=MAX_NAME_BYTES).contains(&name.len()) && name.chars().all(good) {
        Ok(name)
    } else {
        Err(NameError::Name(name.escape_debug().to_string()))
    }
}

fn option_word(option: &str) -> Result<&str, NameError> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | ':');
    if !option.is_empty() && option.len() <= MAX_NAME_BYTES && option.chars().all(good) {
        Ok(option)
    } else {
        Err(NameError::Name(option.escape_debug().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "# a comment\nnameserver 127.0.0.53\nnameserver 10.1.1.1\nnameserver fe80::1%eth0\nsearch a.example b.example\noptions ndots:2\n";

    #[test]
    fn a_container_finds_itself_and_those_it_was_told_of() {
        let more = [("10.0.0.9".to_owned(), "db".to_owned())];
        let text = hosts("c1", &["10.88.0.2".parse().unwrap()], &more).unwrap();
        assert!(text.ends_with("10.88.0.2 c1\n10.0.0.9 db\n"), "{text}");
        assert!(hosts("c1", &[], &[]).unwrap().ends_with("127.0.0.1 c1\n"));
    }

    #[test]
    fn a_line_cannot_be_smuggled_in() {
        let more = |address: &str, name: &str| hosts("c1", &[], &[(address.to_owned(), name.to_owned())]);
        assert_eq!(
            more("10.0.0.9\n6.6.6.6", "a"),
            Err(NameError::Address("10.0.0.9\\n6.6.6.6".to_owned()))
        );
        for bad in ["", "a b", "a\nb", "a#", &"a".repeat(254)] {
            assert!(
                matches!(more("10.0.0.9", bad), Err(NameError::Name(_))),
                "{bad:?}"
            );
        }
        let told = Dns {
            options: vec!["ndots:1\nnameserver 6.6.6.6".to_owned()],
            ..Dns::default()
        };
        assert!(resolv_conf(&[], &told, "", true).is_err());
    }

    #[test]
    fn servers_on_the_hosts_loopback_are_left_out_of_a_network_of_its_own() {
        let own = resolv_conf(&[], &Dns::default(), HOST, true).unwrap();
        assert_eq!(
            own,
            "nameserver 10.1.1.1\nsearch a.example b.example\noptions ndots:2\n"
        );
        let shared = resolv_conf(&[], &Dns::default(), HOST, false).unwrap();
        assert!(
            shared.starts_with("nameserver 127.0.0.53\nnameserver 10.1.1.1\n"),
            "{shared}"
        );
        assert!(is_unreachable("nameserver 127.0.0.53\n"));
        assert!(!is_unreachable(HOST) && !is_unreachable(""));
    }

    #[test]
    fn the_task_is_stronger_than_the_plugin_and_the_plugin_than_the_host() {
        let told = Dns {
            nameservers: vec!["10.2.2.2".to_owned()],
            search: vec!["c.example".to_owned()],
            ..Dns::default()
        };
        assert_eq!(
            resolv_conf(&[], &told, HOST, true).unwrap(),
            "nameserver 10.2.2.2\nsearch c.example\n"
        );
        let servers = ["10.3.3.3".to_owned()];
        assert_eq!(
            resolv_conf(&servers, &told, HOST, true).unwrap(),
            "nameserver 10.3.3.3\nsearch c.example\n"
        );
    }
}

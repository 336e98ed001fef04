//! Which port of the host stands for which of the task.
//!
//! A task has the host's ports that are among its resources, and no others: so two tasks never want the same one.

use std::collections::BTreeSet;

use proffer_network::Port;
use proffer_types::container::{NetworkMode, NetworkSpec, PortMapping};
use proffer_types::{Ranges, ResourceName, Resources};

/// The ports of the task's mappings, in their order. Named ones are taken first, the others are the lowest that are
/// left. In the host's network a task listens on the host's port.
pub(super) fn resolve(spec: &NetworkSpec, resources: &Resources) -> Result<Vec<Port>, String> {
    let given = resources
        .ranges(&ResourceName::Ports)
        .cloned()
        .unwrap_or_default();
    let mut free = given.clone();
    let named = spec.ports.iter().filter(|mapping| mapping.host_port != 0);
    for PortMapping { host_port, .. } in named {
        let port = u64::from(*host_port);
        let one = Ranges::new([(port, port)]);
        if !given.contains(&one) {
            let given = if given.is_empty() {
                "none".to_owned()
            } else {
                given.to_string()
            };
            return Err(format!(
                "host port {host_port} is not among the task's resources: it has ports {given}, ask for this one too"
            ));
        }
        // TCP and UDP may share one.
        free.subtract(&one);
    }
    let mut free = free.iter().flat_map(|(first, last)| first..=last);
    let mut taken = BTreeSet::new();
    let mut ports = Vec::with_capacity(spec.ports.len());
    for mapping in &spec.ports {
        let host = match mapping.host_port {
            0 => next(&mut free).ok_or_else(|| {
                format!(
                    "the task has {} port mappings, but only {} ports among its resources",
                    spec.ports.len(),
                    given.count()
                )
            })?,
            host_port => host_port,
        };
        let transport = mapping.protocol.into();
        if !taken.insert((host, transport)) {
            return Err(format!("{transport} port {host} of the host is mapped twice"));
        }
        let own = mapping.container_port;
        let container = match spec.mode {
            NetworkMode::Host => host,
            NetworkMode::None | NetworkMode::Bridge | NetworkMode::Cni(_) if own == 0 => host,
            NetworkMode::None | NetworkMode::Bridge | NetworkMode::Cni(_) => own,
        };
        ports.push(Port {
            host,
            container,
            transport,
        });
    }
    Ok(ports)
}

/// The next number that is a port.
fn next(free: &mut impl Iterator<Item = u64>) -> Option<u16> {
    let port = free.find(|port| *port != 0)?;
    u16::try_from(port).ok()
}

/// `PROFFER_PORT_<NAME>` of each named port that is resolved: where the task listens. Capitals, and `_` for what a
/// variable cannot hold.
pub(super) fn variables(spec: &NetworkSpec) -> Result<Vec<(String, String)>, String> {
    let mut variables: Vec<(String, String)> = Vec::new();
    for mapping in spec.ports.iter().filter(|mapping| !mapping.name.is_empty()) {
        let upper = |c: char| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_uppercase()
            } else {
                '_'
            }
        };
        let name = format!(
            "PROFFER_PORT_{}",
            mapping.name.chars().map(upper).collect::<String>()
        );
        if variables.iter().any(|(other, _)| *other == name) {
            return Err(format!("two ports of the task would be told as {name}"));
        }
        variables.push((name, mapping.container_port.to_string()));
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use proffer_types::container::Protocol;

    use super::*;

    fn spec(mode: NetworkMode, ports: &[(&str, u16, u16)]) -> NetworkSpec {
        let mapping = |(name, container_port, host_port): &(&str, u16, u16)| PortMapping {
            name: (*name).to_owned(),
            container_port: *container_port,
            host_port: *host_port,
            protocol: Protocol::Tcp,
        };
        NetworkSpec {
            mode,
            ports: ports.iter().map(mapping).collect(),
            ..NetworkSpec::default()
        }
    }

    fn resolved(spec: &NetworkSpec, resources: &str) -> Result<Vec<(u16, u16)>, String> {
        let ports = resolve(spec, &resources.parse().unwrap())?;
        Ok(ports.iter().map(|port| (port.host, port.container)).collect())
    }

    #[test]
    fn ports_that_are_not_named_are_the_lowest_that_are_left() {
        let wanted = [("a", 80, 0), ("b", 81, 31001), ("c", 0, 0)];
        let bridge = spec(NetworkMode::Bridge, &wanted);
        let expected = vec![(31000, 80), (31001, 81), (31005, 31005)];
        assert_eq!(resolved(&bridge, "ports:[31000-31001,31005-31006]"), Ok(expected));
        let host = spec(NetworkMode::Host, &[("a", 0, 0)]);
        assert_eq!(resolved(&host, "ports:[31000-31000]"), Ok(vec![(31000, 31000)]));
    }

    #[test]
    fn a_task_has_no_port_that_it_did_not_ask_for() {
        let two = spec(NetworkMode::Bridge, &[("a", 80, 0), ("b", 81, 0)]);
        let error = resolved(&two, "ports:[31000-31000]").unwrap_err();
        assert_eq!(
            error,
            "the task has 2 port mappings, but only 1 ports among its resources"
        );
        let named = spec(NetworkMode::Bridge, &[("a", 80, 443)]);
        let error = resolved(&named, "cpus:1").unwrap_err();
        assert!(
            error.starts_with("host port 443 is not among the task's resources: it has ports none"),
            "{error}"
        );
        let twice = spec(NetworkMode::Bridge, &[("a", 80, 31000), ("b", 81, 31000)]);
        assert!(resolved(&twice, "ports:[31000-31001]").is_err());
        let huge = spec(NetworkMode::Bridge, &[("a", 80, 0)]);
        assert!(resolved(&huge, "ports:[70000-70001]").is_err());
    }

    #[test]
    fn tcp_and_udp_may_have_one_number() {
        let mut both = spec(NetworkMode::Bridge, &[("a", 53, 31000), ("b", 53, 31000)]);
        both.ports[1].protocol = Protocol::Udp;
        assert_eq!(
            resolved(&both, "ports:[31000-31000]"),
            Ok(vec![(31000, 53), (31000, 53)])
        );
    }

    #[test]
    fn a_port_is_told_by_its_name() {
        let told = |ports: &[(&str, u16, u16)]| variables(&spec(NetworkMode::Bridge, ports));
        let expected = vec![("PROFFER_PORT_WEB_UI".to_owned(), "80".to_owned())];
        assert_eq!(told(&[("web-ui", 80, 31000), ("", 81, 31001)]), Ok(expected));
        assert!(told(&[("a-b", 80, 1), ("a_b", 81, 2)]).is_err());
    }
}

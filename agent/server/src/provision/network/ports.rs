//! Which port of the host stands for which of the task.
//!
//! A port that the agent offers is for the task that has it among its resources. One that it does not offer is for whoever
//! comes first.

use std::collections::BTreeSet;

use proffer_network::Port;
use proffer_types::container::{NetworkMode, NetworkSpec, PortMapping};
use proffer_types::{Ranges, ResourceName, Resources};

/// Leaves no port of the task's mappings open, and checks that it may have them. `offered` are the agent's own. In the
/// host's network a task listens on the host's port.
pub(super) fn resolve(
    spec: &mut NetworkSpec,
    resources: &Resources,
    offered: &Ranges,
) -> Result<Vec<Port>, String> {
    let own = resources
        .ranges(&ResourceName::Ports)
        .cloned()
        .unwrap_or_default();
    let mut resolved = spec.resolved_ports(resources);
    let mut taken = BTreeSet::new();
    for mapping in &mut resolved {
        let host = u64::from(mapping.host_port);
        if host == 0 {
            let (wanted, n_own) = (spec.ports.len(), own.count());
            return Err(format!(
                "the task has {wanted} port mappings, but only {n_own} ports among its resources"
            ));
        }
        let one = Ranges::new([(host, host)]);
        if offered.contains(&one) && !own.contains(&one) {
            return Err(format!(
                "host port {host} is for a task that has it among its resources: ask for `ports:[{host}-{host}]`"
            ));
        }
        if !taken.insert((mapping.host_port, mapping.protocol)) {
            return Err(format!("port {host} of the host is mapped twice"));
        }
        if spec.mode == NetworkMode::Host {
            mapping.container_port = mapping.host_port;
        }
    }
    spec.ports = resolved;
    let port = |mapping: &PortMapping| Port {
        host: mapping.host_port,
        container: mapping.container_port,
        transport: mapping.protocol.into(),
    };
    Ok(spec.ports.iter().map(port).collect())
}

/// Tells the task where to listen: the variable of each named port that is resolved.
pub(super) fn variables(spec: &NetworkSpec) -> Vec<(String, String)> {
    let named = spec.ports.iter().filter(|mapping| !mapping.name.is_empty());
    named
        .map(|mapping| (mapping.variable(), mapping.container_port.to_string()))
        .collect()
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

    fn resolved(mut spec: NetworkSpec, resources: &str) -> Result<Vec<(u16, u16)>, String> {
        let offered = Ranges::new([(31000, 32000)]);
        let ports = resolve(&mut spec, &resources.parse().unwrap(), &offered)?;
        Ok(ports.iter().map(|port| (port.host, port.container)).collect())
    }

    #[test]
    fn in_the_hosts_network_a_task_listens_on_the_hosts_port() {
        let ports = [("a", 80, 0), ("b", 0, 8080)];
        let bridge = spec(NetworkMode::Bridge, &ports);
        assert_eq!(
            resolved(bridge, "ports:[31000-31000]"),
            Ok(vec![(31000, 80), (8080, 8080)])
        );
        let host = spec(NetworkMode::Host, &ports);
        assert_eq!(
            resolved(host, "ports:[31000-31000]"),
            Ok(vec![(31000, 31000), (8080, 8080)])
        );
    }

    #[test]
    fn a_task_has_no_port_that_another_could_have() {
        let two = spec(NetworkMode::Bridge, &[("a", 80, 0), ("b", 81, 0)]);
        let error = resolved(two, "ports:[31000-31000]").unwrap_err();
        assert_eq!(
            error,
            "the task has 2 port mappings, but only 1 ports among its resources"
        );
        let named = spec(NetworkMode::Bridge, &[("a", 80, 31001)]);
        let error = resolved(named.clone(), "ports:[31000-31000]").unwrap_err();
        assert!(
            error.starts_with("host port 31001 is for a task that has it"),
            "{error}"
        );
        assert!(resolved(named, "ports:[31001-31001]").is_ok());
        let twice = spec(NetworkMode::Bridge, &[("a", 80, 443), ("b", 81, 443)]);
        assert_eq!(
            resolved(twice, "cpus:1").unwrap_err(),
            "port 443 of the host is mapped twice"
        );
        let huge = spec(NetworkMode::Bridge, &[("a", 80, 0)]);
        assert!(resolved(huge, "ports:[70000-70001]").is_err());
    }

    #[test]
    fn tcp_and_udp_may_have_one_number() {
        let mut both = spec(NetworkMode::Bridge, &[("a", 53, 31000), ("b", 53, 31000)]);
        both.ports[1].protocol = Protocol::Udp;
        assert_eq!(
            resolved(both, "ports:[31000-31000]"),
            Ok(vec![(31000, 53), (31000, 53)])
        );
    }

    #[test]
    fn a_port_is_told_by_its_name() {
        let spec = spec(NetworkMode::Bridge, &[("web-ui", 80, 31000), ("", 81, 31001)]);
        assert_eq!(
            variables(&spec),
            [("PROFFER_PORT_WEB_UI".to_owned(), "80".to_owned())]
        );
    }
}

//! What network a task is in.

use crate::{Ranges, ResourceName, Resources};

/// The task's network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NetworkSpec {
    pub mode: NetworkMode,
    /// Names of ports, so that checks and clients need not know numbers; in a network of its own also published on the
    /// host.
    pub ports: Vec<PortMapping>,
    /// Lines of `/etc/hosts` beside the task's own: address, name.
    pub hosts: Vec<(String, String)>,
    /// Name servers in place of the agent's.
    pub dns: Vec<String>,
    /// Kilobits a second the task may send, and receive; only in a network of its own.
    pub egress_kbps: Option<u64>,
    pub ingress_kbps: Option<u64>,
}

impl NetworkSpec {
    /// How many ports of the task's resources the mappings take.
    #[must_use]
    pub fn n_dynamic_ports(&self) -> u32 {
        let taken = self.ports.iter().filter(|port| port.host_port == 0);
        u32::try_from(taken.count()).unwrap_or(u32::MAX)
    }
}

/// Which network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NetworkMode {
    /// The agent's host's.
    #[default]
    Host,
    /// Its own, with nothing but a loopback interface.
    None,
    /// Its own, with an address on the agent's bridge.
    Bridge,
    /// Its own, as the named CNI configuration of the agent makes it.
    Cni(String),
}

/// One port of the task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortMapping {
    /// Unique in the task; may be empty. `PROFFER_PORT_<NAME>` tells the task the port it listens on.
    pub name: String,
    /// Where the task listens. 0 means the same as the host's port.
    pub container_port: u16,
    /// The host's port; 0 means the next one of the task's `ports` resources.
    pub host_port: u16,
    pub protocol: Protocol,
}

impl PortMapping {
    /// The variable that tells the task the port: the name in capitals, with `_` for `-`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!(
            "PROFFER_PORT_{}",
            self.name.to_ascii_uppercase().replace('-', "_")
        )
    }
}

/// The transport of a published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
}

impl NetworkSpec {
    /// The mappings with nothing left open, for a task with these resources: where the host's port is 0, each takes the
    /// lowest one of the resources that no mapping names. Those for which none is left stay 0.
    #[must_use]
    pub fn resolved_ports(&self, resources: &Resources) -> Vec<PortMapping> {
        let mut own = resources
            .ranges(&ResourceName::Ports)
            .cloned()
            .unwrap_or_default();
        let named = self.ports.iter().map(|port| u64::from(port.host_port));
        own.subtract(&Ranges::new(named.map(|port| (port, port))));
        let mut own = own.iter().flat_map(|(first, last)| first..=last);
        let resolved = self.ports.iter().map(|port| {
            let mut port = port.clone();
            if port.host_port == 0 {
                port.host_port = own.next().and_then(|n| u16::try_from(n).ok()).unwrap_or(0);
            }
            if port.container_port == 0 {
                port.container_port = port.host_port;
            }
            port
        });
        resolved.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_left_open_are_those_of_the_resources_in_order() {
        let port = |name: &str, container_port, host_port| PortMapping {
            name: name.to_owned(),
            container_port,
            host_port,
            protocol: Protocol::Tcp,
        };
        let spec = NetworkSpec {
            ports: vec![
                port("a", 80, 0),
                port("b", 0, 8080),
                port("c", 0, 0),
                port("d", 90, 0),
                port("e", 91, 31001),
            ],
            ..NetworkSpec::default()
        };
        let resources: Resources = "ports:[31000-31001,31005-31005]".parse().unwrap();
        let resolved = spec.resolved_ports(&resources);
        let numbers: Vec<_> = resolved
            .iter()
            .map(|port| (port.container_port, port.host_port))
            .collect();
        assert_eq!(
            numbers,
            [(80, 31000), (8080, 8080), (31005, 31005), (90, 0), (91, 31001)]
        );
    }
}

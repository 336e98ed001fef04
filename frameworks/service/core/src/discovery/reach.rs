//! Where a task is reached.

use std::net::IpAddr;

use proffer_types::Resources;
use proffer_types::container::{NetworkMode, NetworkSpec};

/// The address of a task's host, and its ports there. It is settled when the task is launched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reach {
    pub(crate) address: IpAddr,
    /// In the order of the ports of the task's network.
    pub(crate) ports: Vec<u16>,
}

/// The address in `host:port`, where it is an IP address.
pub(super) fn host(address: &str) -> Option<IpAddr> {
    let (host, _) = address.rsplit_once(':')?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

impl Reach {
    /// Of a task with that network and those resources, on an agent with that `host:port`; none where the agent told no IP
    /// address, or the task has no network.
    pub(crate) fn new(agent: &str, network: &NetworkSpec, resources: &Resources) -> Option<Self> {
        let ports = network.resolved_ports(resources);
        Some(Self {
            address: host(agent).filter(|_| network.mode != NetworkMode::None)?,
            ports: ports.iter().map(|port| port.host_port).collect(),
        })
    }
}

//! The replicas of a service as endpoints.

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::sync::Arc;

use proffer_types::container::{NetworkSpec, PortMapping, Protocol};
use proffer_types::discovery::{BalancePolicy, DiscoveredPort, Endpoint, OutlierDetection, PortProtocol};

use super::virtual_service::{Target, VirtualPort};
use crate::deployment::Deployment;
use crate::instance::Instance;
use crate::service::Service;
use crate::spec::UpdateStrategy;

/// Those that serve at least one of the ports; all that serve, where there are none.
pub(super) fn replicas(service: &Service, ports: &[VirtualPort]) -> Vec<Endpoint> {
    let hidden = hidden_version(service);
    let mut endpoints = Vec::new();
    for slot in service.slots.values() {
        for (_, instance) in slot.instances() {
            let is_told = instance.serves() && Some(instance.version) != hidden;
            let endpoint = is_told.then(|| endpoint(service, slot.number, instance, ports));
            endpoints.extend(endpoint.flatten());
        }
    }
    endpoints
}

/// The new version of a blue-green deployment, as long as the old one has its turn.
fn hidden_version(service: &Service) -> Option<u64> {
    let deployment = service.deployment.as_ref()?;
    let is_gated = service.spec.update.strategy == UpdateStrategy::BlueGreen && !deployment.promoted;
    let is_hidden = |deployment: &&Deployment| {
        let mut instances = service.slots.values().flat_map(|slot| slot.instances());
        is_gated && instances.any(|(_, of)| of.serves() && of.version != deployment.to)
    };
    Some(deployment).filter(is_hidden).map(|deployment| deployment.to)
}

fn endpoint(service: &Service, slot: u32, instance: &Instance, ports: &[VirtualPort]) -> Option<Endpoint> {
    let reach = instance.reach.as_ref()?;
    let version = service.versions.get(&instance.version)?;
    let mappings = &version.task.container.network.ports;
    let served: Vec<_> = ports
        .iter()
        .filter_map(|port| {
            let at = port.find(mappings)?;
            let number = NonZeroU16::new(*reach.ports.get(at)?)?;
            Some((port.port.name.clone(), number))
        })
        .collect();
    if served.is_empty() && !ports.is_empty() {
        return None;
    }
    let id = service.parts(slot, instance.start).id()?;
    Some(Endpoint {
        id: Arc::from(id.as_str()),
        address: reach.address,
        ports: served,
        weight: 1,
        agent_id: instance.agent_id.clone(),
        probe: false,
    })
}

/// The ports of a service that is not exposed: those of its task that have a name, and one without. They are known by name;
/// a number that the task does not say stands for nothing.
pub(super) fn implicit_ports(network: &NetworkSpec) -> Vec<VirtualPort> {
    let mut taken = BTreeSet::new();
    let mut names = BTreeSet::new();
    let mut ports = Vec::new();
    for mapping in network.ports.iter().take(super::MAX_VIRTUAL_PORTS) {
        let name = mapping.name.parse().ok();
        if !names.insert(name.clone()) {
            continue;
        }
        let is_udp = mapping.protocol == Protocol::Udp;
        let known = [mapping.container_port, mapping.host_port].into_iter().chain(1..);
        let mut known = known.filter_map(NonZeroU16::new);
        let Some(number) = known.find(|number| !taken.contains(&(is_udp, *number))) else {
            continue;
        };
        taken.insert((is_udp, number));
        ports.push(VirtualPort {
            target: target(mapping, number),
            port: DiscoveredPort {
                name,
                number,
                protocol: if is_udp {
                    PortProtocol::Udp
                } else {
                    PortProtocol::Tcp
                },
                published: None,
                policy: BalancePolicy::default(),
                retries: 0,
                outlier: OutlierDetection::default(),
            },
        });
    }
    ports
}

fn target(mapping: &PortMapping, number: NonZeroU16) -> Target {
    match mapping.name.is_empty() {
        true => Target::Number(number),
        false => Target::Name(mapping.name.clone()),
    }
}

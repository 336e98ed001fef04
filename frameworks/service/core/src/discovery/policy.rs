//! Network policies: kept here, enforced by edges.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU16;

use proffer_session::Context;
use proffer_types::container::PortMapping;
use proffer_types::discovery::ServiceName;
use proffer_types::policy::{
    ClusterNetwork, Door, MAX_HOSTS, MAX_POLICIES, MAX_POLICY_BYTES, Member, MemberPort, NetworkPolicy,
    ServiceNetwork,
};
use proffer_types::{AgentId, KnownAgent, Timestamp};
use proffer_wire::v1;
use prost::Message as _;
use thiserror::Error;

use super::reach::host;
use super::virtual_service::VirtualPort;
use crate::instance::Instance;
use crate::records;
use crate::service::Service;
use crate::services::Services;

/// The most agents without enforcement that are named.
const MAX_SHOWN: usize = 10;

/// A policy as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyView {
    pub spec: NetworkPolicy,
    /// The services that it selects.
    pub services: Vec<String>,
}

/// Why a policy was not applied.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApplyPolicyError {
    #[error("there are {MAX_POLICIES} network policies, and no room for another")]
    Full,
    #[error("all network policies together would have {0} bytes, at most {MAX_POLICY_BYTES} are allowed")]
    Bytes(usize),
}

/// Nothing has that name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no network policy `{0}`")]
pub struct NoSuchPolicyError(String);

/// What is told for the sake of policies.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Policies {
    /// By full name.
    by_name: BTreeMap<String, NetworkPolicy>,
    /// The keys of labels that they ask for.
    keys: BTreeSet<String>,
    /// Of the agents that are, or were before the master was lost; not durable.
    hosts: BTreeSet<IpAddr>,
    /// Whether what is told of the cluster may be another than it was. Not durable.
    touched: bool,
}

impl Policies {
    pub(crate) fn recover(by_name: BTreeMap<String, NetworkPolicy>) -> Self {
        let mut policies = Self {
            touched: !by_name.is_empty(),
            by_name,
            ..Self::default()
        };
        policies.index();
        policies
    }

    /// As a fresh recovery leaves it.
    #[cfg(test)]
    pub(crate) fn as_recovered(&self) -> Self {
        Self::recover(self.by_name.clone())
    }

    fn index(&mut self) {
        let policies = self.by_name.values();
        self.keys = policies.flat_map(NetworkPolicy::keys).cloned().collect();
    }

    fn bytes_but(&self, name: &str) -> usize {
        let others = self.by_name.iter().filter(|(other, _)| *other != name);
        others.map(|(_, policy)| bytes(policy)).sum()
    }
}

fn bytes(policy: &NetworkPolicy) -> usize {
    v1::NetworkPolicy::from(policy).encoded_len() + 6
}

impl Services {
    /// Creates a policy or changes it to match; tells whether it is new.
    pub fn apply_policy(
        &mut self,
        policy: NetworkPolicy,
        cx: &mut Context<'_>,
    ) -> Result<bool, ApplyPolicyError> {
        let policies = &mut self.discovery.policies;
        let name = policy.name.full();
        let before = policies.by_name.get(&name);
        if before == Some(&policy) {
            return Ok(false);
        }
        let created = before.is_none();
        if created && policies.by_name.len() >= MAX_POLICIES {
            return Err(ApplyPolicyError::Full);
        }
        let n = policies.bytes_but(&name) + bytes(&policy);
        if n > MAX_POLICY_BYTES {
            return Err(ApplyPolicyError::Bytes(n));
        }
        cx.put(records::policy_key(&name), records::policy(&policy));
        policies.by_name.insert(name, policy);
        self.policies_changed();
        Ok(created)
    }

    /// Takes a policy away.
    pub fn delete_policy(&mut self, name: &str, cx: &mut Context<'_>) -> Result<(), NoSuchPolicyError> {
        if self.discovery.policies.by_name.remove(name).is_none() {
            return Err(NoSuchPolicyError(name.chars().take(80).collect()));
        }
        cx.delete(records::policy_key(name));
        self.policies_changed();
        Ok(())
    }

    /// What is told of every service may be another: it has what policies ask for.
    fn policies_changed(&mut self) {
        let policies = &mut self.discovery.policies;
        policies.index();
        policies.touched = true;
        let names = self.services.keys().chain(self.discovery.virtuals.keys());
        self.discovery.touched.extend(names.cloned());
    }

    /// All policies, by name.
    #[must_use]
    pub fn list_policies(&self) -> Vec<PolicyView> {
        let policies = self.discovery.policies.by_name.values();
        policies.map(|policy| self.policy_view(policy)).collect()
    }

    /// One of them.
    pub fn get_policy(&self, name: &str) -> Result<PolicyView, NoSuchPolicyError> {
        let policy = self.discovery.policies.by_name.get(name);
        let view = policy.map(|policy| self.policy_view(policy));
        view.ok_or_else(|| NoSuchPolicyError(name.chars().take(80).collect()))
    }

    fn policy_view(&self, policy: &NetworkPolicy) -> PolicyView {
        let selected = self.services.iter().filter(|(name, service)| {
            let name = name.parse::<ServiceName>();
            name.is_ok_and(|name| policy.selects(&name, &service.spec.labels))
        });
        PolicyView {
            services: selected.map(|(name, _)| name.clone()).collect(),
            spec: policy.clone(),
        }
    }

    /// Where policies are not enforced, and why, in sentences; nothing, while there is none.
    #[must_use]
    pub fn policy_problems(&self, now: Timestamp) -> Vec<String> {
        if self.discovery.policies.by_name.is_empty() {
            return Vec::new();
        }
        let (enforced, mut problems) = self.discovery.edges.policy(now);
        let agents = self.cluster.agents.values();
        let open = agents.filter_map(|KnownAgent { info, .. }| match host(&info.address) {
            Some(address) if enforced.contains(&address) => None,
            Some(address) => Some(format!(
                "not enforced on {} ({address}): no edge reports that it does (`proffer edge`)",
                info.hostname
            )),
            None => Some(format!(
                "not enforced on {}: its agent told `{}`, which is no IP address (`--advertise`)",
                info.hostname, info.address
            )),
        });
        let mut open: Vec<_> = open.collect();
        open.sort_unstable();
        let n = open.len().saturating_sub(MAX_SHOWN);
        open.truncate(MAX_SHOWN);
        problems.extend(open);
        if n > 0 {
            problems.push(format!("not enforced on {n} more agents"));
        }
        problems
    }

    /// What edges are to know of the cluster, if it may be another than at the last call.
    pub fn take_network(&mut self) -> Option<ClusterNetwork> {
        if !std::mem::take(&mut self.discovery.policies.touched) {
            return None;
        }
        let Policies { by_name, hosts, .. } = &self.discovery.policies;
        if by_name.is_empty() {
            return Some(ClusterNetwork::default());
        }
        let slots = self.services.values().flat_map(|service| service.slots.values());
        let instances = slots.flat_map(|slot| slot.instances());
        let in_use = instances.filter_map(|(_, instance)| Some(instance.reach.as_ref()?.address));
        let hosts: BTreeSet<IpAddr> = in_use.chain(hosts.iter().copied()).collect();
        Some(ClusterNetwork {
            hosts: hosts.into_iter().take(MAX_HOSTS).collect(),
            policies: by_name.values().cloned().collect(),
        })
    }

    /// Notes where agents are. Those that are not gone are still there while the master is away.
    pub(crate) fn note_hosts(&mut self, come: &[KnownAgent], gone: &[AgentId]) {
        let policies = &mut self.discovery.policies;
        let of = |agent: &KnownAgent| host(&agent.info.address);
        let n_before = policies.hosts.len();
        policies.hosts.extend(come.iter().filter_map(of));
        let mut is_other = policies.hosts.len() != n_before;
        if !gone.is_empty() {
            policies.hosts = self.cluster.agents.values().filter_map(of).collect();
            is_other = true;
        }
        policies.touched |= is_other && !policies.by_name.is_empty();
    }

    /// What edges are to know of a name, for the sake of policies: the service of the name, and what its ports lead to.
    pub(super) fn service_network(
        &self,
        name: &str,
        ports: &[VirtualPort],
        behind: &[&Service],
    ) -> ServiceNetwork {
        let Policies { by_name, keys, .. } = &self.discovery.policies;
        if by_name.is_empty() {
            return ServiceNetwork::default();
        }
        let own = self.services.get(name);
        let labels = own.map(|service| service.spec.labels.iter());
        let labels = labels
            .into_iter()
            .flatten()
            .filter(|(key, _)| keys.contains(*key));
        ServiceNetwork {
            labels: labels.map(|(key, value)| (key.clone(), value.clone())).collect(),
            members: own.map(members).unwrap_or_default(),
            doors: behind.iter().flat_map(|service| doors(service, ports)).collect(),
        }
    }
}

/// The tasks of a service that may be there.
fn members(service: &Service) -> Vec<Member> {
    let instances = service.slots.values().flat_map(|slot| slot.instances());
    let there = instances.filter(|(_, instance)| instance.has_task() || instance.may_return());
    there
        .filter_map(|(_, instance)| {
            let reach = instance.reach.as_ref()?;
            let version = service.versions.get(&instance.version)?;
            let mappings = version.task.container.network.ports.iter();
            let ports = mappings.zip(&reach.ports).filter_map(|(mapping, host)| {
                let host_number = NonZeroU16::new(*host)?;
                Some(MemberPort {
                    protocol: mapping.protocol,
                    name: mapping.name.clone(),
                    number: NonZeroU16::new(mapping.container_port).unwrap_or(host_number),
                    host_number,
                })
            });
            Some(Member {
                host: reach.address,
                address: own_address(instance),
                ports: ports.collect(),
            })
        })
        .collect()
}

/// The address that a task has to itself.
pub(crate) fn own_address(instance: &Instance) -> Option<Ipv4Addr> {
    let condition = &instance.status.as_ref()?.condition;
    let mut addresses = condition.addresses.iter();
    addresses.find_map(|address| match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    })
}

/// What ports of a name lead to at a service's tasks.
fn doors(service: &Service, ports: &[VirtualPort]) -> Vec<Door> {
    let mappings = &service.spec.task.container.network.ports;
    let Ok(name) = service.spec.name.parse::<ServiceName>() else {
        return Vec::new();
    };
    let door = |port: &VirtualPort| {
        let mapping: &PortMapping = mappings.get(port.find(mappings)?)?;
        let listens = [mapping.container_port, mapping.host_port];
        let target = listens.into_iter().find_map(NonZeroU16::new);
        Some(Door {
            protocol: mapping.protocol,
            port: port.port.number,
            service: name.clone(),
            target_name: mapping.name.clone(),
            // One that is settled at the launch can be meant by its name alone.
            target: target.unwrap_or(port.port.number),
        })
    };
    ports.iter().filter_map(door).collect()
}

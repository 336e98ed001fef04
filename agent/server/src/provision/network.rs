//! The network of a task: which namespace it joins, the ports that lead to it, and the files by which it finds names.
//!
//! The namespace is bound below the container's own directory, or its group's; what it is connected to is
//! `proffer-network`'s to make, to remember and to take away.

mod ports;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use proffer_agent_core::ContainerId;
use proffer_container::{MountSource, NetworkNamespace, VolumeMount};
use proffer_network::{AttachError, Attached, Bandwidth, Dns, Mode, Networks};
use proffer_types::container::{NetworkMode, NetworkSpec, Propagation};
use proffer_types::{GroupId, Ranges};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

use super::devices::FREE_TIMEOUT;
use super::{Prepared, Request, Stage};
use crate::containers::chain;
use crate::data_dir::DataDir;

const HOSTS: &str = "/etc/hosts";
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Where systemd-resolved says which servers it asks itself, when `/etc/resolv.conf` only leads to it.
const RESOLVED_CONF: &str = "/run/systemd/resolve/resolv.conf";

/// The largest of the host's name files that is read.
const MAX_NAME_FILE_BYTES: u64 = 1 << 20;

/// Resolves the task's ports and puts it into the network it asks for.
pub(super) async fn prepare(
    stage: &Stage,
    networks: &Networks,
    offered_ports: &Ranges,
    freed: &Notify,
    request: &Request,
    prepared: &mut Prepared,
) -> Result<(), String> {
    let spec = &mut prepared.config.spec;
    let ports = ports::resolve(&mut spec.network, &request.info.resources, offered_ports)?;
    let mode = match &spec.network.mode {
        NetworkMode::Host => None,
        NetworkMode::None => Some(Mode::None),
        NetworkMode::Bridge => Some(Mode::Bridge),
        NetworkMode::Cni(name) => Some(Mode::Cni(name.clone())),
    };
    let mut env = ports::variables(&spec.network);
    let mut attached = Attached::default();
    prepared.config.network = match mode {
        None => NetworkNamespace::Host,
        // proffer-init makes the least network itself, unless others share it.
        Some(Mode::None) if request.group.is_none() => NetworkNamespace::New,
        Some(mode) => {
            let namespace = namespace(stage, request.container_id, request.group.as_ref())?;
            let network_id = match &request.group {
                Some(group) => group.to_string(),
                None => request.container_id.to_string(),
            };
            let wanted = proffer_network::Request {
                network_id,
                member: request.container_id.to_string(),
                namespace: namespace.clone(),
                mode,
                ports,
                bandwidth: Bandwidth {
                    egress_kbps: spec.network.egress_kbps,
                    ingress_kbps: spec.network.ingress_kbps,
                },
            };
            let attach = attach(networks, offered_ports, freed, wanted);
            attached = attach.await.map_err(|error| chain(&error))?;
            NetworkNamespace::Joined(namespace)
        }
    };
    if let Some(address) = attached.addresses.first() {
        env.push(("PROFFER_ADDRESS".to_owned(), address.to_string()));
    }
    for (name, value) in env {
        spec.env.entry(name).or_insert(value);
    }
    prepared.addresses.clone_from(&attached.addresses);
    let mounts = names(stage, request, prepared, attached).await?;
    prepared.config.mounts.extend(mounts);
    Ok(())
}

/// Resources are free as soon as a task has ended, its ports a little later: when its container is released. A port that is
/// offered is among the resources of one task only, so whoever else has it is about to go.
async fn attach(
    networks: &Networks,
    offered_ports: &Ranges,
    freed: &Notify,
    wanted: proffer_network::Request,
) -> Result<Attached, AttachError> {
    let deadline = Instant::now() + FREE_TIMEOUT;
    loop {
        let next = freed.notified();
        match networks.attach(wanted.clone()).await {
            Err(AttachError::PortTaken { port, .. })
                if offered_ports.contains(&Ranges::new([(port.into(), port.into())]))
                    && timeout_at(deadline, next).await.is_ok() => {}
            attached => return attached,
        }
    }
}

/// Takes a container out of its network. What fails is tried again at the next start.
pub(super) async fn release(networks: &Networks, container_id: ContainerId) {
    if let Err(error) = networks.detach(&container_id.to_string()).await {
        warn!(%container_id, %error, "cannot remove a network; the next start tries again");
    }
}

/// Takes away the networks of containers that are not known.
pub(super) async fn recover(networks: &Networks, data_dir: &DataDir, known: &[ContainerId]) {
    let names: BTreeSet<String> = known.iter().map(ContainerId::to_string).collect();
    // A network is a container's own, or its group's.
    let namespace = |network_id: &str| {
        let of_group = data_dir.groups().join(network_id).join(NAMESPACE);
        let own = data_dir.containers().join(network_id).join(NAMESPACE);
        if of_group.exists() { of_group } else { own }
    };
    networks.recover(|name| names.contains(name), namespace).await;
}

/// Unbinds what a directory may have of a namespace whose record is lost. Blocks, but not for long.
pub(super) fn unbind(dir: &Path) {
    if let Err(error) = proffer_linux::netns::remove(&dir.join(NAMESPACE)) {
        warn!(
            error = chain(&error),
            "cannot remove a network namespace; the next start tries again"
        );
    }
}

/// The name of a namespace in its directory.
const NAMESPACE: &str = "netns";

/// Where the network namespace of a container is bound, if it has one that others may join.
fn namespace(stage: &Stage, container_id: ContainerId, group: Option<&GroupId>) -> Result<PathBuf, String> {
    let dir = match group {
        Some(group) => stage.data_dir.group(group),
        None => stage.scratch(container_id)?,
    };
    Ok(dir.join(NAMESPACE))
}

/// Which name files a container needs of its own: with a network of its own, or wishes, or an image, which has none.
fn needs_names(spec: &NetworkSpec, has_image: bool) -> bool {
    has_image || spec.mode != NetworkMode::Host || !spec.hosts.is_empty() || !spec.dns.is_empty()
}

/// Writes the name files, and mounts them.
async fn names(
    stage: &Stage,
    request: &Request,
    prepared: &Prepared,
    attached: Attached,
) -> Result<Vec<VolumeMount>, String> {
    let spec = prepared.config.spec.network.clone();
    let has_image = prepared.config.spec.image.is_some();
    if !needs_names(&spec, has_image) {
        return Ok(Vec::new());
    }
    let own_name = prepared.config.hostname.clone();
    let own_name = own_name.unwrap_or_else(|| request.container_id.to_string());
    let dir = stage.scratch(request.container_id)?;
    stage
        .blocking(move |_| {
            let texts = [
                (HOSTS, "hosts", hosts(&spec, &own_name, &attached.addresses)?),
                (RESOLV_CONF, "resolv.conf", resolv_conf(&spec, &attached.dns)?),
            ];
            let mut mounts = Vec::new();
            for (target, name, text) in texts {
                // Without an image there may be nothing to mount it over, on a host that does without such a file.
                if !has_image && !Path::new(target).exists() {
                    continue;
                }
                let path = dir.join(name);
                fs::write(&path, text)
                    .map_err(|error| format!("cannot write `{}`: {error}", path.display()))?;
                mounts.push(VolumeMount {
                    source: MountSource::Bind {
                        path,
                        propagation: Propagation::Private,
                    },
                    container_path: target.into(),
                    read_only: true,
                });
            }
            Ok(mounts)
        })
        .await
}

fn hosts(spec: &NetworkSpec, own_name: &str, addresses: &[IpAddr]) -> Result<String, String> {
    let text = match spec.mode {
        NetworkMode::Host => {
            let more = proffer_network::more_hosts(&spec.hosts);
            more.map(|more| format!("{}\n{more}", host_file(HOSTS).trim_end()))
        }
        NetworkMode::None | NetworkMode::Bridge | NetworkMode::Cni(_) => {
            proffer_network::hosts(own_name, addresses, &spec.hosts)
        }
    };
    text.map_err(|error| format!("the hosts of the task: {error}"))
}

fn resolv_conf(spec: &NetworkSpec, told: &Dns) -> Result<String, String> {
    let own_network = spec.mode != NetworkMode::Host;
    let mut host = host_file(RESOLV_CONF);
    if own_network && proffer_network::is_unreachable(&host) {
        let resolved = host_file(RESOLVED_CONF);
        if !resolved.is_empty() {
            host = resolved;
        }
    }
    let text = proffer_network::resolv_conf(&spec.dns, told, &host, own_network);
    text.map_err(|error| format!("the name servers of the task: {error}"))
}

/// One of the host's own name files; empty where there is none.
fn host_file(path: &str) -> String {
    let read = || {
        let mut text = String::new();
        io::Read::read_to_string(
            &mut io::Read::take(fs::File::open(path)?, MAX_NAME_FILE_BYTES),
            &mut text,
        )?;
        Ok::<_, io::Error>(text)
    };
    read().unwrap_or_else(|error| {
        if error.kind() != io::ErrorKind::NotFound {
            warn!(path, %error, "cannot read how this host resolves names");
        }
        String::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_in_its_hosts_network_has_its_hosts_names_unless_it_wishes_for_others() {
        let wishes = |spec: NetworkSpec| needs_names(&spec, false);
        assert!(!wishes(NetworkSpec::default()));
        assert!(needs_names(&NetworkSpec::default(), true));
        assert!(wishes(NetworkSpec {
            mode: NetworkMode::Bridge,
            ..NetworkSpec::default()
        }));
        assert!(wishes(NetworkSpec {
            dns: vec!["10.0.0.1".to_owned()],
            ..NetworkSpec::default()
        }));
        let spec = NetworkSpec {
            hosts: vec![("10.0.0.1".to_owned(), "db".to_owned())],
            ..NetworkSpec::default()
        };
        let text = hosts(&spec, "c1", &[]).unwrap();
        assert!(
            text.starts_with(host_file(HOSTS).trim_end()) && text.ends_with("\n10.0.0.1 db\n"),
            "{text}"
        );
    }
}

//! What a Pod runs: of a Pod itself, and of the template of what makes Pods.

use std::collections::BTreeMap;
use std::time::Duration;

use proffer_types::ContainerSpec;
use proffer_types::container::{NetworkMode, NetworkSpec};

use super::container::{OfPod, container};
use super::fields::{Fields, Item};
use super::metadata::labels;
use super::ports::Ports;
use super::security::of_pod;
use super::tree::Wrong;
use super::volume::volumes;
use super::{Namespace, Reading};
use crate::spec::{Condition, Network, Span, TaskSpec};

/// How long Kubernetes waits from SIGTERM to SIGKILL, where nothing else is said, in seconds.
const GRACE: u64 = 30;

/// The labels that name what agents say of themselves apart from attributes.
const WELL_KNOWN: [(&str, &str); 3] = [
    ("kubernetes.io/hostname", "hostname"),
    ("topology.kubernetes.io/region", "region"),
    ("topology.kubernetes.io/zone", "zone"),
];

/// What each replica runs; its ports can still grow.
#[derive(Debug, Clone)]
pub(super) struct Pod {
    pub(super) task: TaskSpec,
    pub(super) ports: Ports,
}

/// Reads the template of a Deployment or the like: the labels of its Pods, and what they run.
pub(super) fn template(
    item: &Item<'_>,
    within: Namespace<'_>,
    reading: &mut Reading,
) -> Result<(BTreeMap<String, String>, Pod), Wrong> {
    let mut fields = item.fields()?;
    let mut of_pods = BTreeMap::new();
    if let Some(metadata) = fields.get("metadata") {
        let mut metadata = metadata.fields()?;
        of_pods = metadata.map("labels", |item| labels(&item))?.unwrap_or_default();
        if let Some(item) = metadata.get("annotations")
            && !item.text_map()?.is_empty()
        {
            reading.warn(&item, "annotations are not kept");
        }
        metadata.refuse("creationTimestamp", "is set by Kubernetes; leave it out")?;
        metadata.done()?;
    }
    let pod = pod(&fields.need("spec")?, within)?;
    fields.done()?;
    Ok((of_pods, pod))
}

/// Reads the `spec` of a Pod.
pub(super) fn pod(item: &Item<'_>, within: Namespace<'_>) -> Result<Pod, Wrong> {
    let mut fields = item.fields()?;
    let mut task = TaskSpec::default();
    refused(&mut fields)?;
    let on_host = fields.map("hostNetwork", |item| item.bool())?.unwrap_or(false);
    task.network = Some(network(&mut fields, on_host)?);
    task.constraints = node_selector(&mut fields)?;
    let grace = fields.map("terminationGracePeriodSeconds", |item| item.seconds(0))?;
    task.kill_grace = Some(Span(Duration::from_secs(grace.unwrap_or(GRACE))));
    let volumes = volumes(&mut fields, within.name)?;
    let security = of_pod(&mut fields, &mut task)?;
    let containers = fields.need("containers")?;
    let mut listed = containers.list()?.into_iter();
    let one = match (listed.next(), listed.next()) {
        (Some(one), None) => one,
        (None, _) => return Err(containers.wrong("a pod needs a container")),
        (Some(_), Some(second)) => {
            return Err(
                second.wrong("a pod of several containers is not supported; make it a Deployment of its own")
            );
        }
    };
    let of_pod = OfPod {
        volumes: &volumes,
        security,
        on_host,
        within,
    };
    let ports = container(&one, of_pod, &mut task)?;
    fields.done()?;
    ports.give(&mut task);
    // What contradicts itself is refused here, where its place is known.
    if let Err(error) = ContainerSpec::try_from(task.container()) {
        return Err(one.wrong(&error.to_string()));
    }
    Ok(Pod { task, ports })
}

/// What can say only what holds anyway.
fn refused(pod: &mut Fields<'_>) -> Result<(), Wrong> {
    pod.refuse(
        "initContainers",
        "a pod of several containers is not supported; a job can run before a service is applied",
    )?;
    pod.refuse(
        "ephemeralContainers",
        "a pod of several containers is not supported",
    )?;
    pod.only(
        "restartPolicy",
        &["Always"],
        " of a service; `proffer job` and `proffer run` have tasks that end",
    )?;
    pod.only("dnsPolicy", &["ClusterFirst"], "")?;
    pod.only("schedulerName", &["default-scheduler"], "")?;
    for name in ["hostPID", "hostIPC", "shareProcessNamespace"] {
        pod.only(name, &["false"], "")?;
    }
    pod.only(
        "automountServiceAccountToken",
        &["false"],
        ": there are no service accounts",
    )?;
    pod.only(
        "enableServiceLinks",
        &["false"],
        ": names of services are looked up in the DNS",
    )?;
    pod.refuse("affinity", "is not supported; a nodeSelector is")?;
    pod.refuse("tolerations", "agents have no taints")?;
    pod.refuse(
        "topologySpreadConstraints",
        "is not supported; replicas are spread over agents as they are",
    )?;
    pod.refuse(
        "imagePullSecrets",
        "logins of registries are the agents' to configure",
    )?;
    pod.refuse("serviceAccountName", "there are no service accounts")?;
    pod.refuse("serviceAccount", "there are no service accounts")
}

fn network(pod: &mut Fields<'_>, on_host: bool) -> Result<Network, Wrong> {
    let mut hosts = Vec::new();
    for item in pod.items("hostAliases")? {
        let mut fields = item.fields()?;
        let address = fields.need("ip")?.text()?;
        let names = fields.need("hostnames")?.texts()?;
        fields.done()?;
        hosts.extend(names.into_iter().map(|name| (address.clone(), name)));
    }
    let mut dns = Vec::new();
    if let Some(item) = pod.get("dnsConfig") {
        let mut fields = item.fields()?;
        dns = fields
            .map("nameservers", |item| item.texts())?
            .unwrap_or_default();
        fields.done()?;
    }
    Ok(Network(NetworkSpec {
        // As in Kubernetes a pod has a network of its own, also when it says nothing of ports.
        mode: match on_host {
            true => NetworkMode::Host,
            false => NetworkMode::Bridge,
        },
        hosts,
        dns,
        ..NetworkSpec::default()
    }))
}

/// Each is an attribute of the agent, or what it says of itself besides.
fn node_selector(pod: &mut Fields<'_>) -> Result<Vec<Condition>, Wrong> {
    let Some(item) = pod.get("nodeSelector") else {
        return Ok(Vec::new());
    };
    let mut conditions = Vec::new();
    for (name, value) in labels(&item)? {
        if (name.as_str(), value.as_str()) == ("kubernetes.io/os", "linux") {
            continue;
        }
        let known = WELL_KNOWN.iter().find(|(label, _)| *label == name);
        let name = known.map_or(name.as_str(), |(_, selector)| selector);
        let condition = format!("{name}={value}").parse();
        conditions.push(condition.map_err(|error: String| item.wrong(&error))?);
    }
    Ok(conditions)
}

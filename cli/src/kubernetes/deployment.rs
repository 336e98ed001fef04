//! `Deployment`, `DaemonSet` and `Pod`: services.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use proffer_wire::v1;

use super::fields::{Fields, Item};
use super::metadata::{Metadata, labels};
use super::pod::{Pod, pod, template};
use super::tree::Wrong;
use super::{Namespace, Reading};
use crate::spec::Part;

/// Kubernetes' own, where a Deployment does not say.
const ROLLING_PART: u32 = 25;
const PROGRESS_DEADLINE: u64 = 600;
/// How many versions a service remembers, as a Deployment does.
const HISTORY: u32 = 10;

/// Something that runs, before it is a service: a Service may still add ports to it.
#[derive(Debug, Clone)]
pub(super) struct Workload {
    /// As `deployment`.
    pub(super) kind: &'static str,
    pub(super) metadata: Metadata,
    pub(super) mode: v1::ServiceMode,
    pub(super) replicas: u32,
    pub(super) update: Option<v1::UpdatePolicy>,
    /// Of its Pods.
    pub(super) labels: BTreeMap<String, String>,
    pub(super) pod: Pod,
}

/// Reads the rest of a Deployment.
pub(super) fn deployment(
    object: &mut Fields<'_>,
    metadata: Metadata,
    within: Namespace<'_>,
    reading: &mut Reading,
) -> Result<Workload, Wrong> {
    let mut spec = object.need("spec")?.fields()?;
    let replicas = spec.map("replicas", |item| item.whole(0, i32::MAX.unsigned_abs()))?;
    let (labels, pod) = selected(&mut spec, within, reading)?;
    let times = times(&mut spec)?;
    let deadline = spec.map("progressDeadlineSeconds", |item| item.seconds(1))?;
    let history = spec.get("revisionHistoryLimit");
    let strategy = spec.get("strategy");
    if let Some(item) = history
        && item.whole(0, u32::MAX >> 1)? != HISTORY
    {
        reading.warn(&item, &format!("a service remembers {HISTORY} versions"));
    }
    spec.only(
        "paused",
        &["false"],
        "; `proffer service pause` pauses a deployment",
    )?;
    spec.done()?;
    let (max_surge, max_unavailable) = match strategy {
        Some(item) => strategy_of(&item)?,
        None => (Part::Percent(ROLLING_PART), Part::Percent(ROLLING_PART)),
    };
    warn_of_labels(&metadata, &labels, reading);
    Ok(Workload {
        kind: "deployment",
        metadata,
        mode: v1::ServiceMode::Replicated,
        replicas: replicas.unwrap_or(1),
        update: Some(v1::UpdatePolicy {
            max_surge: Some(max_surge.into()),
            max_unavailable: Some(max_unavailable.into()),
            min_healthy_ms: Some(times),
            deadline_ms: Some(deadline.unwrap_or(PROGRESS_DEADLINE) * 1000),
            ..v1::UpdatePolicy::default()
        }),
        labels,
        pod,
    })
}

/// Reads the rest of a DaemonSet.
pub(super) fn daemon_set(
    object: &mut Fields<'_>,
    metadata: Metadata,
    within: Namespace<'_>,
    reading: &mut Reading,
) -> Result<Workload, Wrong> {
    let mut spec = object.need("spec")?.fields()?;
    let (labels, pod) = selected(&mut spec, within, reading)?;
    let min_healthy = times(&mut spec)?;
    if let Some(item) = spec.get("updateStrategy") {
        let mut fields = item.fields()?;
        fields.only("type", &["RollingUpdate"], "")?;
        fields.refuse("rollingUpdate", "of a DaemonSet is not supported")?;
        fields.done()?;
    }
    if let Some(item) = spec.get("revisionHistoryLimit")
        && item.whole(0, u32::MAX >> 1)? != HISTORY
    {
        reading.warn(&item, &format!("a service remembers {HISTORY} versions"));
    }
    spec.done()?;
    warn_of_labels(&metadata, &labels, reading);
    Ok(Workload {
        kind: "daemonset",
        metadata,
        mode: v1::ServiceMode::Daemon,
        replicas: 0,
        // One at a time, the old one first, is Kubernetes' way.
        update: Some(v1::UpdatePolicy {
            max_surge: Some(Part::Count(0).into()),
            max_unavailable: Some(Part::Count(1).into()),
            min_healthy_ms: Some(min_healthy),
            ..v1::UpdatePolicy::default()
        }),
        labels,
        pod,
    })
}

/// Reads the rest of a Pod: a service of one replica.
pub(super) fn single_pod(
    object: &mut Fields<'_>,
    metadata: Metadata,
    within: Namespace<'_>,
) -> Result<Workload, Wrong> {
    let pod = pod(&object.need("spec")?, within)?;
    Ok(Workload {
        kind: "pod",
        mode: v1::ServiceMode::Replicated,
        replicas: 1,
        update: None,
        labels: metadata.labels.clone(),
        metadata,
        pod,
    })
}

/// Reads the template, and the selector that has to select what it makes.
fn selected(
    spec: &mut Fields<'_>,
    within: Namespace<'_>,
    reading: &mut Reading,
) -> Result<(BTreeMap<String, String>, Pod), Wrong> {
    let (of_pods, pod) = template(&spec.need("template")?, within, reading)?;
    let item = spec.need("selector")?;
    let mut selector = item.fields()?;
    let wanted = selector.need("matchLabels")?;
    selector.refuse("matchExpressions", "is not supported; matchLabels is")?;
    selector.done()?;
    let selector = labels(&wanted)?;
    if selector.is_empty() {
        return Err(wanted.wrong("selects nothing"));
    }
    for (name, value) in selector {
        if of_pods.get(&name) != Some(&value) {
            return Err(wanted.wrong(&format!("the template has no label {name}: {value}")));
        }
    }
    Ok((of_pods, pod))
}

/// For how long a Pod has to be ready, in milliseconds.
fn times(spec: &mut Fields<'_>) -> Result<u64, Wrong> {
    let ready = spec.map("minReadySeconds", |item| item.seconds(0))?;
    Ok(ready.unwrap_or(0) * 1000)
}

fn strategy_of(item: &Item<'_>) -> Result<(Part, Part), Wrong> {
    let mut fields = item.fields()?;
    let kind = fields.map("type", |item| item.text())?;
    let rolling = fields.get("rollingUpdate");
    fields.done()?;
    match (kind.as_deref(), rolling) {
        (Some("Recreate"), None) => Ok((Part::Count(0), Part::Percent(100))),
        (Some("Recreate"), Some(rolling)) => Err(rolling.wrong("is not for the type Recreate")),
        (None | Some("RollingUpdate"), rolling) => {
            let default = (Part::Percent(ROLLING_PART), Part::Percent(ROLLING_PART));
            let Some(item) = rolling else {
                return Ok(default);
            };
            let mut fields = item.fields()?;
            let surge = fields.map("maxSurge", part)?;
            let unavailable = fields.map("maxUnavailable", part)?;
            fields.done()?;
            let parts = (surge.unwrap_or(default.0), unavailable.unwrap_or(default.1));
            let is_none = |part| matches!(part, Part::Count(0) | Part::Percent(0));
            if is_none(parts.0) && is_none(parts.1) {
                return Err(item.wrong("maxSurge and maxUnavailable cannot both be 0"));
            }
            Ok(parts)
        }
        (Some(_), _) => Err(item.wrong("expected the type RollingUpdate or Recreate")),
    }
}

fn part(item: Item<'_>) -> Result<Part, Wrong> {
    let part = Part::from_str(item.scalar()?).map_err(|error| item.wrong(&error))?;
    match part {
        Part::Percent(101..) => Err(item.wrong("at most 100% is possible")),
        Part::Percent(_) | Part::Count(_) => Ok(part),
    }
}

fn warn_of_labels(metadata: &Metadata, of_pods: &BTreeMap<String, String>, reading: &mut Reading) {
    let lost = |(name, value): &(&String, &String)| of_pods.get(*name) != Some(*value);
    if let Some((name, _)) = metadata.labels.iter().find(lost) {
        let text = format!("label {name} is not kept: the labels of a service are those of its template");
        reading.warn_at(metadata.place, &text);
    }
}

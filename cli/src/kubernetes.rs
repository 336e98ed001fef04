//! Kubernetes manifests: what `proffer service` takes of them, as messages of Proffer's own.
//!
//! Pure: texts in, messages and warnings out. One file a kind. A field that is not understood is an error with its line and
//! column, as is whatever Proffer does not have; docs/kubernetes.md lists both.

mod config;
mod container;
mod deployment;
mod endpoints;
mod fields;
mod limit_range;
mod metadata;
mod network_policy;
mod pod;
mod ports;
mod probe;
mod quantity;
mod resources;
mod security;
mod service;
mod tree;
mod volume;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use proffer_wire::v1;

use self::config::{config_map, secret};
use self::deployment::{Workload, daemon_set, deployment, single_pod};
use self::endpoints::{StaticEndpoints, endpoints, slice};
use self::fields::{Fields, Item, quoted};
use self::limit_range::LimitRange;
use self::metadata::{Metadata, metadata};
use self::network_policy::network_policy;
use self::service::{VirtualService, service};
use self::tree::{Node, Place, Value, Wrong, documents};
use crate::spec::{Source, SpecError};

pub(crate) use self::metadata::is_dns_label;

/// One object of what is applied.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Object {
    /// Of Proffer's own service file.
    Service(v1::ServiceSpec),
    /// Its kind, as `deployment`, and the service it becomes.
    Workload(&'static str, v1::ServiceSpec),
    /// Its defaults are in the other ones; it is not kept. Its name.
    LimitRange(String),
    /// A Service, with the addresses of its Endpoints.
    VirtualService(v1::VirtualService),
    /// A NetworkPolicy, or of Proffer's own policy file.
    Policy(v1::NetworkPolicy),
    /// A ConfigMap or Secret.
    Config(v1::Config),
}

impl Object {
    /// The service that it is or becomes.
    pub(crate) fn spec(&self) -> Option<&v1::ServiceSpec> {
        match self {
            Self::Service(spec) | Self::Workload(_, spec) => Some(spec),
            Self::LimitRange(_) | Self::VirtualService(_) | Self::Policy(_) | Self::Config(_) => None,
        }
    }

    /// What it is called where one says what happened to it.
    pub(crate) fn title(&self) -> String {
        match self {
            Self::Service(spec) => spec.name.clone(),
            Self::Workload(kind, spec) => format!("{kind} {}", spec.name),
            Self::LimitRange(name) => format!("limitrange {name}"),
            Self::VirtualService(service) => format!("service {}", service.name),
            Self::Policy(policy) => format!("policy {}", policy.name),
            Self::Config(config) if config.secret => format!("secret {}", config.name),
            Self::Config(config) => format!("configmap {}", config.name),
        }
    }
}

/// What manifests come to, in the order in which it is applied.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Manifests {
    pub(crate) objects: Vec<Object>,
    /// Each with file, line and column.
    pub(crate) warnings: Vec<String>,
}

/// What is noted while reading.
#[derive(Debug, Default)]
struct Reading {
    warnings: Vec<Wrong>,
}

impl Reading {
    fn warn(&mut self, item: &Item<'_>, text: &str) {
        self.warnings.push(item.wrong(text));
    }

    fn warn_at(&mut self, place: Place, text: &str) {
        let problem = text.to_owned();
        self.warnings.push(Wrong { place, problem });
    }
}

/// The kinds that are taken, with the versions of their schemas.
const KINDS: [(&str, &str); 11] = [
    ("Deployment", "apps/v1"),
    ("DaemonSet", "apps/v1"),
    ("Pod", "v1"),
    ("Service", "v1"),
    ("ConfigMap", "v1"),
    ("Secret", "v1"),
    ("LimitRange", "v1"),
    ("Endpoints", "v1"),
    ("EndpointSlice", "discovery.k8s.io/v1"),
    ("NetworkPolicy", "networking.k8s.io/v1"),
    ("List", "v1"),
];

/// One document that says its kind.
struct Document<'a> {
    kind: &'static str,
    kind_place: Place,
    metadata: Metadata,
    fields: Fields<'a>,
}

/// Whether a file holds manifests: a document of it has `apiVersion` or `kind`, which no other file has.
pub(crate) fn is_manifest(text: &str) -> bool {
    let says_kind = |document: &Node| match &document.value {
        Value::Map(entries) => entries
            .iter()
            .any(|(key, _)| matches!(key.name.as_str(), "apiVersion" | "kind")),
        Value::Scalar { .. } | Value::List(_) => false,
    };
    match documents(0, text) {
        Ok(documents) => documents.iter().any(says_kind),
        // What is wrong with it is said by whoever reads it then.
        Err(_) => {
            let mut lines = text.lines();
            lines.any(|line| line.starts_with("apiVersion:") || line.starts_with("kind:"))
        }
    }
}

/// Reads manifests that are applied together, in a namespace if one is given.
pub(crate) fn read(files: &[Source], namespace: Option<&str>) -> Result<Manifests, SpecError> {
    let located = |wrong: Wrong| match files.get(wrong.place.file) {
        Some(file) => file.refused_at(wrong.place.line, wrong.place.column, &wrong.problem),
        None => SpecError::Invalid {
            place: String::new(),
            problem: wrong.problem,
            excerpt: String::new(),
        },
    };
    let mut reading = Reading::default();
    let objects = objects(files, namespace, &mut reading).map_err(located)?;
    reading.warnings.sort_by_key(|warning| warning.place);
    let warnings = reading.warnings.into_iter();
    Ok(Manifests {
        objects,
        warnings: warnings.map(|warning| located(warning).to_string()).collect(),
    })
}

fn objects(files: &[Source], namespace: Option<&str>, reading: &mut Reading) -> Result<Vec<Object>, Wrong> {
    let mut nodes = Vec::new();
    for (nth, file) in files.iter().enumerate() {
        nodes.extend(documents(nth, &file.text)?);
    }
    let mut opened = Vec::new();
    for node in &nodes {
        open(&Item::root(node), namespace, true, reading, &mut opened)?;
    }
    refuse_twins(&opened)?;
    let mut set = Set::default();
    // What containers get of their namespace is known before they are read.
    let (ranges, others): (Vec<_>, Vec<_>) = opened
        .into_iter()
        .partition(|document| document.kind == "LimitRange");
    for mut document in ranges {
        let Metadata { name, namespace, .. } = document.metadata.clone();
        let range = LimitRange::read(&mut document.fields, name)?;
        document.fields.done()?;
        set.names.push(document.metadata.full_name());
        set.ranges.entry(namespace).or_default().push(range);
    }
    for document in others {
        set.add(document, reading)?;
    }
    set.join(reading)
}

/// Finds out what a document is. A list holds documents of its own.
fn open<'a>(
    item: &Item<'a>,
    namespace: Option<&str>,
    may_be_list: bool,
    reading: &mut Reading,
    opened: &mut Vec<Document<'a>>,
) -> Result<(), Wrong> {
    let mut fields = item.fields()?;
    let version = fields.need("apiVersion")?;
    let kind_item = fields.need("kind")?;
    let kind = kind_item.text()?;
    let Some((kind, expected)) = KINDS.into_iter().find(|(name, _)| *name == kind) else {
        let names = KINDS.map(|(name, _)| name).join(", ");
        return Err(kind_item.wrong(&format!(
            "`{}` is not supported; supported are {names}",
            quoted(&kind)
        )));
    };
    let given = version.text()?;
    // Some write an Endpoints with the group of the slices that came after it.
    let is_loose = kind == "Endpoints" && given == "discovery.k8s.io/v1";
    if given != expected && !is_loose {
        return Err(version.wrong(&format!(
            "`{}` is not {expected}, of which {kind} is",
            quoted(&given)
        )));
    }
    if is_loose {
        reading.warn(&version, "an Endpoints is of v1 in Kubernetes");
    }
    if kind == "List" {
        if !may_be_list {
            return Err(kind_item.wrong("a list cannot stand in a list"));
        }
        fields.get("metadata");
        for item in fields.items("items")? {
            open(&item, namespace, false, reading, opened)?;
        }
        return fields.done();
    }
    let metadata = metadata(&mut fields, namespace, reading)?;
    fields.refuse("status", "is what a cluster says, and cannot be applied")?;
    opened.push(Document {
        kind,
        kind_place: kind_item.place(),
        metadata,
        fields,
    });
    Ok(())
}

/// Refuses objects that would overwrite each other. What runs becomes a service whatever its kind.
fn refuse_twins(documents: &[Document<'_>]) -> Result<(), Wrong> {
    let mut seen = BTreeSet::new();
    for Document { kind, metadata, .. } in documents {
        let of = match *kind {
            "Deployment" | "DaemonSet" | "Pod" => "Deployment, DaemonSet or Pod",
            "ConfigMap" | "Secret" => "ConfigMap or Secret",
            kind => kind,
        };
        let name = metadata.full_name();
        if !seen.insert((of, name.clone())) {
            let problem = format!("there is another {of} `{name}` in what is applied");
            let place = metadata.place;
            return Err(Wrong { place, problem });
        }
    }
    Ok(())
}

/// What a container gets of the namespace it is in.
#[derive(Debug, Clone, Copy)]
struct Namespace<'a> {
    name: &'a str,
    ranges: &'a [LimitRange],
}

/// What is applied together.
#[derive(Default)]
struct Set {
    /// By namespace.
    ranges: BTreeMap<String, Vec<LimitRange>>,
    /// Of the ranges.
    names: Vec<String>,
    workloads: Vec<Workload>,
    services: Vec<VirtualService>,
    configs: Vec<v1::Config>,
    endpoints: Vec<StaticEndpoints>,
    policies: Vec<v1::NetworkPolicy>,
}

impl Set {
    fn add(&mut self, document: Document<'_>, reading: &mut Reading) -> Result<(), Wrong> {
        let Document {
            kind,
            kind_place,
            metadata,
            mut fields,
        } = document;
        let namespace = metadata.namespace.clone();
        let ranges = self.ranges.get(&namespace);
        let within = Namespace {
            name: &namespace,
            ranges: ranges.map(Vec::as_slice).unwrap_or_default(),
        };
        match kind {
            "Deployment" => {
                let workload = deployment(&mut fields, metadata, within, reading)?;
                self.workloads.push(workload);
            }
            "DaemonSet" => {
                let workload = daemon_set(&mut fields, metadata, within, reading)?;
                self.workloads.push(workload);
            }
            "ConfigMap" => self.configs.push(config_map(&mut fields, &metadata)?),
            "Secret" => self.configs.push(secret(&mut fields, &metadata, reading)?),
            "Pod" => self.workloads.push(single_pod(&mut fields, metadata, within)?),
            "Service" => self.services.push(service(&mut fields, metadata)?),
            "Endpoints" => self.endpoints.push(endpoints(&mut fields, metadata, reading)?),
            "NetworkPolicy" => self.policies.push(network_policy(&mut fields, &metadata)?),
            "EndpointSlice" => self.endpoints.push(slice(&mut fields, metadata)?),
            kind => {
                let problem = format!("`{kind}` cannot stand here");
                let place = kind_place;
                return Err(Wrong { place, problem });
            }
        }
        fields.done()
    }

    /// Brings together what belongs together.
    fn join(mut self, reading: &mut Reading) -> Result<Vec<Object>, Wrong> {
        for found in &self.endpoints {
            let namespace = &found.metadata.namespace;
            let mut services = self.services.iter_mut();
            let of = services.find(|service| {
                service.metadata.name == found.of && service.metadata.namespace == *namespace
            });
            match of {
                Some(service) => found.give(service)?,
                None => {
                    let problem = format!("there is no Service `{}` in what is applied", found.of);
                    let place = found.metadata.place;
                    return Err(Wrong { place, problem });
                }
            }
        }
        for service in &self.services {
            publish(service, &mut self.workloads, reading)?;
        }
        let ranges = self.names.into_iter().map(Object::LimitRange);
        let workloads = self.workloads.iter().map(Workload::object);
        let services = self
            .services
            .iter()
            .map(|service| Object::VirtualService(service.message()));
        let policies = self.policies.into_iter().map(Object::Policy);
        let configs = self.configs.into_iter().map(Object::Config);
        // What is forbidden is so before anything runs, and what runs finds names that it looks up, and what it is configured with.
        let before = ranges.chain(policies).chain(configs).chain(services);
        Ok(before.chain(workloads).collect())
    }
}

/// Has what a Service selects declare the ports it is reached at.
fn publish(service: &VirtualService, workloads: &mut [Workload], reading: &mut Reading) -> Result<(), Wrong> {
    let selects = |workload: &&mut Workload| {
        let mut wanted = service.selector.iter();
        !service.selector.is_empty()
            && workload.metadata.namespace == service.metadata.namespace
            && wanted.all(|(name, value)| workload.labels.get(name) == Some(value))
    };
    let mut selected = 0;
    for workload in workloads.iter_mut().filter(selects) {
        selected += 1;
        for port in &service.ports {
            if !workload.pod.ports.publish(&port.target, port.protocol) {
                let name = workload.metadata.full_name();
                let problem = format!("{} `{name}` has no port of this name and protocol", workload.kind);
                let place = port.place;
                return Err(Wrong { place, problem });
            }
        }
    }
    if selected == 0 && !service.selector.is_empty() {
        let text = "nothing that is applied with it has the labels that it selects";
        reading.warn_at(service.metadata.place, text);
    }
    Ok(())
}

impl Workload {
    fn object(&self) -> Object {
        let mut task = self.pod.task.clone();
        self.pod.ports.give(&mut task);
        let spec = v1::ServiceSpec {
            name: self.metadata.full_name(),
            mode: match self.mode {
                v1::ServiceMode::Daemon => v1::ServiceMode::Daemon,
                // As a service file has it that says nothing.
                v1::ServiceMode::Unspecified | v1::ServiceMode::Replicated => v1::ServiceMode::Unspecified,
            }
            .into(),
            replicas: self.replicas,
            update: self.update,
            task: Some(task.service_task()),
            labels: self.labels.clone(),
            ..v1::ServiceSpec::default()
        };
        Object::Workload(self.kind, spec)
    }
}

//! `volumes` of a pod and `volumeMounts` of its container.

use std::collections::BTreeMap;

use proffer_types::container::{ConfigFiles, DEFAULT_CONFIG_MODE, OnChange, Propagation, VolumeSource};

use super::config::reference;
use super::container::image;
use super::fields::{Fields, Item};
use super::metadata::dns_label;
use super::quantity::Units;
use super::tree::Wrong;
use crate::spec::{Change, TaskSpec, Volume};

/// One volume of a pod.
#[derive(Debug, Clone)]
pub(super) struct PodVolume {
    name: String,
    source: VolumeSource,
}

/// Reads the volumes of a pod.
pub(super) fn volumes(pod: &mut Fields<'_>, namespace: &str) -> Result<Vec<PodVolume>, Wrong> {
    let mut volumes: Vec<PodVolume> = Vec::new();
    for item in pod.items("volumes")? {
        let mut fields = item.fields()?;
        let name = dns_label(&fields.need("name")?)?;
        if volumes.iter().any(|volume| volume.name == name) {
            return Err(item.wrong(&format!("there is another volume `{name}`")));
        }
        for source in ["projected", "downwardAPI"] {
            fields.refuse(source, "is not supported; a volume is of one configMap or secret")?;
        }
        fields.refuse(
            "persistentVolumeClaim",
            "claims are not supported; a hostPath is a directory of the agent's host",
        )?;
        let sources = [
            fields.map("emptyDir", |item| empty_dir(&item, &name))?,
            fields.map("hostPath", |item| host_path(&item))?,
            fields.map("image", |item| image_volume(&item))?,
            fields.map("configMap", |item| config_volume(&item, "name", namespace))?,
            fields.map("secret", |item| config_volume(&item, "secretName", namespace))?,
        ];
        fields.done()?;
        let mut sources = sources.into_iter().flatten();
        let (Some(source), None) = (sources.next(), sources.next()) else {
            return Err(item.wrong("a volume needs one of emptyDir, hostPath, configMap, secret and image"));
        };
        volumes.push(PodVolume { name, source });
    }
    Ok(volumes)
}

fn empty_dir(item: &Item<'_>, name: &str) -> Result<VolumeSource, Wrong> {
    let mut fields = item.fields()?;
    let medium = fields.map("medium", |item| item.text().map(|text| (text, item)))?;
    let limit = fields.get("sizeLimit");
    let size = limit.as_ref().map(|item| item.parsed::<Units>()).transpose()?;
    fields.done()?;
    match (medium.as_ref().map(|(text, _)| text.as_str()), &limit) {
        (Some("Memory"), _) => Ok(VolumeSource::Tmpfs {
            size: size.map(|size| size.0),
        }),
        (None | Some(""), None) => Ok(VolumeSource::Sandbox {
            path: format!("volumes/{name}"),
        }),
        (None | Some(""), Some(limit)) => {
            Err(limit.wrong("is for the medium Memory; elsewhere ask for ephemeral-storage"))
        }
        (Some(_), _) => Err(item.wrong("only the medium Memory, or none, is taken")),
    }
}

fn host_path(item: &Item<'_>) -> Result<VolumeSource, Wrong> {
    let mut fields = item.fields()?;
    let path = fields.need("path")?.text()?;
    fields.only(
        "type",
        &["", "Directory", "File"],
        "; what is not there fails the task",
    )?;
    fields.done()?;
    let propagation = Propagation::Private;
    Ok(VolumeSource::HostPath { path, propagation })
}

fn image_volume(item: &Item<'_>) -> Result<VolumeSource, Wrong> {
    let mut fields = item.fields()?;
    let reference = fields.need("reference")?;
    let policy = fields.get("pullPolicy");
    fields.done()?;
    Ok(VolumeSource::Image(image(&reference, policy.as_ref())?.0))
}

/// A directory of a ConfigMap or Secret. What Kubernetes gives 0644 nobody but its owner could write there either.
fn config_volume(item: &Item<'_>, name: &'static str, namespace: &str) -> Result<VolumeSource, Wrong> {
    let mut fields = item.fields()?;
    let config = reference(&mut fields, name, namespace)?;
    let mode = fields.map("defaultMode", |item| mode(&item))?;
    let mut items = BTreeMap::new();
    for item in fields.items("items")? {
        let mut fields = item.fields()?;
        let key = fields.need("key")?;
        let path = fields.need("path")?.text()?;
        fields.refuse("mode", "is of all files of a volume: `defaultMode`")?;
        fields.done()?;
        if items.insert(key.text()?, path).is_some() {
            return Err(key.wrong("this key is there twice"));
        }
    }
    fields.done()?;
    Ok(VolumeSource::Config(ConfigFiles {
        config,
        items,
        mode: mode.unwrap_or(DEFAULT_CONFIG_MODE),
    }))
}

/// YAML 1.1 takes 0644 for octal, JSON knows decimal numbers alone; Kubernetes takes both.
fn mode(item: &Item<'_>) -> Result<u32, Wrong> {
    let text = item.scalar()?;
    let octal = text.strip_prefix("0o").or_else(|| text.strip_prefix('0'));
    let mode = match octal.filter(|digits| !digits.is_empty()) {
        Some(digits) => u32::from_str_radix(digits, 8),
        None => text.parse(),
    };
    let mode = mode.ok().filter(|mode| (1..=0o777).contains(mode));
    mode.ok_or_else(|| item.wrong("expected permissions from 1 to 0777"))
}

/// Reads the mounts of a container.
pub(super) fn mounts(
    container: &mut Fields<'_>,
    volumes: &[PodVolume],
    task: &mut TaskSpec,
) -> Result<(), Wrong> {
    for item in container.items("volumeMounts")? {
        let mut fields = item.fields()?;
        let name_item = fields.need("name")?;
        let name = name_item.text()?;
        let path = fields.need("mountPath")?.text()?;
        let read_only = fields.map("readOnly", |item| item.bool())?.unwrap_or(false);
        let propagation = fields.map("mountPropagation", |item| {
            let seen = match item.text()?.as_str() {
                "None" => Propagation::Private,
                "HostToContainer" => Propagation::HostToContainer,
                "Bidirectional" => Propagation::Bidirectional,
                _ => return Err(item.wrong("expected None, HostToContainer or Bidirectional")),
            };
            Ok((seen, item))
        })?;
        fields.refuse("subPath", "a part of a volume cannot be mounted")?;
        fields.refuse("subPathExpr", "a part of a volume cannot be mounted")?;
        fields.done()?;
        let Some(volume) = volumes.iter().find(|volume| volume.name == name) else {
            return Err(name_item.wrong("the pod has no such volume"));
        };
        let source = match (volume.source.clone(), propagation) {
            (VolumeSource::HostPath { path, .. }, Some((propagation, _))) => {
                VolumeSource::HostPath { path, propagation }
            }
            (source, None | Some((Propagation::Private, _))) => source,
            (_, Some((_, item))) => return Err(item.wrong("is for a hostPath")),
        };
        let is_fixed = matches!(source, VolumeSource::Image(_) | VolumeSource::Config(_));
        if let VolumeSource::Config(files) = &source {
            // As in Kubernetes, whatever variables there are of it.
            let change = Change(OnChange::Update);
            task.on_change.insert(files.config.clone(), change);
        }
        let volume = Volume::checked(path, source, read_only || is_fixed);
        task.volumes.push(volume.map_err(|error| item.wrong(&error))?);
    }
    Ok(())
}

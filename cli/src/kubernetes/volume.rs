//! `volumes` of a pod and `volumeMounts` of its container.

use proffer_types::container::{Propagation, VolumeSource};

use super::container::image;
use super::fields::{Fields, Item};
use super::metadata::dns_label;
use super::quantity::Units;
use super::tree::Wrong;
use crate::spec::{TaskSpec, Volume};

/// One volume of a pod.
#[derive(Debug, Clone)]
pub(super) struct PodVolume {
    name: String,
    source: VolumeSource,
}

/// Why a ConfigMap or Secret cannot be a volume.
pub(super) const NO_OBJECTS: &str = "there are no ConfigMaps and Secrets in Proffer; a service file's task has `fetch` for \
    files, and `volumes` and `secret_env` for secrets of the agent";

/// Reads the volumes of a pod.
pub(super) fn volumes(pod: &mut Fields<'_>) -> Result<Vec<PodVolume>, Wrong> {
    let mut volumes: Vec<PodVolume> = Vec::new();
    for item in pod.items("volumes")? {
        let mut fields = item.fields()?;
        let name = dns_label(&fields.need("name")?)?;
        if volumes.iter().any(|volume| volume.name == name) {
            return Err(item.wrong(&format!("there is another volume `{name}`")));
        }
        for source in ["configMap", "secret", "projected", "downwardAPI"] {
            fields.refuse(source, NO_OBJECTS)?;
        }
        fields.refuse(
            "persistentVolumeClaim",
            "claims are not supported; a hostPath is a directory of the agent's host",
        )?;
        let sources = [
            fields.map("emptyDir", |item| empty_dir(&item, &name))?,
            fields.map("hostPath", |item| host_path(&item))?,
            fields.map("image", |item| image_volume(&item))?,
        ];
        fields.done()?;
        let mut sources = sources.into_iter().flatten();
        let (Some(source), None) = (sources.next(), sources.next()) else {
            return Err(item.wrong("a volume needs one of emptyDir, hostPath and image"));
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
        let is_image = matches!(source, VolumeSource::Image(_));
        let volume = Volume::checked(path, source, read_only || is_image);
        task.volumes.push(volume.map_err(|error| item.wrong(&error))?);
    }
    Ok(())
}

//! The volumes of a task.

use proffer_container::{MountSource, VolumeMount};
use proffer_types::container::Propagation;
use proffer_types::{Kind, Resources, Volume};

use super::{Prepared, Request, Stage};
use crate::data_dir::DataDir;
use crate::volumes;

/// Adds what the task wants mounted.
pub(super) async fn prepare(stage: &Stage, request: &Request, prepared: &mut Prepared) -> Result<(), String> {
    prepared
        .config
        .mounts
        .extend(persistent(&stage.data_dir, &request.info.resources)?);
    Ok(())
}

/// The task's persistent volumes. One whose directory is lost is not made again: it would look like an empty one.
fn persistent(data_dir: &DataDir, resources: &Resources) -> Result<Vec<VolumeMount>, String> {
    let mount = |(kind, volume, _): (&Kind, &Volume, u64)| {
        let source = volumes::path(data_dir, kind).filter(|path| path.is_dir());
        let source = source.ok_or_else(|| format!("the directory of volume `{}` is lost", volume.id))?;
        Ok(VolumeMount {
            source: MountSource::Bind {
                path: source,
                propagation: Propagation::Private,
            },
            container_path: volume.container_path.clone().into(),
            read_only: false,
        })
    };
    resources.volumes().map(mount).collect()
}

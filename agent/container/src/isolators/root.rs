//! The root: the host's own files, read-only, or an image's layers.

use std::path::{Path, PathBuf};

use super::{Draft, absolute, outside};
use crate::config::{ContainerConfig, ImageRoot, Root};
use crate::root::{Layers, MountRoot, RootStep};
use crate::{HostFacts, InitStep, PlanError};

/// Mounts what the container has as its root.
pub(crate) fn mount(config: &ContainerConfig, host: &HostFacts, draft: &mut Draft) -> Result<(), PlanError> {
    draft.init.push(InitStep::MakeMountsPrivate);
    match &config.root {
        Root::Host { .. } => draft.root(RootStep::SealHost),
        Root::Image(image) => draft.root(RootStep::MountRoot(image_root(config, host, image)?)),
    }
    Ok(())
}

/// Hides what of the host's files no task may see. What is mounted over anyway is not there any more.
pub(crate) fn hide(config: &ContainerConfig, draft: &mut Draft) -> Result<(), PlanError> {
    if let Root::Host { hidden } = &config.root {
        for path in hidden {
            absolute("the hidden directory", path)?;
            draft.root(RootStep::Cover(path.clone()));
        }
    }
    Ok(())
}

/// Enters the root, once all is mounted in it.
pub(crate) fn enter(config: &ContainerConfig, draft: &mut Draft) {
    if let Root::Image(image) = &config.root {
        if image.upper.is_none() {
            draft.root(RootStep::SealImage);
        }
        draft.root(RootStep::Pivot);
    }
}

fn image_root(config: &ContainerConfig, host: &HostFacts, image: &ImageRoot) -> Result<MountRoot, PlanError> {
    absolute("the mount point of the image", &image.mount_point)?;
    for path in image.upper.iter().flat_map(|(upper, work)| [upper, work]) {
        absolute("the upper layer", path)?;
    }
    Ok(MountRoot {
        layers: layers(config, host, &image.lower)?,
        mount_point: image.mount_point.clone(),
        upper: image.upper.clone(),
        owner: outside(config, (0, 0)),
    })
}

/// Layers by their names below the directory that is above all of them: many long paths are more than the kernel takes.
///
/// An agent without root cannot map the ids of a file system. Its layers have the ids of its tasks already.
pub(super) fn layers(
    config: &ContainerConfig,
    host: &HostFacts,
    lower: &[PathBuf],
) -> Result<Layers, PlanError> {
    let is_rootless = host.rootless.is_some();
    if is_rootless && config.id_map.is_none() {
        return Err(PlanError::Rootless(
            "give a task an image without a user namespace of its own",
        ));
    }
    for path in lower {
        absolute("the layer", path)?;
    }
    let parent = |path: &'_ PathBuf| path.parent().unwrap_or(Path::new("/")).to_owned();
    let base = lower.iter().map(parent).reduce(|base, parent| {
        let mut common = base.as_path();
        while !parent.starts_with(common) {
            common = common.parent().unwrap_or(Path::new("/"));
        }
        common.to_owned()
    });
    let base = base.ok_or(PlanError::NoLayers)?;
    let names = lower.iter().filter_map(|path| path.strip_prefix(&base).ok());
    Ok(Layers {
        names: names.map(Path::to_owned).collect(),
        base,
        id_mapped: config.id_map.is_some() && !is_rootless,
        user_attributes: is_rootless,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Version;
    use crate::tests::{host, task};

    #[test]
    fn layers_are_named_below_the_deepest_directory_that_has_them_all() {
        let named = |paths: &[&str]| {
            let lower = paths.iter().map(PathBuf::from).collect::<Vec<_>>();
            let Layers { base, names, .. } = layers(&task(), &host(Version::V2), &lower).unwrap();
            (base, names)
        };
        assert_eq!(
            named(&["/d/layers/aa/fs", "/d/layers/ab/fs"]),
            ("/d/layers".into(), vec!["aa/fs".into(), "ab/fs".into()])
        );
        assert_eq!(named(&["/d/l"]), ("/d".into(), vec!["l".into()]));
        assert_eq!(
            named(&["/d/l/x", "/e"]),
            ("/".into(), vec!["d/l/x".into(), "e".into()])
        );
        assert_eq!(
            layers(&task(), &host(Version::V2), &[]).unwrap_err(),
            PlanError::NoLayers
        );
    }
}

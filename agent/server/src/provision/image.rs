//! The image of a task: pulled, pinned for its container, and what it says of the command.
//!
//! Invariant: an image is pinned under the container's id before its layers are used, and until the container is released;
//! so nothing collects what is mounted.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use proffer_agent_core::ContainerId;
use proffer_container::{ContainerConfig, ImageRoot, MountSource, Root, User};
use proffer_image::{Image, ImageConfig, ImageStore, resolve_user};
use proffer_types::ContainerSpec;
use proffer_types::container::ImageSpec;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Prepared, Progress, Request, Stage};

/// How often images are looked at that may go. Pulls are rare, and a full disk is not made of images alone.
const COLLECT_INTERVAL: Duration = Duration::from_secs(60);

/// Completes the config with what the image says; of a task without one only the user has to be found.
pub(super) async fn prepare(
    stage: &Stage,
    images: &ImageStore,
    request: &Request,
    prepared: &mut Prepared,
    progress: &Progress,
) -> Result<(), String> {
    let config = &mut prepared.config;
    let Some(wanted) = config.spec.image.clone() else {
        config.user = user(stage, vec![PathBuf::from("/")], &config.spec, None).await?;
        return Ok(());
    };
    let image = get(images, request.container_id, &wanted, progress).await?;
    config.user = user(
        stage,
        image.layers.clone(),
        &config.spec,
        image.config.user.clone(),
    )
    .await?;
    apply(&image.config, config)?;
    let (id, layers) = (request.container_id, image.layers);
    let writable = !config.spec.security.read_only_root;
    config.root = stage
        .blocking(move |data_dir| root(&data_dir.container(id), layers, writable))
        .await?;
    Ok(())
}

/// The layers of an image that is mounted as a volume.
pub(super) async fn volume(
    images: &ImageStore,
    container_id: ContainerId,
    wanted: &ImageSpec,
    progress: &Progress,
) -> Result<MountSource, String> {
    let image = get(images, container_id, wanted, progress).await?;
    Ok(MountSource::Overlay { lower: image.layers })
}

async fn get(
    images: &ImageStore,
    container_id: ContainerId,
    wanted: &ImageSpec,
    progress: &Progress,
) -> Result<Image, String> {
    let told = |now| progress.say(format!("pulling image: {now}"));
    let pulled = images.pull(wanted, Some(&container_id.to_string()), &told).await;
    pulled.map_err(|error| error.to_string())
}

/// Whom the task runs as, in its own words or the image's, as the files it sees know them.
async fn user(
    stage: &Stage,
    layers: Vec<PathBuf>,
    spec: &ContainerSpec,
    said: Option<String>,
) -> Result<User, String> {
    let mut user = match spec.user.clone().or(said) {
        None => User::default(),
        Some(who) => {
            let resolved =
                stage.blocking(move |_| resolve_user(&layers, &who).map_err(|error| error.to_string()));
            let found = resolved.await?;
            User {
                uid: found.uid,
                gid: found.gid,
                groups: found.groups,
            }
        }
    };
    user.groups.extend(&spec.supplementary_groups);
    user.groups.sort_unstable();
    user.groups.dedup();
    Ok(user)
}

/// The command by the rules of [`ContainerSpec`], and what else the image says.
fn apply(said: &ImageConfig, config: &mut ContainerConfig) -> Result<(), String> {
    let spec = &config.spec;
    let arguments = if spec.arguments.is_empty() && spec.command.is_empty() {
        &said.cmd
    } else {
        &spec.arguments
    };
    let program = if spec.command.is_empty() {
        &said.entrypoint
    } else {
        &spec.command
    };
    config.command = program.iter().chain(arguments).cloned().collect();
    if config.command.is_empty() {
        return Err("neither the task nor its image says what to run".to_owned());
    }
    config.env.extend(said.env.iter().cloned());
    config.working_directory.clone_from(&said.working_dir);
    Ok(())
}

/// Room for what the container changes. Its root directory looks as the image's.
fn root(scratch: &Path, lower: Vec<PathBuf>, writable: bool) -> Result<Root, String> {
    let make = |name: &str, mode: u32| {
        let path = scratch.join(name);
        // A launch that is tried again finds what the first try made.
        let made = match DirBuilder::new().recursive(true).create(&path) {
            Ok(()) => fs::set_permissions(&path, fs::Permissions::from_mode(mode)),
            Err(error) => Err(error),
        };
        made.map(|()| path.clone())
            .map_err(|error| format!("cannot create the directory `{}`: {error}", path.display()))
    };
    let like = lower.first().and_then(|topmost| fs::metadata(topmost).ok());
    let mode = like.map_or(0o755, |metadata| metadata.mode() & 0o7777);
    let upper = match writable {
        true => Some((make("upper", mode)?, make("work", 0o700)?)),
        false => None,
    };
    Ok(Root::Image(ImageRoot {
        lower,
        upper,
        mount_point: make("rootfs", 0o755)?,
    }))
}

/// Lets go of a container's images. Idempotent.
pub(super) fn release(images: &ImageStore, container_id: ContainerId) {
    if let Err(error) = images.release(&container_id.to_string()) {
        warn!(%container_id, %error, "cannot let go of a container's images; the next start tries again");
    }
}

/// Lets go of the images of containers that are not known any more.
pub(super) fn recover(images: &ImageStore, known: &[ContainerId]) {
    let known: Vec<String> = known.iter().map(ToString::to_string).collect();
    for holder in images.holders() {
        if !known.contains(&holder)
            && let Err(error) = images.release(&holder)
        {
            warn!(container_id = holder, %error, "cannot let go of a container's images; the next start tries again");
        }
    }
}

/// Collects images until the token ends it.
pub(crate) async fn collect(images: ImageStore, end: CancellationToken) {
    while end
        .run_until_cancelled(tokio::time::sleep(COLLECT_INTERVAL))
        .await
        .is_some()
    {
        match images.collect(SystemTime::now()).await {
            Ok(collected) if collected.layers > 0 || collected.images > 0 => {
                info!(
                    n_images = collected.images,
                    n_layers = collected.layers,
                    bytes = collected.bytes,
                    "images collected"
                );
            }
            Ok(_) => {}
            Err(error) => warn!(%error, "cannot collect images"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proffer_container::Files;
    use proffer_types::Resources;

    use super::*;

    fn applied(command: &[&str], arguments: &[&str], said: &ImageConfig) -> Result<ContainerConfig, String> {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let spec = ContainerSpec {
            image: Some(ImageSpec {
                reference: "x".to_owned(),
                pull: Default::default(),
            }),
            command: texts(command),
            arguments: texts(arguments),
            ..ContainerSpec::default()
        };
        let files =
            ["sandbox", "tmp", "stdout", "stderr", "attach", "exit"].map(|name| Path::new("/").join(name));
        let [sandbox, tmp, stdout, stderr, attach, exit] = files;
        let files = Files {
            sandbox,
            tmp,
            stdout,
            stderr,
            attach,
            exit,
        };
        let id = proffer_container::ContainerId::new("c").unwrap();
        let mut config = ContainerConfig::new(id, spec, Resources::new(), files);
        apply(said, &mut config).map(|()| config)
    }

    fn image(entrypoint: &[&str], cmd: &[&str]) -> ImageConfig {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        ImageConfig {
            entrypoint: texts(entrypoint),
            cmd: texts(cmd),
            env: vec![("A".to_owned(), "1".to_owned()), ("A".to_owned(), "2".to_owned())],
            working_dir: Some("/srv".to_owned()),
            user: None,
        }
    }

    #[test]
    fn a_command_replaces_entrypoint_and_cmd_and_arguments_only_cmd() {
        let both = image(&["/entry"], &["serve"]);
        let command =
            |command: &[&str], arguments: &[&str], said| applied(command, arguments, said).unwrap().command;
        assert_eq!(command(&[], &[], &both), ["/entry", "serve"]);
        assert_eq!(command(&[], &["x"], &both), ["/entry", "x"]);
        assert_eq!(command(&["sh"], &[], &both), ["sh"]);
        assert_eq!(command(&["sh"], &["-c"], &both), ["sh", "-c"]);
        let cmd = image(&[], &["sh"]);
        assert_eq!(command(&[], &[], &cmd), ["sh"]);
        assert_eq!(command(&[], &["ls"], &cmd), ["ls"]);
        assert!(applied(&[], &[], &image(&[], &[])).is_err());
    }

    #[test]
    fn the_last_of_the_images_variables_and_its_directory_count() {
        let config = applied(&[], &[], &image(&["/entry"], &[])).unwrap();
        assert_eq!(config.env.get("A").map(String::as_str), Some("2"));
        assert_eq!(config.working_directory.as_deref(), Some("/srv"));
    }

    #[test]
    fn a_read_only_root_has_no_upper_layer_and_a_writable_one_looks_as_the_image() {
        let dir = tempfile::tempdir().unwrap();
        let layer = dir.path().join("layer");
        fs::create_dir(&layer).unwrap();
        fs::set_permissions(&layer, fs::Permissions::from_mode(0o711)).unwrap();
        let scratch = dir.path().join("scratch");
        let Ok(Root::Image(sealed)) = root(&scratch, vec![layer.clone()], false) else {
            panic!("no root")
        };
        assert_eq!(sealed.upper, None);
        let Ok(Root::Image(open)) = root(&scratch, vec![layer], true) else {
            panic!("no root")
        };
        let (upper, work) = open.upper.unwrap();
        assert_eq!(fs::metadata(&upper).unwrap().mode() & 0o7777, 0o711);
        assert!(work.is_dir() && open.mount_point.is_dir());
    }
}

//! The task's own directory: its sandbox and its `/tmp`, and beside them, out of its sight, its output.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use proffer_container::{ContainerConfig, Files, Root};
use proffer_fetch::Owner;
use proffer_types::executor::{ENV_AGENT_ID, ENV_EXECUTOR_ID, ENV_FRAMEWORK_ID, ENV_SOCKET, SOCKET};

use super::{Prepared, Request, Stage, owner};
use crate::containers::name;
use crate::data_dir::{DataDir, TaskDir};
use crate::sandbox;

/// What a task keeps is its own: other users of the host do not get in.
const TASK_MODE: u32 = 0o700;

/// As on every Unix: each user of the container may write, and removes only what is its own.
const TMP_MODE: u32 = 0o1777;

/// Makes the directories, and the config that the other stages complete.
pub(super) async fn prepare(
    stage: &Stage,
    hidden: &[PathBuf],
    request: &Request,
) -> Result<Prepared, String> {
    let (id, key, keeps_sandbox) = (request.container_id, request.key.clone(), request.keeps_sandbox);
    let (disk, group, info) = (stage.disk.clone(), request.group.clone(), request.info.clone());
    let made = stage.blocking(move |data_dir| {
        make(data_dir, &data_dir.task_dir(&key), keeps_sandbox)?;
        disk.hold(id, &key, group.as_ref(), &info, keeps_sandbox)
    });
    made.await?;
    let dir = stage.data_dir.task_dir(&request.key);
    let wanted = &request.info.container;
    if wanted.tty || wanted.stdin {
        // For the socket of those who attach.
        stage.scratch(request.container_id)?;
    }
    let files = Files {
        sandbox: dir.sandbox(),
        tmp: dir.tmp(),
        stdout: dir.stdout(),
        stderr: dir.stderr(),
        attach: stage.data_dir.attach(request.container_id),
        exit: stage.data_dir.exit(request.container_id),
    };
    let mut spec = request.info.container.clone();
    for (name, value) in environment(request) {
        spec.env
            .entry(name.to_owned())
            .or_insert_with(|| value.to_owned());
    }
    let executor = request.executor.as_ref();
    let executor = executor.map(|_| stage.data_dir.executor(request.container_id));
    let resources = request.info.resources.clone();
    Ok(Prepared {
        config: ContainerConfig {
            // Other tasks' files, and what the operator keeps from tasks.
            root: Root::Host {
                hidden: hidden.to_vec(),
            },
            limits: request.info.limits,
            executor,
            ..ContainerConfig::new(name(request.container_id), spec, resources, files)
        },
        addresses: Vec::new(),
    })
}

/// What tells a task, or an executor, who it is.
fn environment(request: &Request) -> Vec<(&'static str, &str)> {
    let framework = (ENV_FRAMEWORK_ID, request.key.framework_id.as_str());
    match &request.executor {
        None => vec![("PROFFER_TASK_ID", request.key.task_id.as_str()), framework],
        Some(id) => vec![
            (ENV_SOCKET, SOCKET),
            (ENV_EXECUTOR_ID, id.as_str()),
            (ENV_AGENT_ID, request.info.agent_id.as_str()),
            framework,
        ],
    }
}

/// Gives the sandbox to the task's user, who is known only once its image is.
pub(super) async fn give(stage: &Stage, request: &Request, prepared: &Prepared) -> Result<(), String> {
    let Some(Owner { uid, gid }) = owner::of(&prepared.config)? else {
        return Ok(());
    };
    // What a task made itself in its last container is its own already.
    if request.keeps_sandbox {
        return Ok(());
    }
    let dir = stage.data_dir.task_dir(&request.key).sandbox();
    std::os::unix::fs::chown(&dir, Some(uid), Some(gid))
        .map_err(|error| format!("cannot give the sandbox to the task's user {uid}: {error}"))
}

fn make(data_dir: &DataDir, dir: &TaskDir, keeps_sandbox: bool) -> Result<(), String> {
    if !keeps_sandbox {
        let cleared = sandbox::clear(dir.root());
        cleared.map_err(|error| format!("cannot clear `{}`: {error}", dir.root().display()))?;
    }
    debug_assert!(dir.root().starts_with(data_dir.sandboxes()));
    make_dir(&dir.sandbox(), TASK_MODE)?;
    make_dir(&dir.tmp(), TMP_MODE)
}

/// Makes a directory with its parents, and gives it exactly this mode, whatever the agent's umask.
fn make_dir(path: &Path, mode: u32) -> Result<(), String> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(TASK_MODE);
    builder
        .create(path)
        .and_then(|()| fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)))
        .map_err(|error| format!("cannot create the directory `{}`: {error}", path.display()))
}

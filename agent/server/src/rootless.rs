//! An agent of an ordinary user: what it does before anything else, and before the process has a second thread.

use std::fs;

use proffer_linux::rootless;

use crate::data_dir::cgroup_root;
use crate::{AgentError, Config};

/// Prepares the process of a user for [`crate::run`]: finds the cgroup that was delegated to it, and makes it root of a user
/// namespace. Does nothing for root. Must be called before there is a runtime; on failure the process should end.
pub fn enter(config: &mut Config) -> Result<(), AgentError> {
    if !rootless::is_user() {
        return Ok(());
    }
    let tree = tree()?;
    let refuse = |source| AgentError::DataDir {
        path: config.data_dir.clone(),
        source,
    };
    fs::create_dir_all(&config.data_dir).map_err(refuse)?;
    let data_dir = config.data_dir.canonicalize().map_err(refuse)?;
    rootless::enter(&tree, &cgroup_root(&data_dir))?;
    config.cgroup_mount = tree;
    // The working directory may be another one now.
    config.data_dir = data_dir;
    Ok(())
}

/// Moves the process of a user, who will start agents, into a leaf of its delegated cgroup, where they find that. Does
/// nothing for root.
pub fn make_way() -> Result<(), AgentError> {
    match rootless::is_user() {
        true => tree().map(drop),
        false => Ok(()),
    }
}

fn tree() -> Result<std::path::PathBuf, AgentError> {
    rootless::delegated().map_err(|source| AgentError::Tree {
        uid: rustix::process::geteuid().as_raw(),
        source,
    })
}

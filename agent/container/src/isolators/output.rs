//! Output and input: the files that pid 1 fills, and what the payload has as stdin, stdout and stderr.

use std::path::Path;

use super::{Draft, absolute};
use crate::{ContainerConfig, FileRole, InitStep, Logs, PlanError, PrepareStep, StdioKind};

/// The most files of one stream.
const MAX_LOG_FILES: u32 = 100;

/// Opens the files of the output and the exit record and, for a container with input, the socket it comes by.
pub(crate) fn prepare(config: &ContainerConfig, draft: &mut Draft) -> Result<(), PlanError> {
    let files = &config.files;
    for (role, what, path) in [
        (FileRole::Stdout, "the stdout file", &files.stdout),
        (FileRole::Stderr, "the stderr file", &files.stderr),
        (FileRole::ExitRecord, "the exit file", &files.exit),
    ] {
        absolute(what, path)?;
        let path = path.clone();
        draft.prepare.push(PrepareStep::OpenFile { role, path });
    }
    let directory = files.stdout.parent().unwrap_or(Path::new("/"));
    if files.stderr.parent() != Some(directory) {
        return Err(PlanError::OutputApart);
    }
    let path = directory.to_owned();
    draft.prepare.push(PrepareStep::OpenOutputDirectory(path));
    if kind(config) != StdioKind::Output {
        absolute("the socket for input", &files.attach)?;
        let path = files.attach.clone();
        draft.prepare.push(PrepareStep::Listen(path));
    }
    Ok(())
}

/// Makes the pipes, or the terminal. After the mounts: the terminal is the container's own.
pub(crate) fn connect(config: &ContainerConfig, draft: &mut Draft) -> Result<(), PlanError> {
    let Logs { max_bytes, files } = config.logs;
    if max_bytes == 0 || !(1..=MAX_LOG_FILES).contains(&files) {
        return Err(PlanError::Logs { max_bytes, files });
    }
    let first = config.id_map.map_or(0, |map| map.first);
    let outside = |id: u32| first.saturating_add(id);
    draft.init.push(InitStep::Stdio {
        kind: kind(config),
        owner: (outside(config.user.uid), outside(config.user.gid)),
        logs: config.logs,
    });
    Ok(())
}

fn kind(config: &ContainerConfig) -> StdioKind {
    match (config.spec.tty, config.spec.stdin) {
        (true, _) => StdioKind::Terminal,
        (false, true) => StdioKind::InputAndOutput,
        (false, false) => StdioKind::Output,
    }
}

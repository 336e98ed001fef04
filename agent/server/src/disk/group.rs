//! What the tasks of a group may have together: a file for each that there was since the group began, so that who is done
//! takes nothing from the others.

use std::fs;
use std::path::{Path, PathBuf};

use proffer_agent_core::TaskKey;

/// What the tasks of a group share, below the group's directory.
pub(super) fn shared(group: &Path) -> PathBuf {
    group.join("volumes")
}

/// Notes what a task may have; nothing bounds it without a limit.
pub(super) fn note(group: &Path, key: &TaskKey, limit: Option<u64>) -> Result<(), String> {
    let dir = group.join("disk");
    let text = limit.map(|limit| limit.to_string()).unwrap_or_default();
    // Ids are checked when they are made: they are plain names.
    fs::create_dir_all(&dir)
        .and_then(|()| fs::write(dir.join(key.task_id.as_str()), text))
        .map_err(|error| {
            format!(
                "cannot note the disk of a group's task in `{}`: {error}",
                dir.display()
            )
        })
}

/// What all may have together; none when nothing bounds one of them.
pub(super) fn limit(group: &Path) -> Option<u64> {
    let mut sum: u64 = 0;
    for task in fs::read_dir(group.join("disk")).ok()? {
        let text = fs::read_to_string(task.ok()?.path()).ok()?;
        sum = sum.saturating_add(text.parse().ok()?);
    }
    Some(sum)
}

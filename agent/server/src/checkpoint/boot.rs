//! Which boot of the host the containers on disk are of.
//!
//! The kernel's boot id, and on further lines the containers that were there before it and are not forgotten yet. One
//! file, so that an agent that dies right after its host's reboot leaves the next one the same knowledge.

use std::collections::BTreeSet;

use proffer_agent_core::{ContainerId, Recovered};
use tracing::{info, warn};

use super::{Checkpoints, file};
use crate::AgentError;

/// What there was to read of an earlier start.
#[derive(Debug, PartialEq, Eq)]
struct Boot {
    id: String,
    before: BTreeSet<ContainerId>,
}

impl Checkpoints {
    /// The containers among those found that are from before the host's last reboot: nothing of them runs. Notes the boot
    /// that this is. An agent that kept no such file takes all for its own.
    pub(crate) fn before_reboot(
        &self,
        boot_id: &str,
        found: &Recovered,
    ) -> Result<BTreeSet<ContainerId>, AgentError> {
        let path = self.data_dir.boot();
        let last = match file::read(&path) {
            Ok(bytes) => parse(&bytes),
            Err(file::ReadError::Missing) => None,
            Err(error) => {
                warn!(path = %path.display(), %error, "cannot tell whether the host was rebooted");
                None
            }
        };
        let containers = found.tasks.iter().map(|task| task.container_id);
        let executors = found.executors.iter().map(|executor| executor.container_id);
        let before = before(boot_id, last.as_ref(), containers.chain(executors));
        if !before.is_empty() {
            info!(n_containers = before.len(), "the host was rebooted");
        }
        let boot = Boot {
            id: boot_id.to_owned(),
            before,
        };
        if last.as_ref() != Some(&boot) {
            let written = file::write(&path, write(&boot).as_bytes(), file::Durability::Synced);
            written.map_err(|source| AgentError::SaveBoot { path, source })?;
        }
        Ok(boot.before)
    }
}

fn before(
    boot_id: &str,
    last: Option<&Boot>,
    found: impl Iterator<Item = ContainerId>,
) -> BTreeSet<ContainerId> {
    let is_dead = |container: &ContainerId| {
        last.is_some_and(|last| last.id != boot_id || last.before.contains(container))
    };
    found.filter(is_dead).collect()
}

fn write(boot: &Boot) -> String {
    let mut text = boot.id.clone();
    for container in &boot.before {
        text += &format!("\n{container}");
    }
    text
}

fn parse(bytes: &[u8]) -> Option<Boot> {
    let mut lines = str::from_utf8(bytes).ok()?.lines();
    let id = lines.next()?.to_owned();
    let before = lines.map(|line| u64::from_str_radix(line, 16).map(ContainerId));
    let before = before.collect::<Result<_, _>>().ok()?;
    Some(Boot { id, before })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_a_reboot_stays_so_until_it_is_forgotten() {
        let (old, new) = (ContainerId(1), ContainerId(0xab));
        let start = |boot_id: &str, last: Option<&Boot>, found: &[ContainerId]| {
            let before = before(boot_id, last, found.iter().copied());
            let id = boot_id.to_owned();
            parse(write(&Boot { id, before }).as_bytes()).unwrap()
        };
        let first = start("a", None, &[old]);
        assert!(
            first.before.is_empty(),
            "an agent without the file knows of no reboot"
        );
        let second = start("b", Some(&first), &[old]);
        assert_eq!(second.before, [old].into());
        let third = start("b", Some(&second), &[old, new]);
        assert_eq!(third.before, [old].into(), "what this boot launched lives");
        let fourth = start("b", Some(&third), &[new]);
        assert!(fourth.before.is_empty());
        assert_eq!(start("c", Some(&third), &[old, new]).before, [old, new].into());
    }
}

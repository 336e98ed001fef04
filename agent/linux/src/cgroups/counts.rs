//! What the kernel counted for a container's payload.

use proffer_container::{ContainerId, Version};
use proffer_types::Usage;
use proffer_types::statistics::Statistics;

use super::{Cgroups, pressure};
use crate::UsageError;

impl Cgroups {
    /// What is told of a task at its end.
    pub(crate) fn usage(&self, id: &ContainerId) -> Result<Usage, UsageError> {
        let mut usage = Usage::default();
        for &controller in self.controllers.keys() {
            if let Some((group, version)) = self.task_group(id, controller)
                && let Some(control) = self.control(controller, version)
            {
                control.count(&group, &mut usage)?;
            }
        }
        Ok(usage)
    }

    /// Adds all that the container's groups count; a container without groups is an error.
    pub(crate) fn statistics(&self, id: &ContainerId, statistics: &mut Statistics) -> Result<(), UsageError> {
        let mut is_there = false;
        for &controller in self.controllers.keys() {
            let Some((group, version)) = self.task_group(id, controller) else {
                continue;
            };
            // It is in those hierarchies only that limit it.
            if !group.exists() {
                continue;
            }
            if !is_there && self.version == Version::V2 {
                pressure::read(&group, statistics)?;
            }
            is_there = true;
            if let Some(control) = self.control(controller, version) {
                control.read(&group, statistics)?;
            }
        }
        if is_there {
            Ok(())
        } else {
            Err(UsageError::Gone(id.clone()))
        }
    }
}

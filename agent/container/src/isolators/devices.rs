//! Devices: what the payload may do with which device, whatever nodes it finds or makes.

use proffer_types::container::{Capability, DeviceAccess};

use super::{Draft, require};
use crate::devices::{DEFAULT_RULES, DeviceRule};
use crate::{ContainerConfig, Controller, HostFacts, PlanError, PrepareStep};

/// Allows the payload the devices every container has, and its own. A host without the means runs only containers that
/// neither have devices nor can make their nodes.
pub(crate) fn allow(config: &ContainerConfig, host: &HostFacts, draft: &mut Draft) -> Result<(), PlanError> {
    if host.rootless.is_some() {
        return allow_rootless(config);
    }
    if !host.controllers.contains(&Controller::Devices) {
        let may_make = config.spec.security.add_capabilities.contains(&Capability::Mknod);
        if may_make || !config.devices.is_empty() {
            require(host, Controller::Devices)?;
        }
        return Ok(());
    }
    let nothing = DeviceAccess {
        read: false,
        write: false,
        mknod: false,
    };
    let own = config.devices.iter().filter(|device| device.access != nothing);
    let own = own.map(|device| DeviceRule {
        is_block: device.is_block,
        major: Some(device.major),
        minor: Some(device.minor),
        access: device.access,
    });
    let rules = DEFAULT_RULES.into_iter().chain(own).collect();
    draft.prepare.push(PrepareStep::AllowDevices(rules));
    Ok(())
}

/// Without root a container has the devices that the host's own nodes are shown of, and can make none: a node made in a
/// user namespace, or on a file system of one, opens nothing. But nothing tells reading from writing.
fn allow_rootless(config: &ContainerConfig) -> Result<(), PlanError> {
    let both = DeviceAccess {
        read: true,
        write: true,
        mknod: false,
    };
    if config.spec.security.add_capabilities.contains(&Capability::Mknod)
        || config.devices.iter().any(|device| device.access.mknod)
    {
        return Err(PlanError::Rootless("let a task make devices"));
    }
    match config.devices.iter().all(|device| device.access == both) {
        true => Ok(()),
        false => Err(PlanError::Rootless(
            "let a task only read, or only write, a device: ask for both",
        )),
    }
}

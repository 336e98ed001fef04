//! `securityContext` of a pod and of its container: whose user id it has, and what it may do.

use std::str::FromStr;

use proffer_types::container::Seccomp;

use super::fields::{Fields, Item};
use super::tree::Wrong;
use crate::spec::{Capabilities, CapabilityName, SeccompChoice, TaskSpec};

/// What both contexts can say; the container's wins.
#[derive(Debug, Clone, Default)]
pub(super) struct Shared {
    user: Option<u32>,
    group: Option<u32>,
    not_root: Option<bool>,
    seccomp: Option<Seccomp>,
}

fn shared(fields: &mut Fields<'_>) -> Result<Shared, Wrong> {
    let id = |item: Item<'_>| item.whole(0, u32::MAX - 1);
    for other in ["seLinuxOptions", "windowsOptions", "appArmorProfile"] {
        fields.refuse(other, "is not supported")?;
    }
    Ok(Shared {
        user: fields.map("runAsUser", id)?,
        group: fields.map("runAsGroup", id)?,
        not_root: fields.map("runAsNonRoot", |item| item.bool())?,
        seccomp: fields.map("seccompProfile", |item| seccomp(&item))?,
    })
}

fn seccomp(item: &Item<'_>) -> Result<Seccomp, Wrong> {
    let mut fields = item.fields()?;
    let kind = fields.need("type")?;
    let profile = fields.map("localhostProfile", |item| item.text())?;
    fields.done()?;
    match (kind.text()?.as_str(), profile) {
        ("RuntimeDefault", None) => Ok(Seccomp::Default),
        ("Unconfined", None) => Ok(Seccomp::Unconfined),
        ("Localhost", Some(profile)) => Ok(Seccomp::Profile(profile)),
        _ => {
            Err(item
                .wrong("expected the type RuntimeDefault, Unconfined, or Localhost with a localhostProfile"))
        }
    }
}

/// Reads the security context of a pod.
pub(super) fn of_pod(pod: &mut Fields<'_>, task: &mut TaskSpec) -> Result<Shared, Wrong> {
    let Some(item) = pod.get("securityContext") else {
        return Ok(Shared::default());
    };
    let mut fields = item.fields()?;
    let shared = shared(&mut fields)?;
    for group in fields.items("supplementalGroups")? {
        task.groups.push(group.whole(0, u32::MAX - 1)?);
    }
    fields.refuse("fsGroup", "volumes keep their owners")?;
    fields.refuse("sysctls", "is not supported")?;
    fields.done()?;
    Ok(shared)
}

/// Reads the security context of a container.
pub(super) fn of_container(
    container: &mut Fields<'_>,
    of: &Item<'_>,
    pod: Shared,
    task: &mut TaskSpec,
) -> Result<(), Wrong> {
    let item = container.get("securityContext");
    let mut own = Shared::default();
    if let Some(item) = &item {
        let mut fields = item.fields()?;
        own = shared(&mut fields)?;
        task.read_only = fields
            .map("readOnlyRootFilesystem", |item| item.bool())?
            .unwrap_or(false);
        task.may_gain_privileges = fields
            .map("allowPrivilegeEscalation", |item| item.bool())?
            .unwrap_or(false);
        fields.only("privileged", &["false"], "; say which capabilities it needs")?;
        fields.only("procMount", &["Default"], "")?;
        if let Some(item) = fields.get("capabilities") {
            task.capabilities = capabilities(&item)?;
        }
        fields.done()?;
    }
    let item = item.as_ref().unwrap_or(of);
    let user = own.user.or(pod.user);
    task.user = match (user, own.group.or(pod.group)) {
        (Some(user), Some(group)) => Some(format!("{user}:{group}")),
        (Some(user), None) => Some(user.to_string()),
        (None, None) => None,
        (None, Some(_)) => return Err(item.wrong("runAsGroup needs runAsUser beside it")),
    };
    let not_root = own.not_root.or(pod.not_root).unwrap_or(false);
    if not_root && user.is_none_or(|user| user == 0) {
        return Err(item.wrong("runAsNonRoot needs a runAsUser other than 0: an image is not looked into"));
    }
    task.seccomp = own.seccomp.or(pod.seccomp).map(SeccompChoice);
    Ok(())
}

fn capabilities(item: &Item<'_>) -> Result<Capabilities, Wrong> {
    let mut fields = item.fields()?;
    let mut names = |field| -> Result<Vec<CapabilityName>, Wrong> {
        let named = fields.items(field)?.into_iter().map(|item| {
            let text = item.text()?;
            CapabilityName::from_str(&text).map_err(|error| item.wrong(&error))
        });
        named.collect()
    };
    let (add, drop) = (names("add")?, names("drop")?);
    fields.done()?;
    Ok(Capabilities { add, drop })
}

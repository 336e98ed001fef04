//! The isolators: each turns its part of the config into steps, and refuses what the host cannot do.

pub(crate) mod cgroup;
pub(crate) mod command;
pub(crate) mod cpu;
pub(crate) mod cpuset;
pub(crate) mod devices;
pub(crate) mod hugetlb;
pub(crate) mod io;
pub(crate) mod memory;
pub(crate) mod mounts;
pub(crate) mod namespaces;
pub(crate) mod output;
pub(crate) mod pids;
pub(crate) mod privileges;
pub(crate) mod rlimits;
pub(crate) mod root;
pub(crate) mod sandbox;
pub(crate) mod volumes;

use std::path::Path;

use crate::{
    ContainerConfig, Controller, HostFacts, InitStep, Limit, PayloadStep, PlanError, PrepareStep, RootStep,
};

/// A plan in the making.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) prepare: Vec<PrepareStep>,
    pub(crate) init: Vec<InitStep>,
    pub(crate) payload: Vec<PayloadStep>,
    n_trees: usize,
}

impl Draft {
    fn limit(&mut self, limit: Limit) {
        self.prepare.push(PrepareStep::SetLimit(limit));
    }

    fn root(&mut self, step: RootStep) {
        self.init.push(InitStep::Root(step));
    }

    /// Opens what is mounted at a path of the host; returns its number.
    fn open_tree(&mut self, path: &Path) -> usize {
        self.root(RootStep::OpenTree(path.to_owned()));
        self.n_trees += 1;
        self.n_trees - 1
    }
}

fn require(host: &HostFacts, controller: Controller) -> Result<(), PlanError> {
    if host.controllers.contains(&controller) {
        Ok(())
    } else {
        Err(PlanError::ControllerMissing(controller))
    }
}

fn within(what: &'static str, value: u64, (least, most): (u64, u64)) -> Result<(), PlanError> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(PlanError::OutOfRange {
        what,
        value,
        least,
        most,
    })
}

/// What the host calls a user and group of the container.
fn outside(config: &ContainerConfig, (uid, gid): (u32, u32)) -> (u32, u32) {
    let first = config.id_map.map_or(0, |map| map.first);
    (first.saturating_add(uid), first.saturating_add(gid))
}

fn no_nul(what: &'static str, value: &str) -> Result<(), PlanError> {
    if value.contains('\0') {
        let value = value.escape_debug().to_string();
        return Err(PlanError::Nul { what, value });
    }
    Ok(())
}

/// Checks a path and returns it as text.
fn absolute<'a>(what: &'static str, path: &'a Path) -> Result<&'a str, PlanError> {
    let Some(text) = path.to_str() else {
        let path = path.to_owned();
        return Err(PlanError::NotUtf8 { what, path });
    };
    no_nul(what, text)?;
    if path.is_absolute() {
        Ok(text)
    } else {
        let path = path.to_owned();
        Err(PlanError::NotAbsolute { what, path })
    }
}

/// The upper bound of a task that is guaranteed `request`; `None` for no bound.
fn upper(
    limit: Option<proffer_types::Limit>,
    request: u64,
    what: &'static str,
) -> Result<Option<u64>, PlanError> {
    match limit {
        None => Ok(Some(request)),
        Some(proffer_types::Limit::Infinite) => Ok(None),
        Some(proffer_types::Limit::At(limit)) if limit < request => {
            Err(PlanError::LimitBelowRequest { what })
        }
        Some(proffer_types::Limit::At(limit)) => Ok(Some(limit)),
    }
}

//! Planning a launch: the isolators in their order.
//!
//! The order is the point: the cgroups come first, since their names tell whether the container exists already;
//! limits are in place before anything runs, mounts before privileges go, and the command comes last.

use std::path::PathBuf;

use thiserror::Error;

use crate::isolators::{self, Draft};
use crate::{
    ContainerConfig, ContainerId, Controller, HostFacts, IdMap, InitStep, PayloadStep, PrepareStep, Version,
};

/// Everything that is done to launch one container, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchPlan {
    pub container_id: ContainerId,
    /// Of the user namespace it needs, if any.
    pub id_map: Option<IdMap>,
    pub prepare: Vec<PrepareStep>,
    pub init: Vec<InitStep>,
    pub payload: Vec<PayloadStep>,
}

impl LaunchPlan {
    /// Whether the payload is under that controller. One that limits nothing is left out, but for the counts that cost
    /// nothing: on v1 controllers have hierarchies of their own, and entering each takes time.
    #[must_use]
    pub fn uses(&self, controller: Controller, version: Version) -> bool {
        controller.is_required(version)
            || (controller == Controller::Io && version == Version::V2)
            || self
                .prepare
                .iter()
                .any(|step| step.controller() == Some(controller))
    }
}

/// A container that cannot be launched on this host, whoever tries.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    #[error("the command is empty")]
    EmptyCommand,
    #[error("{what} contains a NUL byte: `{value}`")]
    Nul { what: &'static str, value: String },
    #[error("`{name}` cannot be the name of an environment variable")]
    EnvName { name: String },
    #[error("{what} `{}` is not an absolute path", path.display())]
    NotAbsolute { what: &'static str, path: PathBuf },
    #[error("{what} `{}` is not valid UTF-8", path.display())]
    NotUtf8 { what: &'static str, path: PathBuf },
    #[error("the files of stdout and stderr must be in one directory")]
    OutputApart,
    #[error("{files} files of {max_bytes} B cannot be kept of the output: 1 to 100 of at least 1 B can")]
    Logs { max_bytes: u64, files: u32 },
    #[error("host name `{0}` must be 1 to 64 letters, digits, `-` or `.`")]
    Hostname(String),
    #[error("cpus {0}m is less than the kernel can enforce, at least 10m (0.01 cpus) are needed")]
    TooFewCpus(u64),
    #[error("a limit of {0}m cpus is more than the kernel can tell from none: ask for no limit")]
    TooManyCpus(u64),
    #[error("mem {mem_bytes} B is less than the kernel can enforce, at least {page_size} B are needed")]
    TooLittleMemory { mem_bytes: u64, page_size: u64 },
    #[error("the {what} limit is less than the {what} that the task asks for")]
    LimitBelowRequest { what: &'static str },
    #[error("{path} cannot be the container path of a volume: it {why}")]
    ContainerPath { path: String, why: &'static str },
    #[error(
        "this host cannot tell memory asked for from memory beyond it: its memory controller has no soft limit"
    )]
    NoSoftLimit,
    #[error("this host has no {0}")]
    FileMissing(&'static str),
    #[error("cpu burst needs a limit of cpus: without one there is no quota to save")]
    BurstWithoutQuota,
    #[error("swap cannot be limited by cgroup v1 where memory is not: give memory a limit")]
    SwapWithoutMemoryLimit,
    #[error("{what} {value} is outside of {least} to {most}")]
    OutOfRange {
        what: &'static str,
        value: u64,
        least: u64,
        most: u64,
    },
    #[error("the device of the io limit of `{path}` was not found")]
    DeviceUnresolved { path: String },
    #[error("the io limit of `{path}` limits nothing")]
    EmptyIoLimit { path: String },
    #[error("`{text}` is not a list of {what}s such as `0-3,7`")]
    SetSyntax { what: &'static str, text: String },
    #[error("this host has no {what} {number}: there are {available}")]
    NotInSet {
        what: &'static str,
        number: u32,
        available: String,
    },
    #[error("this host has no huge pages of {page_size} B: there are {available}")]
    HugePageSize { page_size: u64, available: String },
    #[error("a huge page limit of {bytes} B is no multiple of the page size {page_size} B")]
    PartialHugePage { page_size: u64, bytes: u64 },
    #[error("the {what} is given twice")]
    Twice { what: String },
    #[error("the image has no layers")]
    NoLayers,
    #[error("the soft limit of {0} is above its hard limit")]
    SoftAboveHard(&'static str),
    #[error("id {id} is none of the {count} of the container's user namespace")]
    IdNotMapped { id: u32, count: u32 },
    #[error("ids cannot be mapped to {} of the host's from {}", .0.count, .0.first)]
    IdMap(IdMap),
    #[error("a seccomp filter of {n_bytes} B cannot be one: it has up to 4096 instructions of 8 B")]
    Filter { n_bytes: usize },
    #[error("this agent is rootless, and cannot {0}")]
    Rootless(&'static str),
    #[error("pids limit 0 allows no process at all, at least 1 is needed")]
    NoPids,
    #[error("this host cannot limit {}: its {} cgroup controller is not available to the agent", .0.as_str(), .0.as_str())]
    ControllerMissing(Controller),
    #[error(
        "this host cannot limit swap: boot with `swapaccount=1`, or turn swap off (`swapoff -a`) and restart the agent"
    )]
    SwapNotLimitable,
}

/// Plans one launch. Fails when the config is invalid or the host cannot enforce it.
pub fn plan(config: &ContainerConfig, host: &HostFacts) -> Result<LaunchPlan, PlanError> {
    let mut draft = Draft::default();
    isolators::cgroup::create(&mut draft);
    isolators::sandbox::prepare(config, &mut draft)?;
    isolators::output::prepare(config, &mut draft)?;
    isolators::cpu::limit(config, host, &mut draft)?;
    isolators::memory::limit(config, host, &mut draft)?;
    isolators::pids::limit(config, host, &mut draft)?;
    isolators::io::limit(config, host, &mut draft)?;
    isolators::cpuset::limit(config, host, &mut draft)?;
    isolators::hugetlb::limit(config, host, &mut draft)?;
    isolators::devices::allow(config, host, &mut draft)?;
    isolators::namespaces::enter(config, &mut draft)?;
    let opened = isolators::mounts::open(config, host, &mut draft)?;
    let volumes = isolators::volumes::open(config, host, &mut draft)?;
    isolators::root::mount(config, host, &mut draft)?;
    isolators::mounts::mount(config, host, opened, &mut draft);
    isolators::root::hide(config, &mut draft)?;
    isolators::volumes::mount(config, host, volumes, &mut draft)?;
    isolators::mounts::mask(config, host, &mut draft);
    isolators::sandbox::make_working_directory(config, &mut draft)?;
    isolators::root::enter(config, &mut draft);
    isolators::output::connect(config, &mut draft)?;
    isolators::namespaces::enter_payload(host, &mut draft);
    isolators::mounts::cgroups(host, &mut draft);
    isolators::memory::expose(config, host, &mut draft);
    isolators::rlimits::limit(config, &mut draft)?;
    isolators::privileges::become_user(config, &mut draft)?;
    isolators::sandbox::enter(config, &mut draft)?;
    isolators::privileges::drop(config, &mut draft)?;
    isolators::command::execute(config, &mut draft)?;
    Ok(LaunchPlan {
        container_id: config.container_id.clone(),
        id_map: config.id_map,
        prepare: draft.prepare,
        init: draft.init,
        payload: draft.payload,
    })
}

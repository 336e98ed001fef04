//! What a person writes to have something run: flags of `run`, job files and service files.
//!
//! All three share one task description, [`task::TaskSpec`], and one reader of files, which names file, line,
//! column and field of whatever it refuses.

mod after;
mod autoscaler;
mod constraint;
mod either;
mod file;
mod job;
mod locate;
mod policy;
mod quantity;
mod rules;
mod schedule;
mod service;
mod task;
mod template;

pub(crate) use after::AfterJobFile as AfterJob;
pub(crate) use autoscaler::AutoscalerFile;
pub(crate) use constraint::Condition;
pub(crate) use file::{Source, SpecError, parse};
#[cfg(test)]
pub(crate) use job::JobFile;
pub(crate) use job::read_job;
pub(crate) use policy::PolicyFile;
pub(crate) use quantity::{Amount, Bytes, Cores, Rate, SomeSpan, Span, Whole};
pub(crate) use rules::{Limits, Placement, RulesView, UpTo};
pub(crate) use schedule::Instant;
pub(crate) use service::{Part, ServiceFile, full_name};
pub(crate) use task::{
    Capabilities, CapabilityName, Change, Check, ConfigKey, Device, EnvFrom, Fetched, Image, Network, Port,
    Pull, Restart, RlimitBounds, RlimitName, SeccompChoice, UserIds, Volume, ulimit,
};
pub(crate) use task::{DEFAULT_CPUS, DEFAULT_MEM, TaskSpec};

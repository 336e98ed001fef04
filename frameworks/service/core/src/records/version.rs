//! The records of versions and of the latest deployment.

use std::collections::BTreeMap;

use proffer_types::{Role, Timestamp};
use proffer_wire::text::role;
use proffer_wire::v1;
use prost::Message;

use crate::deployment::{Deployment, Ending, Failure};
use crate::message::{service_task, task_message};
use crate::version::{Outcome, Version};

#[derive(Clone, PartialEq, Message)]
struct VersionRecord {
    #[prost(string, tag = "1")]
    role: String,
    #[prost(message, optional, tag = "2")]
    task: Option<v1::ServiceTask>,
    #[prost(uint64, tag = "3")]
    shape: u64,
    #[prost(uint64, tag = "4")]
    created_ms: u64,
    #[prost(enumeration = "OutcomeRecord", tag = "5")]
    outcome: i32,
    /// With that outcome.
    #[prost(string, tag = "6")]
    failed: String,
    /// Revisions by name.
    #[prost(btree_map = "string, uint64", tag = "7")]
    configs: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum OutcomeRecord {
    Deploying = 0,
    Good = 1,
    Failed = 2,
    Superseded = 3,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct DeploymentRecord {
    #[prost(uint64, tag = "1")]
    to: u64,
    #[prost(uint64, optional, tag = "2")]
    from: Option<u64>,
    #[prost(uint64, tag = "3")]
    started_ms: u64,
    #[prost(uint64, tag = "4")]
    progressed_ms: u64,
    #[prost(uint32, tag = "5")]
    best: u32,
    #[prost(bool, tag = "6")]
    promoted: bool,
    #[prost(bool, tag = "7")]
    paused: bool,
    /// With `why`: what it takes back.
    #[prost(uint64, optional, tag = "8")]
    rolls_back: Option<u64>,
    #[prost(string, tag = "9")]
    why: String,
    #[prost(uint64, optional, tag = "10")]
    ended_ms: Option<u64>,
    #[prost(string, optional, tag = "11")]
    failed: Option<String>,
}

pub(crate) fn write(version: &Version) -> Vec<u8> {
    let (outcome, failed) = match &version.outcome {
        Outcome::Deploying => (OutcomeRecord::Deploying, ""),
        Outcome::Good => (OutcomeRecord::Good, ""),
        Outcome::Failed(why) => (OutcomeRecord::Failed, &**why),
        Outcome::Superseded => (OutcomeRecord::Superseded, ""),
    };
    let record = VersionRecord {
        role: version.role.to_string(),
        task: Some(task_message(&version.task)),
        shape: version.shape,
        created_ms: version.created.0,
        outcome: outcome.into(),
        failed: failed.to_owned(),
        configs: version.configs.clone(),
    };
    record.encode_to_vec()
}

pub(super) fn read(number: u64, value: &[u8]) -> Result<Version, String> {
    let record = VersionRecord::decode(value).map_err(|error| error.to_string())?;
    let outcome = match record.outcome() {
        OutcomeRecord::Deploying => Outcome::Deploying,
        OutcomeRecord::Good => Outcome::Good,
        OutcomeRecord::Failed => Outcome::Failed(record.failed),
        OutcomeRecord::Superseded => Outcome::Superseded,
    };
    let role: Role = role(&record.role).map_err(|error| error.to_string())?;
    let task = service_task(record.task.ok_or("it has no task")?).map_err(|error| error.to_string())?;
    Ok(Version {
        number,
        role,
        task,
        created: Timestamp(record.created_ms),
        outcome,
        configs: record.configs,
        shape: record.shape,
    })
}

impl From<&Deployment> for DeploymentRecord {
    fn from(deployment: &Deployment) -> Self {
        let (rolls_back, ended) = (deployment.rolls_back.as_ref(), deployment.ended.as_ref());
        Self {
            to: deployment.to,
            from: deployment.from,
            started_ms: deployment.started.0,
            progressed_ms: deployment.progressed.0,
            best: deployment.best,
            promoted: deployment.promoted,
            paused: deployment.paused,
            rolls_back: rolls_back.map(|failure| failure.version),
            why: rolls_back.map(|failure| failure.why.clone()).unwrap_or_default(),
            ended_ms: ended.map(|ending| ending.at.0),
            failed: ended.and_then(|ending| ending.failed.clone()),
        }
    }
}

impl From<DeploymentRecord> for Deployment {
    fn from(record: DeploymentRecord) -> Self {
        let DeploymentRecord { why, failed, .. } = record;
        Self {
            to: record.to,
            from: record.from,
            started: Timestamp(record.started_ms),
            progressed: Timestamp(record.progressed_ms),
            best: record.best,
            promoted: record.promoted,
            paused: record.paused,
            rolls_back: record.rolls_back.map(|version| Failure { version, why }),
            ended: record.ended_ms.map(|at| Ending {
                at: Timestamp(at),
                failed,
            }),
        }
    }
}

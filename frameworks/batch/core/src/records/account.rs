//! Records of what was used: by a task of a job, and by a user in a role on a day.

use proffer_session::RecoverError;
use proffer_types::Role;
use proffer_wire::v1;
use prost::Message as _;

use super::{Record, decode, job_key};
use crate::Sums;
use crate::accounts::Key;
use crate::job::Job;

pub(super) const ACCOUNTS: &str = "batch/account/";
/// Stands where the records of instances have a number.
pub(super) const SUMS: &str = "usage";

/// What a task used; nothing is recorded before its first attempt has ended.
pub(crate) fn sums(job: &Job, task: usize) -> Option<(String, Vec<u8>)> {
    let sums = job.tasks[task].sums.as_deref()?;
    Some((sums_key(job, task), v1::JobUsage::from(*sums).encode_to_vec()))
}

pub(super) fn sums_key(job: &Job, task: usize) -> String {
    [&job_key(job), "/", &job.task_spec(task).name, ".", SUMS].concat()
}

pub(crate) fn account(key: &Key, sums: Sums) -> (String, Vec<u8>) {
    (account_key(key), v1::JobUsage::from(sums).encode_to_vec())
}

/// A role may have slashes; so what of a user's name would look like one is written as in a URL.
pub(crate) fn account_key(Key { day, role, user }: &Key) -> String {
    let user = user.replace('%', "%25").replace('/', "%2F");
    format!("{ACCOUNTS}{day:06}/{role}/{user}")
}

pub(super) fn read(key: &str, rest: &str, value: &[u8]) -> Result<Record, RecoverError> {
    let wrong = || RecoverError::new(key, "it is of no day, role and user");
    let (day, rest) = rest.split_once('/').ok_or_else(wrong)?;
    let (role, user) = rest.rsplit_once('/').ok_or_else(wrong)?;
    let account = Key {
        day: day.parse().map_err(|error| RecoverError::new(key, error))?,
        role: Role::new(role).map_err(|error| RecoverError::new(key, error))?,
        user: user.replace("%2F", "/").replace("%25", "%"),
    };
    Ok(Record::Account(
        account,
        decode::<v1::JobUsage>(key, value)?.into(),
    ))
}

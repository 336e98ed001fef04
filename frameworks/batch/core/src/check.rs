//! A job checked by itself: what a client can know before any scheduler has seen it.

use proffer_types::Timestamp;

use crate::schedule::Plan;
use crate::validate::{check_once, validate};
use crate::{JobSpec, SubmitError};

/// Checks all of a job that depends on nothing else: not on other jobs, and not on how large agents are. A schedule
/// must be due after `now`.
///
/// # Errors
///
/// As of `Batch::submit`; a job without one may still be refused there.
pub fn check(spec: &JobSpec, now: Timestamp) -> Result<(), SubmitError> {
    validate(spec, &[])?;
    if let Some(schedule) = &spec.schedule {
        schedule.validate()?;
        check_once(spec, schedule)?;
        Plan::new(&schedule.when, now)?;
    }
    Ok(())
}

//! Queues as messages.

use std::time::Duration;

use proffer_batch_core::{DEFAULT_HALF_LIFE, DEFAULT_SLICE, Policy, QueueSettings, QueueView};
use proffer_types::Backfill;
use proffer_wire::{ConvertError, v1};

use super::count;

/// Tasks of a queue that are shown when a client does not say how many.
const DEFAULT_LIMIT: usize = 100;
/// And the most.
const MAX_LIMIT: usize = 10_000;

pub(crate) fn limit(limit: u32) -> usize {
    match limit {
        0 => DEFAULT_LIMIT,
        limit => (limit as usize).min(MAX_LIMIT),
    }
}

pub(crate) fn settings(message: Option<v1::QueueSettings>) -> Result<QueueSettings, ConvertError> {
    let message = message.unwrap_or_default();
    let unknown = |field, number: i32| ConvertError::new(field, format!("{number} is not known"));
    Ok(QueueSettings {
        policy: match v1::QueuePolicy::try_from(message.policy) {
            Ok(v1::QueuePolicy::Unspecified | v1::QueuePolicy::QueuePriority) => Policy::Priority,
            Ok(v1::QueuePolicy::QueueFcfs) => Policy::Fcfs,
            Ok(v1::QueuePolicy::QueueSjf) => Policy::Sjf,
            Ok(v1::QueuePolicy::QueueRoundRobin) => Policy::RoundRobin,
            Ok(v1::QueuePolicy::QueueTimeSlice) => Policy::TimeSlice,
            Ok(v1::QueuePolicy::QueueFairShare) => Policy::FairShare,
            Err(_) => return Err(unknown("policy", message.policy)),
        },
        backfill: match v1::Backfill::try_from(message.backfill) {
            Ok(v1::Backfill::Unspecified | v1::Backfill::Easy) => Backfill::Easy,
            Ok(v1::Backfill::Any) => Backfill::Any,
            Ok(v1::Backfill::None) => Backfill::None,
            Err(_) => return Err(unknown("backfill", message.backfill)),
        },
        half_life: match message.half_life_ms {
            0 => DEFAULT_HALF_LIFE,
            millis => Duration::from_millis(millis),
        },
        shares: message.shares.into_iter().collect(),
        slice: match message.slice_ms {
            0 => DEFAULT_SLICE,
            millis => Duration::from_millis(millis),
        },
    })
}

fn settings_message(settings: &QueueSettings) -> v1::QueueSettings {
    let policy = match settings.policy {
        Policy::Fcfs => v1::QueuePolicy::QueueFcfs,
        Policy::Sjf => v1::QueuePolicy::QueueSjf,
        Policy::Priority => v1::QueuePolicy::QueuePriority,
        Policy::RoundRobin => v1::QueuePolicy::QueueRoundRobin,
        Policy::TimeSlice => v1::QueuePolicy::QueueTimeSlice,
        Policy::FairShare => v1::QueuePolicy::QueueFairShare,
    };
    v1::QueueSettings {
        policy: policy.into(),
        backfill: v1::Backfill::from(settings.backfill).into(),
        half_life_ms: u64::try_from(settings.half_life.as_millis()).unwrap_or(u64::MAX),
        shares: settings.shares.clone().into_iter().collect(),
        slice_ms: u64::try_from(settings.slice.as_millis()).unwrap_or(u64::MAX),
    }
}

pub(crate) fn queue(view: QueueView) -> v1::JobQueue {
    let user = |user: proffer_batch_core::UserView| v1::job_queue::User {
        share: view.settings.share(&user.user),
        user: user.user,
        n_waiting: user.n_waiting,
        n_running: user.n_running,
        n_suspended: user.n_suspended,
        used: user.used,
    };
    let waiting = |next: proffer_batch_core::WaitingView| v1::job_queue::Waiting {
        job: next.job,
        task: next.task,
        user: next.user,
        priority: next.priority,
        n_waiting: next.n_waiting,
    };
    v1::JobQueue {
        role: view.role.to_string(),
        settings: Some(settings_message(&view.settings)),
        n_jobs: count(view.n_jobs),
        n_waiting: view.n_waiting,
        n_running: view.n_running,
        n_suspended: view.n_suspended,
        users: view.users.into_iter().map(user).collect(),
        first: view.first.into_iter().map(waiting).collect(),
    }
}

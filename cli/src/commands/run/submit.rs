//! Submits exactly one job, even when the answer to a submission is lost.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use anyhow::Result;
use proffer_wire::v1;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use crate::client::Cluster;
use crate::failure::{is_transient, refused};

/// How long a cluster without a connected batch framework is waited for: a restart takes about a second.
const PATIENCE: Duration = Duration::from_secs(15);
/// Between two tries.
const WAIT: Duration = Duration::from_millis(200);

/// A name no other run has.
pub(super) fn random_name() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    // Keyed from the system's randomness.
    let mut random = RandomState::new().build_hasher().finish();
    let mut letter = || {
        let letter = LETTERS[(random % 32) as usize];
        random /= 32;
        char::from(letter)
    };
    let letters: String = (0..8).map(|_| letter()).collect();
    format!("run-{letters}")
}

/// Submits the job. A job of that name with the same spec that appears after a lost answer is this one.
pub(super) async fn submit(cluster: &Cluster, job: &v1::JobSpec) -> Result<()> {
    let start = Instant::now();
    let mut answer_lost = false;
    loop {
        let request = v1::SubmitJobRequest {
            spec: Some(job.clone()),
        };
        let Err(status) = cluster.jobs().submit_job(request).await else {
            return Ok(());
        };
        if answer_lost && status.code() == Code::AlreadyExists && is_ours(cluster, job).await {
            return Ok(());
        }
        if !is_transient(&status) || start.elapsed() > PATIENCE {
            return Err(refused(&status));
        }
        if !answer_lost {
            eprintln!("proffer: cannot submit yet ({}); trying again", status.message());
        }
        answer_lost = true;
        sleep(WAIT).await;
    }
}

async fn is_ours(cluster: &Cluster, job: &v1::JobSpec) -> bool {
    let request = v1::GetJobRequest {
        name: job.name.clone(),
        ..Default::default()
    };
    let found: Result<_, Status> = cluster.jobs().get_job(request).await;
    found.is_ok_and(|found| found.into_inner().spec.is_some_and(|spec| same_tasks(&spec, job)))
}

/// The framework may fill in defaults; what runs stays as it was asked.
fn same_tasks(stored: &v1::JobSpec, asked: &v1::JobSpec) -> bool {
    let containers = |spec: &v1::JobSpec| {
        spec.tasks
            .iter()
            .map(|task| task.container.clone())
            .collect::<Vec<_>>()
    };
    containers(stored) == containers(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_names_are_valid_and_differ() {
        let (one, two) = (random_name(), random_name());
        assert_ne!(one, two);
        assert_eq!(one.len(), 12);
        assert!(
            one.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
            "{one}"
        );
    }
}

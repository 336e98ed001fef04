//! Files the task wants in its sandbox before it starts.

use std::sync::atomic::{AtomicU64, Ordering};

use proffer_fetch::{Fetcher, Target};
use proffer_types::resources::format::format_size;
use tokio::sync::Semaphore;

use super::{Prepared, Progress, Request, Stage, owner};

/// Files fetched at once, by all tasks of an agent: more only share its network.
pub(super) const MAX_FETCHES: usize = 16;

/// Bytes between two reports.
const REPORT_BYTES: u64 = 1 << 20;

/// Fetches them in order, so that a later one may replace what an earlier one brought.
pub(super) async fn prepare(
    stage: &Stage,
    fetcher: &Fetcher,
    turns: &Semaphore,
    request: &Request,
    prepared: &Prepared,
    progress: &Progress,
) -> Result<(), String> {
    let all = &request.info.container.fetch;
    if request.keeps_sandbox || all.is_empty() {
        return Ok(());
    }
    let target = Target {
        sandbox: prepared.config.files.sandbox.clone(),
        scratch: stage.scratch(request.container_id)?,
        owner: owner::of(&prepared.config)?,
        work: stage.work.clone(),
    };
    for (n, what) in all.iter().enumerate() {
        let place = format!("fetching file {} of {}", n + 1, all.len());
        progress.say(place.clone());
        let _turn = turns.acquire().await.map_err(|error| error.to_string())?;
        let next = AtomicU64::new(REPORT_BYTES);
        let report = |at: proffer_fetch::Progress| {
            if at.n_bytes < next.load(Ordering::Relaxed) {
                return;
            }
            next.store(at.n_bytes.saturating_add(REPORT_BYTES), Ordering::Relaxed);
            let so_far = format_size(at.n_bytes);
            progress.say(match at.size {
                Some(size) => format!("{place}: {so_far} of {}", format_size(size)),
                None => format!("{place}: {so_far}"),
            });
        };
        let fetched = Box::pin(fetcher.fetch(what, &target, &report)).await;
        fetched.map_err(|error| error.to_string())?;
    }
    Ok(())
}

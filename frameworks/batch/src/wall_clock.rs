//! Follows the host's clock for the scheduler, whose own is steady: recurring jobs are due by the host's.
//!
//! The scheduler hears of it only when the clock was set, so that an idle one is not woken.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use proffer_batch_core::Batch;
use proffer_sdk::{CallError, Handle};
use proffer_types::Timestamp;

/// How often the two clocks are compared: windows are whole seconds.
const LOOK: Duration = Duration::from_secs(1);
/// A difference of less is how long a look takes, or a clock that is slewed; it adds up until it is more.
const TOLERANCE: Duration = Duration::from_millis(100);

/// Tells the scheduler whenever the host's clock was set, until it is gone.
pub(crate) async fn follow(handle: Handle<Batch>) {
    let mut told = distance();
    loop {
        tokio::select! {
            () = handle.stopped() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        let now = distance();
        if now.abs_diff(told) <= TOLERANCE.as_millis() {
            continue;
        }
        let set = handle.call(|batch, cx| batch.set_clock(wall(), cx)).await;
        match set {
            Ok(()) => {
                tracing::info!(by_ms = now - told, "the clock was set");
                told = now;
            }
            // What was not stored is told again; who has stopped hears nothing.
            Err(CallError::NotStored(_) | CallError::TooLarge(_)) => {}
            Err(CallError::Stopped | CallError::Deposed) => return,
        }
    }
}

/// From the steady clock to the host's, in milliseconds.
fn distance() -> i128 {
    static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let steady = START.get_or_init(Instant::now).elapsed();
    let millis = |time: Duration| i128::try_from(time.as_millis()).unwrap_or(i128::MAX);
    millis(UNIX_EPOCH.elapsed().unwrap_or_default()) - millis(steady)
}

fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp::default().after(since.unwrap_or_default())
}

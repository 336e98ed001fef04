//! What services scale by, fetched from where it is: tasks' use from agents, answers from Prometheus servers.
//!
//! Each of the two is a loop of its own, that asks the scheduler what is wanted and tells it what was found. Where nothing is
//! wanted nothing is fetched.

mod prometheus;
mod usage;

use proffer_sdk::Handle;
use proffer_service_core::Services;

/// Measures for as long as the scheduler runs.
pub(crate) fn start(handle: &Handle<Services>, masters: &[String]) {
    let (of_use, masters) = (handle.clone(), masters.to_vec());
    tokio::spawn(async move {
        tokio::select! {
            () = of_use.stopped() => {}
            () = usage::forever(&of_use, masters) => {}
        }
    });
    let of_prometheus = handle.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = of_prometheus.stopped() => {}
            () = prometheus::forever(&of_prometheus) => {}
        }
    });
}

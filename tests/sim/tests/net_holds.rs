//! Puts old faults back on purpose: if the rules did not find them, they would find nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use proffer_sim::{Options, Sabotage, run};

/// Whether any of the first seeds finds the fault.
fn is_found_within(n_seeds: u64, sabotage: Sabotage) -> bool {
    let finds = |seed| {
        let options = Options {
            seed,
            sabotage: Some(sabotage),
        };
        let report = catch_unwind(AssertUnwindSafe(|| run(options, None)));
        report.map_or(true, |report| report.violation.is_some())
    };
    (1..=n_seeds).any(finds)
}

#[test]
fn an_agent_without_its_session_fence_is_found() {
    assert!(is_found_within(100, Sabotage::AgentFenceOff));
}

#[test]
fn a_network_that_loses_frames_without_ending_the_stream_is_found() {
    assert!(is_found_within(100, Sabotage::LosesFrames));
}

#[test]
fn a_disk_that_forgets_checkpoints_is_found() {
    assert!(is_found_within(100, Sabotage::ForgetsCheckpoints));
}

//! Puts old faults back on purpose: if the rules did not find them, they would find nothing.

use std::io::Write;

use proffer_sim::{Options, Sabotage, run};

/// Seeds until a fault has to be found; each is found by one of the first few.
const N_SEEDS: u64 = 100;

/// The first rule that finds the fault, with its complaint.
fn found(sabotage: Sabotage) -> Option<String> {
    let violation = |seed| {
        let options = Options {
            seed,
            sabotage: Some(sabotage),
        };
        let complaint = run(options, None).violation?;
        let _ = writeln!(
            std::io::stderr(),
            "{sabotage:?} is found by seed {seed}: {complaint:.160}"
        );
        Some(complaint)
    };
    (1..=N_SEEDS).find_map(violation)
}

#[test]
fn an_agent_without_its_session_fence_is_found() {
    assert!(found(Sabotage::AgentFenceOff).is_some());
}

#[test]
fn a_network_that_loses_frames_without_ending_the_stream_is_found() {
    let complaint = found(Sabotage::LosesFrames).unwrap_or_default();
    assert!(complaint.contains("every runnable task ends"), "{complaint}");
}

#[test]
fn a_disk_that_forgets_operations_is_found() {
    let complaint = found(Sabotage::ForgetsOperations).unwrap_or_default();
    assert!(complaint.contains("operations are told"), "{complaint}");
}

#[test]
fn a_disk_that_forgets_checkpoints_is_found() {
    let complaint = found(Sabotage::ForgetsCheckpoints).unwrap_or_default();
    assert!(
        complaint.contains("only checkpointed facts are reported"),
        "{complaint}"
    );
}

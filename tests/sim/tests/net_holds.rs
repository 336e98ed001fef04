//! Puts old faults back on purpose: if the rules did not find them, they would find nothing.

use std::io::Write;

use proffer_sim::{Options, Sabotage, attempt};

/// Seeds until a fault has to be found.
const N_SEEDS: u64 = 1_000;

/// Asserts that the fault is found, by this rule before any other.
fn is_found(sabotage: Sabotage, rule: &str) {
    is_found_beside(sabotage, rule, &[]);
}

/// The same, where some runs may break another rule by it.
fn is_found_beside(sabotage: Sabotage, rule: &str, others: &[&str]) {
    let violation = |seed: u64| {
        let options = Options {
            case: seed.into(),
            sabotage: Some(sabotage),
            hashes: false,
        };
        let violation = attempt(options, None).violation?;
        (!others.contains(&violation.rule.as_str())).then_some((seed, violation))
    };
    let found = (1..=N_SEEDS).find_map(violation);
    let Some((seed, violation)) = found else {
        panic!("{sabotage:?} is not found by {N_SEEDS} seeds");
    };
    let _ = writeln!(
        std::io::stderr(),
        "{sabotage:?} is found by seed {seed}: {:.200}",
        violation.to_string()
    );
    assert_eq!(violation.rule, rule, "{sabotage:?}, seed {seed}: {violation}");
}

#[test]
fn a_delayed_run_task_accepted_after_a_new_session_is_found() {
    let of_operations = ["operations are told, and never contradicted"];
    is_found_beside(
        Sabotage::AgentFenceOff,
        "updates in order, acknowledged once",
        &of_operations,
    );
}

#[test]
fn a_lost_message_that_does_not_break_its_stream_is_found() {
    is_found(Sabotage::LosesFrames, "every runnable task ends");
}

#[test]
fn a_new_framework_id_at_failover_is_found() {
    is_found(Sabotage::ForgetsFrameworkId, "ids stay");
}

#[test]
fn a_failover_timeout_of_zero_that_nobody_asked_for_is_found() {
    is_found(Sabotage::FailoverTimeoutZero, "failover deadlines hold");
}

#[test]
fn a_window_that_is_missed_after_a_failover_is_found() {
    is_found(Sabotage::ForgetsRuns, "no window is missed without a cause");
}

#[test]
fn a_window_that_runs_twice_after_a_failover_is_found() {
    // Started again after its epsilon, the scheduler tells a window that has a run to be missed.
    let others = ["no window is missed without a cause"];
    is_found_beside(Sabotage::ForgetsWindows, "no window runs twice", &others);
}

#[test]
fn an_offer_whose_accept_is_refused_for_ever_is_found() {
    is_found(Sabotage::OffersWhatIsRefused, "every runnable task ends");
}

#[test]
fn a_rescind_without_a_filter_is_found() {
    is_found(Sabotage::RescindsWithoutFilter, "every runnable task ends");
}

#[test]
fn a_hold_that_does_not_end_is_found() {
    is_found(Sabotage::HoldsForEver, "every runnable task ends");
}

#[test]
fn a_quota_limit_that_stops_at_its_own_role_is_found() {
    is_found(Sabotage::LimitOfTopRoleOnly, "no offer exceeds a limit");
}

#[test]
fn acting_before_the_registry_is_written_is_found() {
    is_found(Sabotage::ActsBeforeWrite, "what is told is stored, and stays");
}

#[test]
fn a_disk_that_forgets_operations_is_found() {
    is_found(
        Sabotage::ForgetsOperations,
        "operations are told, and never contradicted",
    );
}

#[test]
fn a_disk_that_forgets_checkpoints_is_found() {
    is_found(
        Sabotage::ForgetsCheckpoints,
        "only checkpointed facts are reported",
    );
}

#[test]
fn a_leader_that_trusts_a_lease_that_ran_out_is_found() {
    is_found(Sabotage::TrustsOldLease, "at most one master is in force");
}

#[test]
fn a_deposed_master_that_goes_on_talking_is_found() {
    is_found(Sabotage::SpeaksThoughDeposed, "at most one master is in force");
}

//! The rules no run may break, one a file. Each looks at every fact and complains in words.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a rule is about some facts and passes over the others"
)]

mod failover_deadlines;
mod gangs_whole;
mod ids_stay;
mod no_chatter;
mod offer_ends_once;
mod one_leads;
mod operations_told;
mod over_commit;
mod promises_kept;
mod quota_holds;
mod registry_kept;
mod reported_is_checkpointed;
mod runs_once;
mod state_is_fold;
mod terminal_is_final;
mod updates_in_order;
mod window_once;
mod window_starts;
mod windows_kept;

use std::fmt::Debug;

use proffer_master_core::RegistryChange;
use proffer_types::{FrameworkId, Timestamp};

use crate::facts::Fact;

/// One rule, and what it has to remember to judge.
pub(crate) trait Invariant: Debug {
    /// The rule in a few words.
    fn name(&self) -> &'static str;
    /// Takes note of a fact, and of when it was. Fails with what is wrong.
    fn observe(&mut self, now: Timestamp, fact: &Fact<'_>) -> Result<(), String>;
}

/// All rules that hold at every moment.
pub(crate) fn all() -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(over_commit::OverCommit),
        Box::new(offer_ends_once::OfferEndsOnce::default()),
        Box::new(terminal_is_final::TerminalIsFinal::default()),
        Box::new(updates_in_order::UpdatesInOrder::default()),
        Box::new(runs_once::RunsOnce::default()),
        Box::new(ids_stay::IdsStay::default()),
        Box::new(reported_is_checkpointed::ReportedIsCheckpointed),
        Box::new(state_is_fold::StateIsFold::default()),
        Box::new(quota_holds::QuotaHolds::default()),
        Box::new(gangs_whole::GangsWhole::default()),
        Box::new(operations_told::OperationsTold::default()),
        Box::new(one_leads::OneLeads::default()),
        Box::new(promises_kept::PromisesKept::default()),
        Box::new(window_once::WindowOnce::default()),
        Box::new(windows_kept::WindowsKept::default()),
        Box::new(no_chatter::NoChatter::default()),
        Box::new(failover_deadlines::FailoverDeadlines::default()),
        Box::new(registry_kept::RegistryKept::default()),
    ]
}

/// The frameworks whose ids are spent from here on.
fn completed(changes: &[RegistryChange]) -> impl Iterator<Item = FrameworkId> {
    changes.iter().filter_map(|change| match change {
        RegistryChange::PutFramework(record) if record.completed => Some(record.framework_id.clone()),
        _ => None,
    })
}

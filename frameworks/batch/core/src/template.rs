//! One template: what its runs are made from, and which they are.

use std::collections::BTreeSet;
use std::sync::Arc;

use proffer_types::Timestamp;

use crate::JobSpec;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TemplateJob {
    /// Counts submissions, as that of a job does.
    pub(crate) number: u64,
    pub(crate) spec: Arc<JobSpec>,
    pub(crate) submitted: Timestamp,
    /// Nothing is dispatched any more.
    pub(crate) cancelled: Option<Timestamp>,
    /// Its runs that have not ended.
    pub(crate) open: BTreeSet<u64>,
    /// Those that have and are kept, by when.
    pub(crate) ended: BTreeSet<(Timestamp, u64)>,
}

impl TemplateJob {
    /// A template before its first run.
    pub(crate) fn new(number: u64, spec: Arc<JobSpec>, submitted: Timestamp) -> Self {
        Self {
            number,
            spec,
            submitted,
            cancelled: None,
            open: BTreeSet::new(),
            ended: BTreeSet::new(),
        }
    }

    /// Whether it will never run again and nothing of it runs.
    pub(crate) fn has_ended(&self) -> bool {
        self.cancelled.is_some() && self.open.is_empty()
    }

    /// How many runs that have ended are kept.
    pub(crate) fn history(&self) -> usize {
        self.spec
            .template
            .as_ref()
            .map_or(0, |template| template.history())
    }
}

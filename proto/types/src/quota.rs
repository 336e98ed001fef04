//! Quota: what a role is guaranteed, and what it may not exceed.
//!
//! Scalars only. Consumption of a role is what is offered or allocated to it and the roles below it, unreserved and
//! not revocable, plus everything reserved to them. A limit holds at the role and so for every role below it.

use std::collections::BTreeMap;

use crate::{ResourceName, Resources};

/// The quota of one role. The default guarantees nothing and limits nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quota {
    /// Held free for the role while it consumes less: scalars only.
    pub guarantee: Resources,
    /// In the name's unit. A name that is absent is not limited; 0 means none at all.
    pub limit: BTreeMap<ResourceName, u64>,
}

impl Quota {
    /// Whether it says nothing.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.guarantee.is_empty() && self.limit.is_empty()
    }

    /// The first resource that is guaranteed beyond its limit.
    #[must_use]
    pub fn beyond_limit(&self) -> Option<&ResourceName> {
        let mut limits = self.limit.iter();
        limits
            .find(|(name, limit)| self.guarantee.scalar(name) > **limit)
            .map(|(name, _)| name)
    }
}

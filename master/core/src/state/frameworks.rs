//! Frameworks: subscribed, away for a while, or completed for good.
//!
//! `Active --link lost--> Disconnected --subscribe--> Active`; `--deadline | teardown--> Completed`, never back.
//! `Orphaned --subscribe--> Active | --teardown--> Completed`, and no time ends it while a task of it runs;
//! `Orphaned --no task left | all ended, and deadline--> forgotten`.
//! A completed framework keeps its spent id, and its claims until agents report its tasks dead.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proffer_allocator::{Change, FrameworkEntry};
use proffer_types::{FrameworkId, FrameworkInfo, OfferId, Role, Timestamp};

use super::{Deadline, Peer, State};
use crate::{FrameworkRecord, LinkId};

/// Where a framework is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameworkPresence {
    Active {
        link: LinkId,
    },
    Disconnected {
        deadline: Timestamp,
    },
    /// Known from the registry, not back since the start.
    Recovered {
        deadline: Option<Timestamp>,
    },
    /// Known only by its tasks.
    Orphaned {
        since: Timestamp,
        /// When it is forgotten unless a task of it runs; absent before all have ended.
        deadline: Option<Timestamp>,
    },
    Completed,
}

/// One framework.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Framework {
    /// Its id is always present.
    pub info: FrameworkInfo,
    /// Order of first registration.
    pub order: u64,
    pub presence: FrameworkPresence,
    /// The latest link it ever subscribed on: what comes on an older one is out of date.
    pub(crate) latest_link: Option<LinkId>,
    pub(crate) offers: BTreeSet<OfferId>,
}

impl Framework {
    /// The link, while it is subscribed.
    #[must_use]
    pub fn link(&self) -> Option<LinkId> {
        match self.presence {
            FrameworkPresence::Active { link } => Some(link),
            FrameworkPresence::Disconnected { .. }
            | FrameworkPresence::Recovered { .. }
            | FrameworkPresence::Orphaned { .. }
            | FrameworkPresence::Completed => None,
        }
    }

    /// Whether its id is spent.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.presence == FrameworkPresence::Completed
    }

    /// When its tasks are killed if it stays away; of an orphan, when it is forgotten unless a task of it runs.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        match self.presence {
            FrameworkPresence::Disconnected { deadline } => Some(deadline),
            FrameworkPresence::Recovered { deadline } | FrameworkPresence::Orphaned { deadline, .. } => {
                deadline
            }
            FrameworkPresence::Active { .. } | FrameworkPresence::Completed => None,
        }
    }

    /// Since when its tasks are nobody's, while they are.
    #[must_use]
    pub fn orphaned_since(&self) -> Option<Timestamp> {
        match self.presence {
            FrameworkPresence::Orphaned { since, .. } => Some(since),
            FrameworkPresence::Active { .. }
            | FrameworkPresence::Disconnected { .. }
            | FrameworkPresence::Recovered { .. }
            | FrameworkPresence::Completed => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Frameworks {
    by_id: BTreeMap<FrameworkId, Framework>,
    n_minted: u64,
    next_order: u64,
    /// Those that are known only by their tasks.
    orphans: BTreeSet<FrameworkId>,
    /// In the order in which they were completed.
    completed: VecDeque<FrameworkId>,
}

impl State {
    /// One framework, completed or not.
    #[must_use]
    pub fn framework(&self, framework: &FrameworkId) -> Option<&Framework> {
        self.frameworks.by_id.get(framework)
    }

    /// The frameworks that are known only by their tasks.
    pub(crate) fn orphans(&self) -> &BTreeSet<FrameworkId> {
        &self.frameworks.orphans
    }

    /// All frameworks, completed or not, by id.
    pub fn frameworks(&self) -> impl Iterator<Item = (&FrameworkId, &Framework)> {
        self.frameworks.by_id.iter()
    }

    /// The id for the next new framework.
    pub(crate) fn next_framework_id(&self) -> FrameworkId {
        self.master_id.framework(self.frameworks.n_minted)
    }

    /// The completed framework to forget first, when there are more than `limit`.
    pub(crate) fn surplus_framework(&self, limit: usize) -> Option<&FrameworkId> {
        let completed = &self.frameworks.completed;
        completed.front().filter(|_| completed.len() > limit)
    }

    pub(super) fn framework_mut(&mut self, framework: &FrameworkId) -> Option<&mut Framework> {
        self.frameworks.by_id.get_mut(framework)
    }

    pub(super) fn framework_record(&self, id: &FrameworkId) -> Option<FrameworkRecord> {
        let framework = self.framework(id)?;
        Some(FrameworkRecord {
            framework_id: id.clone(),
            info: framework.info.clone(),
            order: framework.order,
            failover_deadline: framework.deadline(),
            completed: framework.is_completed(),
            orphaned_since: framework.orphaned_since(),
        })
    }

    pub(super) fn recover_frameworks(&mut self, records: &[FrameworkRecord]) {
        let mut records: Vec<_> = records.iter().collect();
        records.sort_by_key(|record| record.order);
        for record in records {
            let id = &record.framework_id;
            let presence = if record.completed {
                self.frameworks.completed.push_back(id.clone());
                FrameworkPresence::Completed
            } else if let Some(since) = record.orphaned_since {
                let deadline = record.failover_deadline;
                FrameworkPresence::Orphaned { since, deadline }
            } else {
                FrameworkPresence::Recovered {
                    deadline: record.failover_deadline,
                }
            };
            self.insert_framework(id, &record.info, record.order, presence);
        }
    }

    pub(super) fn framework_subscribed(
        &mut self,
        id: &FrameworkId,
        info: &FrameworkInfo,
        suppressed: &BTreeSet<Role>,
        link: LinkId,
    ) -> Vec<Change> {
        self.unlink_framework(id);
        self.end_asking(id);
        let presence = FrameworkPresence::Active { link };
        if let Some(framework) = self.frameworks.by_id.get_mut(id) {
            framework.info = with_id(info, id);
            self.set_framework_presence(id, presence);
        } else {
            self.frameworks.n_minted += 1;
            self.insert_framework(id, info, self.frameworks.next_order, presence);
        }
        self.links.insert(link, Peer::Framework(id.clone()));
        if let Some(framework) = self.framework_mut(id) {
            framework.latest_link = Some(link);
        }
        // The filters and the demand of an earlier subscription die with it.
        let mut changes = self.ledger_mut().set_framework_active(id, false);
        changes.extend(self.set_ledger_framework(id, info, suppressed));
        changes
    }

    pub(super) fn framework_updated(
        &mut self,
        id: &FrameworkId,
        info: &FrameworkInfo,
        suppressed: &BTreeSet<Role>,
    ) -> Vec<Change> {
        if let Some(framework) = self.framework_mut(id) {
            framework.info = with_id(info, id);
        }
        self.set_ledger_framework(id, info, suppressed)
    }

    fn set_ledger_framework(
        &mut self,
        id: &FrameworkId,
        info: &FrameworkInfo,
        suppressed: &BTreeSet<Role>,
    ) -> Vec<Change> {
        let order = self.framework(id).map_or(u64::MAX, |framework| framework.order);
        let entry = FrameworkEntry {
            order,
            active: true,
            roles: info.roles.clone(),
            suppressed: suppressed.clone(),
            capabilities: info.capabilities,
            preferences: info.preferences.clone(),
        };
        self.ledger_mut().set_framework(id, entry)
    }

    pub(super) fn framework_orphaned(
        &mut self,
        id: &FrameworkId,
        info: &FrameworkInfo,
        since: Timestamp,
    ) -> Vec<Change> {
        let deadline = None;
        let presence = FrameworkPresence::Orphaned { since, deadline };
        self.insert_framework(id, info, self.frameworks.next_order, presence);
        Vec::new()
    }

    pub(super) fn orphan_idle(&mut self, id: &FrameworkId, deadline: Timestamp) -> Vec<Change> {
        if let Some(since) = self.framework(id).and_then(Framework::orphaned_since) {
            let deadline = Some(deadline);
            self.set_framework_presence(id, FrameworkPresence::Orphaned { since, deadline });
        }
        Vec::new()
    }

    pub(super) fn framework_disconnected(&mut self, id: &FrameworkId, deadline: Timestamp) -> Vec<Change> {
        self.unlink_framework(id);
        self.end_asking(id);
        let was_recovered = self
            .framework(id)
            .is_some_and(|framework| matches!(framework.presence, FrameworkPresence::Recovered { .. }));
        let presence = if was_recovered {
            FrameworkPresence::Recovered {
                deadline: Some(deadline),
            }
        } else {
            FrameworkPresence::Disconnected { deadline }
        };
        self.set_framework_presence(id, presence);
        self.ledger_mut().set_framework_active(id, false)
    }

    pub(super) fn framework_completed(&mut self, id: &FrameworkId) -> Vec<Change> {
        self.unlink_framework(id);
        self.forget_asked_framework(id);
        self.set_framework_presence(id, FrameworkPresence::Completed);
        self.frameworks.completed.push_back(id.clone());
        self.ledger_mut().remove_framework(id)
    }

    pub(super) fn framework_forgotten(&mut self, id: &FrameworkId) -> Vec<Change> {
        let deadline = self.frameworks.by_id.remove(id).and_then(|old| old.deadline());
        self.set_deadline(&Deadline::Framework(id.clone()), deadline, None);
        self.index_orphan(id);
        self.frameworks.completed.retain(|completed| completed != id);
        self.forget_completed_tasks(id);
        Vec::new()
    }

    fn unlink_framework(&mut self, id: &FrameworkId) {
        if let Some(link) = self.framework(id).and_then(Framework::link) {
            self.links.remove(&link);
        }
    }

    fn insert_framework(
        &mut self,
        id: &FrameworkId,
        info: &FrameworkInfo,
        order: u64,
        presence: FrameworkPresence,
    ) {
        let framework = Framework {
            info: with_id(info, id),
            order,
            presence,
            latest_link: None,
            offers: BTreeSet::new(),
        };
        let deadline = framework.deadline();
        self.frameworks.next_order = self.frameworks.next_order.max(order.saturating_add(1));
        self.frameworks.by_id.insert(id.clone(), framework);
        self.index_orphan(id);
        self.set_deadline(&Deadline::Framework(id.clone()), None, deadline);
    }

    fn set_framework_presence(&mut self, id: &FrameworkId, presence: FrameworkPresence) {
        let Some(framework) = self.frameworks.by_id.get_mut(id) else {
            return;
        };
        let old = framework.deadline();
        framework.presence = presence;
        let new = framework.deadline();
        self.set_deadline(&Deadline::Framework(id.clone()), old, new);
        self.index_orphan(id);
    }

    fn index_orphan(&mut self, id: &FrameworkId) {
        if self.framework(id).is_some_and(|f| f.orphaned_since().is_some()) {
            self.frameworks.orphans.insert(id.clone());
        } else {
            self.frameworks.orphans.remove(id);
        }
    }

    pub(super) fn check_orphans(&self) {
        let orphans = self.frameworks().filter(|(_, f)| f.orphaned_since().is_some());
        let orphans: BTreeSet<_> = orphans.map(|(id, _)| id.clone()).collect();
        assert_eq!(self.frameworks.orphans, orphans, "the index of orphans");
    }
}

fn with_id(info: &FrameworkInfo, id: &FrameworkId) -> FrameworkInfo {
    FrameworkInfo {
        id: Some(id.clone()),
        ..info.clone()
    }
}

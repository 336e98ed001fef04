//! Whose the framework's id and its tasks are: an id that is taken over though its records are lost, tasks that nobody
//! here has a record of, and the end of it all.

use std::collections::BTreeSet;

use proffer_types::scheduler_link::Call;
use proffer_types::{FrameworkId, KillPolicy, TaskId, TaskState, TaskStatus};

use super::{Link, Session};
use crate::records;
use crate::{Output, Scheduler};

/// What becomes of tasks that run under the framework's id and of which there is no record: its store was lost or is an
/// older one, or it took the id over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownTasks {
    /// The scheduler hears of them like of its own, when there is something to hear, and decides.
    #[default]
    Tell,
    /// They run on. The scheduler hears nothing of them, and what they have to say is acknowledged.
    Keep,
    /// They are killed. The scheduler hears what their agents say of them, and not that one is out of reach.
    Kill,
}

#[derive(Debug, Default)]
pub(super) struct Ownership {
    /// The id of the info is to be taken though the master may have no record of it.
    pub(super) adopts: bool,
    /// The framework is to be torn down.
    pub(super) ends: bool,
    /// The id is among the records.
    is_id_kept: bool,
    unknown: UnknownTasks,
    /// Those that were left to run.
    kept: BTreeSet<TaskId>,
    /// Those to be killed of which nothing is known but that they are out of reach.
    away: BTreeSet<TaskId>,
}

impl Ownership {
    pub(super) fn new(is_id_kept: bool, ends: bool) -> Self {
        Self {
            is_id_kept,
            ends,
            ..Self::default()
        }
    }

    /// The kill of a task that was just found, where that is wanted.
    pub(super) fn kill_of_unknown(&self) -> Option<KillPolicy> {
        self.kills_unknown().then(KillPolicy::default)
    }

    pub(super) fn kills_unknown(&self) -> bool {
        self.unknown == UnknownTasks::Kill
    }
}

impl<S: Scheduler> Session<S> {
    /// Says what becomes of tasks without a record. Except under [`UnknownTasks::Tell`] the master is asked for them
    /// on every subscription.
    #[must_use]
    pub fn with_unknown_tasks(mut self, unknown: UnknownTasks) -> Self {
        self.ownership.unknown = unknown;
        self
    }

    /// Subscribes with the id of the info although the master may have no record of it, and so takes over what runs
    /// under it. Without this such an id is refused.
    #[must_use]
    pub fn adopting(mut self) -> Self {
        self.ownership.adopts = true;
        self
    }

    /// Tasks without a record that were left to run ([`UnknownTasks::Keep`]).
    pub fn kept_tasks(&self) -> impl ExactSizeIterator<Item = &TaskId> {
        self.ownership.kept.iter()
    }

    pub(super) fn keep_id(&mut self, framework_id: &FrameworkId, out: &mut Output) {
        if self.info.id.as_ref() != Some(framework_id) || !self.ownership.is_id_kept {
            out.writes.push(records::put_framework_id(framework_id));
            self.info.id = Some(framework_id.clone());
            self.ownership.is_id_kept = true;
        }
    }

    /// Every task there is; those with a record are asked for one by one all the same, for no answer is given of what
    /// the master does not know.
    pub(super) fn ask_for_unknown(&self, out: &mut Output) {
        if self.ownership.unknown != UnknownTasks::Tell {
            out.calls.push(Call::Reconcile { tasks: Vec::new() });
        }
    }

    /// Whether this is the status of a task that is nobody's and is left to run.
    pub(super) fn keeps_unknown(&mut self, status: &TaskStatus) -> bool {
        if self.ownership.unknown != UnknownTasks::Keep || self.tasks.contains_key(&status.task_id) {
            return false;
        }
        if status.state.is_terminal() || status.state == TaskState::Unknown {
            self.ownership.kept.remove(&status.task_id);
        } else {
            self.ownership.kept.insert(status.task_id.clone());
        }
        true
    }

    /// Whether the scheduler is not told of a task that is to be killed ([`UnknownTasks::Kill`]): the master alone spoke of
    /// it, and only to say that it is out of reach, and then perhaps that it is over. It may have ended long ago, and the
    /// scheduler may have heard that. What its agent says is told.
    pub(super) fn is_untold(&mut self, status: &TaskStatus) -> bool {
        let id = &status.task_id;
        let is_over = status.state.is_terminal() || status.state == TaskState::Unknown;
        let is_away = status.state == TaskState::Unreachable;
        if status.uuid.is_none() && is_away && !self.tasks.contains_key(id) {
            self.ownership.away.insert(id.clone());
        }
        let was_away = match status.uuid.is_none() && is_away {
            true => self.ownership.away.contains(id),
            false => self.ownership.away.remove(id),
        };
        was_away && status.uuid.is_none() && (is_away || is_over)
    }

    pub(super) fn teardown(&mut self, out: &mut Output) {
        if !self.ownership.ends {
            self.ownership.ends = true;
            out.writes.push(records::put_teardown());
        }
        self.send(Call::Teardown, out);
    }

    /// The master ended the subscription for good. That it refuses the next one is how a teardown is known to be done:
    /// the id is spent.
    pub(super) fn refused(&mut self, message: String, out: &mut Output) {
        out.disconnect = true;
        if !self.ownership.ends {
            out.refused = Some(message);
        } else if matches!(self.link, Link::Subscribing { .. }) {
            self.torn_down(out);
        }
    }

    fn torn_down(&mut self, out: &mut Output) {
        out.torn_down = true;
        let tasks = std::mem::take(&mut self.tasks);
        out.writes.extend(tasks.keys().map(records::delete_task));
        let operations = std::mem::take(&mut self.operations);
        out.writes
            .extend(operations.keys().map(records::delete_operation));
        out.writes.push(records::delete_framework_id());
        out.writes.push(records::delete_teardown());
        self.info.id = None;
        self.ownership = Ownership::default();
    }
}

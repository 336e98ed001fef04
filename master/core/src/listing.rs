//! Lists of tasks, a page at a time.
//!
//! Who lists the tasks of a large cluster must not hold the master up: one page is built from the tasks that are asked
//! for, and looks at a bounded number of others. Live tasks come first, by framework and id; then, where they are wanted,
//! those that ended, oldest first per framework. A page is of one moment; a list of several pages is not.

use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;

use proffer_types::{AgentId, AgentInfo, FrameworkId, TaskId, TaskState};

use crate::limits::{MAX_TASKS_LOOKED_AT, MAX_TASKS_PER_PAGE};
use crate::state::{State, TaskKey};
use crate::{Task, TaskView};

/// Which tasks are listed; what is absent or empty lets all through.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TaskQuery {
    pub framework: Option<FrameworkId>,
    pub agent: Option<AgentId>,
    pub task: Option<TaskId>,
    /// What the id begins with.
    pub prefix: String,
    pub states: Vec<TaskState>,
    /// Also those that ended and were seen to.
    pub completed: bool,
}

/// A task that a page ends with: the next one begins behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskCursor {
    pub completed: bool,
    pub framework: FrameworkId,
    pub task: TaskId,
}

/// A task, and whose it is and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTask {
    pub view: Arc<TaskView>,
    pub completed: bool,
    /// Absent when the framework is not known, or completed.
    pub framework_name: Option<String>,
    /// Absent when the agent is not known.
    pub agent: Option<Arc<AgentInfo>>,
}

/// Some of the tasks that are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskPage {
    pub tasks: Vec<ListedTask>,
    /// Where to go on; absent at the end. A page that is not full has one too, when it looked at many.
    pub next: Option<TaskCursor>,
    /// The live tasks of the framework asked for, or of all, whatever else is asked for.
    pub n_live: usize,
}

impl ListedTask {
    /// The place in the list behind it.
    #[must_use]
    pub fn cursor(&self) -> TaskCursor {
        cursor(self.completed, &self.view)
    }
}

impl TaskQuery {
    fn wants(&self, view: &TaskView) -> bool {
        let is = |wanted: &Option<FrameworkId>| wanted.as_ref().is_none_or(|id| *id == view.framework_id);
        is(&self.framework)
            && self.agent.as_ref().is_none_or(|id| *id == view.info.agent_id)
            && self.task.as_ref().is_none_or(|id| *id == view.info.id)
            && (self.states.is_empty() || self.states.contains(&view.state))
            && view.info.id.as_str().starts_with(&self.prefix)
    }
}

/// At most `limit` tasks behind `after`, or from the beginning.
pub(crate) fn page(state: &State, query: &TaskQuery, after: Option<&TaskCursor>, limit: usize) -> TaskPage {
    let limit = limit.min(MAX_TASKS_PER_PAGE);
    let live = live(state, query, after).map(|task| (false, &task.view));
    let completed = completed(state, query, after).map(|view| (true, view));
    let mut walk = live.chain(completed).peekable();
    let mut tasks = Vec::new();
    let mut last = None;
    for _ in 0..MAX_TASKS_LOOKED_AT {
        if tasks.len() == limit {
            break;
        }
        let Some((is_completed, view)) = walk.next() else {
            last = None;
            break;
        };
        last = Some((is_completed, view));
        if query.wants(view) {
            tasks.push(listed(state, is_completed, view));
        }
    }
    let next = last.filter(|_| walk.peek().is_some());
    TaskPage {
        tasks,
        next: next.map(|(is_completed, view)| cursor(is_completed, view)),
        n_live: state.n_tasks(query.framework.as_ref()),
    }
}

fn cursor(completed: bool, view: &TaskView) -> TaskCursor {
    TaskCursor {
        completed,
        framework: view.framework_id.clone(),
        task: view.info.id.clone(),
    }
}

fn listed(state: &State, completed: bool, view: &Arc<TaskView>) -> ListedTask {
    let framework = state.framework(&view.framework_id);
    let framework = framework.filter(|framework| !framework.is_completed());
    ListedTask {
        view: Arc::clone(view),
        completed,
        framework_name: framework.map(|framework| framework.info.name.clone()),
        agent: state
            .agent(&view.info.agent_id)
            .map(|agent| Arc::clone(&agent.info)),
    }
}

type Tasks<'a> = Box<dyn Iterator<Item = &'a Task> + 'a>;

/// The live tasks among which those are that are asked for, by framework and id.
fn live<'a>(state: &'a State, query: &'a TaskQuery, after: Option<&'a TaskCursor>) -> Tasks<'a> {
    let after = match after {
        Some(after) if after.completed => return Box::new(std::iter::empty()),
        after => after.map(|after| (after.framework.clone(), after.task.clone())),
    };
    if let Some(agent) = &query.agent {
        let tasks = state.agent(agent).map(|agent| &agent.tasks);
        let from = after.map_or(Unbounded, Excluded);
        let keys = tasks
            .into_iter()
            .flat_map(move |tasks: &BTreeSet<TaskKey>| tasks.range((from.clone(), Unbounded)));
        return Box::new(keys.filter_map(|(framework, task)| state.task(framework, task)));
    }
    let frameworks = match (&query.framework, &after) {
        (Some(only), _) => (Included(only.clone()), Included(only.clone())),
        (None, Some((from, _))) => (Included(from.clone()), Unbounded),
        (None, None) => (Unbounded, Unbounded),
    };
    if let Some(task) = &query.task {
        let of_id = state
            .live_tasks(frameworks)
            .filter_map(move |(framework, tasks)| Some((framework, tasks.get(task)?)));
        let is_behind = move |framework: &FrameworkId| {
            let key = (framework.clone(), task.clone());
            after.as_ref().is_none_or(|after| key > *after)
        };
        let of_id = of_id.filter(move |(framework, _)| is_behind(framework));
        return Box::new(of_id.map(|(_, task)| task));
    }
    let tasks = state.live_tasks(frameworks).flat_map(move |(framework, tasks)| {
        let from = match &after {
            Some((first, task)) if first == framework => Excluded(task.clone()),
            Some(_) | None => Unbounded,
        };
        tasks.range((from, Unbounded))
    });
    Box::new(tasks.map(|(_, task)| task))
}

/// Likewise of those that ended.
fn completed<'a>(
    state: &'a State,
    query: &'a TaskQuery,
    after: Option<&'a TaskCursor>,
) -> impl Iterator<Item = &'a Arc<TaskView>> {
    let after = after.filter(|after| after.completed);
    let frameworks = match (&query.framework, after) {
        (Some(only), _) => (Included(only.clone()), Included(only.clone())),
        (None, Some(after)) => (Included(after.framework.clone()), Unbounded),
        (None, None) => (Unbounded, Unbounded),
    };
    let all = query.completed.then(|| state.completed_by_framework(frameworks));
    all.into_iter().flatten().flat_map(move |(framework, tasks)| {
        // The oldest are forgotten first, so what is not there any more was before all that is.
        let is_last = |after: &&TaskCursor| after.framework == *framework;
        let n_before = after.filter(is_last).and_then(|after| {
            let at = tasks.iter().rposition(|view| view.info.id == after.task);
            at.map(|at| at + 1)
        });
        tasks.iter().skip(n_before.unwrap_or(0))
    })
}

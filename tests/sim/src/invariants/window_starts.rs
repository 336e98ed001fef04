//! Which tasks of windows ran, and how often: for the rules about windows.
//!
//! What a host started in the moment in which it lost its power nobody knows: its agent says that it was never launched.
//! So is it promised (docs/jobs.md), and such a start does not count.

use std::collections::BTreeMap;

use proffer_agent_core::TaskKey;
use proffer_types::{FrameworkId, TaskId, TaskState};

use crate::facts::Fact;

/// What a task of a recurring job is, by its id: `<job>@<window>-<number>.<task>.<index>[-<attempt>]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) framework_id: FrameworkId,
    /// `<job>@<window>`.
    pub(super) run: String,
    /// `<task>.<index>`.
    pub(super) place: String,
}

impl Place {
    pub(super) fn of(key: &TaskKey) -> Option<Self> {
        let (run, place) = parts(&key.task_id)?;
        Some(Self {
            framework_id: key.framework_id.clone(),
            run: run.to_owned(),
            place,
        })
    }

    /// The recurring job.
    pub(super) fn job(&self) -> &str {
        self.run.split('@').next().unwrap_or_default()
    }
}

fn parts(task: &TaskId) -> Option<(&str, String)> {
    let (run, place) = task.as_str().split_once('.')?;
    let (run, _number) = run.rsplit_once('-')?;
    let (name, index) = place.split_once('.')?;
    let index = index.split('-').next()?;
    run.contains('@').then(|| (run, format!("{name}.{index}")))
}

#[derive(Debug, Default)]
pub(super) struct WindowStarts {
    n_starts: BTreeMap<Place, u64>,
    /// Of these nobody was told that they run, and their hosts.
    unheard: BTreeMap<TaskKey, usize>,
}

impl WindowStarts {
    /// Takes note of a fact; returns whose command began to run.
    pub(super) fn observe(&mut self, fact: &Fact<'_>) -> Option<Place> {
        match fact {
            Fact::CommandRuns { agent, key } => {
                let place = Place::of(key)?;
                *self.n_starts.entry(place.clone()).or_default() += 1;
                self.unheard.insert((*key).clone(), *agent);
                return Some(place);
            }
            Fact::Reported { key, state, .. }
                if !matches!(state, TaskState::Staging | TaskState::Starting) =>
            {
                self.unheard.remove(*key);
            }
            Fact::HostReboots { agent } => {
                let is_there = |_: &TaskKey, of: &mut usize| of == agent;
                for (key, _) in self.unheard.extract_if(.., is_there) {
                    if let Some(n) = Place::of(&key).and_then(|place| self.n_starts.get_mut(&place)) {
                        *n = n.saturating_sub(1);
                    }
                }
            }
            _ => {}
        }
        None
    }

    pub(super) fn count(&self, place: &Place) -> u64 {
        self.n_starts.get(place).copied().unwrap_or(0)
    }

    /// Whether anything of a run ran.
    pub(super) fn has_run(&self, framework_id: &FrameworkId, run: &str) -> bool {
        let mut all = self.n_starts.iter();
        all.any(|(place, n)| *n > 0 && place.run == run && place.framework_id == *framework_id)
    }
}

//! The cluster's side of suspensions.

use std::collections::BTreeSet;

use proffer_session::Scheduler;
use proffer_types::TaskId;

use super::Cluster;
use crate::batch::tests::world::{World, status};

impl Cluster {
    pub(super) fn resume(&mut self, id: &TaskId) {
        let suspension = self.suspended.remove(id);
        assert!(!self.killed.contains(id), "{id} is to be killed");
        let suspension = suspension.unwrap_or_else(|| panic!("{id} is not suspended"));
        self.resumed.insert(id.clone(), suspension);
    }

    /// Says of a task that runs whether it is suspended, and forgets what it was asked.
    pub(super) fn tell(&mut self, world: &mut World, id: &TaskId, state: &str) {
        self.asked.remove(id);
        let status = status(id.as_str(), state);
        let ((), calls) = world.run(|batch, cx| batch.update(cx, &status));
        self.hear(&calls);
    }

    /// Gives up the cpus of a task.
    pub(super) fn suspend(&mut self, world: &mut World, id: &TaskId) {
        let n = self.n_suspended.entry(id.clone()).or_default();
        *n += 1;
        let n = *n;
        self.suspended.insert(id.clone(), n);
        self.resumed.remove(id);
        self.tell(world, id, &format!("SUSPENDED:{n}"));
    }

    pub(super) fn forget(&mut self, id: &TaskId) {
        self.running.remove(id);
        self.asked.remove(id);
        self.suspended.remove(id);
        self.resumed.remove(id);
    }

    /// What the master lists of what runs, after a start.
    pub(super) fn list(&mut self, world: &mut World) {
        self.asked.clear();
        let lost = std::mem::take(&mut self.resumed);
        self.suspended.extend(lost);
        for id in self.running.clone() {
            let n = self.suspended.get(&id).copied().unwrap_or(0);
            self.tell(world, &id, &format!("LISTED:{n}"));
        }
    }
}

/// What is shown as suspended is.
pub(super) fn check(world: &World, cluster: &Cluster) {
    let places = world.batch.running.iter();
    let shown = places.filter(|(_, place)| {
        let job = &world.batch.jobs[&place.job];
        job.tasks[place.task].suspended().contains(place.index)
    });
    let shown: BTreeSet<_> = shown.map(|(id, _)| id).collect();
    assert_eq!(shown, cluster.suspended.keys().collect());
}

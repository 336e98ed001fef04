//! What must hold between steps, checked by tests and the simulator after each of them.

use std::collections::{BTreeMap, BTreeSet};

use proffer_types::{Ranges, Resources, TaskState};

use crate::executor::key_of;
use crate::task::Phase;
use crate::{Agent, TaskKey};

impl Agent {
    /// Checks what must hold between steps.
    ///
    /// # Panics
    /// When it does not hold.
    pub fn sanity_check(&self) {
        let mut ports = Resources::new();
        for (key, task) in &self.tasks {
            assert_eq!(
                self.containers.get(&task.container_id),
                Some(key),
                "container of {key}"
            );
            assert_eq!(
                task.is_live(),
                !task.state().is_terminal(),
                "phase and state of {key}"
            );
            assert!(
                task.is_live() || !task.updates.is_empty(),
                "{key} has ended, is acknowledged and kept"
            );
            assert_eq!(
                task.suspension.since.is_some() && task.is_live(),
                task.is_suspended(),
                "suspension of {key}"
            );
            assert!(
                !task.is_suspended() || (task.phase == Phase::Running && !task.freezing),
                "{key} is suspended, and not running or being frozen"
            );
            assert!(
                !task.freezing || (task.phase == Phase::Running && task.kill.is_none()),
                "{key} is being frozen, and not running or being killed"
            );
            if let Some(newest) = task.updates.back() {
                assert_eq!(newest, &task.latest, "newest update of {key}");
            }
            let early = task.updates.iter().rev().skip(1);
            for update in early {
                assert!(!update.state.is_terminal(), "{key} was changed after its end");
            }
            if task.is_live() && !self.recovered_over {
                for (name, ranges) in task.info.resources.all_ranges() {
                    let one = Resources::new().with_ranges(name.clone(), ranges.clone());
                    let before = ports.ranges(name).map_or(0, Ranges::count);
                    ports.add(&one);
                    let after = ports.ranges(name).map_or(0, Ranges::count);
                    assert_eq!(after - before, ranges.count(), "{name} of {key} are held twice");
                }
            }
        }
        self.check_groups();
        self.check_executors();
        assert_eq!(
            self.containers.len(),
            self.tasks.len(),
            "containers without a task"
        );
        assert!(
            self.recovered_over || self.config.info.resources.contains(&self.used()),
            "over-committed: {:?} of {:?}",
            self.used(),
            self.config.info.resources,
        );
    }

    /// Each executor knows its live tasks, and each of these its executor, unless it waits for another one.
    fn check_executors(&self) {
        let mut of = BTreeMap::<TaskKey, BTreeSet<TaskKey>>::new();
        for (key, task) in self.tasks.iter().filter(|(_, task)| task.is_live()) {
            if let Some(executor) = key_of(&key.framework_id, &task.info) {
                of.entry(executor).or_default().insert(key.clone());
            }
        }
        for (key, executor) in &self.executors {
            let tasks = of.remove(key).unwrap_or_default();
            assert_eq!(executor.tasks, tasks, "tasks of {key}");
        }
        assert!(of.is_empty(), "without an executor: {of:?}");
    }

    /// Where one of a group ended without having finished, none of it goes on.
    fn check_groups(&self) {
        let ended = self.tasks.iter().filter(|(_, task)| {
            task.durable && task.group.is_some() && !task.is_live() && task.state() != TaskState::Finished
        });
        for (key, task) in ended {
            let mut going_on = self.tasks.iter().filter(|(other, one)| {
                let is_of_it = other.framework_id == key.framework_id && one.group == task.group;
                is_of_it && one.is_live() && one.kill.is_none()
            });
            assert!(
                going_on.next().is_none(),
                "{key} has not finished, and others of its group go on"
            );
        }
    }
}

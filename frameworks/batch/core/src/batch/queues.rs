//! Queues as operators set them and as people look at them.

use proffer_session::Context;
use proffer_types::{Role, Timestamp};

use super::{Batch, put};
use crate::job::Place;
use crate::queue::{Next, Turn};
use crate::{Phase, QueueSettings, SettingsError, records};

/// The queue of a role.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueView {
    pub role: Role,
    pub settings: QueueSettings,
    /// Jobs of which something waits to be started.
    pub n_jobs: u64,
    /// Instances that wait to be started, and those that run.
    pub n_waiting: u64,
    pub n_running: u64,
    /// Those that are suspended and go on in their turn; they do not count as running.
    pub n_suspended: u64,
    /// By name.
    pub users: Vec<UserView>,
    /// The first that wait, in their order.
    pub first: Vec<WaitingView>,
}

/// A user of a queue.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct UserView {
    /// Empty where nobody is named.
    pub user: String,
    pub n_waiting: u64,
    pub n_running: u64,
    pub n_suspended: u64,
    /// What it used, in core-seconds as they count now; 0 where the queue does not count it.
    pub used: f64,
}

/// A task that waits in a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingView {
    pub job: String,
    pub task: String,
    pub user: String,
    pub priority: i32,
    /// The instances of it that wait.
    pub n_waiting: u64,
}

impl Batch {
    /// Sets the queue of a role. An error changes nothing.
    pub fn set_queue(
        &mut self,
        role: &Role,
        settings: QueueSettings,
        cx: &mut Context<'_>,
    ) -> Result<(), SettingsError> {
        self.queue.set(role, settings)?;
        for user in self.queue.forget_used(role) {
            cx.delete(records::used_key(role, &user));
        }
        let of_role = self.jobs.values().filter(|job| job.spec.role == *role);
        for job in of_role {
            for (task, state) in job.tasks.iter().enumerate() {
                self.queue.update(job, task);
                (0..state.count(Phase::Running)).for_each(|_| self.queue.charge(job, task, true));
            }
        }
        self.slice_anew(role, cx.now());
        let settings = self.queue.settings(role);
        match *settings == QueueSettings::default() {
            true => cx.delete(records::queue_key(role)),
            false => put(cx, records::queue(role, settings)),
        }
        if self.roles.contains(role) {
            self.changed.insert(role.clone());
        }
        self.state_demand(cx);
        Ok(())
    }

    /// The queues that are set, or in which a job waits or runs; without those that wait.
    #[must_use]
    pub fn list_queues(&self, now: Timestamp) -> Vec<QueueView> {
        let open = self.jobs.values().filter(|job| job.ended.is_none());
        let mut roles = self.queue.roles();
        roles.extend(open.map(|job| &job.spec.role));
        roles
            .into_iter()
            .map(|role| self.get_queue(role, 0, now))
            .collect()
    }

    /// The queue of a role, with the first that wait, at most so many.
    #[must_use]
    pub fn get_queue(&self, role: &Role, limit: usize, now: Timestamp) -> QueueView {
        let mut view = QueueView {
            role: role.clone(),
            settings: self.queue.settings(role).clone(),
            n_jobs: 0,
            n_waiting: 0,
            n_running: 0,
            n_suspended: 0,
            users: Vec::new(),
            first: Vec::new(),
        };
        let mut users = std::collections::BTreeMap::<&str, UserView>::new();
        let open = self
            .jobs
            .values()
            .filter(|job| job.ended.is_none() && job.spec.role == *role);
        for job in open {
            let n_waiting = if job.is_kept_back() {
                0
            } else {
                job.count(Phase::Waiting)
            };
            let n_suspended = job.n_suspended();
            let n_running = job.count(Phase::Running) - n_suspended;
            view.n_jobs += u64::from(n_waiting > 0);
            view.n_waiting += n_waiting;
            view.n_running += n_running;
            view.n_suspended += n_suspended;
            let user = users.entry(&job.spec.user).or_default();
            user.n_waiting += n_waiting;
            user.n_running += n_running;
            user.n_suspended += n_suspended;
        }
        for (user, used) in self.queue.used(role, now) {
            users.entry(user).or_default().used = used;
        }
        let named = users.into_iter().map(|(user, view)| UserView {
            user: user.to_owned(),
            ..view
        });
        view.users = named.collect();
        let starts = self.queue.starts(role, now);
        view.first = starts
            .take(limit)
            .filter_map(|next| self.waiting_view(next))
            .collect();
        view
    }

    fn waiting_view(&self, next: Next) -> Option<WaitingView> {
        let job = self.jobs.get(&next.job)?;
        Some(WaitingView {
            job: job.name.clone(),
            task: job.task_spec(next.task).name.clone(),
            user: job.spec.user.clone(),
            priority: job.spec.priority,
            n_waiting: u64::from(job.tasks[next.task].count(Phase::Waiting)),
        })
    }

    /// How many instances of other tasks wait before a task, and how many wait in all; without those that are suspended.
    pub(super) fn position(&self, number: u64, task: usize, now: Timestamp) -> Option<(u64, u64)> {
        let role = &self.jobs.get(&number)?.spec.role;
        let (mut n_before, mut n_all) = (None, 0);
        for next in self.queue.starts(role, now) {
            if (next.job, next.task) == (number, task) {
                n_before = Some(n_all);
            }
            let job = self.jobs.get(&next.job);
            n_all += job.map_or(0, |job| u64::from(job.tasks[next.task].count(Phase::Waiting)));
        }
        Some((n_before?, n_all))
    }

    /// How many go before the first suspended instance of a task that may go on where it is: what waits to be started, and
    /// what is suspended there.
    pub(super) fn position_asleep(&self, number: u64, task: usize, now: Timestamp) -> Option<u64> {
        let role = &self.jobs.get(&number)?.spec.role;
        let is_its = |place: &Place| (place.job, place.task) == (number, task);
        let mut turns = self.queue.tasks(role, now).filter_map(|turn| match turn {
            Turn::Resume(sleepers) => Some(sleepers),
            Turn::Start(_) => None,
        });
        let first = turns.find(|sleepers| sleepers.places().any(|place| is_its(&place)))?;
        let mut n_before = 0;
        for turn in self.queue.tasks(role, now) {
            match turn {
                Turn::Start(next) => {
                    let job = self.jobs.get(&next.job);
                    n_before += job.map_or(0, |job| u64::from(job.n_startable(next.task)));
                }
                Turn::Resume(sleepers) if std::ptr::eq(sleepers.wake, first.wake) => {
                    n_before += sleepers.places().take_while(|place| !is_its(place)).count() as u64;
                    break;
                }
                Turn::Resume(sleepers) if sleepers.wake.agent == first.wake.agent => {
                    n_before += u64::from(sleepers.len());
                }
                Turn::Resume(_) => {}
            }
        }
        Some(n_before)
    }
}

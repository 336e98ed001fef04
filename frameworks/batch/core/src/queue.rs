//! The queues, one a role: the tasks that have instances waiting for an offer and are not kept back, in the order of the queue's
//! policy.
//!
//! Instances of one task ask for the same, so they are kept together, in the task itself: an offer that cannot hold one of
//! them is not tried on the others. Tasks of one gang stand side by side.

mod asleep;
mod settings;
mod turn;
mod usage;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proffer_types::{Role, Timestamp};

use crate::job::{Job, Phase, Place};

pub(crate) use self::asleep::{Asleep, Wake};
pub use self::settings::{
    DEFAULT_HALF_LIFE, DEFAULT_SLICE, MAX_HALF_LIFE, MAX_SHARES, MAX_SLICE, MIN_HALF_LIFE, MIN_SLICE,
    NoSuchPolicy, Policy, QueueSettings, SettingsError, is_user,
};
use self::turn::Flow;
pub(crate) use self::turn::{InTurn, Next, Sleepers, Turn};
pub(crate) use self::usage::Used;

/// Queues with settings of their own: each is a record.
const MAX_SETTINGS: usize = 1000;
/// Users of one queue of whom is kept what they used; beyond that, those who used least are forgotten.
const MAX_USERS: usize = 10_000;

#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Queues {
    settings: BTreeMap<Role, QueueSettings>,
    default: QueueSettings,
    roles: BTreeMap<Role, Queue>,
    /// Users of whom something started or ended in this step.
    charged: BTreeSet<(Role, String)>,
    /// How often somebody was served.
    turns: u64,
    /// What is suspended and may go on.
    asleep: BTreeMap<Place, Asleep>,
}

// Sums are never NaN: of finite terms, halved.
impl Eq for Queues {}

#[derive(Debug, Clone, PartialEq, Default)]
struct Queue {
    /// By user, where the policy tells users apart; otherwise under the empty name.
    waiting: BTreeMap<String, BTreeSet<Key>>,
    /// What is suspended, likewise, by what it needs to go on.
    asleep: BTreeMap<String, BTreeMap<Wake, BTreeSet<Key>>>,
    /// Of fair share: what users have used.
    used: BTreeMap<String, Used>,
    /// Of round robin: whose turn was when, of those who were served since the start.
    served: BTreeMap<String, u64>,
    /// Of time slices: the last turn that is made room for and was not taken yet.
    promised: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// Less goes first.
    rank: i64,
    /// Of time slices: since when it waits.
    since: Timestamp,
    job: u64,
    task: usize,
    /// Of what is suspended; otherwise 0.
    index: u32,
}

impl Key {
    /// The instance that is suspended.
    fn place(&self) -> Place {
        Place {
            job: self.job,
            task: self.task,
            index: self.index,
        }
    }

    fn of(policy: Policy, job: &Job, task: usize) -> Self {
        let limit = |task: usize| {
            let limit = job.task_spec(task).timeout.map(|limit| limit.as_millis());
            limit
                .and_then(|limit| i64::try_from(limit).ok())
                .unwrap_or(i64::MAX)
        };
        let rank = match policy {
            Policy::Fcfs => 0,
            Policy::Sjf => match job.gang(task) {
                Some(mut gang) => gang
                    .clone()
                    .map(limit)
                    .max()
                    .unwrap_or_else(|| gang.next().map_or(0, limit)),
                None => limit(task),
            },
            Policy::Priority | Policy::RoundRobin | Policy::TimeSlice | Policy::FairShare => {
                -i64::from(job.spec.priority)
            }
        };
        let since = match policy {
            Policy::TimeSlice => job.submitted,
            Policy::Fcfs | Policy::Sjf | Policy::Priority | Policy::RoundRobin | Policy::FairShare => {
                Timestamp::default()
            }
        };
        Self {
            rank,
            since,
            job: job.number,
            task,
            index: 0,
        }
    }
}

impl Queues {
    /// How a role's queue is set.
    pub(crate) fn settings(&self, role: &Role) -> &QueueSettings {
        self.settings.get(role).unwrap_or(&self.default)
    }

    /// The roles whose queues are set, or have anything waiting.
    pub(crate) fn roles(&self) -> BTreeSet<&Role> {
        self.settings.keys().chain(self.roles.keys()).collect()
    }

    /// Sets a role's queue; what waits in it, or is suspended, has to be entered anew. An error changes nothing.
    pub(crate) fn set(&mut self, role: &Role, settings: QueueSettings) -> Result<(), SettingsError> {
        settings.check()?;
        let is_new = !self.settings.contains_key(role) && settings != self.default;
        if is_new && self.settings.len() >= MAX_SETTINGS {
            return Err(SettingsError::TooManyQueues(self.settings.len()));
        }
        let queue = self.roles.entry(role.clone()).or_default();
        queue.waiting.clear();
        queue.asleep.clear();
        queue.served.clear();
        queue.promised.clear();
        match settings == self.default {
            true => self.settings.remove(role),
            false => self.settings.insert(role.clone(), settings),
        };
        Ok(())
    }

    /// What of a task waits, or whether it is kept back, may have changed.
    pub(crate) fn update(&mut self, job: &Job, task: usize) {
        let policy = self.settings(&job.spec.role).policy;
        let key = Key::of(policy, job, task);
        let user = user_of(policy, job);
        if job.tasks[task].count(Phase::Waiting) > 0 && !job.is_kept_back() {
            let queue = self.roles.entry(job.spec.role.clone()).or_default();
            match queue.waiting.get_mut(user) {
                Some(keys) => keys.insert(key),
                None => queue.waiting.entry(user.to_owned()).or_default().insert(key),
            };
        } else if let Some(queue) = self.roles.get_mut(&job.spec.role)
            && let Some(keys) = queue.waiting.get_mut(user)
        {
            keys.remove(&key);
            if keys.is_empty() {
                queue.waiting.remove(user);
            }
            self.drop_empty(&job.spec.role);
        }
    }

    fn drop_empty(&mut self, role: &Role) {
        let turns_count = self.settings(role).policy == Policy::TimeSlice;
        if let Entry::Occupied(queue) = self.roles.entry(role.clone())
            && queue.get().waiting.is_empty()
            && queue.get().asleep.is_empty()
            && queue.get().used.is_empty()
            && (!turns_count || queue.get().served.is_empty())
        {
            queue.remove();
        }
    }

    /// What waits in a role to be started, or to go on, in its order: of each user one, then of each another one, and so on.
    pub(crate) fn tasks(&self, role: &Role, now: Timestamp) -> InTurn<'_> {
        let Some(queue) = self.roles.get(role) else {
            return InTurn::default();
        };
        let settings = self.settings(role);
        let mut users: Vec<_> = queue.waiting.keys().map(String::as_str).collect();
        if !queue.asleep.is_empty() {
            let others = queue.asleep.keys().map(String::as_str);
            users.extend(others.filter(|user| !queue.waiting.contains_key(*user)));
            users.sort_unstable();
        }
        match settings.policy {
            Policy::Fcfs | Policy::Sjf | Policy::Priority => {}
            Policy::RoundRobin | Policy::TimeSlice => users.sort_by_key(|user| queue.served.get(*user)),
            Policy::FairShare => {
                let used = |user: &str| queue.used_for_share(user, settings, now);
                let mut by_use: Vec<_> = users.iter().map(|user| (used(user), *user)).collect();
                by_use.sort_by(|(one, _), (other, _)| one.total_cmp(other));
                users = by_use.into_iter().map(|(_, user)| user).collect();
            }
        }
        let flows = users.into_iter();
        InTurn(flows.map(|user| Flow::of(queue, user)).collect())
    }

    /// As [`Queues::tasks`], without what is suspended.
    pub(crate) fn starts(&self, role: &Role, now: Timestamp) -> impl Iterator<Item = Next> {
        self.tasks(role, now).filter_map(|turn| match turn {
            Turn::Start(next) => Some(next),
            Turn::Resume(_) => None,
        })
    }

    /// What users of a role have used, as it counts now, by name.
    pub(crate) fn used(&self, role: &Role, now: Timestamp) -> Vec<(&str, f64)> {
        let half_life = self.settings(role).half_life;
        let used = self.roles.get(role).into_iter().flat_map(|queue| &queue.used);
        used.map(|(user, used)| (user.as_str(), used.value(now, half_life)))
            .collect()
    }

    /// An instance of a task starts, or ends.
    pub(crate) fn charge(&mut self, job: &Job, task: usize, starts: bool) {
        let (role, user) = (&job.spec.role, &job.spec.user);
        let policy = self.settings(role).policy;
        match policy {
            Policy::Fcfs | Policy::Sjf | Policy::Priority => {}
            Policy::RoundRobin | Policy::TimeSlice if starts => self.serve(job),
            Policy::RoundRobin | Policy::TimeSlice => {}
            Policy::FairShare => {
                let queue = self.roles.entry(role.clone()).or_default();
                let used = queue.used.entry(user.clone()).or_default();
                used.change(&job.task_spec(task).resources, starts);
                self.charged.insert((role.clone(), user.clone()));
            }
        }
    }

    /// It is a user's turn.
    pub(crate) fn serve(&mut self, job: &Job) {
        match self.settings(&job.spec.role).policy {
            Policy::RoundRobin | Policy::TimeSlice => {}
            Policy::Fcfs | Policy::Sjf | Policy::Priority | Policy::FairShare => return,
        }
        let turn = self.turn();
        let queue = self.roles.entry(job.spec.role.clone()).or_default();
        queue.promised.remove(&job.spec.user);
        queue.served.insert(job.spec.user.clone(), turn);
        if queue.served.len() > MAX_USERS
            && let Some((first, _)) = queue.served.iter().min_by_key(|(_, turn)| **turn)
        {
            let first = first.clone();
            queue.served.remove(&first);
        }
    }

    fn turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    /// Charges what ran until now where something started or ended since the last time, and says what is to be recorded: `None` of who is
    /// forgotten.
    pub(crate) fn settle(&mut self, now: Timestamp) -> Vec<(Role, String, Option<Used>)> {
        let mut settled = Vec::new();
        for (role, user) in std::mem::take(&mut self.charged) {
            let half_life = self.settings(&role).half_life;
            let Some(queue) = self.roles.get_mut(&role) else {
                continue;
            };
            let Some(used) = queue.used.get_mut(&user) else {
                continue;
            };
            used.charge(now, half_life);
            let used = *used;
            if used.is_nothing() {
                queue.used.remove(&user);
                self.drop_empty(&role);
                settled.push((role, user, None));
                continue;
            }
            if queue.used.len() > MAX_USERS
                && let Some(least) = queue.least(now, half_life)
            {
                queue.used.remove(&least);
                settled.push((role.clone(), least, None));
            }
            settled.push((role, user, Some(used)));
        }
        settled
    }

    /// Puts back what a record holds.
    pub(crate) fn restore_settings(&mut self, role: Role, settings: QueueSettings) {
        self.settings.insert(role, settings);
    }

    /// Puts back what a record holds. What runs is charged from then on, as soon as it is known.
    pub(crate) fn restore_used(&mut self, role: Role, user: String, sum: f64, at: Timestamp) {
        let used = Used::restored(sum, at);
        self.roles.entry(role).or_default().used.insert(user, used);
    }

    /// All that runs is known again, and has run since the last record.
    pub(crate) fn recovered(&mut self) {
        self.charged.clear();
        self.roles.values_mut().for_each(|queue| {
            queue.used.values_mut().for_each(Used::recovered);
            queue.served.clear();
            queue.promised.clear();
        });
        self.turns = 0;
    }

    /// What the records say, without what is known since the start.
    #[cfg(test)]
    pub(crate) fn forget_turns(&mut self) {
        self.recovered();
        for (place, _) in self.asleep.clone() {
            self.get_up(place);
        }
        for role in self.roles.keys().cloned().collect::<Vec<_>>() {
            self.drop_empty(&role);
        }
    }

    /// Forgets what was used of a role: it is not counted any more. Says whose it was.
    pub(crate) fn forget_used(&mut self, role: &Role) -> Vec<String> {
        self.charged.retain(|(other, _)| other != role);
        let used = self
            .roles
            .get_mut(role)
            .map(|queue| std::mem::take(&mut queue.used));
        self.drop_empty(role);
        used.into_iter().flat_map(BTreeMap::into_keys).collect()
    }
}

impl Queue {
    fn used_for_share(&self, user: &str, settings: &QueueSettings, now: Timestamp) -> f64 {
        let used = self
            .used
            .get(user)
            .map_or(0.0, |used| used.value(now, settings.half_life));
        used / f64::from(settings.share(user))
    }

    /// Who used least, of those of whom nothing runs.
    fn least(&self, now: Timestamp, half_life: Duration) -> Option<String> {
        let idle = self.used.iter().filter(|(_, used)| !used.is_running());
        let idle = idle.map(|(user, used)| (used.value(now, half_life), user));
        let least = idle.min_by(|(one, _), (other, _)| one.total_cmp(other));
        least.map(|(_, user)| user.clone())
    }
}

/// Under whose name a job waits.
fn user_of(policy: Policy, job: &Job) -> &str {
    match policy.is_by_user() {
        true => &job.spec.user,
        false => "",
    }
}

//! What is suspended, and who of those that run would go after others.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use proffer_types::{AgentId, Role, Timestamp};

use super::turn::flow;
use super::{Key, MAX_USERS, Policy, Queues, user_of};
use crate::job::{Job, Place};

/// What a suspended task needs to go on: its cpus, on its agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Wake {
    pub(crate) agent: AgentId,
    /// Thousandths of a core.
    pub(crate) cpu_millis: u64,
    /// How long it runs at most, in all.
    pub(crate) limit: Option<Duration>,
}

impl Wake {
    /// A number of 63 bits that is the same in every statement; of two that share one, the first is stated.
    pub(crate) fn number(&self, flow: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self, flow).hash(&mut hasher);
        hasher.finish() >> 1
    }
}

/// Where a suspended instance is in its queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asleep {
    pub(crate) role: Role,
    user: String,
    pub(crate) wake: Wake,
    key: Key,
}

impl Asleep {
    /// Since when it waits.
    pub(crate) fn since(&self) -> Timestamp {
        self.key.since
    }
}

impl Queues {
    /// An instance is suspended, and goes on in its turn: at the end of those of its user, or first where the queue is not one
    /// of time slices.
    pub(crate) fn lie_down(&mut self, job: &Job, place: Place, wake: Wake, since: Timestamp) {
        self.get_up(place);
        let role = &job.spec.role;
        let policy = self.settings(role).policy;
        let key = Key {
            since,
            index: place.index,
            ..Key::of(policy, job, place.task)
        };
        let key = match policy {
            Policy::TimeSlice => key,
            Policy::Fcfs | Policy::Sjf | Policy::Priority | Policy::RoundRobin | Policy::FairShare => Key {
                rank: i64::MIN,
                ..key
            },
        };
        let user = user_of(policy, job).to_owned();
        let queue = self.roles.entry(role.clone()).or_default();
        let of_user = queue.asleep.entry(user.clone()).or_default();
        of_user.entry(wake.clone()).or_default().insert(key);
        let role = role.clone();
        self.asleep.insert(
            place,
            Asleep {
                role,
                user,
                wake,
                key,
            },
        );
    }

    /// An instance is suspended no more, or is not to go on. None where it was not in the queue.
    pub(crate) fn get_up(&mut self, place: Place) -> Option<Asleep> {
        let asleep = self.asleep.remove(&place)?;
        if let Some(queue) = self.roles.get_mut(&asleep.role)
            && let Some(of_user) = queue.asleep.get_mut(&asleep.user)
            && let Some(keys) = of_user.get_mut(&asleep.wake)
        {
            keys.remove(&asleep.key);
            if keys.is_empty() {
                of_user.remove(&asleep.wake);
            }
            if of_user.is_empty() {
                queue.asleep.remove(&asleep.user);
            }
        }
        self.drop_empty(&asleep.role);
        Some(asleep)
    }

    /// Nothing of a job is to go on. Says whether any was in the queue.
    pub(crate) fn get_up_all(&mut self, job: u64) -> bool {
        let place = |job| Place {
            job,
            task: 0,
            index: 0,
        };
        let of_job = self.asleep.range(place(job)..place(job + 1));
        let of_job: Vec<_> = of_job.map(|(place, _)| *place).collect();
        of_job.iter().for_each(|place| drop(self.get_up(*place)));
        !of_job.is_empty()
    }

    /// Where an instance is that is suspended and may go on.
    pub(crate) fn asleep(&self, place: Place) -> Option<&Asleep> {
        self.asleep.get(&place)
    }

    /// What is suspended in a role.
    pub(crate) fn asleep_in(&self, role: &Role) -> Vec<(Place, Asleep)> {
        let asleep = self.asleep.iter().filter(|(_, asleep)| asleep.role == *role);
        asleep.map(|(place, asleep)| (*place, asleep.clone())).collect()
    }

    /// What of a role is suspended on an agent and stated under a number.
    pub(crate) fn stated_as(&self, role: &Role, agent: &AgentId, number: u64) -> Option<Place> {
        let least = Wake {
            agent: agent.clone(),
            cpu_millis: 0,
            limit: None,
        };
        let of_users = self.roles.get(role).into_iter().flat_map(|queue| &queue.asleep);
        let mut found = of_users.flat_map(|(user, of_user)| {
            let there = of_user
                .range(&least..)
                .take_while(|(wake, _)| wake.agent == *agent);
            there.filter(|(wake, _)| wake.number(flow(user)) == number)
        });
        let key = found.next()?.1.first()?;
        Some(key.place())
    }

    /// Whether what waits of one job goes before what runs of another in a queue of time slices, were that to wait from now on.
    pub(crate) fn goes_before(&self, waits: &Job, runs: &Job) -> bool {
        if waits.spec.user == runs.spec.user {
            return waits.spec.priority >= runs.spec.priority;
        }
        let queue = self.roles.get(&runs.spec.role);
        let turn = |user: &String| {
            let served = queue.and_then(|queue| queue.served.get(user));
            let promised = queue.and_then(|queue| queue.promised.get(user));
            served.max(promised)
        };
        turn(&waits.spec.user) <= turn(&runs.spec.user)
    }

    /// Room is being made for what waits of a job: who is asked next counts that as a turn.
    pub(crate) fn promise(&mut self, job: &Job) {
        let turn = self.turn();
        let queue = self.roles.entry(job.spec.role.clone()).or_default();
        if queue.promised.len() > MAX_USERS {
            queue.promised.clear();
        }
        queue.promised.insert(job.spec.user.clone(), turn);
    }

    /// The room that was made for a job is not there, or was not taken.
    pub(crate) fn break_promise(&mut self, job: &Job) {
        if let Some(queue) = self.roles.get_mut(&job.spec.role) {
            queue.promised.remove(&job.spec.user);
        }
    }
}

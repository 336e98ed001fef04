//! What each user used in each role on each day: kept when the jobs are long dropped.
//!
//! Bounded: so many days, and so many users and roles in one.

use std::collections::BTreeMap;

use proffer_types::{Role, Timestamp};

use crate::usage::{Attempt, Sums};

/// Days that are kept: a year can be compared with the one before.
pub const ACCOUNT_DAYS: u64 = 400;
/// Users in roles that are told apart on one day; at some 200 bytes each, and on every day, 80 MB.
pub const MAX_ACCOUNTS_PER_DAY: usize = 1000;
/// The user, in the default role, who has what is beyond that. No user has that name.
pub const OTHERS: &str = "(others)";

/// Accounts of old days that are dropped with one attempt.
const MAX_DROPPED: usize = 100;

pub(crate) const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Who used something, and when.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Since the Unix epoch, by UTC.
    pub(crate) day: u64,
    pub(crate) role: Role,
    /// Empty where a job does not say.
    pub(crate) user: String,
}

/// The sums of all accounts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Accounts {
    days: BTreeMap<u64, BTreeMap<(Role, String), Sums>>,
}

/// The day of a time by the host's clock.
pub(crate) fn day_of(wall: Timestamp) -> u64 {
    wall.0 / DAY_MS
}

impl Accounts {
    /// Counts an attempt; returns the account that has it now.
    pub(crate) fn add(&mut self, key: Key, attempt: &Attempt<'_>) -> (Key, Sums) {
        let day = self.days.entry(key.day).or_default();
        let mut name = (key.role, key.user);
        if day.len() >= MAX_ACCOUNTS_PER_DAY && !day.contains_key(&name) {
            name = (Role::default(), OTHERS.to_owned());
        }
        let sums = day.entry(name.clone()).or_default();
        sums.add(attempt);
        let (role, user) = name;
        let key = Key { role, user, ..key };
        (key, *sums)
    }

    /// Puts back what a record holds.
    pub(crate) fn restore(&mut self, Key { day, role, user }: Key, sums: Sums) {
        self.days.entry(day).or_default().insert((role, user), sums);
    }

    /// Drops some of what is older than is kept; returns which.
    pub(crate) fn drop_old(&mut self, today: u64) -> Vec<Key> {
        let mut dropped = Vec::new();
        while dropped.len() < MAX_DROPPED
            && let Some(mut entry) = self.days.first_entry()
            && entry.key().saturating_add(ACCOUNT_DAYS) <= today
        {
            let day = *entry.key();
            let first = entry.get_mut().pop_first();
            dropped.extend(first.map(|((role, user), _)| Key { day, role, user }));
            if entry.get().is_empty() {
                entry.remove();
            }
        }
        dropped
    }

    /// The accounts of the days between two, both included, in their order.
    pub(crate) fn between(&self, first: u64, last: u64) -> impl Iterator<Item = (u64, &Role, &str, &Sums)> {
        let days = self
            .days
            .iter()
            .filter(move |(day, _)| (first..=last).contains(*day));
        days.flat_map(|(day, accounts)| {
            let accounts = accounts.iter();
            accounts.map(|((role, user), sums)| (*day, role, user.as_str(), sums))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proffer_types::Resources;

    use super::*;

    fn add(accounts: &mut Accounts, day: u64, user: &str) -> Key {
        let resources = Resources::default();
        let attempt = Attempt {
            finished: true,
            waited: Duration::ZERO,
            since_launch: Duration::ZERO,
            usage: None,
            resources: &resources,
        };
        let (role, user) = (Role::default(), user.to_owned());
        accounts.add(Key { day, role, user }, &attempt).0
    }

    #[test]
    fn a_day_has_so_many_accounts_and_nothing_is_lost_beyond() {
        let mut accounts = Accounts::default();
        for n in 0..MAX_ACCOUNTS_PER_DAY + 10 {
            add(&mut accounts, 7, &format!("u{n}"));
        }
        let all: Vec<_> = accounts.between(7, 7).collect();
        assert_eq!(all.len(), MAX_ACCOUNTS_PER_DAY + 1);
        let others = all.iter().find(|(_, _, user, _)| *user == OTHERS).unwrap();
        assert_eq!(others.3.attempts, 10);
        assert_eq!(add(&mut accounts, 7, "u0").user, "u0");
        assert_eq!(add(&mut accounts, 8, "late").user, "late");
    }

    #[test]
    fn days_are_dropped_when_they_are_older_than_is_kept_some_at_a_time() {
        let mut accounts = Accounts::default();
        for n in 0..MAX_DROPPED + 1 {
            add(&mut accounts, 1, &format!("u{n}"));
        }
        add(&mut accounts, 2, "u");
        assert_eq!(accounts.drop_old(ACCOUNT_DAYS), []);
        assert_eq!(accounts.drop_old(ACCOUNT_DAYS + 1).len(), MAX_DROPPED);
        assert_eq!(accounts.drop_old(ACCOUNT_DAYS + 1).len(), 1);
        assert_eq!(accounts.between(0, u64::MAX).count(), 1);
    }
}

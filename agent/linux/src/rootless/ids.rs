//! Ranges of ids, as /etc/subuid and the maps of a user namespace have them.

use std::ops::RangeInclusive;

use proffer_container::IdMap;

/// Fewer are of no use to tasks: what a distribution installs has users of its own below 1000 (login.defs(5), UID_MIN).
pub(super) const MIN_IDS: u32 = 1000;

/// The largest group that may be allowed to ping (`GID_T_MAX`, include/net/ping.h).
const GID_T_MAX: u32 = i32::MAX.cast_unsigned();

/// Ids of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) first: u32,
    pub(super) count: u32,
}

/// The largest range that a user has, by name or number (subuid(5)); `None` if it is smaller than [`MIN_IDS`].
pub(super) fn range(text: &str, name: &str, uid: u32) -> Option<Range> {
    let ranges = text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let (owner, first, count) = (fields.next()?, fields.next()?, fields.next()?);
        let (first, count): (u32, u32) = (first.parse().ok()?, count.parse().ok()?);
        let is_own = owner == name || owner.parse() == Ok(uid);
        // What ends beyond the largest number is no range; 0 is nobody's to give.
        let is_good = first > 0 && first.checked_add(count).is_some();
        (is_own && is_good).then_some(Range { first, count })
    });
    ranges
        .max_by_key(|range| range.count)
        .filter(|range| range.count >= MIN_IDS)
}

/// One line of a user namespace's map (user_namespaces(7)): where it begins inside and outside, and how many ids it has.
fn lines(map: &str) -> impl Iterator<Item = (u32, u32, u32)> {
    map.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace().map(|field| field.parse().ok());
        Some((fields.next()??, fields.next()??, fields.next()??))
    })
}

/// The most ids of a namespace that follow each other, without 0.
fn longest(map: &str) -> (u32, u32) {
    let ranges = lines(map).map(|(first, _, count)| match first {
        0 => (1, count.saturating_sub(1)),
        first => (first, count),
    });
    ranges.max_by_key(|(_, count)| *count).unwrap_or((0, 0))
}

/// The ids of a user namespace that tasks can have, users and groups alike, by its two maps; `None` for the namespace of
/// the host, which has all of them.
pub(super) fn mapped(users: &str, groups: &str) -> Option<IdMap> {
    let is_host = |map: &str| lines(map).eq([(0, 0, u32::MAX)]);
    if is_host(users) && is_host(groups) {
        return None;
    }
    let (users, groups) = (longest(users), longest(groups));
    let first = users.0.max(groups.0);
    let end = |(first, count): (u32, u32)| first.saturating_add(count);
    Some(IdMap {
        first,
        count: end(users).min(end(groups)).saturating_sub(first),
    })
}

/// The groups of a user namespace that may be allowed to ping, by its map: as many as follow each other.
pub(crate) fn groups(map: &str) -> RangeInclusive<u32> {
    match lines(map).max_by_key(|(_, _, count)| *count) {
        Some((first, _, count)) => first..=first.saturating_add(count.saturating_sub(1)).min(GID_T_MAX),
        None => 0..=0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_has_the_largest_range_that_names_it_or_its_number() {
        let text = "# ranges\nann:100000:65536\nbob:1:1000\n1001:200000:2000\nann:300000:70000\neve:4294967295:5000\nrot:0:9999\n";
        let of = |name, uid| range(text, name, uid).map(|range| (range.first, range.count));
        assert_eq!(of("ann", 1000), Some((300_000, 70_000)));
        assert_eq!(of("bob", 1001), Some((200_000, 2000)));
        assert_eq!(of("bob", 7), Some((1, 1000)));
        for nobody in ["eve", "rot", "", "an"] {
            assert_eq!(of(nobody, 7), None, "{nobody}");
        }
        assert_eq!(range("ann:100000:999\n", "ann", 1), None);
    }

    #[test]
    fn tasks_have_what_users_and_groups_have_in_common_and_never_the_agents_own_id() {
        let host = "         0          0 4294967295\n";
        assert_eq!(mapped(host, host), None);
        let ids = |users, groups| mapped(users, groups).map(|map| (map.first, map.count));
        let own = "0 1000 1\n1 100000 65536\n";
        assert_eq!(ids(own, own), Some((1, 65536)));
        assert_eq!(ids("0 100000 65536\n", own), Some((1, 65535)));
        assert_eq!(ids("0 1000 1\n", "0 1000 1\n"), Some((1, 0)));
        assert_eq!(ids("", own), Some((1, 0)));
    }

    #[test]
    fn pings_are_for_the_groups_that_the_user_namespace_has() {
        for (map, expected) in [
            ("         0          0 4294967295\n", 0..=2_147_483_647),
            ("0 100000 65536\n", 0..=65_535),
            ("0 1000 1\n1 100000 65536\n", 1..=65_536),
            ("", 0..=0),
        ] {
            assert_eq!(groups(map), expected, "{map}");
        }
    }
}

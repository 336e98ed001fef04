//! Each rule of [`super::decide`] by itself.

use std::time::Duration;

use proffer_types::Timestamp;

use super::decide::{Opinion, Recommendations, Use, level, most, of_use, shared, strain};
use super::{Autoscaling, Pace};
use crate::Amount;

const SECOND: Duration = Duration::from_secs(1);

/// From 2 to 10 replicas; fewer after 30 s.
fn policy() -> Autoscaling {
    Autoscaling {
        min: 2,
        max: 10,
        targets: Vec::new(),
        up: Pace::default(),
        down: Pace {
            window: Some(30 * SECOND),
            step: None,
        },
    }
}

#[test]
fn what_is_shared_asks_for_as_many_as_have_the_target_each_and_nothing_changes_near_it() {
    // Ten replicas, a target of 100: 1000 are on target, and 10 % more or less is near it.
    for (total, wants) in [
        (1000, 10),
        (1100, 10),
        (900, 10),
        (1101, 12),
        (899, 9),
        (0, 0),
        (1_000_000, 10_000),
    ] {
        assert_eq!(shared(total, 100, 10), Opinion::Wants(wants), "{total}");
    }
}

#[test]
fn a_level_is_taken_for_that_of_the_replicas_that_serve() {
    assert_eq!(level(200, 100, 4, 4), Opinion::Wants(8));
    // As the others are only coming, they are not asked for again.
    assert_eq!(level(200, 100, 4, 8), Opinion::Wants(8));
    assert_eq!(level(109, 100, 4, 4), Opinion::Wants(4));
    assert_eq!(level(30, 100, 4, 4), Opinion::Wants(2));
    assert_eq!(level(200, 100, 0, 4), Opinion::Unknown);
}

#[test]
fn use_that_is_not_known_never_makes_for_more_haste() {
    let of = |total_milli, n_measured, n_missing, n_unready| Use {
        total_milli,
        n_measured,
        n_missing,
        n_unready,
    };
    assert_eq!(of_use(of(360, 3, 0, 0), 60, 3), Opinion::Wants(6));
    // Too busy: those that are missing or not ready count as idle.
    assert_eq!(of_use(of(360, 3, 1, 1), 60, 5), Opinion::Wants(6));
    // .. but that does not turn the direction.
    assert_eq!(of_use(of(360, 3, 5, 5), 60, 13), Opinion::Wants(13));
    // Too idle: those that are missing count as on target, and those that are not ready not at all.
    assert_eq!(of_use(of(60, 4, 0, 0), 60, 4), Opinion::Wants(1));
    assert_eq!(of_use(of(60, 4, 2, 0), 60, 6), Opinion::Wants(3));
    assert_eq!(of_use(of(60, 4, 0, 2), 60, 6), Opinion::Wants(1));
    assert_eq!(of_use(of(0, 0, 3, 0), 60, 3), Opinion::Unknown);
}

#[test]
fn latency_and_errors_ask_for_more_above_the_target_and_for_one_fewer_only_far_below() {
    assert_eq!(strain(300, 100, 4, 4), Opinion::Wants(12));
    assert_eq!(strain(300, 100, 4, 12), Opinion::Wants(12));
    assert_eq!(strain(200, 100, 1, 4), Opinion::Wants(4));
    assert_eq!(strain(105, 100, 4, 4), Opinion::Wants(4));
    assert_eq!(strain(50, 100, 4, 4), Opinion::Wants(4));
    assert_eq!(strain(49, 100, 4, 4), Opinion::Spare);
}

#[test]
fn the_most_that_is_asked_for_decides_and_what_is_not_known_forbids_fewer() {
    use Opinion::{Spare, Unknown, Wants};
    for (opinions, wanted) in [
        (&[Wants(3), Wants(7)][..], Some(7)),
        (&[Wants(7), Unknown], Some(7)),
        (&[Wants(5), Unknown], Some(5)),
        (&[Wants(3), Unknown], None),
        (&[Unknown], None),
        (&[Spare], Some(4)),
        (&[Spare, Wants(2)], Some(2)),
        (&[Spare, Unknown], None),
    ] {
        assert_eq!(most(opinions, 5), wanted, "{opinions:?}");
    }
}

#[test]
fn windows_take_the_most_moderate_of_what_was_asked_for_in_them() {
    let mut policy = policy();
    policy.up.window = Some(10 * SECOND);
    let mut asked = Recommendations::default();
    let mut current = 5;
    let mut done = Vec::new();
    for (at, wanted) in [
        (0, 9),
        (5, 8),
        (10, 9),
        (15, 9),
        (20, 3),
        (25, 5),
        (45, 4),
        (49, 4),
        (55, 4),
        (100, 20),
    ] {
        let to = asked.add(Timestamp(at * 1000), wanted, current, &policy);
        done.push((at, to));
        current = to;
    }
    // Up at 10: what there were at the beginning is out of the window, and 8 is the least since. Down when the last 9 is
    // 30 s old, and then the 5 of 25.
    let expected = [
        (0, 5),
        (5, 5),
        (10, 8),
        (15, 9),
        (20, 9),
        (25, 9),
        (45, 5),
        (49, 5),
        (55, 4),
        (100, 4),
    ];
    // The last one: 20 is asked for for the first time.
    assert_eq!(done[..9], expected[..9]);
    assert_eq!(done[9], (100, 8));
}

#[test]
fn steps_and_bounds_hold_whatever_is_asked_for() {
    let mut policy = policy();
    policy.max = 100;
    let once =
        |policy: &_, wanted, current| Recommendations::default().add(Timestamp(0), wanted, current, policy);
    // Absent: four or as many again.
    assert_eq!(once(&policy, 90, 2), 6);
    assert_eq!(once(&policy, 90, 20), 40);
    policy.up.step = Some(Amount::Count(1));
    assert_eq!(once(&policy, 90, 20), 21);
    policy.up.step = Some(Amount::Percent(10));
    assert_eq!(once(&policy, 90, 25), 28);
    policy.down = Pace {
        window: Some(Duration::ZERO),
        step: Some(Amount::Percent(10)),
    };
    assert_eq!(once(&policy, 1, 25), 22);
    policy.down.step = None;
    assert_eq!(once(&policy, 0, 25), 2);
}

//! The windows of a schedule, where clocks change above all.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;

fn cron(expression: &str, timezone: &str, since: Timestamp) -> Result<Plan, ScheduleError> {
    let when = When::Cron {
        expression: expression.to_owned(),
        timezone: timezone.to_owned(),
    };
    Plan::new(&when, since)
}

fn at(text: &str) -> Timestamp {
    let at: jiff::Timestamp = text.parse().unwrap();
    Timestamp(u64::try_from(at.as_millisecond()).unwrap())
}

/// Shows the next windows in Berlin's time.
fn check(expression: &str, from: &str, n: usize, expected: Expect) {
    let plan = cron(expression, "Europe/Berlin", at(from)).unwrap();
    let windows = std::iter::successors(plan.at_or_after(at(from)), |at| plan.after(*at));
    let zone = zone("Europe/Berlin").unwrap();
    let shown: Vec<_> = windows
        .take(n)
        .map(|at| {
            instant(at)
                .to_zoned(zone.clone())
                .strftime("%d.%m. %H:%M%:z")
                .to_string()
        })
        .collect();
    expected.assert_eq(&shown.join(", "));
}

#[test]
fn a_local_time_that_is_skipped_is_due_right_after_and_one_that_comes_twice_once() {
    check(
        "30 2 * * *",
        "2026-03-28T00:00:00Z",
        3,
        expect!["28.03. 02:30+01:00, 29.03. 03:00+02:00, 30.03. 02:30+02:00"],
    );
    check(
        "30 2 * * *",
        "2026-10-24T00:00:00Z",
        3,
        expect!["24.10. 02:30+02:00, 25.10. 02:30+02:00, 26.10. 02:30+01:00"],
    );
    check(
        "0 1 * * *",
        "2026-03-28T20:00:00Z",
        2,
        expect!["29.03. 01:00+01:00, 30.03. 01:00+02:00"],
    );
}

#[test]
fn what_is_due_at_intervals_follows_the_clock_as_it_is() {
    check(
        "*/30 * * * *",
        "2026-03-29T00:00:00Z",
        4,
        expect!["29.03. 01:00+01:00, 29.03. 01:30+01:00, 29.03. 03:00+02:00, 29.03. 03:30+02:00"],
    );
    check(
        "*/30 * * * *",
        "2026-10-25T00:00:00Z",
        6,
        expect![
            "25.10. 02:00+02:00, 25.10. 02:30+02:00, 25.10. 02:00+01:00, 25.10. 02:30+01:00, 25.10. 03:00+01:00, 25.10. 03:30+01:00"
        ],
    );
}

#[test]
fn a_leap_day_and_the_last_weekday_are_found() {
    check(
        "0 0 29 2 *",
        "2096-03-01T00:00:00Z",
        2,
        expect!["29.02. 00:00+01:00, 29.02. 00:00+01:00"],
    );
    check(
        "0 9 * * 5L",
        "2026-11-01T00:00:00Z",
        2,
        expect!["27.11. 09:00+01:00, 25.12. 09:00+01:00"],
    );
}

#[test]
fn windows_of_an_interval_lie_on_its_grid_and_none_is_before_the_submission() {
    let every = |interval, start: Option<u64>, submitted| {
        let when = When::Every {
            interval: Duration::from_secs(interval),
            start: start.map(|start| Timestamp(start * 1000)),
        };
        let plan = Plan::new(&when, Timestamp(submitted)).unwrap();
        plan.at_or_after(Timestamp(0)).map(|at| at.0)
    };
    assert_eq!(every(10, None, 5_001), Some(6_000));
    assert_eq!(every(10, Some(3), 25_001), Some(33_000));
    assert_eq!(every(10, Some(3), 33_000), Some(33_000));
    assert_eq!(every(10, Some(500), 33_000), Some(500_000));
    assert_eq!(every(10, Some(LAST / 1000), 0), Some(LAST));
    let last = Plan::Every {
        start: LAST,
        interval: 1000,
    };
    assert_eq!(last.after(Timestamp(LAST)), None);
    assert_eq!(last.at_or_after(Timestamp(u64::MAX)), None);
    assert_eq!(last.count(Timestamp(LAST), Timestamp(0)), 0);
}

#[test]
fn a_span_of_a_cron_schedule_is_counted_as_far_as_it_is_cheap() {
    let plan = cron("* * * * *", "", Timestamp(0)).unwrap();
    let year = Timestamp(365 * 24 * 3600 * 1000);
    assert_eq!(plan.count(Timestamp(0), year), MAX_COUNTED);
    assert_eq!(plan.last_before(Timestamp(0), year), Timestamp(year.0 - 60_000));
    assert_eq!(plan.count(Timestamp(0), Timestamp(600_000)), 10);
}

proptest! {
    #[test]
    fn wherever_one_looks_from_the_windows_are_the_same(
        expression in prop::sample::select(&[
            "30 2 * * *", "0 2 * * *", "0 3 * * *", "15,45 2 * * *", "*/20 * * * *", "30 2 * * 0", "0 * * * *", "0 0 1 * *",
        ][..]),
        timezone in prop::sample::select(&["Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca", "America/New_York", ""][..]),
        // 2026 and 2027.
        from in 1_767_225_600_000_u64..1_830_297_600_000,
        step in 1_u64..10_000_000,
    ) {
        let plan = cron(expression, timezone, Timestamp(0)).unwrap();
        let next = plan.at_or_after(Timestamp(from)).unwrap();
        prop_assert!(next.0 >= from && next.0.is_multiple_of(60_000));
        // Nothing lies between, and the window itself is found from the last instant before it.
        let between = Timestamp(from.saturating_add(step).min(next.0));
        prop_assert_eq!(plan.at_or_after(between), Some(next));
        prop_assert_eq!(plan.at_or_after(next), Some(next));
        prop_assert!(plan.after(next).unwrap() > next);
    }

    #[test]
    fn no_text_is_too_wrong_for_an_expression(
        expression in prop_oneof!["[-*/,0-9#LW+?@A-Z ]{0,40}", "([-*/,0-9#LW+?]{1,6} ){4}[-*/,0-9#LW+?]{1,6}", "\\PC{0,40}"],
    ) {
        if let Ok(plan) = cron(&expression, "Europe/Berlin", Timestamp(1_767_225_600_000)) {
            let next = plan.at_or_after(Timestamp(1_767_225_600_000)).unwrap();
            plan.after(next);
        }
    }
}

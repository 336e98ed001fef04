//! Recurring jobs: which windows run, and what is said of the others.

mod property;

use std::fmt::Write as _;

use expect_test::expect;

use super::world::check;
use crate::{Batch, Fate, MissedCause, RecurringState};

/// `2 ran, 1 missed, next 30; 10 J@... Finished; 20 missed to 20 (1) NoRoom: ...`
pub(super) fn show(batch: &Batch, name: &str) -> String {
    let job = batch.get_recurring(name).unwrap();
    let seconds = |at: proffer_types::Timestamp| at.0 as f64 / 1000.0;
    let next = job
        .next
        .map_or("never".to_owned(), |next| seconds(next).to_string());
    let counts = job.counts;
    let mut text = format!(
        "ran {} missed {} late {} extra {} open {} next {next}",
        counts.ran, counts.missed, counts.late, counts.extra, job.n_open
    );
    if job.state != RecurringState::Scheduled {
        write!(text, " {:?}", job.state).unwrap();
    }
    for window in job.windows {
        match window.fate {
            Fate::Run {
                name,
                state,
                started,
                n_lost,
                ..
            } => {
                let started = started.map_or("-".to_owned(), |at| seconds(at).to_string());
                write!(text, " / {name} {state:?} {started}").unwrap();
                if n_lost > 0 {
                    write!(text, " lost {n_lost}").unwrap();
                }
            }
            Fate::Missed(missed) => {
                let (first, last) = (seconds(missed.first), seconds(missed.last));
                write!(
                    text,
                    " / {first}..{last} x{} {:?}: {}",
                    missed.n, missed.reason.cause, missed.reason.why
                )
                .unwrap();
            }
        }
    }
    text
}

#[test]
fn a_window_runs_the_job_once_and_the_next_one_runs_it_again() {
    check(
        "submit J a b<a ~every:10 | windows J | pass 1 | offer O1 cpus:1;mem:8GiB | J-2.a.0 FINISHED \
         | J@19700101T000001Z-2.a.0 FINISHED | offer O2 cpus:1;mem:8GiB | J@19700101T000001Z-2.b.0 FINISHED | pass 10 \
         | windows J | crash | windows J",
        expect![[r#"
            submit J a b<a ~every:10: 2 instances
            windows J: ran 0 missed 0 late 0 extra 0 open 0 next 1
            pass 1: want * 2.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J@19700101T000001Z-2.a.0 0ns; want *
            J@19700101T000001Z-2.a.0 FINISHED: want * 2.1*1
            offer O2 cpus:1;mem:8GiB: accept O2 J@19700101T000001Z-2.b.0 0ns; want *
            pass 10: want * 3.0*1
            windows J: ran 1 missed 0 late 0 extra 0 open 1 next 21 / J@19700101T000001Z Finished 1.003 / J@19700101T000011Z Pending -
            crash: want * 3.0*1
            windows J: ran 1 missed 0 late 0 extra 0 open 1 next 21 / J@19700101T000001Z Finished 1.003 / J@19700101T000011Z Pending -
        "#]],
    );
}

#[test]
fn a_window_that_finds_no_room_in_time_is_missed_and_says_what_it_waited_for() {
    check(
        "submit J a:cpus:4 ~every:10 ~epsilon:5 | pass 7 | windows J | pass 10 | windows J | offer O1 cpus:8;mem:8GiB",
        expect![[r#"
            submit J a:cpus:4 ~every:10 ~epsilon:5: 1 instances
            pass 7: want * 2.0*1; want *
            windows J: ran 0 missed 1 late 0 extra 0 open 0 next 11 / 1..1 x1 NoRoom: `a` had to wait: there is no agent.
            pass 10: want * 3.0*1; want *
            windows J: ran 0 missed 2 late 0 extra 0 open 0 next 21 / 1..11 x2 NoRoom: `a` had to wait: there is no agent.
            offer O1 cpus:8;mem:8GiB: decline O1 0ns
        "#]],
    );
}

#[test]
fn windows_that_nobody_looked_at_are_missed_in_one_span_with_the_cause() {
    check(
        "submit J a ~every:10 ~epsilon:5 | submit K a ~cron:*/5_*_*_*_* ~epsilon:5 | pass 2 | offer O1 cpus:1;mem:8GiB \
         | J@19700101T000001Z-3.a.0 FINISHED | away 31536000 | windows J | windows K",
        expect![[r#"
            submit J a ~every:10 ~epsilon:5: 1 instances
            submit K a ~cron:*/5_*_*_*_* ~epsilon:5: 1 instances
            pass 2: want * 3.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J@19700101T000001Z-3.a.0 0ns; want *
            away 31536000: want * 4.0*1 5.0*1
            windows J: ran 1 missed 3153599 late 0 extra 0 open 1 next 31536011 / J@19700101T000001Z Finished 2.004 / 11..31535991 x3153599 SchedulerAway: from 1970-01-01T00:00:02.005Z to 1971-01-01T00:00:02.006Z the scheduler was down, or could not write. / J@19710101T000001Z Pending -
            windows K: ran 0 missed 1000 late 0 extra 0 open 1 next 31536300 / 300..31535700 x1000 SchedulerAway: from 1970-01-01T00:00:02.005Z to 1971-01-01T00:00:02.006Z the scheduler was down, or could not write. / K@19710101T000000Z Pending -
        "#]],
    );
    check(
        "submit J a ~every:10 ~epsilon:5 | pass 2 | offer O1 cpus:1;mem:8GiB | wait 99 | windows J",
        expect![[r#"
            submit J a ~every:10 ~epsilon:5: 1 instances
            pass 2: want * 2.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J@19700101T000001Z-2.a.0 0ns; want *
            wait 99: want * 3.0*1
            windows J: ran 0 missed 9 late 0 extra 0 open 2 next 111 / J@19700101T000001Z Running 2.003 / 11..91 x9 SchedulerStalled: from 1970-01-01T00:00:11Z to 1970-01-01T00:01:41.004Z the scheduler did not get to run, or could not write. / J@19700101T000141Z Pending -
        "#]],
    );
    check(
        "submit J a ~every:10 ~epsilon:5 | pass 2 | offer O1 cpus:1;mem:8GiB | clock 3600 | windows J | pass 10 | windows J \
         | clock 0 | pass 3600 | windows J",
        expect![[r#"
            submit J a ~every:10 ~epsilon:5: 1 instances
            pass 2: want * 2.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J@19700101T000001Z-2.a.0 0ns; want *
            clock 3600: want * 3.0*1
            windows J: ran 0 missed 359 late 0 extra 0 open 2 next 3611 / J@19700101T000001Z Running 2.003 / 11..3591 x359 ClockJumped: from 1970-01-01T00:00:02.004Z to 1970-01-01T01:00:02.004Z the clock was set forward. / J@19700101T010001Z Pending -
            pass 10: want *; want * 4.0*1
            windows J: ran 0 missed 360 late 0 extra 0 open 2 next 3621 / J@19700101T000001Z Running 2.003 / 11..3591 x359 ClockJumped: from 1970-01-01T00:00:02.004Z to 1970-01-01T01:00:02.004Z the clock was set forward. / 3601..3601 x1 NoRoom: `a` had to wait: there is no agent. / J@19700101T010011Z Pending -
            windows J: ran 0 missed 360 late 0 extra 0 open 2 next 3621 / J@19700101T000001Z Running 2.003 / 11..3591 x359 ClockJumped: from 1970-01-01T00:00:02.004Z to 1970-01-01T01:00:02.004Z the clock was set forward. / 3601..3601 x1 NoRoom: `a` had to wait: there is no agent. / J@19700101T010011Z Pending -
        "#]],
    );
    check(
        "submit J a ~every:10 ~epsilon:5 | pass 2 | offer O1 cpus:1;mem:8GiB | disconnect | pass 20 | subscribe | pass 9 \
         | windows J",
        expect![[r#"
            submit J a ~every:10 ~epsilon:5: 1 instances
            pass 2: want * 2.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J@19700101T000001Z-2.a.0 0ns; want *
            pass 20: want * 3.0*1; want *; want * 4.0*1
            pass 9: want *; want * 5.0*1
            windows J: ran 0 missed 2 late 0 extra 0 open 2 next 41 / J@19700101T000001Z Running 2.003 / 11..11 x1 CutOff: no master was connected from 1970-01-01T00:00:02.004Z to 1970-01-01T00:00:16.001Z. / 21..21 x1 NoRoom: `a` had to wait: there is no agent. / J@19700101T000031Z Pending -
        "#]],
    );
}

#[test]
fn a_window_within_its_epsilon_runs_late() {
    check(
        "submit J a ~every:10 ~epsilon:5 | pass 2 | offer O1 cpus:1;mem:8GiB | away 11 | offer O2 cpus:1;mem:8GiB | windows J",
        expect![[r#"
            submit J a ~every:10 ~epsilon:5: 1 instances
            pass 2: want * 2.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J@19700101T000001Z-2.a.0 0ns; want *
            away 11: want * 3.0*1
            offer O2 cpus:1;mem:8GiB: accept O2 J@19700101T000011Z-3.a.0 0ns; want *
            windows J: ran 0 missed 0 late 0 extra 0 open 2 next 21 / J@19700101T000001Z Running 2.003 / J@19700101T000011Z Running 13.005
        "#]],
    );
}

#[test]
fn a_task_that_may_have_run_is_never_launched_again_in_its_window() {
    check(
        "submit J a*4 ~every:1000 ~epsilon:5 | pass 1 | offer O1 cpus:4;mem:8GiB | J@19700101T000001Z-2.a.0 DROPPED \
         | J@19700101T000001Z-2.a.1 UNKNOWN | J@19700101T000001Z-2.a.2 GONE | J@19700101T000001Z-2.a.3 UNREACHABLE \
         | wait 2 | offer O2 cpus:4;mem:8GiB | J@19700101T000001Z-2.a.0-2 FINISHED | pass 301 | windows J",
        expect![[r#"
            submit J a*4 ~every:1000 ~epsilon:5: 4 instances
            pass 1: want * 2.0*4
            offer O1 cpus:4;mem:8GiB: accept O1 J@19700101T000001Z-2.a.0 J@19700101T000001Z-2.a.1 J@19700101T000001Z-2.a.2 J@19700101T000001Z-2.a.3 0ns; want *
            J@19700101T000001Z-2.a.0 DROPPED: want * 2.0*1
            offer O2 cpus:4;mem:8GiB: accept O2 J@19700101T000001Z-2.a.0-2 0ns; want *
            pass 301: kill J@19700101T000001Z-2.a.3
            windows J: ran 1 missed 0 late 0 extra 0 open 0 next 1001 / J@19700101T000001Z Failed 1.003 lost 3
        "#]],
    );
}

#[test]
fn a_run_that_was_dropped_is_launched_again_within_its_epsilon_only() {
    check(
        "submit J a ~every:10 ~epsilon:5 | pass 1 | offer O1 cpus:1;mem:8GiB | J@19700101T000001Z-2.a.0 DROPPED | wait 2 \
         | offer O2 cpus:1;mem:8GiB | J@19700101T000001Z-2.a.0-2 DROPPED | crash | pass 5 | windows J",
        expect![[r#"
            submit J a ~every:10 ~epsilon:5: 1 instances
            pass 1: want * 2.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J@19700101T000001Z-2.a.0 0ns; want *
            J@19700101T000001Z-2.a.0 DROPPED: want * 2.0*1
            offer O2 cpus:1;mem:8GiB: accept O2 J@19700101T000001Z-2.a.0-2 0ns; want *
            J@19700101T000001Z-2.a.0-2 DROPPED: want * 2.0*1
            crash: want * 2.0*1
            pass 5: want *
            windows J: ran 0 missed 1 late 0 extra 0 open 0 next 11 / 1..1 x1 NoRoom: `a` had to wait: there is no agent. The last launch was dropped:  no reason is given.
        "#]],
    );
}

#[test]
fn a_job_that_runs_at_least_once_makes_up_for_every_window_and_counts_what_it_ran_more() {
    check(
        "submit J a ~every:10 ~epsilon:5 ~least | pass 1 | offer O1 cpus:1;mem:8GiB | J@19700101T000001Z-2.a.0 GONE \
         | offer O2 cpus:1;mem:8GiB | J@19700101T000001Z-2.a.0-2 FINISHED | away 35 | offer O3 cpus:8;mem:8GiB \
         | J@19700101T000011Z-3.a.0 FINISHED | J@19700101T000021Z-4.a.0 FINISHED | windows J | crash | windows J",
        expect![[r#"
            submit J a ~every:10 ~epsilon:5 ~least: 1 instances
            pass 1: want * 2.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J@19700101T000001Z-2.a.0 0ns; want *
            J@19700101T000001Z-2.a.0 GONE: want * 2.0*1
            offer O2 cpus:1;mem:8GiB: accept O2 J@19700101T000001Z-2.a.0-2 0ns; want *
            away 35: want * 3.0*1 4.0*1 5.0*1
            offer O3 cpus:8;mem:8GiB: accept O3 J@19700101T000011Z-3.a.0 J@19700101T000021Z-4.a.0 J@19700101T000031Z-5.a.0 0ns; want *
            windows J: ran 3 missed 0 late 2 extra 1 open 1 next 41 / J@19700101T000001Z Finished 1.003 / J@19700101T000011Z Finished 36.008 / J@19700101T000021Z Finished 36.008 / J@19700101T000031Z Running 36.008
            crash: want *
            windows J: ran 3 missed 0 late 2 extra 1 open 1 next 41 / J@19700101T000001Z Finished 1.003 / J@19700101T000011Z Finished 36.008 / J@19700101T000021Z Finished 36.008 / J@19700101T000031Z Running 36.008
        "#]],
    );
}

#[test]
fn a_year_of_windows_that_run_at_least_once_is_made_up_for_a_hundred_at_a_time() {
    check(
        "submit J a ~every:1 ~least | pass 1 | away 31536000 | windows J | cancel J | windows J",
        expect![[r#"
            submit J a ~every:1 ~least: 1 instances
            pass 1: want * 2.0*1
            away 31536000: want * 2.0*1 3.0*1 4.0*1 5.0*1 6.0*1 7.0*1 8.0*1 9.0*1 10.0*1 11.0*1 12.0*1 13.0*1 14.0*1 15.0*1 16.0*1 17.0*1 18.0*1 19.0*1 20.0*1 21.0*1 22.0*1 23.0*1 24.0*1 25.0*1 26.0*1 27.0*1 28.0*1 29.0*1 30.0*1 31.0*1 32.0*1 33.0*1 34.0*1 35.0*1 36.0*1 37.0*1 38.0*1 39.0*1 40.0*1 41.0*1 42.0*1 43.0*1 44.0*1 45.0*1 46.0*1 47.0*1 48.0*1 49.0*1 50.0*1 51.0*1 52.0*1 53.0*1 54.0*1 55.0*1 56.0*1 57.0*1 58.0*1 59.0*1 60.0*1 61.0*1 62.0*1 63.0*1 64.0*1 65.0*1 66.0*1 67.0*1 68.0*1 69.0*1 70.0*1 71.0*1 72.0*1 73.0*1 74.0*1 75.0*1 76.0*1 77.0*1 78.0*1 79.0*1 80.0*1 81.0*1 82.0*1 83.0*1 84.0*1 85.0*1 86.0*1 87.0*1 88.0*1 89.0*1 90.0*1 91.0*1 92.0*1 93.0*1 94.0*1 95.0*1 96.0*1 97.0*1 98.0*1 99.0*1 100.0*1 101.0*1
            windows J: ran 0 missed 0 late 0 extra 0 open 100 next 101 / J@19700101T000001Z Pending - / J@19700101T000002Z Pending - / J@19700101T000003Z Pending - / J@19700101T000004Z Pending - / J@19700101T000005Z Pending - / J@19700101T000006Z Pending - / J@19700101T000007Z Pending - / J@19700101T000008Z Pending - / J@19700101T000009Z Pending - / J@19700101T000010Z Pending - / J@19700101T000011Z Pending - / J@19700101T000012Z Pending - / J@19700101T000013Z Pending - / J@19700101T000014Z Pending - / J@19700101T000015Z Pending - / J@19700101T000016Z Pending - / J@19700101T000017Z Pending - / J@19700101T000018Z Pending - / J@19700101T000019Z Pending - / J@19700101T000020Z Pending - / J@19700101T000021Z Pending - / J@19700101T000022Z Pending - / J@19700101T000023Z Pending - / J@19700101T000024Z Pending - / J@19700101T000025Z Pending - / J@19700101T000026Z Pending - / J@19700101T000027Z Pending - / J@19700101T000028Z Pending - / J@19700101T000029Z Pending - / J@19700101T000030Z Pending - / J@19700101T000031Z Pending - / J@19700101T000032Z Pending - / J@19700101T000033Z Pending - / J@19700101T000034Z Pending - / J@19700101T000035Z Pending - / J@19700101T000036Z Pending - / J@19700101T000037Z Pending - / J@19700101T000038Z Pending - / J@19700101T000039Z Pending - / J@19700101T000040Z Pending - / J@19700101T000041Z Pending - / J@19700101T000042Z Pending - / J@19700101T000043Z Pending - / J@19700101T000044Z Pending - / J@19700101T000045Z Pending - / J@19700101T000046Z Pending - / J@19700101T000047Z Pending - / J@19700101T000048Z Pending - / J@19700101T000049Z Pending - / J@19700101T000050Z Pending - / J@19700101T000051Z Pending - / J@19700101T000052Z Pending - / J@19700101T000053Z Pending - / J@19700101T000054Z Pending - / J@19700101T000055Z Pending - / J@19700101T000056Z Pending - / J@19700101T000057Z Pending - / J@19700101T000058Z Pending - / J@19700101T000059Z Pending - / J@19700101T000100Z Pending - / J@19700101T000101Z Pending - / J@19700101T000102Z Pending - / J@19700101T000103Z Pending - / J@19700101T000104Z Pending - / J@19700101T000105Z Pending - / J@19700101T000106Z Pending - / J@19700101T000107Z Pending - / J@19700101T000108Z Pending - / J@19700101T000109Z Pending - / J@19700101T000110Z Pending - / J@19700101T000111Z Pending - / J@19700101T000112Z Pending - / J@19700101T000113Z Pending - / J@19700101T000114Z Pending - / J@19700101T000115Z Pending - / J@19700101T000116Z Pending - / J@19700101T000117Z Pending - / J@19700101T000118Z Pending - / J@19700101T000119Z Pending - / J@19700101T000120Z Pending - / J@19700101T000121Z Pending - / J@19700101T000122Z Pending - / J@19700101T000123Z Pending - / J@19700101T000124Z Pending - / J@19700101T000125Z Pending - / J@19700101T000126Z Pending - / J@19700101T000127Z Pending - / J@19700101T000128Z Pending - / J@19700101T000129Z Pending - / J@19700101T000130Z Pending - / J@19700101T000131Z Pending - / J@19700101T000132Z Pending - / J@19700101T000133Z Pending - / J@19700101T000134Z Pending - / J@19700101T000135Z Pending - / J@19700101T000136Z Pending - / J@19700101T000137Z Pending - / J@19700101T000138Z Pending - / J@19700101T000139Z Pending - / J@19700101T000140Z Pending -
            cancel J: want *
            windows J: ran 0 missed 31536001 late 0 extra 0 open 0 next never Cancelled / 1..100 x100 Cancelled: the job was cancelled before it started. / 101..31536001 x31535901 Cancelled: the job was cancelled before they ran.
        "#]],
    );
}

#[test]
fn windows_that_overlap_run_are_missed_or_take_the_others_place() {
    check(
        "submit J a ~every:10 ~skip | pass 1 | offer O1 cpus:1;mem:8GiB | pass 30 | windows J \
         | J@19700101T000001Z-2.a.0 FINISHED | pass 10 | windows J",
        expect![[r#"
            submit J a ~every:10 ~skip: 1 instances
            pass 1: want * 2.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J@19700101T000001Z-2.a.0 0ns; want *
            windows J: ran 0 missed 3 late 0 extra 0 open 1 next 41 / J@19700101T000001Z Running 1.003 / 11..31 x3 StillRunning: `J@19700101T000001Z` had not ended.
            pass 10: want * 3.0*1
            windows J: ran 1 missed 3 late 0 extra 0 open 1 next 51 / J@19700101T000001Z Finished 1.003 / 11..31 x3 StillRunning: `J@19700101T000001Z` had not ended. / J@19700101T000041Z Pending -
        "#]],
    );
    check(
        "submit J a ~every:10 ~epsilon:10 ~replace | pass 1 | offer O1 cpus:1;mem:8GiB | pass 10 | pass 10 | windows J",
        expect![[r#"
            submit J a ~every:10 ~epsilon:10 ~replace: 1 instances
            pass 1: want * 2.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J@19700101T000001Z-2.a.0 0ns; want *
            pass 10: kill J@19700101T000001Z-2.a.0; want * 3.0*1
            pass 10: want * 4.0*1
            windows J: ran 0 missed 1 late 0 extra 0 open 2 next 31 / J@19700101T000001Z Running 1.003 / 11..11 x1 Replaced: the window of 1970-01-01T00:00:21Z took its place before it started. / J@19700101T000021Z Pending -
        "#]],
    );
}

#[test]
fn a_paused_job_misses_its_windows_and_a_triggered_one_runs_beside_them() {
    check(
        "submit J a ~every:10 | pass 2 | offer O1 cpus:1;mem:8GiB | J@19700101T000001Z-2.a.0 FINISHED | pause J | pass 30 \
         | trigger J | trigger J | offer O2 cpus:1;mem:8GiB | windows J | crash | resume J | windows J | pass 10 \
         | windows J | trigger K",
        expect![[r#"
            submit J a ~every:10: 1 instances
            pass 2: want * 2.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J@19700101T000001Z-2.a.0 0ns; want *
            trigger J: J@now-19700101T000032Z; want * 3.0*1
            trigger J: job `J` was triggered in this second already
            offer O2 cpus:1;mem:8GiB: accept O2 J@now-19700101T000032Z-3.a.0 0ns; want *
            windows J: ran 1 missed 0 late 0 extra 0 open 1 next 11 Paused(2005ms) / J@19700101T000001Z Finished 2.003 / J@now-19700101T000032Z Running 32.008
            crash: want *
            windows J: ran 1 missed 3 late 0 extra 0 open 1 next 41 / J@19700101T000001Z Finished 2.003 / 11..31 x3 Paused: it was paused from 1970-01-01T00:00:02.005Z to 1970-01-01T00:00:32.01Z. / J@now-19700101T000032Z Running 32.008
            pass 10: want * 4.0*1
            windows J: ran 1 missed 3 late 0 extra 0 open 2 next 51 / J@19700101T000001Z Finished 2.003 / 11..31 x3 Paused: it was paused from 1970-01-01T00:00:02.005Z to 1970-01-01T00:00:32.01Z. / J@now-19700101T000032Z Running 32.008 / J@19700101T000041Z Pending -
            trigger K: no recurring job is named `K`
        "#]],
    );
}

#[test]
fn cancelling_a_recurring_job_ends_its_windows_and_its_runs_unless_they_are_kept() {
    check(
        "submit J a*2 ~every:10 | pass 1 | offer O1 cpus:1;mem:8GiB | pass 10 | cancel J | submit J a \
         | J@19700101T000001Z-2.a.0 KILLED | windows J | pass 30 | submit J a",
        expect![[r#"
            submit J a*2 ~every:10: 2 instances
            pass 1: want * 2.0*2
            offer O1 cpus:1;mem:8GiB: accept O1 J@19700101T000001Z-2.a.0 0ns; want * 2.0*1
            pass 10: want * 2.0*1 3.0*2
            cancel J: kill J@19700101T000001Z-2.a.0; want * 3.0*2; want *
            submit J a: job `J` exists and has not ended; cancel it or choose another name
            windows J: ran 1 missed 1 late 0 extra 0 open 0 next never Cancelled / J@19700101T000001Z Cancelled 1.003 / 11..11 x1 Cancelled: the job was cancelled before it started.
            submit J a: 1 instances; want * 4.0*1
        "#]],
    );
    check(
        "submit J a ~every:10 | pass 1 | offer O1 cpus:1;mem:8GiB | cancel-schedule J | windows J \
         | J@19700101T000001Z-2.a.0 FINISHED | windows J | cancel J@19700101T000001Z",
        expect![[r#"
            submit J a ~every:10: 1 instances
            pass 1: want * 2.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J@19700101T000001Z-2.a.0 0ns; want *
            windows J: ran 0 missed 0 late 0 extra 0 open 1 next never Cancelled / J@19700101T000001Z Running 1.003
            windows J: ran 1 missed 0 late 0 extra 0 open 0 next never Cancelled / J@19700101T000001Z Finished 1.003
        "#]],
    );
}

#[test]
fn the_past_is_kept_as_long_as_the_history_says() {
    check(
        "submit J a ~every:10 ~epsilon:5 ~history:2 | pass 1 | offer O1 cpus:1;mem:8GiB | J@19700101T000001Z-2.a.0 FINISHED \
         | pass 10 | offer O1 cpus:1;mem:8GiB | J@19700101T000011Z-3.a.0 FINISHED | pass 10 | offer O1 cpus:1;mem:8GiB \
         | J@19700101T000021Z-4.a.0 FINISHED | windows J | crash | windows J | show J@19700101T000021Z",
        expect![[r#"
            submit J a ~every:10 ~epsilon:5 ~history:2: 1 instances
            pass 1: want * 2.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J@19700101T000001Z-2.a.0 0ns; want *
            pass 10: want * 3.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J@19700101T000011Z-3.a.0 0ns; want *
            pass 10: want * 4.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J@19700101T000021Z-4.a.0 0ns; want *
            windows J: ran 3 missed 0 late 0 extra 0 open 0 next 31 / J@19700101T000011Z Finished 11.005 / J@19700101T000021Z Finished 21.007
            crash: want *
            windows J: ran 3 missed 0 late 0 extra 0 open 0 next 31 / J@19700101T000011Z Finished 11.005 / J@19700101T000021Z Finished 21.007
            show J@19700101T000021Z: Finished a.0:Finished
        "#]],
    );
}

#[test]
fn a_wrong_schedule_is_refused_with_its_reason() {
    check(
        "submit J a ~every:0 | submit J a ~every:0.5 | submit J a ~every:1.5 | submit J a ~every:9999999999 \
         | submit J a ~every:5 ~epsilon:6 | submit J a ~epsilon:0 | submit J a ~cron:0_0_1_1_* ~epsilon:9999999 \
         | submit J a ~start:1.5 | submit J a ~start:999999999999 | submit J a ~history:101 | submit J a ~cron:0_0_30_2_* \
         | submit J a ~cron:61_*_*_*_* | submit J a ~cron:*_*_*_*_*_* | submit J a ~cron:*_*_*_*_* ~in:Mars/Olympus \
         | submit J a r1 ~every:5 | submit J a r1 ~every:5 ~least | submit J a ~every:5",
        expect![[r#"
            submit J a ~every:0: the interval 0ns is shorter than 1s
            submit J a ~every:0.5: the interval 500ms is shorter than 1s
            submit J a ~every:1.5: the interval is not a whole number of seconds: 1500 ms
            submit J a ~every:9999999999: the interval 9999999999s is longer than a hundred years
            submit J a ~every:5 ~epsilon:6: the epsilon 6s is longer than the interval 5s
            submit J a ~epsilon:0: an epsilon of 0 leaves no time to start
            submit J a ~cron:0_0_1_1_* ~epsilon:9999999: the epsilon 9999999s is longer than 604800s
            submit J a ~start:1.5: the start is not a whole number of seconds: 1500 ms
            submit J a ~start:999999999999: the start is after the year 9999
            submit J a ~history:101: 101 kept of the past, at most 100 are allowed
            submit J a ~cron:0_0_30_2_*: the cron expression `0 0 30 2 *` is never due
            submit J a ~cron:61_*_*_*_*: the cron expression `61 * * * *` must have five fields, such as `*/5 * * * *`: Component error: Number out of bounds.
            submit J a ~cron:*_*_*_*_*_*: the cron expression `* * * * * *` must have five fields, such as `*/5 * * * *`: Invalid pattern: Pattern must have 5 fields when seconds are disallowed.
            submit J a ~cron:*_*_*_*_* ~in:Mars/Olympus: there is no time zone `Mars/Olympus`; they have names such as `Europe/Berlin`
            submit J a r1 ~every:5: task `a` has retries or a restart policy, but a task of an at_most_once job never runs twice in a window; drop them, or say `missed: at_least_once`
            submit J a r1 ~every:5 ~least: 1 instances
            submit J a ~every:5: job `J` exists and has not ended; cancel it or choose another name
        "#]],
    );
}

#[test]
fn every_cause_has_its_number_in_the_records() {
    for (n, cause) in MissedCause::ALL.into_iter().enumerate() {
        assert_eq!(cause as usize, n);
    }
}

#[test]
fn a_window_whose_launch_turns_out_dropped_when_its_time_is_over_had_no_room() {
    check(
        "submit J a ~every:20 ~epsilon:4 | pass 1 | offer O1 cpus:1;mem:8GiB | pass 10 | J@19700101T000001Z-2.a.0 DROPPED \
         | pass 1 | windows J",
        expect![[r#"
            submit J a ~every:20 ~epsilon:4: 1 instances
            pass 1: want * 2.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J@19700101T000001Z-2.a.0 0ns; want *
            J@19700101T000001Z-2.a.0 DROPPED: want * 2.0*1
            pass 1: want *
            windows J: ran 0 missed 1 late 0 extra 0 open 0 next 21 / 1..1 x1 NoRoom: `a` had to wait: there is no agent. The last launch was dropped:  no reason is given.
        "#]],
    );
}

#[test]
fn a_crash_after_the_window_is_no_cause_for_a_launch_that_was_dropped_too_late() {
    check(
        "submit J a ~every:20 ~epsilon:4 | pass 1 | offer O1 cpus:1;mem:8GiB | pass 10 | J@19700101T000001Z-2.a.0 DROPPED \
         | crash | pass 1 | windows J",
        expect![[r#"
            submit J a ~every:20 ~epsilon:4: 1 instances
            pass 1: want * 2.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J@19700101T000001Z-2.a.0 0ns; want *
            J@19700101T000001Z-2.a.0 DROPPED: want * 2.0*1
            crash: want *
            windows J: ran 0 missed 1 late 0 extra 0 open 0 next 21 / 1..1 x1 NoRoom: `a` had to wait: there is no agent. The last launch was dropped:  no reason is given.
        "#]],
    );
    check(
        "submit J a ~every:20 ~epsilon:4 | pass 1 | offer O1 cpus:1;mem:8GiB | J@19700101T000001Z-2.a.0 DROPPED | away 10 \
         | pass 1 | windows J",
        expect![[r#"
            submit J a ~every:20 ~epsilon:4: 1 instances
            pass 1: want * 2.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J@19700101T000001Z-2.a.0 0ns; want *
            J@19700101T000001Z-2.a.0 DROPPED: want * 2.0*1
            away 10: want *
            windows J: ran 0 missed 1 late 0 extra 0 open 0 next 21 / 1..1 x1 SchedulerAway: from 1970-01-01T00:00:01Z to 1970-01-01T00:00:11.005Z the scheduler was down, or could not write.
        "#]],
    );
}

#[test]
fn a_run_was_replaced_though_the_one_in_its_place_was_missed_since() {
    check(
        "submit J a ~every:10 ~epsilon:4 ~replace | pass 1 | offer O1 cpus:1;mem:8GiB | pass 16 | crash \
         | J@19700101T000001Z-2.a.0 DROPPED | windows J",
        expect![[r#"
            submit J a ~every:10 ~epsilon:4 ~replace: 1 instances
            pass 1: want * 2.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J@19700101T000001Z-2.a.0 0ns; want *
            pass 16: kill J@19700101T000001Z-2.a.0; want * 3.0*1; want *
            crash: want *
            windows J: ran 0 missed 2 late 0 extra 0 open 0 next 21 / 1..1 x1 Replaced: a later window took its place, and every launch of it had been dropped. / 11..11 x1 NoRoom: `a` had to wait: there is no agent.
        "#]],
    );
}

#[test]
fn a_run_that_was_replaced_before_its_launch_came_to_pass_was_replaced() {
    check(
        "submit J a ~every:10 ~epsilon:10 ~replace | pass 1 | offer O1 cpus:1;mem:8GiB | pass 10 \
         | J@19700101T000001Z-2.a.0 DROPPED | windows J",
        expect![[r#"
            submit J a ~every:10 ~epsilon:10 ~replace: 1 instances
            pass 1: want * 2.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J@19700101T000001Z-2.a.0 0ns; want *
            pass 10: kill J@19700101T000001Z-2.a.0; want * 3.0*1
            windows J: ran 0 missed 1 late 0 extra 0 open 1 next 21 / 1..1 x1 Replaced: a later window took its place, and every launch of it had been dropped. / J@19700101T000011Z Pending -
        "#]],
    );
}

//! What attempts used, in sums.

use expect_test::expect;

use super::world::{World, check, status};
use crate::{ReportBy, ReportQuery};

#[test]
fn what_attempts_used_is_summed_by_task_and_by_role_and_a_restart_changes_nothing() {
    check(
        "submit J a*2 b<a @eng r1 | offer O1 cpus:2;mem:8GiB @eng | wait 9 | J-1.a.0 FAILED wall=4 cpu=2 mem=100 \
         | J-1.a.1 FINISHED wall=9 cpu=1 mem=300 wrote=7 | crash | J-1.a.1 FINISHED wall=9 cpu=1 mem=300 wrote=7 \
         | wait 20 | offer O2 cpus:1;mem:8GiB @eng | crash | J-1.a.0-2 FINISHED wall=1 cpu=1 mem=200 | report J | report by role \
         | wait 5 | offer O3 cpus:1;mem:8GiB @eng | J-1.b.0 LOST | submit J a | crash | report by role | report by job | report by day",
        expect![[r#"
            submit J a*2 b<a @eng r1: 3 instances; want eng 1.0*2
            offer O1 cpus:2;mem:8GiB @eng: accept O1 J-1.a.0 J-1.a.1 0ns; want eng
            J-1.a.0 FAILED wall=4 cpu=2 mem=100: want eng 1.0*1
            crash: want *; want eng 1.0*1
            offer O2 cpus:1;mem:8GiB @eng: accept O2 J-1.a.0-2 0ns; want eng
            crash: want *; want eng
            J-1.a.0-2 FINISHED wall=1 cpu=1 mem=200: want eng 1.1*1
            report J: a attempts: 3 finished: 2 waiting_ms: 20006 longest_waiting_ms: 20004 running_us: 14000000 cpu_time_us: 4000000 cpu_allocated_us: 14000000 mem_allocated_kib_s: 14680064 mem_peak_bytes: 300 mem_peaks_bytes: 600 mem_requested_bytes: 3221225472 io_measured: 1 write_bytes: 7 / b 
            report by role: eng attempts: 3 finished: 2 waiting_ms: 20006 longest_waiting_ms: 20004 running_us: 14000000 cpu_time_us: 4000000 cpu_allocated_us: 14000000 mem_allocated_kib_s: 14680064 mem_peak_bytes: 300 mem_peaks_bytes: 600 mem_requested_bytes: 3221225472 io_measured: 1 write_bytes: 7
            offer O3 cpus:1;mem:8GiB @eng: accept O3 J-1.b.0 0ns; want eng
            J-1.b.0 LOST: want eng 1.1*1
            submit J a: job `J` exists and has not ended; cancel it or choose another name
            crash: want *; want eng 1.1*1
            report by role: eng attempts: 4 finished: 2 unmeasured: 1 unmeasured_us: 1000 waiting_ms: 25007 longest_waiting_ms: 20004 running_us: 14000000 cpu_time_us: 4000000 cpu_allocated_us: 14000000 mem_allocated_kib_s: 14680064 mem_peak_bytes: 300 mem_peaks_bytes: 600 mem_requested_bytes: 3221225472 io_measured: 1 write_bytes: 7
            report by job: J attempts: 4 finished: 2 unmeasured: 1 unmeasured_us: 1000 waiting_ms: 25007 longest_waiting_ms: 20004 running_us: 14000000 cpu_time_us: 4000000 cpu_allocated_us: 14000000 mem_allocated_kib_s: 14680064 mem_peak_bytes: 300 mem_peaks_bytes: 600 mem_requested_bytes: 3221225472 io_measured: 1 write_bytes: 7
            report by day: 1970-01-01 attempts: 4 finished: 2 unmeasured: 1 unmeasured_us: 1000 waiting_ms: 25007 longest_waiting_ms: 20004 running_us: 14000000 cpu_time_us: 4000000 cpu_allocated_us: 14000000 mem_allocated_kib_s: 14680064 mem_peak_bytes: 300 mem_peaks_bytes: 600 mem_requested_bytes: 3221225472 io_measured: 1 write_bytes: 7
        "#]],
    );
}

#[test]
fn a_wait_begins_when_an_instance_could_start() {
    check(
        "submit J a b<a^ c<b held n1 | wait 10 | release J | wait 3 | offer O1 cpus:1;mem:8GiB | wait 100 | J-1.a.0 FINISHED wall=100 \
         | wait 7 | crash | offer O2 cpus:1;mem:8GiB | J-1.b.0 DROPPED | wait 60 | offer O3 cpus:1;mem:8GiB | wait 30 | J-1.b.0-2 FINISHED wall=30 \
         | crash | wait 2 | offer O4 cpus:1;mem:8GiB | J-1.c.0 FINISHED wall=0 | report J",
        expect![[r#"
            submit J a b<a^ c<b held n1: 3 instances; want *
            release J: want * 1.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J-1.a.0 0ns; want *
            J-1.a.0 FINISHED wall=100: want * 1.1*1
            crash: want * 1.1*1
            offer O2 cpus:1;mem:8GiB: accept O2 J-1.b.0 0ns; want *
            J-1.b.0 DROPPED: want * 1.1*1
            offer O3 cpus:1;mem:8GiB: accept O3 J-1.b.0-2 0ns; want *
            J-1.b.0-2 FINISHED wall=30: want * 1.2*1
            crash: want * 1.2*1
            offer O4 cpus:1;mem:8GiB: accept O4 J-1.c.0 0ns; want *
            J-1.c.0 FINISHED wall=0: want *
            report J: a attempts: 1 finished: 1 waiting_ms: 3001 longest_waiting_ms: 3001 running_us: 100000000 cpu_allocated_us: 100000000 mem_allocated_kib_s: 104857600 mem_requested_bytes: 1073741824 / b attempts: 1 finished: 1 waiting_ms: 67004 longest_waiting_ms: 67004 running_us: 30000000 cpu_allocated_us: 30000000 mem_allocated_kib_s: 31457280 mem_requested_bytes: 1073741824 / c attempts: 1 finished: 1 waiting_ms: 2002 longest_waiting_ms: 2002 mem_requested_bytes: 1073741824
        "#]],
    );
}

#[test]
fn an_index_that_waits_for_its_like_waits_since_that_has_ended_after_a_restart_too() {
    check(
        "submit J a*2 b*2<a^ | offer O1 cpus:2;mem:8GiB | wait 10 | J-1.a.0 FINISHED wall=10 | wait 90 | J-1.a.1 FINISHED wall=99 \
         | crash | wait 5 | offer O2 cpus:2;mem:8GiB | J-1.b.0 FINISHED wall=0 | J-1.b.1 FINISHED wall=0 | report J",
        expect![[r#"
            submit J a*2 b*2<a^: 4 instances; want * 1.0*2
            offer O1 cpus:2;mem:8GiB: accept O1 J-1.a.0 J-1.a.1 0ns; want *
            J-1.a.0 FINISHED wall=10: want * 1.1*1
            J-1.a.1 FINISHED wall=99: want * 1.1*2
            crash: want * 1.1*2
            offer O2 cpus:2;mem:8GiB: accept O2 J-1.b.0 J-1.b.1 0ns; want *
            report J: a attempts: 2 finished: 2 waiting_ms: 2 longest_waiting_ms: 1 running_us: 109000000 cpu_allocated_us: 109000000 mem_allocated_kib_s: 114294784 mem_requested_bytes: 2147483648 / b attempts: 2 finished: 2 waiting_ms: 100005 longest_waiting_ms: 95003 mem_requested_bytes: 2147483648
        "#]],
    );
}

#[test]
fn what_was_given_up_and_comes_back_is_counted_once() {
    check(
        "submit J a | offer O1 cpus:1;mem:8GiB | J-1.a.0 UNREACHABLE | wait 301 | J-1.a.0 FINISHED wall=9 cpu=9 | report J \
         | crash | report J | report K",
        expect![[r#"
            submit J a: 1 instances; want * 1.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J-1.a.0 0ns; want *
            wait 301: kill J-1.a.0; want * 1.0*1
            report J: a attempts: 1 unmeasured: 1 unmeasured_us: 301002000 waiting_ms: 1 longest_waiting_ms: 1
            crash: want * 1.0*1
            report J: a attempts: 1 unmeasured: 1 unmeasured_us: 301002000 waiting_ms: 1 longest_waiting_ms: 1
            report K: no job is named `K`
        "#]],
    );
}

#[test]
fn a_report_has_the_days_that_were_asked_for_and_old_ones_are_dropped() {
    let mut world = World::new();
    let run = |world: &mut World, name: &str, n: u32| {
        let spec = super::world::job(&[name, "a"]);
        world.run(|batch, cx| batch.submit(spec, cx)).0.unwrap();
        let offer = super::world::offer(&format!("O{n}"), "cpus:1;mem:8GiB", None);
        world.run(|batch, cx| proffer_session::Scheduler::offers(batch, cx, vec![offer]));
        let ended = status(&format!("{name}-{n}.a.0"), "FINISHED");
        world.run(|batch, cx| proffer_session::Scheduler::update(batch, cx, &ended));
    };
    let days = |world: &World, since: u64| {
        let query = ReportQuery {
            by: ReportBy::Day,
            since: proffer_types::Timestamp(since * 86_400_000),
            until: world.now(),
        };
        let rows = world.batch.report(&query).into_iter();
        rows.map(|row| row.name).collect::<Vec<_>>()
    };
    run(&mut world, "J", 1);
    world.wait(3 * 86_400);
    run(&mut world, "K", 2);
    assert_eq!(days(&world, 0), ["1970-01-01", "1970-01-04"]);
    assert_eq!(days(&world, 1), ["1970-01-04"]);
    world.wait(398 * 86_400);
    run(&mut world, "L", 3);
    assert_eq!(days(&world, 0), ["1970-01-04", "1971-02-06"]);
    assert_eq!(world.recovered().accounts, world.batch.accounts);
}

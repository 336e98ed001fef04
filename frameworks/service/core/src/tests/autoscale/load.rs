//! Traffic as edges report it, and what holds whatever the load is.

use proffer_types::Timestamp;
use proffer_types::discovery::ServiceName;
use proffer_types::edge_report::{EdgeReport, EndpointTraffic, N_CLASSES, N_LATENCY_BUCKETS, Traffic};
use proptest::prelude::*;

use super::{Busy, SECOND, scaled, target};
use crate::Metric;

/// A second's worth of requests.
#[derive(Debug, Clone, Copy)]
struct Second {
    count: u64,
    errors: u64,
    /// The bucket of all of them.
    bucket: usize,
}

const IDLE: Second = Second {
    count: 0,
    errors: 0,
    bucket: 0,
};

fn report(edge: &str, tasks: &[String], of: Second) -> EdgeReport {
    let n = tasks.len().max(1) as u64;
    let served = |(at, task): (usize, &String)| {
        let share = |count: u64| count / n + u64::from(count % n > at as u64);
        let mut latency = [0; N_LATENCY_BUCKETS];
        latency[of.bucket] = share(of.count);
        let mut by_class = [0; N_CLASSES];
        by_class[4] = share(of.errors);
        EndpointTraffic {
            service: ServiceName {
                namespace: "other".parse().unwrap(),
                name: "name".parse().unwrap(),
            },
            port: 80,
            endpoint: task.as_str().into(),
            traffic: Traffic {
                count: share(of.count),
                by_class,
                failed: 0,
                latency,
                latency_sum_us: 0,
            },
            in_flight: 0,
        }
    };
    EdgeReport {
        edge: edge.to_owned(),
        listeners: Vec::new(),
        endpoints: Vec::new(),
        traffic: tasks.iter().enumerate().map(served).collect(),
        interval: SECOND,
        policy: proffer_types::edge_report::PolicyReport::default(),
    }
}

impl Busy {
    /// So many seconds of such traffic, as two edges report it.
    fn traffic(&mut self, n: u64, of: Second) {
        for _ in 0..n {
            self.world.now = self.world.now.after(SECOND);
            self.report("a", of);
            self.report("b", IDLE);
            self.tick();
        }
    }

    fn report(&mut self, edge: &str, of: Second) {
        let tasks = self.tasks().iter().map(ToString::to_string).collect::<Vec<_>>();
        let (report, now) = (report(edge, &tasks, of), self.now());
        self.world.services.reported(report, now);
    }
}

fn requests(count: u64) -> Second {
    Second { count, ..IDLE }
}

#[test]
fn replicas_follow_the_rate_of_requests_whatever_name_they_come_by() {
    let mut busy = Busy::new(scaled(vec![target(Metric::Requests, 100_000)]));
    busy.traffic(30, requests(740));
    assert_eq!(busy.replicas(), 8);
    busy.traffic(60, requests(310));
    assert_eq!(busy.replicas(), 4);
    // No traffic is not the same as no reports.
    busy.traffic(60, IDLE);
    assert_eq!(busy.replicas(), 2);
}

#[test]
fn a_rate_of_errors_adds_replicas_and_few_requests_say_nothing_of_it() {
    let mut busy = Busy::new(scaled(vec![target(Metric::Errors, 1000)]));
    busy.traffic(
        30,
        Second {
            count: 1,
            errors: 1,
            bucket: 0,
        },
    );
    // 15 in the window: all of them failed, and the step bounds what comes of it.
    assert_eq!(busy.replicas(), 10);
    let mut busy = Busy::new(scaled(vec![target(Metric::Errors, 1000)]));
    for _ in 0..10 {
        busy.traffic(
            1,
            Second {
                count: 1,
                errors: 1,
                bucket: 0,
            },
        );
        busy.traffic(2, IDLE);
    }
    assert_eq!(busy.replicas(), 2);
}

#[test]
fn latency_adds_replicas_and_where_it_is_far_below_its_target_one_after_the_other_goes() {
    let mut busy = Busy::new(scaled(vec![target(Metric::Latency { percentile: 99 }, 100_000)]));
    // 200 to 500 ms.
    busy.traffic(
        20,
        Second {
            count: 100,
            errors: 0,
            bucket: 8,
        },
    );
    let grown = busy.replicas();
    assert_eq!(grown, 10);
    // 50 to 100 ms: as it should be, so that nothing changes.
    busy.traffic(
        120,
        Second {
            count: 100,
            errors: 0,
            bucket: 6,
        },
    );
    assert_eq!(busy.replicas(), grown);
    // Within a millisecond: one goes in each window.
    busy.traffic(100, requests(100));
    assert!(
        (grown - 3..grown).contains(&busy.replicas()),
        "{:?}",
        busy.decisions()
    );
    assert!(busy.decisions().contains(&format!("{grown}>{}", grown - 1)));
}

#[test]
fn while_an_edge_is_silent_nothing_goes() {
    let mut busy = Busy::new(scaled(vec![target(Metric::Requests, 100_000)]));
    busy.traffic(30, requests(740));
    assert_eq!(busy.replicas(), 8);
    for _ in 0..50 {
        busy.world.now = busy.world.now.after(SECOND);
        busy.report("b", IDLE);
        busy.tick();
    }
    assert_eq!(busy.replicas(), 8);
    let problem = busy.view().scaling.unwrap().figures[0].problem.clone();
    assert!(problem.unwrap().contains("silent"));
    // It is gone for good.
    for _ in 0..60 {
        busy.world.now = busy.world.now.after(SECOND);
        busy.report("b", IDLE);
        busy.tick();
    }
    assert_eq!(busy.replicas(), 2);
}

#[test]
fn reports_about_what_does_not_scale_take_no_memory() {
    let mut busy = Busy::new(scaled(vec![target(Metric::Requests, 100_000)]));
    let strange = ["nobody.0.1", "web", "", "web.0.1.2.3", "\u{0}"].map(str::to_owned);
    let before = busy.world.services.clone();
    busy.world
        .services
        .count_traffic(&report("a", &strange, requests(1 << 60)), Timestamp(1_000));
    busy.world
        .services
        .count_traffic(&report("a", &strange, requests(u64::MAX)), Timestamp(1_000));
    busy.world.services.disarm();
    let mut after = before;
    after.disarm();
    assert_eq!(busy.world.services, after);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_number_stays_within_its_bounds_and_a_steady_load_is_followed_to_where_it_stays(
        loads in prop::collection::vec((1..40_u64, 0..8000_u64), 1..6),
        steady in 0..6000_u64,
        percent in 10..80_u64,
    ) {
        let mut busy = Busy::new(scaled(vec![target(Metric::Cpu, percent * 1000)]));
        for (seconds, millis) in loads {
            for _ in 0..seconds {
                busy.seconds(1, millis);
                prop_assert!((2..=10).contains(&busy.replicas()));
            }
        }
        busy.seconds(120, steady);
        let (settled, decisions) = (busy.replicas(), busy.decisions());
        // On target, near it, or at a bound.
        let each = steady * 1000 / u64::from(settled) / 5;
        let (low, high) = (percent * 90, percent * 111);
        let one_fewer = steady * 1000 / u64::from(settled.saturating_sub(1).max(1)) / 5;
        prop_assert!(each <= high * 10 || settled == 10, "{each} with {settled}");
        prop_assert!(one_fewer >= low * 10 || settled == 2, "{one_fewer} with {settled}");
        busy.seconds(120, steady);
        prop_assert_eq!(busy.replicas(), settled);
        prop_assert_eq!(busy.decisions(), decisions);
    }
}

//! Which endpoint is next, and what keeps one from being it.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use proffer_types::discovery::{Endpoint, PortProtocol, ServiceName};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::*;

const START: Timestamp = Timestamp(1_000_000);

fn port(policy: BalancePolicy) -> DiscoveredPort {
    DiscoveredPort {
        name: None,
        number: NonZeroU16::MIN,
        protocol: PortProtocol::Http,
        published: None,
        policy,
        retries: 2,
        outlier: OutlierDetection::default(),
    }
}

fn service(weights: &[u32]) -> DiscoveredService {
    let endpoint = |(index, weight): (usize, &u32)| Endpoint {
        id: format!("e{index}").into(),
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        ports: vec![(None, NonZeroU16::new(u16::try_from(index + 1).unwrap()).unwrap())],
        weight: *weight,
        agent_id: None,
        probe: false,
    };
    let label = || "x".parse().unwrap();
    DiscoveredService {
        name: ServiceName {
            namespace: label(),
            name: label(),
        },
        virtual_address: None,
        ports: Vec::new(),
        network: Default::default(),
        // Weight 0 stands for an endpoint that is not there.
        endpoints: weights
            .iter()
            .enumerate()
            .filter(|(_, weight)| **weight > 0)
            .map(endpoint)
            .collect(),
    }
}

fn pool(policy: BalancePolicy, weights: &[u32]) -> (Pool, ChaCha8Rng) {
    let mut pool = Pool::new(START);
    pool.update(&service(weights), &port(policy), START);
    (pool, ChaCha8Rng::seed_from_u64(7))
}

/// The numbers of the endpoints that were picked and at once given back.
fn picks(pool: &mut Pool, rng: &mut ChaCha8Rng, n: usize) -> Vec<u16> {
    let one = |_| {
        let pick = pool.pick(START, &[], rng).unwrap();
        pool.release(pick.handle);
        pick.address.port()
    };
    (0..n).map(one).collect()
}

fn fail(pool: &mut Pool, handle: u64, now: Timestamp, times: u32) {
    (0..times).for_each(|_| pool.judge(handle, now, Outcome::ConnectFailed, Duration::ZERO));
}

#[test]
fn each_policy_chooses_as_its_name_says() {
    let (mut turns, mut rng) = pool(BalancePolicy::RoundRobin, &[1, 9, 1]);
    assert_eq!(picks(&mut turns, &mut rng, 6), [1, 2, 3, 1, 2, 3]);

    let (mut weighted, mut rng) = pool(BalancePolicy::Weighted, &[5, 1, 1]);
    // nginx's own example: the heavy one is not picked five times in a row.
    assert_eq!(picks(&mut weighted, &mut rng, 7), [1, 1, 2, 1, 3, 1, 1]);

    let (mut random, mut rng) = pool(BalancePolicy::Random, &[1, 1, 1]);
    let mut counts = BTreeMap::new();
    for port in picks(&mut random, &mut rng, 3000) {
        *counts.entry(port).or_insert(0) += 1;
    }
    assert!(counts.values().all(|n| (850..1150).contains(n)), "{counts:?}");

    let (mut least, mut rng) = pool(BalancePolicy::LeastConnections, &[1, 1, 2]);
    let held: Vec<Pick> = (0..8).filter_map(|_| least.pick(START, &[], &mut rng)).collect();
    let on = |number| held.iter().filter(|pick| pick.address.port() == number).count();
    assert_eq!((on(1), on(2), on(3)), (2, 2, 4));
    let freed = held.iter().find(|pick| pick.address.port() == 2).unwrap();
    least.release(freed.handle);
    assert_eq!(least.pick(START, &[], &mut rng).unwrap().address.port(), 2);
}

#[test]
fn a_retry_goes_elsewhere_or_nowhere() {
    for policy in [
        BalancePolicy::RoundRobin,
        BalancePolicy::Random,
        BalancePolicy::Weighted,
        BalancePolicy::LeastConnections,
    ] {
        let (mut pool, mut rng) = pool(policy, &[1, 1, 1]);
        let mut tried = Vec::new();
        while let Some(pick) = pool.pick(START, &tried, &mut rng) {
            assert!(!tried.contains(&pick.handle), "{policy:?}");
            tried.push(pick.handle);
        }
        assert_eq!(tried.len(), 3, "{policy:?}");
    }
}

#[test]
fn who_fails_in_a_row_gets_nothing_until_its_time_is_over() {
    let (mut pool, mut rng) = pool(BalancePolicy::RoundRobin, &[1, 1]);
    let bad = pool.pick(START, &[], &mut rng).unwrap();
    fail(&mut pool, bad.handle, START, 4);
    assert_eq!(pool.n_endpoints(), (2, 2));
    fail(&mut pool, bad.handle, START, 1);
    assert_eq!(pool.n_endpoints(), (2, 1));
    assert_eq!(picks(&mut pool, &mut rng, 3), [2, 2, 2]);
    assert_eq!(
        pool.findings(START)
            .map(|(id, why)| (&**id, why))
            .collect::<Vec<_>>(),
        [("e0", EndpointCondition::Ejected)]
    );
    let later = START.after(Duration::from_secs(30));
    let mut seen: Vec<u16> = (0..2)
        .filter_map(|_| Some(pool.pick(later, &[], &mut rng)?.address.port()))
        .collect();
    seen.sort_unstable();
    assert_eq!(seen, [1, 2]);
    assert_eq!(pool.findings(later).count(), 0);
}

#[test]
fn no_more_than_the_share_is_ejected_and_one_alone_is_used_all_the_same() {
    let (mut many, _) = pool(BalancePolicy::RoundRobin, &[1; 4]);
    (0..4).for_each(|handle| fail(&mut many, handle, START, 20));
    assert_eq!(many.n_endpoints(), (4, 2));

    let (mut alone, mut rng) = pool(BalancePolicy::RoundRobin, &[1]);
    fail(&mut alone, 0, START, 20);
    assert_eq!(alone.findings(START).count(), 1);
    assert_eq!(picks(&mut alone, &mut rng, 2), [1, 1]);
}

#[test]
fn a_client_that_leaves_is_nobodys_failure() {
    let (mut pool, _) = pool(BalancePolicy::RoundRobin, &[1, 1]);
    (0..50).for_each(|_| pool.judge(0, START, Outcome::Cancelled, Duration::ZERO));
    assert_eq!(pool.n_endpoints(), (2, 2));
    (0..50).for_each(|_| pool.judge(0, START, Outcome::Status(404), Duration::ZERO));
    assert_eq!(pool.n_endpoints(), (2, 2));
    (0..5).for_each(|_| pool.judge(0, START, Outcome::Status(500), Duration::ZERO));
    assert_eq!(pool.n_endpoints(), (2, 1));
}

#[test]
fn a_static_address_that_does_not_answer_is_passed_over_while_another_does() {
    let (mut pool, mut rng) = pool(BalancePolicy::RoundRobin, &[1, 1]);
    pool.probed("e0", false, START);
    assert_eq!(picks(&mut pool, &mut rng, 2), [2, 2]);
    pool.probed("e1", false, START);
    assert_eq!(pool.findings(START).count(), 2);
    assert_eq!(pool.n_endpoints(), (2, 2));
    pool.probed("e0", true, START);
    assert_eq!(picks(&mut pool, &mut rng, 2), [1, 1]);
}

#[test]
fn an_endpoint_that_leaves_gets_nothing_new_and_is_counted_to_its_end() {
    let (mut pool, mut rng) = pool(BalancePolicy::RoundRobin, &[1, 1]);
    let open = pool.pick(START, &[], &mut rng).unwrap();
    pool.update(&service(&[0, 1]), &port(BalancePolicy::RoundRobin), START);
    assert!(!pool.is_told(open.handle));
    assert_eq!(picks(&mut pool, &mut rng, 3), [2, 2, 2]);
    assert_eq!(pool.in_flight(), 1);
    pool.judge(open.handle, START, Outcome::Status(200), Duration::from_millis(3));
    pool.release(open.handle);
    let served = pool.take_served(START);
    assert_eq!(served.len(), 1);
    assert_eq!(
        (&*served[0].endpoint, served[0].traffic.count, served[0].in_flight),
        ("e0", 1, 0)
    );
    assert_eq!(pool.take_served(START), []);
    assert_eq!(pool.total().count, 1);
    assert_eq!(picks(&mut pool, &mut rng, 2), [2, 2]);
}

#[test]
fn retries_are_counted_and_bounded() {
    let (mut pool, mut rng) = pool(BalancePolicy::RoundRobin, &[1, 1, 1]);
    assert!(pool.may_retry(1, START) && pool.may_retry(2, START));
    assert!(!pool.may_retry(3, START));
    pool.pick(START, &[0], &mut rng).unwrap();
    assert_eq!(pool.n_retries(), 1);
}

#[derive(Debug, Clone)]
enum Step {
    Update(Vec<u32>),
    Pick,
    Release(usize),
    Judge(usize, bool),
    Pass(u64),
    Report,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        prop::collection::vec(0u32..4, 0..6).prop_map(Step::Update),
        Just(Step::Pick),
        any::<usize>().prop_map(Step::Release),
        (any::<usize>(), any::<bool>()).prop_map(|(open, good)| Step::Judge(open, good)),
        (0u64..40_000).prop_map(Step::Pass),
        Just(Step::Report),
    ]
}

proptest! {
    #[test]
    fn nothing_is_lost_and_only_those_told_of_are_picked(
        policy in prop_oneof![
            Just(BalancePolicy::RoundRobin),
            Just(BalancePolicy::Random),
            Just(BalancePolicy::Weighted),
            Just(BalancePolicy::LeastConnections),
        ],
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let (mut pool, mut rng) = pool(policy, &[1, 2]);
        let (mut told, mut now, mut open) = (vec![1, 2], START, Vec::new());
        let (mut n_judged, mut n_reported) = (0, 0);
        for step in steps {
            match step {
                Step::Update(weights) => {
                    pool.update(&service(&weights), &port(policy), now);
                    told = weights;
                }
                Step::Pick => {
                    let pick = pool.pick(now, &[], &mut rng);
                    prop_assert_eq!(pick.is_some(), told.iter().any(|weight| *weight > 0));
                    if let Some(pick) = pick {
                        prop_assert!(told[usize::from(pick.address.port()) - 1] > 0);
                        open.push(pick.handle);
                    }
                }
                Step::Release(at) if !open.is_empty() => pool.release(open.swap_remove(at % open.len())),
                Step::Judge(at, good) if !open.is_empty() => {
                    n_judged += 1;
                    let outcome = if good { Outcome::Ended } else { Outcome::Broken };
                    pool.judge(open[at % open.len()], now, outcome, Duration::from_millis(1));
                }
                Step::Release(_) | Step::Judge(..) => {}
                Step::Pass(millis) => now = Timestamp(now.0 + millis),
                Step::Report => {
                    n_reported += pool.take_served(now).iter().map(|of| of.traffic.count).sum::<u64>();
                }
            }
            prop_assert_eq!(pool.in_flight(), u64::try_from(open.len()).unwrap());
            let (n, n_eligible) = pool.n_endpoints();
            prop_assert!(n_eligible <= n && (n == 0 || n_eligible > 0));
        }
        n_reported += pool.take_served(now).iter().map(|of| of.traffic.count).sum::<u64>();
        prop_assert_eq!(n_reported, n_judged);
        prop_assert_eq!(pool.total().count, n_judged);
    }
}

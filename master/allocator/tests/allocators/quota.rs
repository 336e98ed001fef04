//! Quota: what is guaranteed is held free at every level, what is limited is limited at every level, and what is
//! reserved counts as consumed.

use proffer_allocator::{ClaimIx, FrameworkEntry};
use proffer_types::{Capabilities, ResourceName};

use crate::bench::{Bench, Offer, quota, resources, role, shape};

const CPUS: ResourceName = ResourceName::Cpus;
const TASK: &str = "cpus:1;mem:1GiB";

fn endless() -> Vec<proffer_types::Shape> {
    vec![shape(0, TASK, 1_000_000)]
}

fn cores(bench: &Bench, name: &str) -> u128 {
    bench.has(name, &CPUS) / 1000
}

/// Frameworks of these roles, each named after its role, with endless demand.
fn bench(total: &str, roles: &[&str]) -> Bench {
    let mut bench = Bench::new("drf");
    bench.add_agent("server", total);
    for of in roles {
        bench.join(of, of);
        bench.want(of, of, endless());
    }
    bench
}

#[test]
fn a_guarantee_is_held_free_while_nobody_uses_it() {
    for allocator in proffer_allocator::names() {
        let mut bench = Bench::new(allocator);
        bench.add_agent("server", "cpus:10;mem:100GiB");
        bench.set_quota("later", quota("cpus:4", &[]));
        bench.join("now", "now");
        bench.want("now", "now", endless());
        bench.round();
        assert_eq!(cores(&bench, "now"), 6, "{allocator}");
        bench.join("later", "later");
        bench.want("later", "later", endless());
        bench.round();
        assert_eq!(cores(&bench, "later"), 4, "{allocator}");
    }
}

#[test]
fn a_guarantee_is_held_free_over_several_agents_and_of_remainders_too() {
    let mut bench = Bench::new("drf");
    for nth in 0..4 {
        bench.add_agent(&format!("a{nth}"), "cpus:4;mem:4GiB");
    }
    bench.set_quota("later", quota("cpus:6", &[]));
    bench.join("now", "now");
    bench.round();
    assert_eq!(cores(&bench, "now"), 10);
    assert_eq!(
        bench.has("now", &ResourceName::Mem),
        16 << 30,
        "what is not guaranteed is not held"
    );
}

#[test]
fn who_is_below_the_guarantee_goes_first_whatever_the_shares() {
    let mut bench = bench("cpus:10;mem:1000GiB", &["greedy"]);
    // It has all of the memory's half before the cores are counted: its share stays above that of the other.
    bench.join("sure", "sure");
    bench.want("sure", "sure", vec![shape(0, "cpus:1;mem:90GiB", 100)]);
    bench.set_quota("sure", quota("cpus:5", &[]));
    bench.round();
    assert_eq!(bench.picked()[..5], ["sure"; 5]);
}

#[test]
fn a_guarantee_is_met_for_roles_below_it_and_only_for_those() {
    let mut bench = bench("cpus:10;mem:100GiB", &["ops", "eng/prod"]);
    bench.set_quota("eng", quota("cpus:8", &[]));
    bench.round();
    assert_eq!((cores(&bench, "ops"), cores(&bench, "eng/prod")), (2, 8));
}

#[test]
fn a_guarantee_of_a_role_is_not_taken_by_its_siblings_below_a_guarantee_of_their_parent() {
    // 8 for eng, 5 of them for eng/prod: of eng's guarantee eng/dev may use what is beyond that.
    let mut bench = bench("cpus:10;mem:100GiB", &["eng/dev"]);
    bench.set_quota("eng", quota("cpus:8", &[]));
    bench.set_quota("eng/prod", quota("cpus:5", &[]));
    bench.round();
    assert_eq!(cores(&bench, "eng/dev"), 5);
    bench.join("ops", "ops");
    bench.want("ops", "ops", endless());
    bench.round();
    assert_eq!(cores(&bench, "ops"), 0, "the rest is held for eng/prod");
    bench.join("eng/prod", "eng/prod");
    bench.want("eng/prod", "eng/prod", endless());
    bench.round();
    assert_eq!(cores(&bench, "eng/prod"), 5);
}

#[test]
fn a_guarantee_is_unmet_again_when_a_task_of_a_role_below_ends() {
    let mut bench = bench("cpus:10;mem:100GiB", &["eng/prod"]);
    bench.set_quota("eng", quota("cpus:10", &[]));
    let offers = bench.round();
    let tasks: Vec<ClaimIx> = offers
        .iter()
        .map(|offer: &Offer| bench.accept_all(offer))
        .collect();
    bench.want("eng/prod", "eng/prod", Vec::new());
    bench.join("ops", "ops");
    bench.want("ops", "ops", endless());
    tasks.into_iter().for_each(|task| bench.end(task));
    bench.round();
    assert_eq!(cores(&bench, "ops"), 0);
}

#[test]
fn a_limit_holds_at_every_role_above() {
    for allocator in proffer_allocator::names() {
        let mut bench = Bench::new(allocator);
        bench.add_agent("server", "cpus:20;mem:100GiB");
        bench.set_quota("eng", quota("", &[(CPUS, 7000)]));
        bench.set_quota("eng/prod", quota("", &[(CPUS, 3000)]));
        for of in ["eng", "eng/prod", "eng/prod/web", "ops"] {
            bench.join(of, of);
            bench.want(of, of, endless());
        }
        bench.round();
        let has = ["eng", "eng/prod", "eng/prod/web", "ops"].map(|of| cores(&bench, of));
        assert_eq!(has[0] + has[1] + has[2], 7, "{allocator}: {has:?}");
        assert!(has[1] + has[2] <= 3, "{allocator}: {has:?}");
        assert_eq!(has[3], 13, "{allocator}");
    }
}

#[test]
fn a_limit_of_nothing_is_no_offer_and_a_raised_one_is_used_at_once() {
    let mut bench = bench("cpus:10;mem:100GiB", &["eng/prod"]);
    bench.set_quota("eng", quota("", &[(CPUS, 0)]));
    assert!(bench.round().is_empty());
    bench.set_quota("eng", quota("", &[(CPUS, 2000)]));
    bench.round();
    assert_eq!(cores(&bench, "eng/prod"), 2);
}

#[test]
fn what_is_reserved_counts_as_consumed_even_if_nobody_uses_it() {
    let mut bench = Bench::new("drf");
    bench.add_agent("server", "cpus:10;mem:100GiB;cpus(eng):4;mem(eng):4GiB");
    bench.set_quota("eng", quota("", &[(CPUS, 6000)]));
    bench.join("eng", "eng");
    bench.round();
    assert_eq!(cores(&bench, "eng"), 6, "4 that are reserved, and 2 more");

    let mut bench = Bench::new("drf");
    bench.add_agent("server", "cpus:10;mem:100GiB;cpus(eng):4;mem(eng):4GiB");
    bench.set_quota("eng", quota("cpus:6", &[]));
    bench.join("ops", "ops");
    bench.round();
    assert_eq!(cores(&bench, "ops"), 8, "only 2 more have to be held for eng");
}

#[test]
fn at_its_limit_a_role_still_has_what_is_reserved_above_it_and_what_is_revocable() {
    let mut bench = Bench::new("drf");
    bench.add_agent(
        "server",
        "cpus:10;mem:100GiB;cpus(eng):4;mem(eng):4GiB;cpus{rev}:3",
    );
    bench.set_quota("eng", quota("", &[(CPUS, 4000), (ResourceName::Mem, 0)]));
    let entry = FrameworkEntry {
        roles: [role("eng/prod")].into(),
        capabilities: Capabilities {
            revocable: true,
            ..Capabilities::default()
        },
        ..FrameworkEntry::default()
    };
    bench.join_as("F", entry);
    let offer = bench.round().remove(0);
    assert_eq!(
        offer.resources,
        resources("cpus(eng):4;mem(eng):4GiB;cpus{rev}:3")
    );
}

#[test]
fn a_limit_on_cores_and_memory_leaves_tasks_of_something_else_alone() {
    let mut bench = Bench::new("drf");
    bench.add_agent("server", "cpus:10;mem:100GiB;gpus:2");
    bench.set_quota("eng", quota("", &[(CPUS, 0), (ResourceName::Mem, 0)]));
    bench.join("eng", "eng");
    bench.want("eng", "eng", vec![shape(0, "gpus:1", 5)]);
    bench.round();
    assert_eq!(bench.has("eng", &ResourceName::new("gpus").unwrap()), 2000);
}

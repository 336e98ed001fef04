//! Hierarchical DRF (Bhattacharya et al., SoCC 2013): the hierarchies on which the naive way, taking the share of a role
//! from the sum of what is below it, starves somebody, and what happens on them here.

use std::collections::BTreeMap;

use proffer_types::ResourceName;

use crate::bench::{Bench, shape};

const CPU: &str = "cpus:1";
const GPU: &str = "gpus:1";

fn gpus() -> ResourceName {
    ResourceName::new("gpus").unwrap()
}

/// How many of two resources a leaf has: cores and GPUs.
type Has = (u32, u32);

/// Naive H-DRF: down the tree, the child with the lowest dominant share of the sum of all below it; who can use nothing
/// more is left out. Leaves are paths with what one task needs; all weights are equal.
struct Naive {
    total: Has,
    tasks: BTreeMap<&'static str, Has>,
    has: BTreeMap<&'static str, Has>,
}

impl Naive {
    fn new(total: Has, leaves: &[(&'static str, &'static str)]) -> Self {
        let need = |each: &str| if each == CPU { (1, 0) } else { (0, 1) };
        Self {
            total,
            tasks: leaves.iter().map(|(path, each)| (*path, need(each))).collect(),
            has: leaves.iter().map(|(path, _)| (*path, (0, 0))).collect(),
        }
    }

    fn sum(&self, below: &str) -> Has {
        let below = self.has.iter().filter(|(path, _)| is_below(path, below));
        below.fold((0, 0), |sum, (_, has)| (sum.0 + has.0, sum.1 + has.1))
    }

    fn share(&self, node: &str) -> f64 {
        let has = self.sum(node);
        (f64::from(has.0) / f64::from(self.total.0)).max(f64::from(has.1) / f64::from(self.total.1))
    }

    fn can_run(&self, path: &str) -> bool {
        let (used, need) = (self.sum(""), self.tasks[path]);
        used.0 + need.0 <= self.total.0 && used.1 + need.1 <= self.total.1
    }

    /// Starts one task, and says whose.
    fn step(&mut self) -> Option<&'static str> {
        let mut at = String::new();
        loop {
            let able: Vec<_> = self
                .tasks
                .keys()
                .copied()
                .filter(|path| is_below(path, &at) && self.can_run(path))
                .collect();
            if let Some(leaf) = able.iter().find(|path| **path == at) {
                let need = self.tasks[leaf];
                let has = self.has.get_mut(leaf).unwrap();
                *has = (has.0 + need.0, has.1 + need.1);
                return Some(leaf);
            }
            let depth = if at.is_empty() {
                1
            } else {
                at.split('/').count() + 1
            };
            let mut children: Vec<String> = able.iter().map(|path| prefix(path, depth)).collect();
            children.dedup();
            at = children
                .into_iter()
                .min_by(|one, other| self.share(one).total_cmp(&self.share(other)))?;
        }
    }

    fn end_one(&mut self, path: &str) {
        let need = self.tasks[path];
        let has = self.has.get_mut(path).unwrap();
        *has = (has.0 - need.0, has.1 - need.1);
    }
}

fn is_below(path: &str, node: &str) -> bool {
    node.is_empty() || path == node || path.strip_prefix(node).is_some_and(|rest| rest.starts_with('/'))
}

fn prefix(path: &str, depth: usize) -> String {
    path.split('/').take(depth).collect::<Vec<_>>().join("/")
}

/// One framework in each role of these, each with an endless number of tasks.
fn bench(total: &str, leaves: &[(&str, &str)]) -> Bench {
    let mut bench = Bench::new("drf");
    bench.add_agent("server", total);
    for (path, each) in leaves {
        bench.join(path, path);
        bench.want(path, path, vec![shape(0, each, 1_000_000)]);
    }
    bench
}

/// Offers are of a whole round; used task by task, so that they can end one by one.
fn run(bench: &mut Bench, each: &BTreeMap<&str, &str>) -> Vec<(String, proffer_allocator::ClaimIx)> {
    let mut tasks = Vec::new();
    for offer in bench.round() {
        let name = offer.role.to_string();
        let one = crate::bench::resources(each[name.as_str()]);
        let n: u32 = offer.shapes.iter().map(|(_, n)| n).sum();
        let first = bench.accept(&offer, &one);
        tasks.push((name.clone(), first));
        let claim = bench.ledger.claim_of(first).unwrap().clone();
        for _ in 1..n {
            tasks.push((name.clone(), bench.ledger.claim(claim.clone())));
            bench.observe([proffer_allocator::Change::Claimed(claim.agent, claim.leaf)]);
        }
    }
    tasks
}

fn n_units(bench: &Bench, name: &str, resource: &ResourceName) -> u128 {
    bench.has(name, resource) / 1000
}

/// The first figure: n1 and n2/2 want GPUs, n2/1 alone wants cores and so gets all of them.
const COMPLEMENTARY: [(&str, &str); 3] = [("n1", GPU), ("n2/1", CPU), ("n2/2", GPU)];

#[test]
fn who_shares_a_role_with_one_who_has_all_of_another_resource_is_not_starved_as_tasks_come_and_go() {
    let mut naive = Naive::new((10, 10), &COMPLEMENTARY);
    while naive.step().is_some() {}
    assert_eq!(naive.has["n2/1"], (10, 0));
    for _ in 0..10 {
        naive.end_one(if naive.has["n2/2"].1 > 0 { "n2/2" } else { "n1" });
        naive.step();
    }
    assert_eq!(
        (naive.has["n1"].1, naive.has["n2/2"].1),
        (10, 0),
        "the naive way starves n2/2"
    );

    let mut bench = bench("cpus:10;gpus:10", &COMPLEMENTARY);
    let each = COMPLEMENTARY.into_iter().collect();
    let mut tasks = run(&mut bench, &each);
    assert_eq!(n_units(&bench, "n2/1", &ResourceName::Cpus), 10);
    for nth in 0..20 {
        let of = if nth % 2 == 0 { "n2/2" } else { "n1" };
        let at = tasks.iter().position(|(name, _)| name == of).unwrap();
        let (_, task) = tasks.swap_remove(at);
        bench.end(task);
        tasks.extend(run(&mut bench, &each));
        let has = ["n1", "n2/2"].map(|name| n_units(&bench, name, &gpus()));
        assert_eq!(has, [5, 5], "after {nth} tasks ended");
    }
}

#[test]
fn who_comes_late_to_a_role_that_has_all_of_another_resource_gets_a_fair_part() {
    let mut bench = bench("cpus:10;gpus:10", &[("n2/1", CPU)]);
    bench.round();
    for name in ["n1", "n2/2"] {
        bench.join(name, name);
        bench.want(name, name, vec![shape(0, GPU, 1_000_000)]);
    }
    bench.round();
    let has = ["n1", "n2/2"].map(|name| n_units(&bench, name, &gpus()));
    assert_eq!(has, [5, 5]);
}

#[test]
fn who_wants_nothing_more_but_has_all_of_another_resource_starves_nobody() {
    let mut bench = bench("cpus:10;gpus:10", &[]);
    bench.join("n2/1", "n2/1");
    bench.want("n2/1", "n2/1", vec![shape(0, CPU, 10)]);
    bench.round();
    assert_eq!(n_units(&bench, "n2/1", &ResourceName::Cpus), 10);
    for name in ["n1", "n2/2"] {
        bench.join(name, name);
        bench.want(name, name, vec![shape(0, GPU, 1_000_000)]);
    }
    bench.round();
    let has = ["n1", "n2/2"].map(|name| n_units(&bench, name, &gpus()));
    assert_eq!(has, [5, 5]);
}

/// The second figure: once all cores are used n3/1 is blocked, and must not decide on the share of n3 any more.
const BLOCKED: [(&str, &str); 5] = [
    ("n1", CPU),
    ("n2", CPU),
    ("n3/1", CPU),
    ("n3/2", GPU),
    ("n4", GPU),
];

/// Naive in another way: everybody is scaled to the smallest share, whether or not they can use anything. Then n3 stays
/// at a third for ever, and n3/2 takes what is left.
fn without_blocking() -> [u32; 2] {
    let third = 10;
    let (mut n32, mut n4) = (third, third);
    for _ in 0..30 - 2 * third {
        let n3 = third.min(n32);
        if n3 <= n4 { n32 += 1 } else { n4 += 1 }
    }
    [n32, n4]
}

#[test]
fn who_can_use_nothing_more_does_not_decide_on_the_share_of_a_role() {
    assert_eq!(
        without_blocking(),
        [20, 10],
        "n3/2 gets two thirds, though n4 is entitled to half"
    );
    let mut bench = bench("cpus:30;gpus:30", &BLOCKED);
    bench.round();
    let cpus = ["n1", "n2", "n3/1"].map(|name| n_units(&bench, name, &ResourceName::Cpus));
    assert_eq!(cpus, [10, 10, 10]);
    let has = ["n3/2", "n4"].map(|name| n_units(&bench, name, &gpus()));
    assert_eq!(has, [15, 15]);
}

#[test]
fn who_can_use_nothing_more_does_not_decide_either_when_only_demand_changed() {
    let mut bench = bench("cpus:30;gpus:30", &BLOCKED[..3]);
    for name in ["n3/2", "n4"] {
        bench.join(name, name);
        bench.want(name, name, Vec::new());
    }
    bench.round();
    for name in ["n3/2", "n4"] {
        bench.want(name, name, vec![shape(0, GPU, 1_000_000)]);
    }
    bench.round();
    let has = ["n3/2", "n4"].map(|name| n_units(&bench, name, &gpus()));
    assert_eq!(has, [15, 15]);
}

#[test]
fn what_a_blocked_leaf_has_of_a_contended_resource_counts_for_its_role() {
    // b/1 has 6 of 10 GPUs and can use no more; a is entitled to half of them, and gets what is left, but for the one
    // task that tells what b/2 uses.
    let mut bench = Bench::new("drf");
    bench.add_agent("server", "cpus:10;gpus:10");
    bench.join("b/1", "b/1");
    let own = proffer_types::Shape {
        max_per_agent: Some(6),
        ..shape(0, GPU, 1_000_000)
    };
    bench.want("b/1", "b/1", vec![own]);
    bench.round();
    for name in ["a", "b/2"] {
        bench.join(name, name);
        bench.want(name, name, vec![shape(0, GPU, 1_000_000)]);
    }
    bench.round();
    let has = ["a", "b/1", "b/2"].map(|name| n_units(&bench, name, &gpus()));
    assert_eq!(has, [3, 6, 1]);
}

#[test]
fn no_resource_is_left_idle_that_somebody_deep_in_the_tree_could_use() {
    let leaves = [
        ("a/x/1", CPU),
        ("a/x/2", GPU),
        ("a/y", CPU),
        ("b", CPU),
        ("c/z/1/deep", GPU),
    ];
    let mut bench = bench("cpus:7;gpus:9", &leaves);
    bench.round();
    assert!(bench.ledger.free().is_empty(), "{:?}", bench.ledger.free());
}

#[test]
fn a_role_of_one_framework_gets_as_much_as_a_role_of_three() {
    let leaves = [
        ("crowd/1", CPU),
        ("crowd/2", CPU),
        ("crowd/3", CPU),
        ("solo", CPU),
    ];
    let mut bench = bench("cpus:60", &leaves);
    bench.round();
    let has = leaves.map(|(name, _)| n_units(&bench, name, &ResourceName::Cpus));
    assert_eq!(has, [10, 10, 10, 30]);
}

#[test]
fn the_own_frameworks_of_a_role_compete_with_the_roles_below_it_as_one() {
    let mut bench = Bench::new("drf");
    bench.add_agent("a", "cpus:60");
    for (name, role) in [("own1", "eng"), ("own2", "eng"), ("below", "eng/prod")] {
        bench.join(name, role);
        bench.want(name, role, vec![shape(0, CPU, 1_000_000)]);
    }
    bench.round();
    let has = ["own1", "own2", "below"].map(|name| n_units(&bench, name, &ResourceName::Cpus));
    assert_eq!(has, [15, 15, 30]);
}

#[test]
fn weights_count_at_every_level() {
    let mut bench = Bench::new("drf");
    bench.add_agent("a", "cpus:60");
    for (name, weight) in [("a", 2000), ("a/x", 3000)] {
        bench.weigh(name, weight);
    }
    for name in ["a/x", "a/y", "b"] {
        bench.join(name, name);
        bench.want(name, name, vec![shape(0, CPU, 1_000_000)]);
    }
    bench.round();
    let has = ["a/x", "a/y", "b"].map(|name| n_units(&bench, name, &ResourceName::Cpus));
    assert_eq!(has, [30, 10, 20]);
}

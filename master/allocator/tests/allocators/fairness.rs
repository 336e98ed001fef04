//! What of fairness tasks keep that are not divisible: on one server as rules, on many as figures.

use proffer_types::{ResourceName, Resources};
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use crate::bench::{Bench, framework, role};
use crate::properties::some;
use crate::reference::{User, dominant, solve};

/// Cores, GiB of memory and GPUs.
type Needs = [u64; 3];

fn bundle(needs: Needs) -> Resources {
    let gpus = ResourceName::new("gpus").unwrap();
    Resources::of(needs[0] * 1000, needs[1] << 30, 0).with(gpus, needs[2] * 1000)
}

fn floats(needs: Needs) -> Vec<f64> {
    needs.iter().map(|units| *units as f64).collect()
}

/// Frameworks of one role, or of one each, with tasks without end.
fn bench(allocator: &str, tasks: &[Needs], of_one_role: bool) -> Bench {
    let mut bench = Bench::new(allocator);
    for (nth, task) in tasks.iter().enumerate() {
        let name = format!("f{nth}");
        let of = if of_one_role { "all" } else { &name };
        bench.join(&name, of);
        let shape = proffer_types::Shape::new(proffer_types::ShapeId(0), bundle(*task), 1_000_000);
        bench.want(&name, of, vec![shape]);
    }
    bench
}

/// How many tasks each has on each agent.
fn placed(bench: &Bench, tasks: &[Needs], of_one_role: bool) -> Vec<Vec<u64>> {
    let n_of = |nth: usize| {
        let name = format!("f{nth}");
        let of = role(if of_one_role { "all" } else { &name });
        let leaf = bench.ledger.leaf_ix(&framework(&name), &of).unwrap();
        let agents = bench.ledger.agents();
        agents
            .map(move |(agent, _)| u64::from(bench.ledger.n_on(agent, leaf, proffer_types::ShapeId(0))))
            .collect()
    };
    (0..tasks.len()).map(n_of).collect()
}

/// How many of one's tasks fit into so many of another's.
fn worth(task: &Needs, other: &Needs, n: u64) -> u64 {
    let needed = (0..3).filter(|r| task[*r] > 0);
    needed.map(|r| other[r] * n / task[r]).min().unwrap_or(0)
}

/// How many of one's tasks what a task of each needs would be enough for, of the resource of which that is most.
fn last_tasks(tasks: &[Needs], task: &Needs) -> f64 {
    let needed = (0..3).filter(|r| task[*r] > 0);
    let parts = needed.map(|r| tasks.iter().map(|each| each[r]).sum::<u64>() as f64 / task[r] as f64);
    parts.fold(0.0, f64::max)
}

fn tasks() -> impl Strategy<Value = Vec<Needs>> {
    let task = [0..6_u64, 0..9, 0..3].prop_filter("a task needs something", |needs| {
        needs.iter().any(|units| *units > 0)
    });
    proptest::collection::vec(task, 2..6)
}

proptest! {
    #![proptest_config(some(400))]

    #[test]
    fn on_one_server_nobody_envies_beyond_a_task_nobody_has_much_less_than_a_part_and_nothing_more_fits(
        total in [6..60_u64, 9..90, 3..20],
        tasks in tasks(),
        of_one_role in any::<bool>(),
    ) {
        let mut bench = bench("drf", &tasks, of_one_role);
        bench.add_agent("server", &bundle(total).to_string());
        bench.round();
        let n_tasks: Vec<u64> = placed(&bench, &tasks, of_one_role).iter().map(|on| on[0]).collect();
        let share = |nth: usize| dominant(&floats(tasks[nth]), &floats(total)) * n_tasks[nth] as f64;
        let largest = tasks.iter().map(|task| dominant(&floats(*task), &floats(total))).fold(0.0, f64::max);
        let free = bench.ledger.free().to_resources();
        for (nth, task) in tasks.iter().enumerate() {
            prop_assert!(!free.contains(&bundle(*task)), "a task of f{} fits into {}", nth, free);
            for (other, n) in tasks.iter().zip(&n_tasks) {
                let envied = worth(task, other, n.saturating_sub(1));
                prop_assert!(envied <= n_tasks[nth], "f{} envies {:?} of {:?}: {:?}", nth, n, other, n_tasks);
            }
            // Whoever has less than a fair part was passed by one task of somebody at most.
            let part = 1.0 / tasks.len() as f64;
            prop_assert!(share(nth) + largest >= part - 1e-9, "f{} has {} of {:?}", nth, share(nth), n_tasks);
        }
    }

    #[test]
    fn on_one_server_with_small_tasks_nobody_has_much_less_than_if_they_were_divisible(tasks in tasks(), of_one_role in any::<bool>()) {
        let total = [600, 900, 300];
        let mut bench = bench("drf", &tasks, of_one_role);
        bench.add_agent("server", &bundle(total).to_string());
        bench.round();
        let users: Vec<_> = tasks.iter().map(|task| User { task: floats(*task), weight: 1.0 }).collect();
        let due = solve(&floats(total), &users);
        let placed = placed(&bench, &tasks, of_one_role);
        for ((nth, on), due) in placed.iter().enumerate().zip(due) {
            let one = dominant(&floats(tasks[nth]), &floats(total));
            // The rounding of everybody's last task, which where it is of a resource that one needs little of is several tasks of
            // one's own. More may be had: of what is too little for others.
            let gap = (due - on[0] as f64) * one;
            let rounding = last_tasks(&tasks, &tasks[nth]) * one;
            prop_assert!(gap < rounding.max(0.04), "f{} has {} tasks, not {}: {:?}", nth, on[0], due, placed);
        }
    }
}

/// For many servers DRF promises little; this is how it does, beside the divisible solver on all of them as one.
#[test]
fn on_many_servers_envy_and_the_gap_to_the_divisible_solver_are_measured() {
    const MACHINES: [Needs; 3] = [[16, 32, 0], [32, 128, 0], [16, 64, 4]];
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let tasks: Vec<Needs> = (0..20)
        .map(|_| {
            let gpus = u64::from(rng.random_bool(0.2));
            [rng.random_range(1..8), rng.random_range(1..24), gpus]
        })
        .collect();
    eprintln!(
        "60 servers of 3 builds, 20 frameworks: dominant share per mille, envy in tasks per mille of one's own"
    );
    for allocator in proffer_allocator::names() {
        let mut bench = bench(allocator, &tasks, false);
        let mut total = [0; 3];
        for nth in 0..60 {
            let machine = MACHINES[nth % 3];
            bench.add_agent(&format!("a{nth}"), &bundle(machine).to_string());
            (0..3).for_each(|r| total[r] += machine[r]);
        }
        bench.round();
        let placed = placed(&bench, &tasks, false);
        let users: Vec<_> = tasks
            .iter()
            .map(|task| User {
                task: floats(*task),
                weight: 1.0,
            })
            .collect();
        let due = solve(&floats(total), &users);
        let (mut least, mut gap, mut envy) = (f64::INFINITY, 0.0_f64, 0.0_f64);
        for (nth, task) in tasks.iter().enumerate() {
            let one = dominant(&floats(*task), &floats(total));
            let own: u64 = placed[nth].iter().sum();
            least = least.min(own as f64 * one);
            gap = gap.max(due[nth] * one - own as f64 * one);
            for (other, on) in tasks.iter().zip(&placed) {
                let there: u64 = on.iter().map(|n| worth(task, other, *n)).sum();
                envy = envy.max((there as f64 - own as f64) / own.max(1) as f64);
            }
        }
        let fair = due
            .iter()
            .zip(&tasks)
            .map(|(n, task)| n * dominant(&floats(*task), &floats(total)));
        let fair = fair.fold(f64::INFINITY, f64::min);
        eprintln!(
            "{allocator:>9}: least {:4.0} (divisible {:3.0}), largest gap {:3.0}, largest envy {:5.0}",
            least * 1e3,
            fair * 1e3,
            gap * 1e3,
            envy * 1e3
        );
        let is_full = tasks.iter().all(|task| {
            let mut agents = bench.ledger.agents();
            agents.all(|(_, agent)| !agent.free.contains(&bundle(*task)))
        });
        assert!(is_full, "{allocator}: somewhere a task still fits");
    }
}

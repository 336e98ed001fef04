//! DRF for divisible tasks on one big server, by progressive filling: everybody's dominant share over their weight grows
//! at one rate until a resource they need is used up. What the paper proves of DRF holds of this, and of tasks that are
//! not divisible only as far as [`crate::fairness`] says.

use proptest::prelude::*;

use crate::properties::some;

/// One user: what a task needs of each resource, and a weight.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) task: Vec<f64>,
    pub(crate) weight: f64,
}

const TINY: f64 = 1e-9;

/// The largest part of anything that one task takes.
pub(crate) fn dominant(task: &[f64], total: &[f64]) -> f64 {
    let parts = task.iter().zip(total).filter(|(_, total)| **total > 0.0);
    parts.map(|(need, total)| need / total).fold(0.0, f64::max)
}

/// How many tasks, fractions included, everybody runs.
pub(crate) fn solve(total: &[f64], users: &[User]) -> Vec<f64> {
    let mut n_tasks = vec![0.0; users.len()];
    let mut free = total.to_vec();
    // Tasks that one unit of dominant share over weight is worth.
    let rate: Vec<f64> = users
        .iter()
        .map(|user| user.weight / dominant(&user.task, total))
        .collect();
    loop {
        let used_up = |need: f64, free: f64, total: f64| need > 0.0 && free <= TINY * total;
        let growing: Vec<_> = (0..users.len())
            .filter(|nth| {
                let task = &users[*nth].task;
                (0..total.len()).all(|r| !used_up(task[r], free[r], total[r]))
            })
            .collect();
        let speed: Vec<f64> = (0..total.len())
            .map(|r| growing.iter().map(|nth| rate[*nth] * users[*nth].task[r]).sum())
            .collect();
        let until = (0..total.len())
            .filter(|r| speed[*r] > 0.0)
            .map(|r| free[r] / speed[r]);
        let Some(step) = until.reduce(f64::min) else {
            return n_tasks;
        };
        growing.iter().for_each(|nth| n_tasks[*nth] += rate[*nth] * step);
        (0..total.len()).for_each(|r| free[r] -= speed[r] * step);
    }
}

/// How many tasks somebody could run on what others have.
fn worth(task: &[f64], bundle: &[f64]) -> f64 {
    let needed = task.iter().zip(bundle).filter(|(need, _)| **need > 0.0);
    needed.map(|(need, has)| has / need).fold(f64::INFINITY, f64::min)
}

fn bundle(user: &User, n_tasks: f64) -> Vec<f64> {
    user.task.iter().map(|need| need * n_tasks).collect()
}

#[test]
fn the_worked_examples_of_the_paper_come_out() {
    let user = |task: &[f64], weight| User {
        task: task.to_vec(),
        weight,
    };
    let close = |total: &[f64], users: &[User], due: &[f64]| {
        let solved = solve(total, users);
        let is_close = solved
            .iter()
            .zip(due)
            .all(|(one, other)| (one - other).abs() < 1e-6);
        assert!(is_close, "{solved:?}, not {due:?}");
    };
    close(
        &[9.0, 18.0],
        &[user(&[1.0, 4.0], 1.0), user(&[3.0, 1.0], 1.0)],
        &[3.0, 2.0],
    );
    close(
        &[45.0, 90.0],
        &[user(&[1.0, 4.0], 1.0), user(&[3.0, 1.0], 2.0)],
        &[9.0, 12.0],
    );
    // When cores are used up, who needs none goes on.
    close(
        &[10.0, 10.0],
        &[user(&[1.0, 0.0], 1.0), user(&[0.0, 1.0], 1.0)],
        &[10.0, 10.0],
    );
}

fn users() -> impl Strategy<Value = Vec<User>> {
    let need = || prop_oneof![1 => Just(0.0), 4 => 0.01..5.0_f64];
    let task = (0.01..5.0_f64, need(), need(), 0..3_usize).prop_map(|(one, two, three, turn)| {
        let mut task = vec![one, two, three];
        task.rotate_left(turn);
        User { task, weight: 1.0 }
    });
    proptest::collection::vec(task, 2..6)
}

fn total() -> impl Strategy<Value = Vec<f64>> {
    proptest::collection::vec(1.0..100.0_f64, 3)
}

proptest! {
    #![proptest_config(some(1000))]

    #[test]
    fn nobody_gets_more_done_by_lying(
        total in total(),
        users in users(),
        lie in proptest::collection::vec(0.0..5.0_f64, 3),
    ) {
        prop_assume!(lie.iter().any(|need| *need > 0.01));
        let honest = solve(&total, &users)[0];
        let mut lying = users.clone();
        lying[0].task = lie;
        let got = bundle(&lying[0], solve(&total, &lying)[0]);
        prop_assert!(worth(&users[0].task, &got) <= honest * (1.0 + 1e-6));
    }

    #[test]
    fn nobody_envies_nobody_is_worse_off_than_alone_with_a_part_and_nothing_more_fits(
        total in total(),
        users in users(),
    ) {
        let n_tasks = solve(&total, &users);
        let bundles: Vec<_> = users.iter().zip(&n_tasks).map(|(user, n)| bundle(user, *n)).collect();
        let part: Vec<_> = total.iter().map(|all| all / users.len() as f64).collect();
        let free: Vec<_> = (0..3).map(|r| total[r] - bundles.iter().map(|one| one[r]).sum::<f64>()).collect();
        for (user, n) in users.iter().zip(&n_tasks) {
            for other in &bundles {
                prop_assert!(worth(&user.task, other) <= n * (1.0 + 1e-6));
            }
            prop_assert!(worth(&user.task, &part) <= n * (1.0 + 1e-6));
            prop_assert!(worth(&user.task, &free) * dominant(&user.task, &total) < 1e-6);
        }
    }
}

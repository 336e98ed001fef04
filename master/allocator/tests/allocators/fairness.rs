//! Who gets how much in the long run, when everybody takes small tasks for ever.

use proffer_types::Role;

use crate::bench::{Bench, resources};

/// Fills the cluster: each framework takes one task of each offer. Returns how many tasks each got.
fn fill(bench: &mut Bench, frameworks: &[(&str, &str)]) -> Vec<usize> {
    let mut n_tasks = vec![0; frameworks.len()];
    loop {
        let mut placed = false;
        for offer in bench.round() {
            let name = offer.grant.framework_id.to_string();
            let at = frameworks.iter().position(|(f, _)| *f == name).unwrap();
            let task = resources(frameworks[at].1);
            if offer.grant.resources.contains(&task) {
                bench.accept(&offer, &task);
                n_tasks[at] += 1;
                placed = true;
            } else {
                bench.decline(&offer, std::time::Duration::from_secs(3600));
            }
        }
        if !placed && bench.round().is_empty() {
            return n_tasks;
        }
    }
}

fn weigh(bench: &mut Bench, role: &str, weight_millis: u64) {
    let change = bench.ledger.set_weight(&Role::new(role).unwrap(), weight_millis);
    bench.observe(change);
}

#[test]
fn weights_of_two_to_one_give_two_to_one() {
    let mut bench = Bench::new("drf");
    bench.add_agent("a", "cpus:90;mem:90GiB");
    bench.add_framework("one", "light");
    bench.add_framework("two", "heavy");
    weigh(&mut bench, "heavy", 2000);
    let task = "cpus:1;mem:1GiB";
    assert_eq!(fill(&mut bench, &[("one", task), ("two", task)]), [30, 60]);
}

#[test]
fn a_weight_of_a_thousandth_still_gets_its_thousandth() {
    let mut bench = Bench::new("drf");
    bench.add_agent("a", "cpus:1001;mem:2000GiB");
    bench.add_framework("dust", "dust");
    bench.add_framework("full", "full");
    weigh(&mut bench, "dust", 1);
    let task = "cpus:1;mem:1GiB";
    assert_eq!(fill(&mut bench, &[("dust", task), ("full", task)]), [1, 1000]);
}

#[test]
fn a_role_of_one_framework_gets_as_much_as_a_role_of_three() {
    let mut bench = Bench::new("drf");
    bench.add_agent("a", "cpus:60;mem:600GiB");
    for name in ["x1", "x2", "x3"] {
        bench.add_framework(name, &format!("crowd/{name}"));
    }
    bench.add_framework("solo", "solo");
    let task = "cpus:1;mem:1GiB";
    let n_tasks = fill(
        &mut bench,
        &[("x1", task), ("x2", task), ("x3", task), ("solo", task)],
    );
    assert_eq!(n_tasks, [10, 10, 10, 30]);
}

#[test]
fn the_own_frameworks_of_a_role_compete_with_the_roles_below_it_as_one() {
    let mut bench = Bench::new("drf");
    bench.add_agent("a", "cpus:60;mem:600GiB");
    bench.add_framework("own1", "eng");
    bench.add_framework("own2", "eng");
    bench.add_framework("below", "eng/prod");
    let task = "cpus:1;mem:1GiB";
    let n_tasks = fill(&mut bench, &[("own1", task), ("own2", task), ("below", task)]);
    assert_eq!(n_tasks, [15, 15, 30]);
}

#[test]
fn roles_with_different_dominant_resources_end_with_equal_dominant_shares() {
    let mut bench = Bench::new("drf");
    bench.add_agent("a", "cpus:100;mem:100GiB");
    bench.add_framework("cpu", "eng/cpu");
    bench.add_framework("mem", "eng/mem");
    let tasks = [("cpu", "cpus:4;mem:1GiB"), ("mem", "cpus:1;mem:4GiB")];
    assert_eq!(fill(&mut bench, &tasks), [20, 20]);
}

#[test]
fn first_come_first_served_starves_everybody_else() {
    let mut bench = Bench::new("fifo");
    bench.add_agent("a", "cpus:10;mem:10GiB");
    bench.add_framework("first", "*");
    bench.add_framework("second", "*");
    let task = "cpus:1;mem:1GiB";
    assert_eq!(fill(&mut bench, &[("first", task), ("second", task)]), [10, 0]);
}

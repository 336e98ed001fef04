//! How offers reach frameworks: at once, fairly, and again when something frees up.

use expect_test::expect;

use crate::script::{check, play};

#[test]
fn the_worked_example_of_the_paper_comes_out() {
    let mut script = "agent a0 cpus:9;mem:18GB|framework f0|framework f1".to_owned();
    // f0 is B of the paper, f1 is A: each takes one task of each offer while it fits.
    let (mut picks, mut n_tasks, mut declined) = (String::new(), 0, [false; 2]);
    while declined != [true; 2] {
        let heard = play(&script);
        let offer = heard.lines().rfind(|line| line.contains("<- offer")).unwrap();
        let words: Vec<&str> = offer.split_whitespace().collect();
        let (name, id, left) = (words[0], words[3], words[6]);
        let left: proffer_types::Resources = left.parse().unwrap();
        let task = if name == "f1" {
            "cpus:1;mem:4GB"
        } else {
            "cpus:3;mem:1GB"
        };
        if left.contains(&task.parse().unwrap()) {
            script += &format!("|accept {name} {id} refuse 0 t{n_tasks}@a0:{task}");
            picks += if name == "f1" { "A" } else { "B" };
            n_tasks += 1;
            declined = [false; 2];
        } else {
            script += &format!("|decline {name} {id} refuse 0");
            declined[usize::from(name == "f1")] = true;
        }
    }
    assert_eq!(picks, "BAABA");
}

#[test]
fn a_declined_agent_is_not_offered_again_before_the_filter_expires() {
    check(
        "agent a0 cpus:4;mem:1GiB | framework f0 | decline f0 o0 refuse 7 | wait 6 | wait 1",
        expect![[r#"
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            > framework f0
            f0 <- subscribed as f0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > decline f0 o0 refuse 7
            > wait 6
            > wait 1
            f0 <- offer o1 a0 * cpus:4;mem:1GiB
        "#]],
    );
}

#[test]
fn what_one_framework_refuses_goes_to_the_next_at_once() {
    check(
        "agent a0 cpus:4;mem:1GiB | framework f0 | framework f1 | decline f0 o0 refuse 60",
        expect![[r#"
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            > framework f0
            f0 <- subscribed as f0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > framework f1
            f1 <- subscribed as f1
            > decline f0 o0 refuse 60
            f1 <- offer o1 a0 * cpus:4;mem:1GiB
        "#]],
    );
}

#[test]
fn resources_are_offered_the_moment_a_task_ends_before_its_end_is_acknowledged() {
    check(
        "framework f0 | agent a0 cpus:4;mem:1GiB | accept f0 o0 refuse 60 t1@a0:cpus:1
         status a0 f0/t1 RUNNING FINISHED",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 60 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > status a0 f0/t1 RUNNING FINISHED
            f0 <- t1 RUNNING #1
            f0 <- offer o1 a0 * cpus:4;mem:1GiB
        "#]],
    );
}

#[test]
fn a_revive_clears_filters_and_a_suppressed_framework_hears_nothing() {
    check(
        "framework f0 | agent a0 cpus:4;mem:1GiB | suppress f0 | decline f0 o0 refuse 0 | revive f0
         decline f0 o1 refuse 60 | revive f0 | revive f0 nobody",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > suppress f0
            > decline f0 o0 refuse 0
            > revive f0
            f0 <- offer o1 a0 * cpus:4;mem:1GiB
            > decline f0 o1 refuse 60
            > revive f0
            f0 <- offer o2 a0 * cpus:4;mem:1GiB
            > revive f0 nobody
        "#]],
    );
}

#[test]
fn a_weight_takes_back_what_was_offered_under_the_old_one() {
    check(
        "show registry | framework f0 role eng | agent a0 cpus:4;mem:1GiB | weight eng 2500
         weight eng 2500 | weight eng 1000 | weight eng 0",
        expect![[r#"
            > show registry
            > framework f0 role eng
            store framework f0 order 0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            store agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 eng cpus:4;mem:1GiB
            > weight eng 2500
            store role eng weight 2500
            f0 <- rescind o0
            operator <- done
            f0 <- offer o1 a0 eng cpus:4;mem:1GiB
            > weight eng 2500
            operator <- done
            > weight eng 1000
            forget role eng
            f0 <- rescind o1
            operator <- done
            f0 <- offer o2 a0 eng cpus:4;mem:1GiB
            > weight eng 0
            operator <- weight of role `eng` must be 0.001 to 1000000
        "#]],
    );
}

#[test]
fn shapes_are_the_largest_agents_and_follow_them() {
    check(
        "show shapes | framework f0 | agent a0 cpus:4;mem:1GiB | agent a1 cpus:2;mem:1GiB
         agent a2 cpus:1;mem:2GiB | lost a0 | wait 75",
        expect![[r#"
            > show shapes
            > framework f0
            f0 <- subscribed as f0
            f0 <- 0 agents up to []
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- 1 agents up to [cpus:4;mem:1GiB]
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > agent a1 cpus:2;mem:1GiB
            a1 <- registered as a1
            f0 <- 2 agents up to [cpus:4;mem:1GiB]
            f0 <- offer o1 a1 * cpus:2;mem:1GiB
            > agent a2 cpus:1;mem:2GiB
            a2 <- registered as a2
            f0 <- 3 agents up to [cpus:1;mem:2GiB, cpus:4;mem:1GiB]
            f0 <- offer o2 a2 * cpus:1;mem:2GiB
            > lost a0
            f0 <- rescind o0
            > wait 75
            f0 <- rescind o1
            f0 <- rescind o2
            f0 <- offer o3 a1 * cpus:2;mem:1GiB
            f0 <- offer o4 a2 * cpus:1;mem:2GiB
            f0 <- rescind o3
            f0 <- rescind o4
            f0 <- offer o5 a1 * cpus:2;mem:1GiB
            f0 <- offer o6 a2 * cpus:1;mem:2GiB
            f0 <- agent a0 lost
            f0 <- 2 agents up to [cpus:1;mem:2GiB, cpus:2;mem:1GiB]
        "#]],
    );
}

#[test]
fn who_asks_for_it_is_told_of_all_agents_and_of_what_becomes_of_them() {
    check(
        "agent a0 cpus:1 | framework f0 agents yes role eng | framework f1 role eng | suppress f0 eng | suppress f1 eng
         agent a1 cpus:2 | deactivate a1 | lost a0 | wait 75 | gone a1",
        expect![[r#"
            > agent a0 cpus:1
            a0 <- registered as a0
            > framework f0 agents yes role eng
            f0 <- subscribed as f0
            f0 <- agents a0 cpus:1
            f0 <- offer o0 a0 eng cpus:1
            > framework f1 role eng
            f1 <- subscribed as f1
            > suppress f0 eng
            > suppress f1 eng
            > agent a1 cpus:2
            a1 <- registered as a1
            f0 <- agents a1 cpus:2
            > deactivate a1
            operator <- done
            f0 <- agents a1 cpus:2 out of use
            > lost a0
            f0 <- rescind o0
            > wait 75
            f0 <- agent a0 lost
            f1 <- agent a0 lost
            f0 <- agents a0 cpus:1 out of use
            > gone a1
            a1 <- gone: an operator declared agent `a1` gone: its id is spent, and its tasks are killed; to join as a new agent, remove its data directory
            a1 closed: the peer was refused: an operator declared agent `a1` gone: its id is spent, and its tasks are killed; to join as a new agent, remove its data directory
            f0 <- agent a1 lost
            f1 <- agent a1 lost
            operator <- done
            f0 <- agents a1 gone
        "#]],
    );
}

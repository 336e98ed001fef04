//! Agents that are away: who has tasks there hears it at once, long before they are given up.

use expect_test::expect;

use crate::script::check;

const RUNNING: &str = "framework f0 | framework f1 | show away | agent a0 cpus:4;mem:1GiB | accept f0 o0 refuse 600 t1@a0:cpus:1 | status a0 f0/t1 RUNNING";

#[test]
fn a_framework_hears_of_its_own_agents_that_they_are_away_and_back() {
    check(
        &format!("{RUNNING} | lost a0 | wait 2 | agent a0 cpus:4;mem:1GiB f0/t1=RUNNING"),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > framework f1
            f1 <- subscribed as f1
            > show away
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            f1 <- offer o1 a0 * cpus:3;mem:1GiB
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #1
            > lost a0
            f1 <- rescind o1
            f0 <- agent a0 away for 0ns
            > wait 2
            > agent a0 cpus:4;mem:1GiB f0/t1=RUNNING
            a0 <- registered as a0
            f0 <- agent a0 back
            f1 <- offer o2 a0 * cpus:3;mem:1GiB
        "#]],
    );
}

#[test]
fn a_dead_host_is_noticed_within_seconds() {
    check(
        &format!("{RUNNING} | wait 1 | mute a0 | wait 2 | wait 2"),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > framework f1
            f1 <- subscribed as f1
            > show away
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            f1 <- offer o1 a0 * cpus:3;mem:1GiB
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #1
            > wait 1
            > mute a0
            > wait 2
            > wait 2
            f1 <- rescind o1
            f0 <- agent a0 away for 3s
            a0 closed: nothing was heard from it for three heartbeat intervals
        "#]],
    );
}

#[test]
fn a_framework_that_was_away_itself_hears_of_what_it_missed() {
    check(
        &format!("{RUNNING} | lost f0 | lost a0 | wait 7 | framework f0 id f0"),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > framework f1
            f1 <- subscribed as f1
            > show away
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            f1 <- offer o1 a0 * cpus:3;mem:1GiB
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #1
            > lost f0
            > lost a0
            f1 <- rescind o1
            > wait 7
            > framework f0 id f0
            f0 <- subscribed as f0
            f0 <- t1 RUNNING #1
            f0 <- agent a0 away for 7s
        "#]],
    );
}

//! Maintenance windows: announced, begun, over, taken back; whatever restarts meanwhile.

use expect_test::expect;

use crate::script::check;

const RUNNING: &str = "framework f0 | agent a0 cpus:4 | accept f0 o0 refuse 600 t1@a0:cpus:1 | status a0 f0/t1 RUNNING | ack f0 t1";

#[test]
fn offers_of_an_agent_say_when_it_is_not_to_be_counted_on() {
    check(
        "framework f0 | agent a0 cpus:4 | show registry | schedule w a0 +60 30 | schedule v a0 +10 5
             cancel v | restart | framework f0 | agent a0 cpus:4 | cancel w | cancel w",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4
            > show registry
            > schedule w a0 +60 30
            store agent a0 cpus:4 w [60s..90s)
            f0 <- rescind o0
            operator <- done
            f0 <- offer o1 a0 * cpus:4 [60s..90s)
            > schedule v a0 +10 5
            store agent a0 cpus:4 v [10s..15s) w [60s..90s)
            f0 <- rescind o1
            operator <- done
            f0 <- offer o2 a0 * cpus:4 [10s..15s)
            > cancel v
            store agent a0 cpus:4 w [60s..90s)
            f0 <- rescind o2
            operator <- done
            f0 <- offer o3 a0 * cpus:4 [60s..90s)
            > restart
            > framework f0
            store framework f0 order 0 away until 3600000ms
            store framework f0 order 0
            f0 <- subscribed as f0
            > agent a0 cpus:4
            a0 <- registered as a0
            f0 <- offer m2-o0 a0 * cpus:4 [60s..90s)
            > cancel w
            store agent a0 cpus:4
            f0 <- rescind m2-o0
            operator <- done
            f0 <- offer m2-o1 a0 * cpus:4
            > cancel w
            operator <- no maintenance window `w`
        "#]],
    );
}

#[test]
fn an_agent_is_drained_for_its_window_and_offered_again_after_it() {
    check(
        &format!(
            "{RUNNING} | show registry | schedule w a0 +60 30 grace 2 | wait 59 | wait 1 | status a0 f0/t1 KILLED | ack f0 t1
                 wait 29 | wait 1"
        ),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #1
            > ack f0 t1
            a0 <- acknowledge f0/t1 #1
            > show registry
            > schedule w a0 +60 30 grace 2
            store agent a0 cpus:4 w [60s..90s)
            operator <- done
            f0 <- inverse offer o1 a0 cpus:1 [60s..90s)
            > wait 59
            > wait 1
            store agent a0 cpus:4 Draining 0/0 w [60s..90s) begun
            f0 <- rescind inverse o1
            a0 <- kill f0/t1 in 2s
            > status a0 f0/t1 KILLED
            f0 <- t1 KILLED AGENT_DRAINING #2
            > ack f0 t1
            store agent a0 cpus:4 Drained 0/0 w [60s..90s) begun
            a0 <- acknowledge f0/t1 #2
            > wait 29
            > wait 1
            store agent a0 cpus:4
            f0 <- offer o2 a0 * cpus:4
        "#]],
    );
}

#[test]
fn a_window_goes_on_and_ends_under_the_next_master() {
    check(
        "framework f0 | agent a0 cpus:4 | agent a1 cpus:1 | show registry | schedule w a0 +60 30 | schedule v a1 +60 5
             wait 61 | restart | sleep 10 | framework f0 | agent a0 cpus:4 | agent a1 cpus:1 | wait 20",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4
            > agent a1 cpus:1
            a1 <- registered as a1
            f0 <- offer o1 a1 * cpus:1
            > show registry
            > schedule w a0 +60 30
            store agent a0 cpus:4 w [60s..90s)
            f0 <- rescind o0
            operator <- done
            f0 <- offer o2 a0 * cpus:4 [60s..90s)
            > schedule v a1 +60 5
            store agent a1 cpus:1 v [60s..65s)
            f0 <- rescind o1
            operator <- done
            f0 <- offer o3 a1 * cpus:1 [60s..65s)
            > wait 61
            f0 <- rescind o2
            f0 <- rescind o3
            f0 <- offer o4 a0 * cpus:4 [60s..90s)
            f0 <- offer o5 a1 * cpus:1 [60s..65s)
            store agent a0 cpus:4 Draining 0/0 w [60s..90s) begun
            store agent a1 cpus:1 Draining 1/0 v [60s..65s) begun
            store agent a0 cpus:4 Drained 0/0 w [60s..90s) begun
            store agent a1 cpus:1 Drained 1/0 v [60s..65s) begun
            f0 <- rescind o4
            f0 <- rescind o5
            > restart
            > sleep 10
            > framework f0
            store framework f0 order 0 away until 3671000ms
            store framework f0 order 0
            f0 <- subscribed as f0
            > agent a0 cpus:4
            a0 <- registered as a0
            > agent a1 cpus:1
            a1 <- registered as a1
            > wait 20
            store agent a1 cpus:1
            f0 <- offer m2-o0 a1 * cpus:1
            store agent a0 cpus:4
            f0 <- offer m2-o1 a0 * cpus:4
        "#]],
    );
}

#[test]
fn a_window_that_passed_while_no_master_led_drains_nobody() {
    check(
        &format!(
            "{RUNNING} | schedule w a0 +60 30 | show registry | restart | sleep 120 | framework f0 | agent a0 cpus:4 f0/t1=RUNNING
                 wait 1"
        ),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #1
            > ack f0 t1
            a0 <- acknowledge f0/t1 #1
            > schedule w a0 +60 30
            operator <- done
            f0 <- inverse offer o1 a0 cpus:1 [60s..90s)
            > show registry
            > restart
            > sleep 120
            > framework f0
            store framework f0 order 0 away until 3720000ms
            store framework f0 order 0
            f0 <- subscribed as f0
            > agent a0 cpus:4 f0/t1=RUNNING
            a0 <- registered as a0
            f0 <- inverse offer m2-o0 a0 cpus:1 [60s..90s)
            f0 <- offer m2-o1 a0 * cpus:3 [60s..90s)
            > wait 1
            store agent a0 cpus:4
            f0 <- rescind m2-o1
            f0 <- rescind inverse m2-o0
            f0 <- offer m2-o2 a0 * cpus:3
        "#]],
    );
}

#[test]
fn a_drain_by_an_operator_outlasts_the_window_and_the_windows_own_ends_with_it() {
    check(
        "agent a0 cpus:4 | agent a1 cpus:1 | agent a2 cpus:1 | show registry | drain a0 | drain a1,a2 at-once 1
             schedule w a0,a2 +10 10 | wait 10 | wait 10 | reactivate a0 | schedule v a0 +10 10 | wait 10 | undrain a0 | wait 10",
        expect![[r#"
            > agent a0 cpus:4
            a0 <- registered as a0
            > agent a1 cpus:1
            a1 <- registered as a1
            > agent a2 cpus:1
            a2 <- registered as a2
            > show registry
            > drain a0
            store agent a0 cpus:4 Waiting 0/0
            store agent a0 cpus:4 Draining 0/0
            store agent a0 cpus:4 Drained 0/0
            operator <- done
            > drain a1,a2 at-once 1
            store agent a1 cpus:1 Waiting 1/0
            store agent a2 cpus:1 Waiting 1/1
            store agent a1 cpus:1 Draining 1/0
            store agent a1 cpus:1 Drained 1/0
            operator <- done
            > schedule w a0,a2 +10 10
            store agent a0 cpus:4 Drained 0/0 w [10s..20s)
            store agent a2 cpus:1 Waiting 1/1 w [10s..20s)
            operator <- done
            > wait 10
            store agent a0 cpus:4 Drained 0/0 w [10s..20s) begun
            store agent a2 cpus:1 Draining 1/1 w [10s..20s) begun
            store agent a2 cpus:1 Drained 1/1 w [10s..20s) begun
            > wait 10
            store agent a0 cpus:4 Drained 0/0
            store agent a2 cpus:1 Drained 1/1
            > reactivate a0
            store agent a0 cpus:4
            operator <- done
            > schedule v a0 +10 10
            store agent a0 cpus:4 v [30s..40s)
            operator <- done
            > wait 10
            store agent a0 cpus:4 Draining 2/0 v [30s..40s) begun
            store agent a0 cpus:4 Drained 2/0 v [30s..40s) begun
            > undrain a0
            store agent a0 cpus:4
            operator <- done
            > wait 10
        "#]],
    );
}

#[test]
fn taking_a_window_back_gives_the_agents_back_at_once() {
    check(
        &format!("{RUNNING} | schedule w a0 +5 30 | wait 5 | cancel w | status a0 f0/t1 KILLED | wait 30"),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4
            > accept f0 o0 refuse 600 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #1
            > ack f0 t1
            a0 <- acknowledge f0/t1 #1
            > schedule w a0 +5 30
            operator <- done
            f0 <- inverse offer o1 a0 cpus:1 [5s..35s)
            > wait 5
            f0 <- rescind inverse o1
            a0 <- kill f0/t1
            > cancel w
            operator <- done
            > status a0 f0/t1 KILLED
            f0 <- t1 KILLED AGENT_DRAINING #2
            f0 <- offer o2 a0 * cpus:4
            > wait 30
            f0 <- rescind o2
        "#]],
    );
}

#[test]
fn reactivating_an_agent_does_not_take_back_what_is_to_come() {
    check(
        "framework f0 | agent a0 cpus:4 | deactivate a0 | schedule w a0 +5 30 | reactivate a0 | undrain a0",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4
            > deactivate a0
            f0 <- rescind o0
            operator <- done
            > schedule w a0 +5 30
            operator <- done
            > reactivate a0
            operator <- done
            f0 <- offer o1 a0 * cpus:4 [5s..35s)
            > undrain a0
            operator <- done
        "#]],
    );
}

#[test]
fn a_window_that_cannot_be_is_refused_and_nothing_changes() {
    check(
        "show registry | agent a0 cpus:1 | agent a1 cpus:1 | wait 100 | schedule w a0 +60 60
             schedule w a1 +600 60 | schedule v a1,a0 +90 60 | schedule v a1,a0 +0 60 | schedule v a0 40 60 | schedule v a0 +5 0
             schedule v a0 +5 9999999 | schedule v a0 +99999999999 60 | schedule v a1,a7 +5 5 | schedule v a1,a1 +5 5
             schedule v nobody +5 5 | schedule v/v a1 +5 5 | wait 61 | schedule v a0 +10 60 | schedule v a0 +59 1 | gone a1
             schedule u a1 +5 5",
        expect![[r#"
            > show registry
            > agent a0 cpus:1
            store agent a0 cpus:1
            a0 <- registered as a0
            > agent a1 cpus:1
            store agent a1 cpus:1
            a1 <- registered as a1
            > wait 100
            > schedule w a0 +60 60
            store agent a0 cpus:1 w [160s..220s)
            operator <- done
            > schedule w a1 +600 60
            operator <- there is a maintenance window `w` already; cancel it first, or take another name
            > schedule v a1,a0 +90 60
            operator <- agent `a0` is in maintenance window `w` at that time
            > schedule v a1,a0 +0 60
            operator <- a maintenance window must begin later than now, not at once
            > schedule v a0 40 60
            operator <- a maintenance window must begin later than now, not 60 seconds ago
            > schedule v a0 +5 0
            operator <- a maintenance window takes 1 second to 30 days: deactivate agents that are away for longer
            > schedule v a0 +5 9999999
            operator <- a maintenance window takes 1 second to 30 days: deactivate agents that are away for longer
            > schedule v a0 +99999999999 60
            operator <- a maintenance window begins within 366 days
            > schedule v a1,a7 +5 5
            operator <- no agent `a7`
            > schedule v a1,a1 +5 5
            operator <- agent `a1` is named twice
            > schedule v nobody +5 5
            operator <- 1 to 1000 agents can be named at once
            > schedule v/v a1 +5 5
            operator <- `v/v` cannot name a maintenance window: 1 to 64 letters, digits, `.`, `_` and `-` can
            > wait 61
            store agent a0 cpus:1 Draining 0/0 w [160s..220s) begun
            store agent a0 cpus:1 Drained 0/0 w [160s..220s) begun
            > schedule v a0 +10 60
            operator <- agent `a0` is in maintenance window `w` at that time
            > schedule v a0 +59 1
            store agent a0 cpus:1 Drained 0/0 w [160s..220s) begun v [220s..221s)
            operator <- done
            > gone a1
            store agent a1 cpus:1 gone since 161000ms
            a1 <- gone: an operator declared agent `a1` gone: its id is spent, and its tasks are killed; to join as a new agent, remove its data directory
            a1 closed: the peer was refused: an operator declared agent `a1` gone: its id is spent, and its tasks are killed; to join as a new agent, remove its data directory
            operator <- done
            > schedule u a1 +5 5
            operator <- agent `a1` is gone, and its id is spent
        "#]],
    );
}

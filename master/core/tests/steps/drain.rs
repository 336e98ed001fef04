//! Drains that ask first: who is asked, until when, and what is killed then.

use expect_test::expect;

use crate::script::check;

/// Two frameworks with a task each on a0, which has more room.
const TWO: &str = "framework f0 | framework f1 | agent a0 cpus:4 | accept f0 o0 refuse 900 t1@a0:cpus:1
    accept f1 o1 refuse 900 t2@a0:cpus:2 | status a0 f0/t1 RUNNING | ack f0 t1 | status a0 f1/t2 RUNNING | ack f1 t2 | show registry";

#[test]
fn a_drain_asks_first_and_kills_what_is_left_at_its_deadline() {
    check(
        &format!(
            "{TWO} | drain a0 within 60 grace 1 | accept-inverse f0 o2 | kill f0 t1 | status a0 f0/t1 KILLED | ack f0 t1
                 show answers | wait 59 | wait 1 | status a0 f1/t2 KILLED | ack f1 t2 | reactivate a0"
        ),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > framework f1
            f1 <- subscribed as f1
            > agent a0 cpus:4
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4
            > accept f0 o0 refuse 900 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            f1 <- offer o1 a0 * cpus:3
            > accept f1 o1 refuse 900 t2@a0:cpus:2
            a0 <- run f1/t2 cpus:2
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #1
            > ack f0 t1
            a0 <- acknowledge f0/t1 #1
            > status a0 f1/t2 RUNNING
            f1 <- t2 RUNNING #2
            > ack f1 t2
            a0 <- acknowledge f1/t2 #2
            > show registry
            > drain a0 within 60 grace 1
            store agent a0 cpus:4 Waiting 0/0
            store agent a0 cpus:4 Draining 0/0 until 60s
            operator <- done
            f0 <- inverse offer o2 a0 cpus:1 drained until 60s
            f1 <- inverse offer o3 a0 cpus:2 drained until 60s
            > accept-inverse f0 o2
            > kill f0 t1
            a0 <- kill f0/t1
            > status a0 f0/t1 KILLED
            f0 <- t1 KILLED #3
            > ack f0 t1
            a0 <- acknowledge f0/t1 #3
            > show answers
            > wait 59
            > wait 1
            store agent a0 cpus:4 Draining 0/0
            f0 <- rescind inverse o2
            f1 <- rescind inverse o3
            a0 <- kill f1/t2 in 1s
            > status a0 f1/t2 KILLED
            f1 <- t2 KILLED AGENT_DRAINING #4
            > ack f1 t2
            store agent a0 cpus:4 Drained 0/0
            a0 <- acknowledge f1/t2 #4
            > reactivate a0
            store agent a0 cpus:4
            operator <- done
            f0 <- offer o4 a0 * cpus:4
        "#]],
    );
}

#[test]
fn an_agent_is_drained_as_soon_as_everybody_has_left_it() {
    check(
        &format!(
            "{TWO} | drain a0 within 60 gone yes | kill f0 t1 | status a0 f0/t1 KILLED | ack f0 t1
                 status a0 f1/t2 FINISHED | ack f1 t2 | wait 60"
        ),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > framework f1
            f1 <- subscribed as f1
            > agent a0 cpus:4
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4
            > accept f0 o0 refuse 900 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            f1 <- offer o1 a0 * cpus:3
            > accept f1 o1 refuse 900 t2@a0:cpus:2
            a0 <- run f1/t2 cpus:2
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #1
            > ack f0 t1
            a0 <- acknowledge f0/t1 #1
            > status a0 f1/t2 RUNNING
            f1 <- t2 RUNNING #2
            > ack f1 t2
            a0 <- acknowledge f1/t2 #2
            > show registry
            > drain a0 within 60 gone yes
            store agent a0 cpus:4 Waiting 0/0
            store agent a0 cpus:4 Draining 0/0 until 60s
            operator <- done
            f0 <- inverse offer o2 a0 cpus:1 drained until 60s
            f1 <- inverse offer o3 a0 cpus:2 drained until 60s
            > kill f0 t1
            a0 <- kill f0/t1
            > status a0 f0/t1 KILLED
            f0 <- t1 KILLED #3
            f0 <- rescind inverse o2
            > ack f0 t1
            a0 <- acknowledge f0/t1 #3
            > status a0 f1/t2 FINISHED
            f1 <- t2 FINISHED #4
            f1 <- rescind inverse o3
            > ack f1 t2
            store agent a0 cpus:4 gone since 0ms
            a0 <- acknowledge f1/t2 #4
            a0 <- gone: an operator declared agent `a0` gone: its id is spent, and its tasks are killed; to join as a new agent, remove its data directory
            a0 closed: the peer was refused: an operator declared agent `a0` gone: its id is spent, and its tasks are killed; to join as a new agent, remove its data directory
            f0 <- agent a0 lost
            f1 <- agent a0 lost
            > wait 60
        "#]],
    );
}

#[test]
fn a_later_drain_has_the_say_on_the_deadline_and_undrain_ends_the_asking() {
    check(
        &format!(
            "{TWO} | drain a0 within 60 | accept-inverse f0 o2 | drain a0 within 10 | accept-inverse f0 o4 | drain a0 within 100
                 wait 60 | undrain a0 | wait 100 | drain a0 within 60 | drain a0"
        ),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > framework f1
            f1 <- subscribed as f1
            > agent a0 cpus:4
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4
            > accept f0 o0 refuse 900 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            f1 <- offer o1 a0 * cpus:3
            > accept f1 o1 refuse 900 t2@a0:cpus:2
            a0 <- run f1/t2 cpus:2
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #1
            > ack f0 t1
            a0 <- acknowledge f0/t1 #1
            > status a0 f1/t2 RUNNING
            f1 <- t2 RUNNING #2
            > ack f1 t2
            a0 <- acknowledge f1/t2 #2
            > show registry
            > drain a0 within 60
            store agent a0 cpus:4 Waiting 0/0
            store agent a0 cpus:4 Draining 0/0 until 60s
            operator <- done
            f0 <- inverse offer o2 a0 cpus:1 drained until 60s
            f1 <- inverse offer o3 a0 cpus:2 drained until 60s
            > accept-inverse f0 o2
            > drain a0 within 10
            store agent a0 cpus:4 Draining 1/0 until 10s
            f0 <- rescind inverse o2
            f1 <- rescind inverse o3
            operator <- done
            f0 <- inverse offer o4 a0 cpus:1 drained until 10s
            f1 <- inverse offer o5 a0 cpus:2 drained until 10s
            > accept-inverse f0 o4
            > drain a0 within 100
            store agent a0 cpus:4 Draining 2/0 until 100s
            f0 <- rescind inverse o4
            f1 <- rescind inverse o5
            operator <- done
            f0 <- inverse offer o6 a0 cpus:1 drained until 100s
            f1 <- inverse offer o7 a0 cpus:2 drained until 100s
            > wait 60
            > undrain a0
            store agent a0 cpus:4
            f0 <- rescind inverse o6
            f1 <- rescind inverse o7
            operator <- done
            > wait 100
            > drain a0 within 60
            store agent a0 cpus:4 Waiting 0/0
            store agent a0 cpus:4 Draining 0/0 until 220s
            operator <- done
            f0 <- inverse offer o8 a0 cpus:1 drained until 220s
            f1 <- inverse offer o9 a0 cpus:2 drained until 220s
            > drain a0
            store agent a0 cpus:4 Draining 1/0
            f0 <- rescind inverse o8
            f1 <- rescind inverse o9
            a0 <- kill f0/t1
            a0 <- kill f1/t2
            operator <- done
        "#]],
    );
}

#[test]
fn the_deadline_of_a_drain_holds_over_restarts_of_the_master_and_for_agents_that_are_away() {
    check(
        &format!(
            "{TWO} | drain a0 within 60 | restart | framework f0 | framework f1 | agent a0 cpus:4 f0/t1=RUNNING f1/t2=RUNNING
                 lost a0 | wait 59 | agent a0 cpus:4 f0/t1=RUNNING f1/t2=RUNNING | restart | sleep 10
                 framework f0 | agent a0 cpus:4 f0/t1=RUNNING | wait 1"
        ),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > framework f1
            f1 <- subscribed as f1
            > agent a0 cpus:4
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4
            > accept f0 o0 refuse 900 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            f1 <- offer o1 a0 * cpus:3
            > accept f1 o1 refuse 900 t2@a0:cpus:2
            a0 <- run f1/t2 cpus:2
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #1
            > ack f0 t1
            a0 <- acknowledge f0/t1 #1
            > status a0 f1/t2 RUNNING
            f1 <- t2 RUNNING #2
            > ack f1 t2
            a0 <- acknowledge f1/t2 #2
            > show registry
            > drain a0 within 60
            store agent a0 cpus:4 Waiting 0/0
            store agent a0 cpus:4 Draining 0/0 until 60s
            operator <- done
            f0 <- inverse offer o2 a0 cpus:1 drained until 60s
            f1 <- inverse offer o3 a0 cpus:2 drained until 60s
            > restart
            > framework f0
            store framework f0 order 0 away until 3600000ms
            store framework f1 order 1 away until 3600000ms
            store framework f0 order 0
            f0 <- subscribed as f0
            > framework f1
            store framework f1 order 1
            f1 <- subscribed as f1
            > agent a0 cpus:4 f0/t1=RUNNING f1/t2=RUNNING
            a0 <- registered as a0
            f0 <- inverse offer m2-o0 a0 cpus:1 drained until 60s
            f1 <- inverse offer m2-o1 a0 cpus:1 drained until 60s
            > lost a0
            > wait 59
            > agent a0 cpus:4 f0/t1=RUNNING f1/t2=RUNNING
            a0 <- registered as a0
            > restart
            > sleep 10
            > framework f0
            store framework f0 order 0 away until 3669000ms
            store framework f1 order 1 away until 3669000ms
            store framework f0 order 0
            f0 <- subscribed as f0
            > agent a0 cpus:4 f0/t1=RUNNING
            a0 <- registered as a0
            f0 <- inverse offer m3-o0 a0 cpus:1 drained until 60s
            > wait 1
            store agent a0 cpus:4 Draining 0/0
            f0 <- rescind inverse m3-o0
            a0 <- kill f0/t1
        "#]],
    );
}

#[test]
fn the_deadline_of_a_drain_begins_with_the_agents_turn() {
    check(
        "show registry | framework f0 | agent a0 cpus:4 | agent a1 cpus:4
             accept f0 o0 refuse 900 t0@a0:cpus:1 | accept f0 o1 refuse 900 t1@a1:cpus:1 | drain a0,a1 within 60 at-once 1
             wait 40 | undrain a0 | wait 59 | wait 1",
        expect![[r#"
            > show registry
            > framework f0
            store framework f0 order 0
            f0 <- subscribed as f0
            > agent a0 cpus:4
            store agent a0 cpus:4
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4
            > agent a1 cpus:4
            store agent a1 cpus:4
            a1 <- registered as a1
            f0 <- offer o1 a1 * cpus:4
            > accept f0 o0 refuse 900 t0@a0:cpus:1
            a0 <- run f0/t0 cpus:1
            > accept f0 o1 refuse 900 t1@a1:cpus:1
            a1 <- run f0/t1 cpus:1
            > drain a0,a1 within 60 at-once 1
            store agent a0 cpus:4 Waiting 0/0
            store agent a1 cpus:4 Waiting 0/1
            store agent a0 cpus:4 Draining 0/0 until 60s
            operator <- done
            f0 <- inverse offer o2 a0 cpus:1 drained until 60s
            > wait 40
            > undrain a0
            store agent a0 cpus:4
            store agent a1 cpus:4 Draining 0/1 until 100s
            f0 <- rescind inverse o2
            operator <- done
            f0 <- inverse offer o3 a1 cpus:1 drained until 100s
            > wait 59
            > wait 1
            store agent a1 cpus:4 Draining 0/1
            f0 <- rescind inverse o3
            a1 <- kill f0/t1
        "#]],
    );
}

#[test]
fn a_maintenance_window_kills_at_its_start_whatever_the_deadline_of_a_drain() {
    check(
        &format!(
            "{TWO} | schedule w a0 +30 60 | accept-inverse f0 o2 | drain a0 within 600 | wait 30 | show answers
                 drain a0 within 600 | wait 60"
        ),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > framework f1
            f1 <- subscribed as f1
            > agent a0 cpus:4
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4
            > accept f0 o0 refuse 900 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            f1 <- offer o1 a0 * cpus:3
            > accept f1 o1 refuse 900 t2@a0:cpus:2
            a0 <- run f1/t2 cpus:2
            > status a0 f0/t1 RUNNING
            f0 <- t1 RUNNING #1
            > ack f0 t1
            a0 <- acknowledge f0/t1 #1
            > status a0 f1/t2 RUNNING
            f1 <- t2 RUNNING #2
            > ack f1 t2
            a0 <- acknowledge f1/t2 #2
            > show registry
            > schedule w a0 +30 60
            store agent a0 cpus:4 w [30s..90s)
            operator <- done
            f0 <- inverse offer o2 a0 cpus:1 [30s..90s)
            f1 <- inverse offer o3 a0 cpus:2 [30s..90s)
            > accept-inverse f0 o2
            > drain a0 within 600
            store agent a0 cpus:4 Waiting 0/0 w [30s..90s)
            store agent a0 cpus:4 Draining 0/0 until 600s w [30s..90s)
            operator <- done
            f0 <- rescind inverse o2
            f1 <- rescind inverse o3
            f0 <- inverse offer o4 a0 cpus:1 drained until 600s
            f1 <- inverse offer o5 a0 cpus:2 drained until 600s
            > wait 30
            store agent a0 cpus:4 Draining 0/0 w [30s..90s) begun
            f0 <- rescind inverse o4
            f1 <- rescind inverse o5
            a0 <- kill f0/t1
            a0 <- kill f1/t2
            > show answers
            f0 with 1 tasks on a0 said nothing
            f1 with 1 tasks on a0 said nothing
            > drain a0 within 600
            store agent a0 cpus:4 Draining 1/0 w [30s..90s) begun
            operator <- done
            > wait 60
            store agent a0 cpus:4 Draining 1/0
        "#]],
    );
}

#[test]
fn a_deadline_of_more_than_thirty_days_is_refused() {
    check(
        "agent a0 cpus:4 | drain a0 within 2592001 | drain a0 within 2592000",
        expect![[r#"
            > agent a0 cpus:4
            a0 <- registered as a0
            > drain a0 within 2592001
            operator <- the deadline of a drain is within 30 days: deactivate agents whose tasks may run for longer
            > drain a0 within 2592000
            operator <- done
        "#]],
    );
}

//! Inverse offers: who is asked to leave before a maintenance window, when, and what operators see of the answers.

use expect_test::expect;

use crate::script::check;

const TWO: &str = "framework f0 | framework f1 | agent a0 cpus:4 | decline f0 o0 refuse 900
    accept f1 o1 refuse 900 t1@a0:cpus:1 t2@a0:cpus:2 | status a0 f1/t1 RUNNING | ack f1 t1 | status a0 f1/t2 RUNNING | ack f1 t2";

#[test]
fn who_has_tasks_on_the_agent_is_asked_to_leave_and_may_agree() {
    check(
        &format!(
            "{TWO} | schedule w a0 +60 30 | accept-inverse f0 o2 | accept-inverse f1 o2 | show answers | wait 60 | show answers | wait 30 | show answers"
        ),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > framework f1
            f1 <- subscribed as f1
            > agent a0 cpus:4
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4
            > decline f0 o0 refuse 900
            f1 <- offer o1 a0 * cpus:4
            > accept f1 o1 refuse 900 t1@a0:cpus:1 t2@a0:cpus:2
            a0 <- run f1/t1 cpus:1
            a0 <- run f1/t2 cpus:2
            > status a0 f1/t1 RUNNING
            f1 <- t1 RUNNING #1
            > ack f1 t1
            a0 <- acknowledge f1/t1 #1
            > status a0 f1/t2 RUNNING
            f1 <- t2 RUNNING #2
            > ack f1 t2
            a0 <- acknowledge f1/t2 #2
            > schedule w a0 +60 30
            operator <- done
            f1 <- inverse offer o2 a0 cpus:3 [60s..90s)
            > accept-inverse f0 o2
            > accept-inverse f1 o2
            > show answers
            f1 with 2 tasks on a0 said accepted at 0s
            > wait 60
            f1 <- rescind inverse o2
            a0 <- kill f1/t1
            a0 <- kill f1/t2
            > show answers
            f1 with 2 tasks on a0 said accepted at 0s
            > wait 30
            > show answers
        "#]],
    );
}

#[test]
fn who_declines_is_asked_again_after_its_time_and_never_at_once() {
    check(
        &format!(
            "{TWO} | schedule w a0 +60 30 | decline-inverse f1 o2 10 | show answers | wait 9 | wait 1 | decline-inverse f1 o3 0 | wait 1"
        ),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > framework f1
            f1 <- subscribed as f1
            > agent a0 cpus:4
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4
            > decline f0 o0 refuse 900
            f1 <- offer o1 a0 * cpus:4
            > accept f1 o1 refuse 900 t1@a0:cpus:1 t2@a0:cpus:2
            a0 <- run f1/t1 cpus:1
            a0 <- run f1/t2 cpus:2
            > status a0 f1/t1 RUNNING
            f1 <- t1 RUNNING #1
            > ack f1 t1
            a0 <- acknowledge f1/t1 #1
            > status a0 f1/t2 RUNNING
            f1 <- t2 RUNNING #2
            > ack f1 t2
            a0 <- acknowledge f1/t2 #2
            > schedule w a0 +60 30
            operator <- done
            f1 <- inverse offer o2 a0 cpus:3 [60s..90s)
            > decline-inverse f1 o2 10
            > show answers
            f1 with 2 tasks on a0 said declined at 0s
            > wait 9
            > wait 1
            f1 <- inverse offer o3 a0 cpus:3 [60s..90s)
            > decline-inverse f1 o3 0
            > wait 1
            f1 <- inverse offer o4 a0 cpus:3 [60s..90s)
        "#]],
    );
}

#[test]
fn an_inverse_offer_is_void_once_nothing_is_left_there_or_the_window_is_another() {
    check(
        &format!(
            "{TWO} | schedule w a0 +60 30 | status a0 f1/t1 FINISHED | status a0 f1/t2 FINISHED | ack f1 t1
                 accept f1 o3 refuse 900 t3@a0:cpus:1 | schedule v a0 +10 5 | cancel v | cancel w | schedule u a0 +10 5 | gone a0"
        ),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > framework f1
            f1 <- subscribed as f1
            > agent a0 cpus:4
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4
            > decline f0 o0 refuse 900
            f1 <- offer o1 a0 * cpus:4
            > accept f1 o1 refuse 900 t1@a0:cpus:1 t2@a0:cpus:2
            a0 <- run f1/t1 cpus:1
            a0 <- run f1/t2 cpus:2
            > status a0 f1/t1 RUNNING
            f1 <- t1 RUNNING #1
            > ack f1 t1
            a0 <- acknowledge f1/t1 #1
            > status a0 f1/t2 RUNNING
            f1 <- t2 RUNNING #2
            > ack f1 t2
            a0 <- acknowledge f1/t2 #2
            > schedule w a0 +60 30
            operator <- done
            f1 <- inverse offer o2 a0 cpus:3 [60s..90s)
            > status a0 f1/t1 FINISHED
            f1 <- t1 FINISHED #3
            f1 <- offer o3 a0 * cpus:2 [60s..90s)
            > status a0 f1/t2 FINISHED
            f1 <- t2 FINISHED #4
            f1 <- rescind inverse o2
            f1 <- offer o4 a0 * cpus:2 [60s..90s)
            > ack f1 t1
            a0 <- acknowledge f1/t1 #3
            > accept f1 o3 refuse 900 t3@a0:cpus:1
            a0 <- run f1/t3 cpus:1
            f1 <- inverse offer o5 a0 cpus:1 [60s..90s)
            > schedule v a0 +10 5
            f1 <- rescind o4
            f1 <- rescind inverse o5
            operator <- done
            f1 <- inverse offer o6 a0 cpus:1 [10s..15s)
            f1 <- offer o7 a0 * cpus:3 [10s..15s)
            > cancel v
            f1 <- rescind o7
            f1 <- rescind inverse o6
            operator <- done
            f1 <- inverse offer o8 a0 cpus:1 [60s..90s)
            f1 <- offer o9 a0 * cpus:3 [60s..90s)
            > cancel w
            f1 <- rescind o9
            f1 <- rescind inverse o8
            operator <- done
            f1 <- offer o10 a0 * cpus:3
            > schedule u a0 +10 5
            f1 <- rescind o10
            operator <- done
            f1 <- inverse offer o11 a0 cpus:1 [10s..15s)
            f1 <- offer o12 a0 * cpus:3 [10s..15s)
            > gone a0
            f1 <- rescind o12
            f1 <- rescind inverse o11
            a0 <- gone: an operator declared agent `a0` gone: its id is spent, and its tasks are killed; to join as a new agent, remove its data directory
            a0 closed: the peer was refused: an operator declared agent `a0` gone: its id is spent, and its tasks are killed; to join as a new agent, remove its data directory
            f0 <- agent a0 lost
            f1 <- agent a0 lost
            f1 <- t3 GONE_BY_OPERATOR AGENT_REMOVED_BY_OPERATOR (an operator declared the agent gone)
            operator <- done
        "#]],
    );
}

#[test]
fn a_framework_that_comes_back_is_asked_anew_and_so_it_is_by_the_next_master() {
    check(
        &format!(
            "{TWO} | schedule w a0 +600 30 | accept-inverse f1 o2 | lost f1 | show answers | framework f1 id f1 | show answers
                 restart | framework f1 id f1 | agent a0 cpus:4 f1/t1=RUNNING f1/t2=RUNNING | show answers"
        ),
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > framework f1
            f1 <- subscribed as f1
            > agent a0 cpus:4
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4
            > decline f0 o0 refuse 900
            f1 <- offer o1 a0 * cpus:4
            > accept f1 o1 refuse 900 t1@a0:cpus:1 t2@a0:cpus:2
            a0 <- run f1/t1 cpus:1
            a0 <- run f1/t2 cpus:2
            > status a0 f1/t1 RUNNING
            f1 <- t1 RUNNING #1
            > ack f1 t1
            a0 <- acknowledge f1/t1 #1
            > status a0 f1/t2 RUNNING
            f1 <- t2 RUNNING #2
            > ack f1 t2
            a0 <- acknowledge f1/t2 #2
            > schedule w a0 +600 30
            operator <- done
            f1 <- inverse offer o2 a0 cpus:3 [600s..630s)
            > accept-inverse f1 o2
            > lost f1
            > show answers
            f1 with 2 tasks on a0 said accepted at 0s
            > framework f1 id f1
            f1 <- subscribed as f1
            f1 <- inverse offer o3 a0 cpus:3 [600s..630s)
            f1 <- offer o4 a0 * cpus:1 [600s..630s)
            > show answers
            f1 with 2 tasks on a0 said accepted at 0s
            > restart
            > framework f1 id f1
            f1 <- subscribed as f1
            > agent a0 cpus:4 f1/t1=RUNNING f1/t2=RUNNING
            a0 <- registered as a0
            f1 <- inverse offer m2-o0 a0 cpus:2 [600s..630s)
            f1 <- offer m2-o1 a0 * cpus:2 [600s..630s)
            > show answers
            f1 with 2 tasks on a0 said nothing
        "#]],
    );
}

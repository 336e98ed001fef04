//! Agents out of use: deactivated, drained a few at a time, gone for good.

use expect_test::expect;

use crate::script::check;

const RUNNING: &str = "framework f0 | agent a0 cpus:4 | accept f0 o0 refuse 600 t1@a0:cpus:1 | status a0 f0/t1 RUNNING | ack f0 t1";

#[test]
fn a_deactivated_agent_keeps_its_tasks_and_is_not_offered_whatever_restarts() {
    check(
        "framework f0 | agent a0 cpus:4 | accept f0 o0 t1@a0:cpus:1 | show registry | deactivate a0 | deactivate a0
             lost a0 | agent a0 cpus:4 f0/t1=RUNNING | restart | framework f0 | agent a0 cpus:4 f0/t1=RUNNING
             reactivate a0 | reactivate a0 | deactivate a7",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4
            > accept f0 o0 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            f0 <- offer o1 a0 * cpus:3
            > show registry
            > deactivate a0
            store agent a0 cpus:4 deactivated
            f0 <- rescind o1
            operator <- done
            > deactivate a0
            operator <- done
            > lost a0
            > agent a0 cpus:4 f0/t1=RUNNING
            a0 <- registered as a0
            > restart
            > framework f0
            store framework f0 order 0 away until 3600000ms
            store framework f0 order 0
            f0 <- subscribed as f0
            > agent a0 cpus:4 f0/t1=RUNNING
            a0 <- registered as a0
            > reactivate a0
            store agent a0 cpus:4
            operator <- done
            f0 <- offer m2-o0 a0 * cpus:3
            > reactivate a0
            operator <- done
            > deactivate a7
            operator <- no agent `a7`
        "#]],
    );
}

#[test]
fn a_drained_agent_has_no_tasks_left_and_nobody_who_waits_for_word_of_one() {
    check(
        &format!(
            "{RUNNING} | show registry | drain a0 | status a0 f0/t1 KILLING | ack f0 t1 | status a0 f0/t1 KILLED
                 wait 1 | ack f0 t1 | reactivate a0"
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
            > drain a0
            store agent a0 cpus:4 Waiting 0/0
            store agent a0 cpus:4 Draining 0/0
            operator <- done
            a0 <- kill f0/t1
            > status a0 f0/t1 KILLING
            f0 <- t1 KILLING AGENT_DRAINING #2
            > ack f0 t1
            a0 <- acknowledge f0/t1 #2
            > status a0 f0/t1 KILLED
            f0 <- t1 KILLED AGENT_DRAINING #3
            > wait 1
            > ack f0 t1
            store agent a0 cpus:4 Drained 0/0
            a0 <- acknowledge f0/t1 #3
            > reactivate a0
            store agent a0 cpus:4
            operator <- done
            f0 <- offer o1 a0 * cpus:4
        "#]],
    );
}

#[test]
fn a_drain_gives_no_task_longer_than_it_may_and_no_task_longer_than_the_drain_may() {
    check(
        &format!("{RUNNING} | drain a0 grace 20 | drain a0 grace 1 | drain a0 grace 2"),
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
            > drain a0 grace 20
            operator <- done
            a0 <- kill f0/t1 in 3s
            > drain a0 grace 1
            a0 <- kill f0/t1 in 1s
            operator <- done
            > drain a0 grace 2
            operator <- done
        "#]],
    );
}

#[test]
fn a_task_that_its_framework_killed_before_the_drain_keeps_its_reason() {
    check(
        &format!("{RUNNING} | kill f0 t1 | drain a0 | status a0 f0/t1 KILLED"),
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
            > kill f0 t1
            a0 <- kill f0/t1
            > drain a0
            operator <- done
            > status a0 f0/t1 KILLED
            f0 <- t1 KILLED #2
        "#]],
    );
}

#[test]
fn a_drain_can_be_called_off_and_what_was_killed_stays_killed() {
    check(
        &format!(
            "{RUNNING} | drain a0 | undrain a0 | lost a0 | agent a0 cpus:4 f0/t1=KILLING | status a0 f0/t1 KILLED"
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
            > drain a0
            operator <- done
            a0 <- kill f0/t1
            > undrain a0
            operator <- done
            > lost a0
            > agent a0 cpus:4 f0/t1=KILLING
            a0 <- registered as a0
            a0 <- kill f0/t1
            > status a0 f0/t1 KILLED
            f0 <- t1 KILLED AGENT_DRAINING #3
            f0 <- offer o1 a0 * cpus:4
        "#]],
    );
}

#[test]
fn tasks_of_an_agent_that_comes_back_draining_are_killed_whichever_master_began() {
    check(
        &format!(
            "{RUNNING} | lost a0 | wait 75 | drain a0 | agent a0 cpus:4 f0/t1=RUNNING | restart
                 framework f0 | agent a0 cpus:4 f0/t1=KILLING | status a0 f0/t1 KILLED | show registry | ack f0 t1"
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
            > lost a0
            > wait 75
            f0 <- agent a0 lost
            f0 <- t1 UNREACHABLE AGENT_REMOVED (the agent is unreachable)
            > drain a0
            operator <- done
            > agent a0 cpus:4 f0/t1=RUNNING
            a0 <- registered as a0
            f0 <- t1 RUNNING AGENT_REREGISTERED
            a0 <- kill f0/t1
            > restart
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4 f0/t1=KILLING
            a0 <- registered as a0
            a0 <- kill f0/t1
            > status a0 f0/t1 KILLED
            f0 <- t1 KILLED AGENT_DRAINING #4
            > show registry
            > ack f0 t1
            store agent a0 cpus:4 Drained 0/0
            a0 <- acknowledge f0/t1 #4
        "#]],
    );
}

#[test]
fn of_one_request_no_more_agents_are_out_of_use_at_once_than_its_budget() {
    check(
        "show registry | framework f0 | agent a0 cpus:4 | agent a1 cpus:4 | agent a2 cpus:4
             accept f0 o0 t0@a0:cpus:1 | decline f0 o1 | decline f0 o2 | drain a0,a1,a2 at-once 1
             restart | framework f0 | agent a2 cpus:4 | agent a1 cpus:4 | agent a0 cpus:4 f0/t0=RUNNING
             status a0 f0/t0 KILLED | ack f0 t0 | reactivate a0 | gone a1 | undrain a2",
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
            > agent a2 cpus:4
            store agent a2 cpus:4
            a2 <- registered as a2
            f0 <- offer o2 a2 * cpus:4
            > accept f0 o0 t0@a0:cpus:1
            a0 <- run f0/t0 cpus:1
            f0 <- offer o3 a0 * cpus:3
            > decline f0 o1
            f0 <- offer o4 a1 * cpus:4
            > decline f0 o2
            f0 <- offer o5 a2 * cpus:4
            > drain a0,a1,a2 at-once 1
            store agent a0 cpus:4 Waiting 0/0
            store agent a1 cpus:4 Waiting 0/1
            store agent a2 cpus:4 Waiting 0/2
            store agent a0 cpus:4 Draining 0/0
            operator <- done
            f0 <- rescind o3
            a0 <- kill f0/t0
            > restart
            > framework f0
            store framework f0 order 0 away until 3600000ms
            store framework f0 order 0
            f0 <- subscribed as f0
            > agent a2 cpus:4
            a2 <- registered as a2
            f0 <- offer m2-o0 a2 * cpus:4
            > agent a1 cpus:4
            a1 <- registered as a1
            f0 <- offer m2-o1 a1 * cpus:4
            > agent a0 cpus:4 f0/t0=RUNNING
            a0 <- registered as a0
            a0 <- kill f0/t0
            > status a0 f0/t0 KILLED
            f0 <- t0 KILLED AGENT_DRAINING #2
            > ack f0 t0
            store agent a0 cpus:4 Drained 0/0
            a0 <- acknowledge f0/t0 #2
            > reactivate a0
            store agent a0 cpus:4
            store agent a1 cpus:4 Draining 0/1
            store agent a1 cpus:4 Drained 0/1
            operator <- done
            f0 <- rescind m2-o1
            f0 <- offer m2-o2 a0 * cpus:4
            > gone a1
            store agent a1 cpus:4 gone since 0ms
            store agent a2 cpus:4 Draining 0/2
            store agent a2 cpus:4 Drained 0/2
            a1 <- gone: an operator declared agent `a1` gone: its id is spent, and its tasks are killed; to join as a new agent, remove its data directory
            a1 closed: the peer was refused: an operator declared agent `a1` gone: its id is spent, and its tasks are killed; to join as a new agent, remove its data directory
            f0 <- agent a1 lost
            operator <- done
            f0 <- rescind m2-o0
            > undrain a2
            store agent a2 cpus:4
            operator <- done
            f0 <- offer m2-o3 a2 * cpus:4
        "#]],
    );
}

#[test]
fn drained_to_be_gone_is_gone_at_last() {
    check(
        &format!(
            "{RUNNING} | show registry | drain a0 gone yes | status a0 f0/t1 KILLED | ack f0 t1 | agent a0 cpus:4"
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
            > drain a0 gone yes
            store agent a0 cpus:4 Waiting 0/0
            store agent a0 cpus:4 Draining 0/0
            operator <- done
            a0 <- kill f0/t1
            > status a0 f0/t1 KILLED
            f0 <- t1 KILLED AGENT_DRAINING #2
            > ack f0 t1
            store agent a0 cpus:4 gone since 0ms
            a0 <- acknowledge f0/t1 #2
            a0 <- gone: an operator declared agent `a0` gone: its id is spent, and its tasks are killed; to join as a new agent, remove its data directory
            a0 closed: the peer was refused: an operator declared agent `a0` gone: its id is spent, and its tasks are killed; to join as a new agent, remove its data directory
            f0 <- agent a0 lost
            > agent a0 cpus:4
            a0 <- gone: an operator declared agent `a0` gone: its id is spent, and its tasks are killed; to join as a new agent, remove its data directory
            a0 closed: the peer was refused: an operator declared agent `a0` gone: its id is spent, and its tasks are killed; to join as a new agent, remove its data directory
        "#]],
    );
}

#[test]
fn of_an_agent_that_is_gone_every_task_is_over_and_the_id_is_spent() {
    check(
        &format!(
            "{RUNNING} | show registry | gone a0 | gone a0 | agent a0 cpus:4 f0/t1=RUNNING | drain a0
                 restart | framework f0 | reconcile f0 t1@a0 | agent a0 cpus:4 f0/t1=RUNNING"
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
            > gone a0
            store agent a0 cpus:4 gone since 0ms
            a0 <- gone: an operator declared agent `a0` gone: its id is spent, and its tasks are killed; to join as a new agent, remove its data directory
            a0 closed: the peer was refused: an operator declared agent `a0` gone: its id is spent, and its tasks are killed; to join as a new agent, remove its data directory
            f0 <- agent a0 lost
            f0 <- t1 GONE_BY_OPERATOR AGENT_REMOVED_BY_OPERATOR (an operator declared the agent gone)
            operator <- done
            > gone a0
            operator <- done
            > agent a0 cpus:4 f0/t1=RUNNING
            a0 <- gone: an operator declared agent `a0` gone: its id is spent, and its tasks are killed; to join as a new agent, remove its data directory
            a0 closed: the peer was refused: an operator declared agent `a0` gone: its id is spent, and its tasks are killed; to join as a new agent, remove its data directory
            > drain a0
            operator <- agent `a0` is gone, and its id is spent
            > restart
            > framework f0
            store framework f0 order 0 away until 3600000ms
            store framework f0 order 0
            f0 <- subscribed as f0
            > reconcile f0 t1@a0
            f0 <- t1 GONE_BY_OPERATOR RECONCILIATION
            > agent a0 cpus:4 f0/t1=RUNNING
            a0 <- gone: an operator declared agent `a0` gone: its id is spent, and its tasks are killed; to join as a new agent, remove its data directory
            a0 closed: the peer was refused: an operator declared agent `a0` gone: its id is spent, and its tasks are killed; to join as a new agent, remove its data directory
        "#]],
    );
}

#[test]
fn a_framework_hears_of_tasks_of_an_agent_that_was_gone_before_it_came_back() {
    check(
        &format!("{RUNNING} | restart | framework f0 | reconcile f0 t1@a0 | gone a0 | reconcile f0 t1@a0"),
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
            > restart
            > framework f0
            f0 <- subscribed as f0
            > reconcile f0 t1@a0
            > gone a0
            f0 <- agent a0 lost
            operator <- done
            > reconcile f0 t1@a0
            f0 <- t1 GONE_BY_OPERATOR RECONCILIATION
        "#]],
    );
}

#[test]
fn an_unreachable_agents_tasks_are_over_when_it_is_gone() {
    check(
        &format!("{RUNNING} | lost a0 | wait 75 | gone a0"),
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
            > lost a0
            > wait 75
            f0 <- agent a0 lost
            f0 <- t1 UNREACHABLE AGENT_REMOVED (the agent is unreachable)
            > gone a0
            f0 <- agent a0 lost
            f0 <- t1 GONE_BY_OPERATOR AGENT_REMOVED_BY_OPERATOR (an operator declared the agent gone)
            operator <- done
        "#]],
    );
}

#[test]
fn a_task_that_ended_before_its_agent_was_gone_keeps_its_end() {
    check(
        &format!("{RUNNING} | status a0 f0/t1 RUNNING FINISHED | gone a0"),
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
            > status a0 f0/t1 RUNNING FINISHED
            f0 <- t1 RUNNING #2
            f0 <- offer o1 a0 * cpus:4
            > gone a0
            f0 <- rescind o1
            a0 <- gone: an operator declared agent `a0` gone: its id is spent, and its tasks are killed; to join as a new agent, remove its data directory
            a0 closed: the peer was refused: an operator declared agent `a0` gone: its id is spent, and its tasks are killed; to join as a new agent, remove its data directory
            f0 <- agent a0 lost
            f0 <- t1 FINISHED AGENT_REMOVED_BY_OPERATOR (an operator declared the agent gone)
            operator <- done
        "#]],
    );
}

#[test]
fn what_makes_no_sense_is_refused_whole() {
    check(
        "agent a0 cpus:4 | drain a0,a0 | drain a0,a9 | drain a0 at-once 0 | undrain a9 | gone a9",
        expect![[r#"
            > agent a0 cpus:4
            a0 <- registered as a0
            > drain a0,a0
            operator <- agent `a0` is named twice
            > drain a0,a9
            operator <- no agent `a9`
            > drain a0 at-once 0
            operator <- at least one agent must be allowed to drain at once
            > undrain a9
            operator <- no agent `a9`
            > gone a9
            operator <- no agent `a9`
        "#]],
    );
}

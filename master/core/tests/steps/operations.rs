//! Operations: resources become reservations and volumes, in the same accept in which tasks use them.

use expect_test::expect;

use crate::script::check;

const EMPTY: &str = "framework f0 role eng shared yes | agent a0 cpus:4;disk:10GiB";

#[test]
fn a_task_uses_the_volume_that_its_own_accept_reserves_and_creates() {
    check(
        &format!(
            "{EMPTY} | accept f0 o0 refuse 60 p1/reserve:disk:2GiB>eng p2/create:disk(+eng):1GiB>data t1@a0:cpus:1;disk(+eng)[data:/data]:1GiB
             operation a0 f0/p1 FINISHED | ack-operation f0 p1 | show roles"
        ),
        expect![[r#"
            > framework f0 role eng shared yes
            f0 <- subscribed as f0
            > agent a0 cpus:4;disk:10GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 eng cpus:4;disk:10GiB
            > accept f0 o0 refuse 60 p1/reserve:disk:2GiB>eng p2/create:disk(+eng):1GiB>data t1@a0:cpus:1;disk(+eng)[data:/data]:1GiB
            a0 <- apply f0/p1 reserve disk:2GiB to eng
            a0 <- apply f0/p2 create data of disk(+eng):1GiB
            a0 <- run f0/t1 cpus:1;disk(+eng)[data:/data]:1GiB
            f0 <- offer o1 a0 eng cpus:3;disk:8GiB;disk(+eng):1GiB
            > operation a0 f0/p1 FINISHED
            f0 <- operation p1 FINISHED #1
            > ack-operation f0 p1
            a0 <- acknowledge operation f0/p1 #1
            > show roles
            role eng has cpus:4;disk:10GiB
        "#]],
    );
}

#[test]
fn a_bad_operation_is_answered_by_its_name_and_spoils_no_other() {
    check(
        &format!(
            "{EMPTY} | accept f0 o0 refuse 60 p1/reserve:cpus:1>eng/sub p2/unreserve:cpus(+eng):1 /destroy:data p3/reserve:cpus:9>eng p4/reserve:cpus:1>eng p4/reserve:cpus:1>eng t1@a0:cpus:1"
        ),
        expect![[r#"
            > framework f0 role eng shared yes
            f0 <- subscribed as f0
            > agent a0 cpus:4;disk:10GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 eng cpus:4;disk:10GiB
            > accept f0 o0 refuse 60 p1/reserve:cpus:1>eng/sub p2/unreserve:cpus(+eng):1 /destroy:data p3/reserve:cpus:9>eng p4/reserve:cpus:1>eng p4/reserve:cpus:1>eng t1@a0:cpus:1
            f0 <- operation p1 ERROR (the reservation is for role `eng/sub`, the offer is to role `eng`)
            f0 <- operation p2 ERROR (`cpus(+eng):1` is not there: too little cpus)
            f0 <- operation p3 ERROR (`cpus:9` is not there: too little cpus)
            a0 <- apply f0/p4 reserve cpus:1 to eng
            f0 <- operation p4 ERROR (operation id `p4` is in use)
            a0 <- run f0/t1 cpus:1
            f0 <- offer o1 a0 eng cpus:2;disk:10GiB;cpus(+eng):1
        "#]],
    );
}

#[test]
fn what_an_operation_made_and_nobody_used_comes_back_without_a_filter() {
    check(
        &format!(
            "{EMPTY} | accept f0 o0 refuse 60 /reserve:cpus:1>eng | wait 60 | operation a0 master/own-p0 FINISHED"
        ),
        expect![[r#"
            > framework f0 role eng shared yes
            f0 <- subscribed as f0
            > agent a0 cpus:4;disk:10GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 eng cpus:4;disk:10GiB
            > accept f0 o0 refuse 60 /reserve:cpus:1>eng
            a0 <- apply master/p0 reserve cpus:1 to eng
            f0 <- offer o1 a0 eng cpus:3;disk:10GiB;cpus(+eng):1
            > wait 60
            f0 <- rescind o1
            f0 <- offer o2 a0 eng cpus:3;disk:10GiB;cpus(+eng):1
            > operation a0 master/own-p0 FINISHED
            a0 <- acknowledge operation master/p0 #1
        "#]],
    );
}

#[test]
fn what_grow_and_shrink_make_waits_for_the_next_offer() {
    check(
        "framework f0 role eng | agent a0 cpus:1;disk(+eng):5GiB;disk(+eng)[data:/data]:1GiB
         accept f0 o0 refuse 60 p1/grow:data>1GiB t1@a0:cpus:1;disk(+eng)[data:/data]:2GiB | accept f0 o1 refuse 60 p2/shrink:data>1GiB",
        expect![[r#"
            > framework f0 role eng
            f0 <- subscribed as f0
            > agent a0 cpus:1;disk(+eng):5GiB;disk(+eng)[data:/data]:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 eng cpus:1;disk(+eng):5GiB;disk(+eng)[data:/data]:1GiB
            > accept f0 o0 refuse 60 p1/grow:data>1GiB t1@a0:cpus:1;disk(+eng)[data:/data]:2GiB
            a0 <- apply f0/p1 grow data by 1073741824
            f0 <- t1 ERROR TASK_INVALID (the task needs cpus:1;disk(+eng)[data:/data]:2GiB; of `disk`, cpus:1;disk(+eng):4GiB is left of the offer)
            f0 <- offer o1 a0 eng cpus:1;disk(+eng):4GiB;disk(+eng)[data:/data]:2GiB
            > accept f0 o1 refuse 60 p2/shrink:data>1GiB
            a0 <- apply f0/p2 shrink data by 1073741824
            f0 <- offer o2 a0 eng cpus:1;disk(+eng):5GiB;disk(+eng)[data:/data]:1GiB
        "#]],
    );
}

#[test]
fn a_volume_in_use_is_not_destroyed_and_other_offers_of_a_shared_one_are_taken_back() {
    check(
        "framework f0 role eng shared yes | agent a0 cpus:4;disk(+eng)[data:/data:shared]:1GiB
         accept f0 o0 t1@a0:cpus:1;disk(+eng)[data:/data:shared]:1GiB | accept f0 o1 p1/destroy:data
         status a0 f0/t1 FINISHED | accept f0 o2 t2@a0:cpus:1 | accept f0 o3,o4 p2/destroy:data",
        expect![[r#"
            > framework f0 role eng shared yes
            f0 <- subscribed as f0
            > agent a0 cpus:4;disk(+eng)[data:/data:shared]:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 eng cpus:4;disk(+eng)[data:/data:shared]:1GiB
            > accept f0 o0 t1@a0:cpus:1;disk(+eng)[data:/data:shared]:1GiB
            a0 <- run f0/t1 cpus:1;disk(+eng)[data:/data:shared]:1GiB
            f0 <- offer o1 a0 eng cpus:3;disk(+eng)[data:/data:shared]:1GiB
            > accept f0 o1 p1/destroy:data
            f0 <- operation p1 ERROR (volume `data` is in use by task `t1`)
            f0 <- offer o2 a0 eng cpus:3;disk(+eng)[data:/data:shared]:1GiB
            > status a0 f0/t1 FINISHED
            f0 <- t1 FINISHED #1
            f0 <- offer o3 a0 eng cpus:1;disk(+eng)[data:/data:shared]:1GiB
            > accept f0 o2 t2@a0:cpus:1
            a0 <- run f0/t2 cpus:1
            f0 <- offer o4 a0 eng cpus:2;disk(+eng)[data:/data:shared]:1GiB
            > accept f0 o3,o4 p2/destroy:data
            a0 <- apply f0/p2 destroy data
            f0 <- offer o5 a0 eng cpus:3;disk(+eng):1GiB
        "#]],
    );
}

#[test]
fn an_operation_of_void_offers_is_an_error() {
    check(
        &format!("{EMPTY} | accept f0 o7 p1/reserve:cpus:1>eng t1@a0:cpus:1"),
        expect![[r#"
            > framework f0 role eng shared yes
            f0 <- subscribed as f0
            > agent a0 cpus:4;disk:10GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 eng cpus:4;disk:10GiB
            > accept f0 o7 p1/reserve:cpus:1>eng t1@a0:cpus:1
            f0 <- operation p1 ERROR (offer o7 is no longer valid)
            f0 <- t1 DROPPED INVALID_OFFERS (offer o7 is no longer valid)
        "#]],
    );
}

#[test]
fn a_status_that_is_not_acknowledged_is_told_again_when_the_framework_is_back() {
    check(
        &format!(
            "{EMPTY} | accept f0 o0 refuse 60 p1/reserve:cpus:1>eng | lost f0 | operation a0 f0/p1 FINISHED | framework f0 role eng
             reconcile-operations f0 p1 p9@a0 | ack-operation f0 p1 | reconcile-operations f0 | reconcile-operations f0 p1@a0"
        ),
        expect![[r#"
            > framework f0 role eng shared yes
            f0 <- subscribed as f0
            > agent a0 cpus:4;disk:10GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 eng cpus:4;disk:10GiB
            > accept f0 o0 refuse 60 p1/reserve:cpus:1>eng
            a0 <- apply f0/p1 reserve cpus:1 to eng
            f0 <- offer o1 a0 eng cpus:3;disk:10GiB;cpus(+eng):1
            > lost f0
            > operation a0 f0/p1 FINISHED
            > framework f0 role eng
            f0 <- subscribed as f0
            f0 <- operation p1 FINISHED #1
            f0 <- offer o2 a0 eng cpus:3;disk:10GiB;cpus(+eng):1
            > reconcile-operations f0 p1 p9@a0
            f0 <- operation p1 FINISHED
            f0 <- operation p9 UNKNOWN
            > ack-operation f0 p1
            a0 <- acknowledge operation f0/p1 #1
            > reconcile-operations f0
            > reconcile-operations f0 p1@a0
            f0 <- operation p1 UNKNOWN
        "#]],
    );
}

#[test]
fn an_operation_that_never_reached_its_agent_is_dropped_and_the_agents_total_counts() {
    check(
        &format!(
            "{EMPTY} | accept f0 o0 refuse 60 p1/reserve:cpus:1>eng p2/reserve:cpus:1>eng | lost a0 | reconcile-operations f0
             agent a0 cpus:3;cpus(+eng):1;disk:10GiB f0!p1=FINISHED | reconcile-operations f0 | operation a0 f0/p1 FINISHED"
        ),
        expect![[r#"
            > framework f0 role eng shared yes
            f0 <- subscribed as f0
            > agent a0 cpus:4;disk:10GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 eng cpus:4;disk:10GiB
            > accept f0 o0 refuse 60 p1/reserve:cpus:1>eng p2/reserve:cpus:1>eng
            a0 <- apply f0/p1 reserve cpus:1 to eng
            a0 <- apply f0/p2 reserve cpus:1 to eng
            f0 <- offer o1 a0 eng cpus:2;disk:10GiB;cpus(+eng):2
            > lost a0
            f0 <- rescind o1
            > reconcile-operations f0
            f0 <- operation p1 PENDING
            f0 <- operation p2 PENDING
            > agent a0 cpus:3;cpus(+eng):1;disk:10GiB f0!p1=FINISHED
            a0 <- registered as a0
            f0 <- operation p2 DROPPED (the agent was cut off before the operation reached it)
            f0 <- offer o2 a0 eng cpus:3;disk:10GiB;cpus(+eng):1
            > reconcile-operations f0
            f0 <- operation p1 FINISHED
            > operation a0 f0/p1 FINISHED
            f0 <- operation p1 FINISHED #2
        "#]],
    );
}

#[test]
fn an_operation_of_an_agent_that_is_given_up_is_unreachable_until_it_is_back() {
    check(
        &format!(
            "{EMPTY} | accept f0 o0 refuse 60 p1/reserve:cpus:1>eng | lost a0 | wait 75 | reconcile-operations f0
             agent a0 cpus:3;cpus(+eng):1;disk:10GiB f0!p1=FINISHED | operation a0 f0/p1 FINISHED | ack-operation f0 p1"
        ),
        expect![[r#"
            > framework f0 role eng shared yes
            f0 <- subscribed as f0
            > agent a0 cpus:4;disk:10GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 eng cpus:4;disk:10GiB
            > accept f0 o0 refuse 60 p1/reserve:cpus:1>eng
            a0 <- apply f0/p1 reserve cpus:1 to eng
            f0 <- offer o1 a0 eng cpus:3;disk:10GiB;cpus(+eng):1
            > lost a0
            f0 <- rescind o1
            > wait 75
            f0 <- agent a0 lost
            f0 <- operation p1 UNREACHABLE (the agent is unreachable)
            > reconcile-operations f0
            f0 <- operation p1 UNREACHABLE (the agent is unreachable)
            > agent a0 cpus:3;cpus(+eng):1;disk:10GiB f0!p1=FINISHED
            a0 <- registered as a0
            f0 <- offer o2 a0 eng cpus:3;disk:10GiB;cpus(+eng):1
            > operation a0 f0/p1 FINISHED
            f0 <- operation p1 FINISHED #2
            > ack-operation f0 p1
            a0 <- acknowledge operation f0/p1 #2
        "#]],
    );
}

#[test]
fn operations_are_kept_by_their_agents_over_a_restart_of_the_master() {
    check(
        &format!(
            "{EMPTY} | accept f0 o0 refuse 60 p1/reserve:cpus:1>eng | restart | framework f0 role eng
             reconcile-operations f0 p1@a0 p1 | agent a0 cpus:3;cpus(+eng):1;disk:10GiB f0!p1=FINISHED
             operation a0 f0/p1 FINISHED | ack-operation f0 p1"
        ),
        expect![[r#"
            > framework f0 role eng shared yes
            f0 <- subscribed as f0
            > agent a0 cpus:4;disk:10GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 eng cpus:4;disk:10GiB
            > accept f0 o0 refuse 60 p1/reserve:cpus:1>eng
            a0 <- apply f0/p1 reserve cpus:1 to eng
            f0 <- offer o1 a0 eng cpus:3;disk:10GiB;cpus(+eng):1
            > restart
            > framework f0 role eng
            f0 <- subscribed as f0
            > reconcile-operations f0 p1@a0 p1
            > agent a0 cpus:3;cpus(+eng):1;disk:10GiB f0!p1=FINISHED
            a0 <- registered as a0
            f0 <- offer m2-o0 a0 eng cpus:3;disk:10GiB;cpus(+eng):1
            > operation a0 f0/p1 FINISHED
            f0 <- operation p1 FINISHED #2
            > ack-operation f0 p1
            a0 <- acknowledge operation f0/p1 #2
        "#]],
    );
}

#[test]
fn a_total_that_an_agent_corrects_keeps_what_is_on_its_way() {
    check(
        &format!(
            "{EMPTY} | accept f0 o0 p1/reserve:cpus:1>eng p2/reserve:disk:1GiB>eng | operation a0 f0/p1 FAILED
             total a0 cpus:4;disk:10GiB | operation a0 f0/p2 FINISHED"
        ),
        expect![[r#"
            > framework f0 role eng shared yes
            f0 <- subscribed as f0
            > agent a0 cpus:4;disk:10GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 eng cpus:4;disk:10GiB
            > accept f0 o0 p1/reserve:cpus:1>eng p2/reserve:disk:1GiB>eng
            a0 <- apply f0/p1 reserve cpus:1 to eng
            a0 <- apply f0/p2 reserve disk:1GiB to eng
            f0 <- offer o1 a0 eng cpus:3;disk:9GiB;cpus(+eng):1;disk(+eng):1GiB
            > operation a0 f0/p1 FAILED
            f0 <- operation p1 FAILED #1
            > total a0 cpus:4;disk:10GiB
            f0 <- rescind o1
            f0 <- offer o2 a0 eng cpus:4;disk:9GiB;disk(+eng):1GiB
            > operation a0 f0/p2 FINISHED
            f0 <- operation p2 FINISHED #2
        "#]],
    );
}

#[test]
fn an_operator_reserves_what_no_task_holds() {
    check(
        "framework f0 | agent a0 cpus:4;mem:1GiB | accept f0 o0 t1@a0:cpus:2 | reserve a0 cpus(+eng):3
         reserve a0 cpus(+eng):1 | operation a0 master/own-p0 FINISHED | unreserve a0 cpus(+eng):1
         unreserve a0 cpus(+eng):1 | reserve a9 cpus(+eng):1 | reserve a0 cpus:1 | operation a0 master/own-p1 FAILED
         reserve a0 mem(+eng):1MiB | lost a0 | wait 75",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4;mem:1GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4;mem:1GiB
            > accept f0 o0 t1@a0:cpus:2
            a0 <- run f0/t1 cpus:2
            f0 <- offer o1 a0 * cpus:2;mem:1GiB
            > reserve a0 cpus(+eng):3
            operator <- agent `a0` has cpus:2;mem:1GiB that no task holds, and that is too little cpus
            > reserve a0 cpus(+eng):1
            f0 <- rescind o1
            a0 <- apply master/p0 reserve cpus:1 to eng
            f0 <- offer o2 a0 * cpus:1;mem:1GiB
            > operation a0 master/own-p0 FINISHED
            a0 <- acknowledge operation master/p0 #1
            operator <- done
            > unreserve a0 cpus(+eng):1
            a0 <- apply master/p1 unreserve cpus(+eng):1
            f0 <- offer o3 a0 * cpus:1
            > unreserve a0 cpus(+eng):1
            operator <- the resources of agent `a0` cannot change so: `cpus(+eng):1` is not there: too little cpus
            > reserve a9 cpus(+eng):1
            operator <- no agent `a9` is connected
            > reserve a0 cpus:1
            operator <- the resources of agent `a0` cannot change so: no resources are named
            > operation a0 master/own-p1 FAILED
            a0 <- acknowledge operation master/p1 #2
            operator <- the resources of agent `a0` cannot change so: 
            > reserve a0 mem(+eng):1MiB
            f0 <- rescind o2
            a0 <- apply master/p2 reserve mem:1MiB to eng
            f0 <- offer o4 a0 * cpus:1;mem:1023MiB
            > lost a0
            f0 <- rescind o3
            f0 <- rescind o4
            > wait 75
            f0 <- agent a0 lost
            f0 <- t1 UNREACHABLE AGENT_REMOVED (the agent is unreachable)
            operator <- the agent was cut off before it said that it has the change on disk; its resources show whether it has
        "#]],
    );
}

#[test]
fn an_orphaned_operation_is_acknowledged_by_the_master() {
    check(
        &format!(
            "{EMPTY} | accept f0 o0 refuse 60 p1/reserve:cpus:1>eng | teardown f0 | operation a0 f0/p1 FINISHED"
        ),
        expect![[r#"
            > framework f0 role eng shared yes
            f0 <- subscribed as f0
            > agent a0 cpus:4;disk:10GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 eng cpus:4;disk:10GiB
            > accept f0 o0 refuse 60 p1/reserve:cpus:1>eng
            a0 <- apply f0/p1 reserve cpus:1 to eng
            f0 <- offer o1 a0 eng cpus:3;disk:10GiB;cpus(+eng):1
            > teardown f0
            a0 <- shut down f0
            f0 closed: the framework is completed
            > operation a0 f0/p1 FINISHED
            a0 <- acknowledge operation f0/p1 #1
        "#]],
    );
}

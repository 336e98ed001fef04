//! The session driven by text: one step a word list, what it asks for as text.

mod probe;

use expect_test::expect;

use self::probe::check;

#[test]
fn the_first_call_on_a_connection_is_subscribe_and_nothing_goes_out_before_it_is_answered() {
    check(
        "suppress | connected | revive | heartbeat | offer O1 | subscribed F1",
        expect![[r#"
            connected: subscribe suppressed:*
            subscribed F1: put session/framework_id; revive *; [subscribed F1]
        "#]],
    );
}

#[test]
fn the_framework_id_is_stored_once_and_subscribes_every_later_connection() {
    check(
        "connected | subscribed F1 | disconnected | connected | crash | connected | subscribed F1",
        expect![[r#"
            connected: subscribe
            subscribed F1: put session/framework_id; [subscribed F1]
            disconnected: [disconnected]
            connected: subscribe F1
            connected: subscribe F1
            subscribed F1: [subscribed F1]
        "#]],
    );
}

#[test]
fn suppression_is_told_again_on_the_next_subscription() {
    check(
        "connected | subscribed F1 | suppress | disconnected | connected | subscribed F1 | revive",
        expect![[r#"
            connected: subscribe
            subscribed F1: put session/framework_id; [subscribed F1]
            suppress: suppress
            disconnected: [disconnected]
            connected: subscribe F1 suppressed:*
            subscribed F1: [subscribed F1]
            revive: revive
        "#]],
    );
}

#[test]
fn what_changes_between_a_subscription_and_its_answer_is_told_after_it() {
    check(
        "up | suppress | disconnected | connected | revive | subscribed F1 | disconnected | connected | suppress \
         | subscribed F1",
        expect![[r#"
            suppress: suppress
            disconnected: [disconnected]
            connected: subscribe F1 suppressed:*
            subscribed F1: revive *; [subscribed F1]
            disconnected: [disconnected]
            connected: subscribe F1
            subscribed F1: suppress *; [subscribed F1]
        "#]],
    );
}

#[test]
fn other_roles_and_preferences_are_told_without_a_new_subscription() {
    check(
        "up | suppress | roles a b | roles a b | prefer b c | disconnected | connected | subscribed F1 | roles c",
        expect![[r#"
            suppress: suppress
            roles a b: update in a b
            prefer b c: update in a b preferring:b
            disconnected: [disconnected]
            connected: subscribe F1 in a b preferring:b
            subscribed F1: [subscribed F1]
            roles c: update in c preferring:c
        "#]],
    );
}

#[test]
fn roles_that_change_while_the_subscription_is_not_answered_are_told_after_it() {
    check(
        "up | suppress | disconnected | connected | roles * a | subscribed F1",
        expect![[r#"
            suppress: suppress
            disconnected: [disconnected]
            connected: subscribe F1 suppressed:*
            subscribed F1: update in * a suppressed:*; [subscribed F1]
        "#]],
    );
}

#[test]
fn an_offer_that_is_not_used_is_declined_unless_held() {
    check(
        "up | offer O1 O2 | holding | offer O3 O4 | rescind O3 | rescind O1 | launch T1 O4",
        expect![[r#"
            offer O1 O2: decline O1 O2 5s; [offers O1 O2]
            offer O3 O4: [offers O3 O4]
            rescind O3: [rescinded O3]
            launch T1 O4: put session/task/T1; accept O4 T1
        "#]],
    );
}

#[test]
fn a_launch_on_a_void_offer_ends_as_dropped_and_does_not_reach_the_master() {
    check(
        "up | holding | offer O1 O2 | rescind O1 | launch T1 O1 | tick | disconnected | launch T2 O2 | tick",
        expect![[r#"
            offer O1 O2: [offers O1 O2]
            rescind O1: [rescinded O1]
            launch T1 O1: put session/task/T1
            tick: delete session/task/T1; [update T1 DROPPED]
            disconnected: [disconnected]
            launch T2 O2: put session/task/T2
            tick: delete session/task/T2; [update T2 DROPPED]
        "#]],
    );
}

#[test]
fn an_update_with_a_uuid_is_acknowledged_after_the_scheduler_heard_it() {
    check(
        "up | update T1 RUNNING 7 | update T1 RUNNING 7 | update T1 RUNNING | update T1 FINISHED 8",
        expect![[r#"
            update T1 RUNNING 7: put session/task/T1; put seen/T1; ack T1 7; [update T1 RUNNING]
            update T1 RUNNING 7: put seen/T1; ack T1 7; [update T1 RUNNING]
            update T1 RUNNING: put seen/T1; [update T1 RUNNING]
            update T1 FINISHED 8: delete session/task/T1; put seen/T1; ack T1 8; [update T1 FINISHED]
        "#]],
    );
}

#[test]
fn live_tasks_are_asked_about_on_each_subscription_until_each_has_an_answer() {
    check(
        "up | holding | offer O1 O2 | launch T1 O1 | launch T2 O2 | crash | connected | subscribed F1 \
         | +999ms | +1ms | update T1 RUNNING | +2s | +4s | update T2 GONE | +8s",
        expect![[r#"
            offer O1 O2: [offers O1 O2]
            launch T1 O1: put session/task/T1; accept O1 T1
            launch T2 O2: put session/task/T2; accept O2 T2
            connected: subscribe F1
            subscribed F1: reconcile T1@A1 T2@A1; [subscribed F1]
            +1ms: reconcile T1@A1 T2@A1
            update T1 RUNNING: put seen/T1; [update T1 RUNNING]
            +2s: reconcile T2@A1
            +4s: ping; reconcile T2@A1
            update T2 GONE: delete session/task/T2; put seen/T2; [update T2 GONE]
            +8s: ping
        "#]],
    );
}

#[test]
fn a_task_that_ended_does_not_come_back_with_what_the_master_says_without_knowing() {
    check(
        "up | update T1 RUNNING | update T2 RUNNING | disconnected | connected | subscribed F1 \
         | update T1 FINISHED 7 | answer T1 GONE | answer T1 UNKNOWN | answer T1 UNREACHABLE | answer T2 GONE \
         | update T1 UNREACHABLE | update T2 UNKNOWN | update T1 FINISHED 7",
        expect![[r#"
            update T1 RUNNING: put session/task/T1; put seen/T1; [update T1 RUNNING]
            update T2 RUNNING: put session/task/T2; put seen/T2; [update T2 RUNNING]
            disconnected: [disconnected]
            connected: subscribe F1
            subscribed F1: reconcile T1@A1 T2@A1; [subscribed F1]
            update T1 FINISHED 7: delete session/task/T1; put seen/T1; ack T1 7; [update T1 FINISHED]
            answer T2 GONE: delete session/task/T2; put seen/T2; [update T2 GONE]
            update T1 FINISHED 7: put seen/T1; ack T1 7; [update T1 FINISHED]
        "#]],
    );
}

#[test]
fn an_answer_about_a_task_that_runs_without_a_record_is_told() {
    check(
        "up | answer T1 RUNNING | answer T1 GONE | adopt F1 kill | connected | subscribed F1 | answer T2 UNREACHABLE",
        expect![[r#"
            answer T1 RUNNING: put session/task/T1; put seen/T1; [update T1 RUNNING]
            answer T1 GONE: delete session/task/T1; put seen/T1; [update T1 GONE]
            connected: subscribe adopting F1
            subscribed F1: reconcile; [subscribed F1]
            answer T2 UNREACHABLE: put session/task/T2; kill T2
        "#]],
    );
}

#[test]
fn a_task_unknown_to_the_master_leaves_the_live_set_and_an_unreachable_one_stays() {
    check(
        "up | update T1 RUNNING | update T2 RUNNING | update T1 UNKNOWN | update T2 UNREACHABLE \
         | disconnected | connected | subscribed F1",
        expect![[r#"
            update T1 RUNNING: put session/task/T1; put seen/T1; [update T1 RUNNING]
            update T2 RUNNING: put session/task/T2; put seen/T2; [update T2 RUNNING]
            update T1 UNKNOWN: delete session/task/T1; put seen/T1; [update T1 UNKNOWN]
            update T2 UNREACHABLE: put seen/T2; [update T2 UNREACHABLE]
            disconnected: [disconnected]
            connected: subscribe F1
            subscribed F1: reconcile T2@A1; [subscribed F1]
        "#]],
    );
}

#[test]
fn an_unreachable_task_is_asked_about_until_the_master_knows_more() {
    check(
        "up | update T1 RUNNING | update T1 UNREACHABLE | +60s | update T1 UNREACHABLE | +60s | update T1 GONE | +60s",
        expect![[r#"
            update T1 RUNNING: put session/task/T1; put seen/T1; [update T1 RUNNING]
            update T1 UNREACHABLE: put seen/T1; [update T1 UNREACHABLE]
            +60s: disconnect; ping; reconcile T1@A1
            update T1 UNREACHABLE: put seen/T1; [update T1 UNREACHABLE]
            +60s: disconnect; ping; reconcile T1@A1
            update T1 GONE: delete session/task/T1; put seen/T1; [update T1 GONE]
            +60s: disconnect; ping
        "#]],
    );
}

#[test]
fn a_kill_outlives_the_connection_and_a_crash() {
    check(
        "up | update T1 RUNNING | disconnected | kill T1 | crash | connected | subscribed F1 \
         | kill T1 | update T1 KILLED 9",
        expect![[r#"
            update T1 RUNNING: put session/task/T1; put seen/T1; [update T1 RUNNING]
            disconnected: [disconnected]
            kill T1: put session/task/T1
            connected: subscribe F1
            subscribed F1: reconcile T1@A1; kill T1 1.5s; [subscribed F1]
            kill T1: kill T1 1.5s
            update T1 KILLED 9: delete session/task/T1; put seen/T1; ack T1 9; [update T1 KILLED]
        "#]],
    );
}

#[test]
fn a_kill_is_told_again_with_the_first_answer_of_a_master_that_did_not_know_the_task() {
    check(
        "up | update T1 RUNNING | kill T1 | disconnected | connected | subscribed F1 | +1s | update T1 RUNNING \
         | update T1 RUNNING",
        expect![[r#"
            update T1 RUNNING: put session/task/T1; put seen/T1; [update T1 RUNNING]
            kill T1: put session/task/T1; kill T1 1.5s
            disconnected: [disconnected]
            connected: subscribe F1
            subscribed F1: reconcile T1@A1; kill T1 1.5s; [subscribed F1]
            +1s: reconcile T1@A1
            update T1 RUNNING: put seen/T1; kill T1 1.5s; [update T1 RUNNING]
            update T1 RUNNING: put seen/T1; [update T1 RUNNING]
        "#]],
    );
}

#[test]
fn demand_is_told_last_in_its_step_and_again_on_every_subscription() {
    check(
        "up | holding | offer O1 | grow eng:1*3 O1 | demand eng:1*2 *:7*1 | disconnected | demand eng:1*5 | connected \
         | subscribed F1 | undemand eng | undemand eng | disconnected | connected | subscribed F1",
        expect![[r#"
            offer O1: [offers O1]
            grow eng:1*3 O1: put session/task/T9; update in * eng; accept O1 T9; demand eng: 1*3
            demand eng:1*2 *:7*1: demand *: 7*1; demand eng: 1*2
            disconnected: [disconnected]
            connected: subscribe F1 in * eng
            subscribed F1: reconcile T9@A1; demand *: 7*1; demand eng: 1*5; [subscribed F1]
            undemand eng: demand eng taken back
            disconnected: [disconnected]
            connected: subscribe F1 in * eng
            subscribed F1: reconcile T9@A1; demand *: 7*1; [subscribed F1]
        "#]],
    );
}

#[test]
fn of_several_statements_the_last_counts_and_what_a_master_would_refuse_is_left_out() {
    check(
        "up | demand *:1*1 *:2*2 | demand *:1*1,1*2,3*4 | demand *:1*1@7,2*9999@7,3*1,4*9999@7,5*9999@8 \
         | demand eng:1*1 | demand *: | crash | connected \
         | subscribed F1",
        expect![[r#"
            demand *:1*1 *:2*2: demand *: 2*2
            demand *:1*1,1*2,3*4: demand *: 1*1 3*4
            demand *:1*1@7,2*9999@7,3*1,4*9999@7,5*9999@8: demand *: 3*1 5*9999
            demand *:: demand *:
            connected: subscribe F1
            subscribed F1: [subscribed F1]
        "#]],
    );
}

#[test]
fn demand_of_a_role_ends_with_the_role() {
    check(
        "up | roles * eng | demand eng:1*1 | roles * | roles * eng | disconnected | connected | subscribed F1",
        expect![[r#"
            roles * eng: update in * eng
            demand eng:1*1: demand eng: 1*1
            roles *: update
            roles * eng: update in * eng
            disconnected: [disconnected]
            connected: subscribe F1 in * eng
            subscribed F1: [subscribed F1]
        "#]],
    );
}

#[test]
fn a_gang_comes_whole_and_is_answered_whole() {
    check(
        "up | offer O1/2 | offer O2/2 O3 | holding | offer O4/2 O5/2 | launch T1 O4 O5 | offer O6/2 O7/2 | decline O7 \
         | launch T2 O6",
        expect![[r#"
            offer O2/2 O3: decline O1 O2 O3 5s; [offers O1 O2 O3]
            offer O4/2 O5/2: [offers O4 O5]
            launch T1 O4 O5: put session/task/T1; accept O4 O5 T1
            offer O6/2 O7/2: [offers O6 O7]
            decline O7: decline O6 O7 1s
            launch T2 O6: put session/task/T2
        "#]],
    );
}

#[test]
fn a_launch_on_a_part_of_a_gang_ends_as_dropped_and_the_gang_is_declined() {
    check(
        "up | holding | offer O1/2 O2/2 | launch T1 O1 | tick",
        expect![[r#"
            offer O1/2 O2/2: [offers O1 O2]
            launch T1 O1: put session/task/T1; decline O1 O2 5s
            tick: delete session/task/T1; [update T1 DROPPED]
        "#]],
    );
}

#[test]
fn a_gang_is_void_with_the_first_of_its_offers_that_is_rescinded() {
    check(
        "up | holding | offer O1/2 O2/2 | rescind O1 | rescind O2 | offer O3/2 | rescind O3 | offer O4/2",
        expect![[r#"
            offer O1/2 O2/2: [offers O1 O2]
            rescind O1: [rescinded O1, rescinded O2]
        "#]],
    );
}

#[test]
fn the_offers_that_are_left_of_a_void_launch_are_declined() {
    check(
        "up | holding | offer O1 O2 | rescind O1 | launch T1 O1 O2 | tick",
        expect![[r#"
            offer O1 O2: [offers O1 O2]
            rescind O1: [rescinded O1]
            launch T1 O1 O2: put session/task/T1; decline O2 5s
            tick: delete session/task/T1; [update T1 DROPPED]
        "#]],
    );
}

#[test]
fn an_operation_is_recorded_before_it_is_sent_and_acknowledged_after_the_scheduler_heard() {
    check(
        "up | holding | offer O1 | destroy X1 O1 | operation X1 PENDING | operation X1 FINISHED 7 \
         | operation X1 FINISHED 7",
        expect![[r#"
            offer O1: [offers O1]
            destroy X1 O1: put session/operation/X1; accept O1 X1
            operation X1 PENDING: [operation X1 PENDING]
            operation X1 FINISHED 7: delete session/operation/X1; put seen/X1; ack X1 7; [operation X1 FINISHED]
            operation X1 FINISHED 7: put seen/X1; ack X1 7; [operation X1 FINISHED]
        "#]],
    );
}

#[test]
fn operations_are_asked_about_on_each_subscription_until_each_has_an_answer() {
    check(
        "up | holding | offer O1 O2 O3 | destroy X1 O1 | destroy X2 O2 | destroy X3 O3 | crash | connected \
         | subscribed F1 | operation X1 UNKNOWN | operation X2 UNREACHABLE | +1s | operation X3 PENDING \
         | operation X2 DROPPED | +2s",
        expect![[r#"
            offer O1 O2 O3: [offers O1 O2 O3]
            destroy X1 O1: put session/operation/X1; accept O1 X1
            destroy X2 O2: put session/operation/X2; accept O2 X2
            destroy X3 O3: put session/operation/X3; accept O3 X3
            connected: subscribe F1
            subscribed F1: reconcile operations X1@A1 X2@A1 X3@A1; [subscribed F1]
            operation X1 UNKNOWN: delete session/operation/X1; [operation X1 UNKNOWN]
            operation X2 UNREACHABLE: [operation X2 UNREACHABLE]
            +1s: reconcile operations X2@A1 X3@A1
            operation X3 PENDING: [operation X3 PENDING]
            operation X2 DROPPED: delete session/operation/X2; [operation X2 DROPPED]
        "#]],
    );
}

#[test]
fn an_operation_on_a_void_offer_ends_as_dropped_and_one_with_a_used_id_as_error() {
    check(
        "up | destroy X1 O1 | tick | holding | offer O2 O3 | destroy X2 O2 | destroy X2 O3 | tick | disconnected \
         | connected | subscribed F1",
        expect![[r#"
            destroy X1 O1: put session/operation/X1
            tick: delete session/operation/X1; [operation X1 DROPPED]
            offer O2 O3: [offers O2 O3]
            destroy X2 O2: put session/operation/X2; accept O2 X2
            destroy X2 O3: accept O3
            tick: [operation X2 ERROR]
            disconnected: [disconnected]
            connected: subscribe F1
            subscribed F1: reconcile operations X2@A1; [subscribed F1]
        "#]],
    );
}

#[test]
fn a_silent_master_costs_it_the_link_and_a_talking_one_is_pinged() {
    check(
        "connected | +14999ms | +1ms | disconnected | connected | subscribed F1 \
         | +5s | heartbeat | +10s | +4999ms | +1ms",
        expect![[r#"
            connected: subscribe
            +1ms: disconnect
            connected: subscribe
            subscribed F1: put session/framework_id; [subscribed F1]
            +5s: ping
            +10s: ping
            +1ms: disconnect; ping
        "#]],
    );
}

#[test]
fn a_refusal_is_handed_on_and_ends_the_link() {
    check(
        "connected | error no such framework",
        expect![[r#"
            connected: subscribe
            error no such framework: disconnect; refused no such framework
        "#]],
    );
}

#[test]
fn an_unreadable_record_is_named() {
    let records = vec![("session/task/T1".to_owned(), vec![0xff])];
    let error = probe::recover(records).unwrap_err().to_string();
    expect!["record `session/task/T1` cannot be read: failed to decode Protobuf message: invalid varint"]
        .assert_eq(&error);
}

#[test]
fn an_adopted_id_is_stored_and_its_tasks_are_asked_for() {
    check(
        "adopt F7 keep | connected | subscribed F7 | crash | connected",
        expect![[r#"
            connected: subscribe adopting F7
            subscribed F7: put session/framework_id; reconcile; [subscribed F7]
            connected: subscribe F7
        "#]],
    );
}

#[test]
fn unknown_tasks_are_killed_on_request_until_they_are_dead() {
    check(
        "adopt F1 kill | up | update T1 RUNNING 1 | disconnected | crash | connected | subscribed F1 \
         | update T1 KILLED 2",
        expect![[r#"
            update T1 RUNNING 1: put session/task/T1; put seen/T1; kill T1; ack T1 1; [update T1 RUNNING]
            disconnected: [disconnected]
            connected: subscribe F1
            subscribed F1: reconcile T1@A1; kill T1; [subscribed F1]
            update T1 KILLED 2: delete session/task/T1; put seen/T1; ack T1 2; [update T1 KILLED]
        "#]],
    );
}

#[test]
fn of_an_unknown_task_that_is_to_be_killed_the_scheduler_hears_once_its_agent_speaks() {
    check(
        "adopt F1 kill | up | update T1 UNREACHABLE | update T2 UNREACHABLE | answer T1 UNREACHABLE | +1s | answer T2 GONE \
         | update T1 RUNNING 1 | update T1 UNREACHABLE | update T1 KILLED 2 | update T1 UNREACHABLE | answer T1 GONE",
        expect![[r#"
            update T1 UNREACHABLE: put session/task/T1; kill T1
            update T2 UNREACHABLE: put session/task/T2; kill T2
            answer T2 GONE: delete session/task/T2
            update T1 RUNNING 1: put seen/T1; kill T1; ack T1 1; [update T1 RUNNING]
            update T1 UNREACHABLE: put seen/T1; [update T1 UNREACHABLE]
            update T1 KILLED 2: delete session/task/T1; put seen/T1; ack T1 2; [update T1 KILLED]
            update T1 UNREACHABLE: put session/task/T1; kill T1
            answer T1 GONE: delete session/task/T1
        "#]],
    );
}

#[test]
fn unknown_tasks_are_left_alone_on_request_and_what_they_say_is_acknowledged() {
    check(
        "up | offer O1 | launch T1 O1 | holding | offer O2 | launch T2 O2 | adopt F1 keep | up \
         | update T2 RUNNING 3 | update T9 RUNNING 1 | update T9 FINISHED 2",
        expect![[r#"
            offer O1: decline O1 5s; [offers O1]
            launch T1 O1: put session/task/T1
            holding: delete session/task/T1; [update T1 DROPPED]
            offer O2: [offers O2]
            launch T2 O2: put session/task/T2; accept O2 T2
            update T2 RUNNING 3: put seen/T2; ack T2 3; [update T2 RUNNING]
            update T9 RUNNING 1: ack T9 1
            update T9 FINISHED 2: ack T9 2
        "#]],
    );
}

#[test]
fn a_teardown_is_asked_for_until_it_is_done_and_leaves_no_record() {
    check(
        "up | holding | offer O1 | launch T1 O1 | disconnected | teardown | connected | subscribed F1 | disconnected \
         | crash | connected | error F1 is completed | connected",
        expect![[r#"
            offer O1: [offers O1]
            launch T1 O1: put session/task/T1; accept O1 T1
            disconnected: [disconnected]
            teardown: put session/teardown
            connected: subscribe F1
            subscribed F1: teardown
            disconnected: [disconnected]
            connected: subscribe F1
            error F1 is completed: delete session/task/T1; delete session/framework_id; delete session/teardown; disconnect; torn down
            connected: subscribe
        "#]],
    );
}

#[test]
fn a_takeover_during_a_teardown_is_not_taken_for_its_end() {
    check(
        "up | teardown | error another instance subscribed | disconnected | connected | subscribed F1",
        expect![[r#"
            teardown: put session/teardown; teardown
            error another instance subscribed: disconnect
            disconnected: [disconnected]
            connected: subscribe F1
            subscribed F1: teardown
        "#]],
    );
}

#[test]
fn a_suspension_goes_to_the_tasks_agent_and_a_resumption_on_a_void_offer_asks_what_became_of_the_task() {
    check(
        "up | holding | offer O1 O2 O3 | launch T1 O1 | suspend T1 | resume T1 O2 | rescind O3 | resume T1 O3 | disconnected | suspend T1",
        expect![[r#"
            offer O1 O2 O3: [offers O1 O2 O3]
            launch T1 O1: put session/task/T1; accept O1 T1
            suspend T1: suspend T1 A1
            resume T1 O2: accept O2 resume T1
            rescind O3: [rescinded O3]
            resume T1 O3: reconcile T1@A1
            disconnected: [disconnected]
        "#]],
    );
}

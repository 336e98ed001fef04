//! Agents with maintenance windows: replicas leave before, one at a time, and do not come.

use expect_test::{Expect, expect};

use super::world::scenario;

fn check(text: &str, expect: Expect) {
    expect.assert_eq(&scenario(text));
}

#[test]
fn replicas_leave_an_agent_ten_minutes_before_its_window_one_at_a_time() {
    check(
        "subscribe
        apply web 2 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB
        RUNNING web.0.1
        RUNNING web.1.1
        inverse i A 700
        wait 99
        wait 1
        offer A cpus:4;mem:4GiB,window=600
        KILLED web.0.1
        why web
        offer A cpus:4;mem:4GiB,window=600 B cpus:4;mem:4GiB,window=700
        RUNNING web.0.2
        KILLED web.1.1
        offer B cpus:4;mem:4GiB
        RUNNING web.1.2
        rescind-inverse i
        show",
        expect![[r#"
            subscribe -> want *
            apply web 2 cpus:1;mem:64MiB -> created; want * 1*2
            offer A cpus:4;mem:4GiB -> launch web.0.1 web.1.1 on A; want *
            RUNNING web.0.1 ->
            RUNNING web.1.1 ->
            inverse i A 700 -> accept inverse i
            wait 99 ->
            wait 1 -> want * 1*1
            offer A cpus:4;mem:4GiB,window=600 -> decline 10s
            KILLED web.0.1 ->
            why web -> service `web` has 1 of 2 replicas running
                replicas waiting for an offer of cpus:1;mem:64MiB: 1
                the cluster has no agents
                agents where no replica starts, as a maintenance window begins there within 10 minutes: 1
            offer A cpus:4;mem:4GiB,window=600 B cpus:4;mem:4GiB,window=700 -> decline 10s; launch web.0.2 on B; want *
            RUNNING web.0.2 -> want * 1*1
            KILLED web.1.1 ->
            offer B cpus:4;mem:4GiB -> launch web.1.2 on B; want *
            RUNNING web.1.2 ->
            rescind-inverse i ->
            show -> web v1, web.0.2 v1 Running, web.1.2 v1 Running
        "#]],
    );
}

#[test]
fn replicas_stay_where_the_window_was_taken_back_and_where_the_last_one_could_not_go_elsewhere() {
    check(
        "subscribe
        apply web 2 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB
        RUNNING web.0.1
        RUNNING web.1.1
        inverse i A 700
        rescind-inverse i
        wait 700
        inverse j A 30
        KILLED web.0.1
        offer A cpus:4;mem:4GiB,window=20
        wait 29
        show",
        expect![[r#"
            subscribe -> want *
            apply web 2 cpus:1;mem:64MiB -> created; want * 1*2
            offer A cpus:4;mem:4GiB -> launch web.0.1 web.1.1 on A; want *
            RUNNING web.0.1 ->
            RUNNING web.1.1 ->
            inverse i A 700 -> accept inverse i
            rescind-inverse i ->
            wait 700 ->
            inverse j A 30 -> accept inverse j; want * 1*1
            KILLED web.0.1 ->
            offer A cpus:4;mem:4GiB,window=20 -> decline 10s
            wait 29 ->
            show -> web v1, - v1 Waiting, web.1.1 v1 Running
        "#]],
    );
}

#[test]
fn replicas_leave_a_drained_agent_at_once_and_one_that_is_drained_no_more_not_at_all() {
    check(
        "subscribe
        apply web 3 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB
        RUNNING web.0.1
        RUNNING web.1.1
        RUNNING web.2.1
        drains i A 3600
        offer B cpus:4;mem:4GiB
        RUNNING web.0.2
        KILLED web.0.1
        offer B cpus:3;mem:4GiB
        rescind-inverse i
        RUNNING web.1.2
        KILLED web.1.1
        show
        drains j A 3600
        rescind-inverse j
        inverse k A 3600
        wait 60
        show",
        expect![[r#"
            subscribe -> want *
            apply web 3 cpus:1;mem:64MiB -> created; want * 1*3
            offer A cpus:4;mem:4GiB -> launch web.0.1 web.1.1 web.2.1 on A; want *
            RUNNING web.0.1 ->
            RUNNING web.1.1 ->
            RUNNING web.2.1 ->
            drains i A 3600 -> accept inverse i; want * 1*1
            offer B cpus:4;mem:4GiB -> launch web.0.2 on B; want *
            RUNNING web.0.2 -> kill web.0.1
            KILLED web.0.1 -> want * 1*1
            offer B cpus:3;mem:4GiB -> launch web.1.2 on B; want *
            rescind-inverse i ->
            RUNNING web.1.2 -> kill web.1.1
            KILLED web.1.1 ->
            show -> web v1, web.0.2 v1 Running, web.1.2 v1 Running, web.2.1 v1 Running
            drains j A 3600 -> accept inverse j; want * 1*1
            rescind-inverse j -> want *
            inverse k A 3600 -> accept inverse k
            wait 60 ->
            show -> web v1, web.0.2 v1 Running, web.1.2 v1 Running, web.2.1 v1 Running
        "#]],
    );
}

#[test]
fn a_daemon_leaves_a_drained_agent_when_nothing_is_left_there_to_move() {
    check(
        "subscribe
        daemon logs cpus:1;mem:64MiB
        apply web 1 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB
        RUNNING logs.0.1
        RUNNING web.0.1
        drains i A 3600
        offer B cpus:4;mem:4GiB
        RUNNING logs.1.1
        RUNNING web.0.2
        KILLED web.0.1
        KILLED logs.0.1
        show
        inverse j B 10
        show
        drains k B 3600
        offer A cpus:4;mem:4GiB
        RUNNING web.0.3
        KILLED web.0.2",
        expect![[r#"
            subscribe -> want *
            daemon logs cpus:1;mem:64MiB -> version 1
            apply web 1 cpus:1;mem:64MiB -> created; want * 2*1
            offer A cpus:4;mem:4GiB -> launch logs.0.1 web.0.1 on A; want *
            RUNNING logs.0.1 ->
            RUNNING web.0.1 ->
            drains i A 3600 -> accept inverse i; want * 2*1
            offer B cpus:4;mem:4GiB -> launch logs.1.1 web.0.2 on B; want *
            RUNNING logs.1.1 ->
            RUNNING web.0.2 -> kill web.0.1
            KILLED web.0.1 -> kill logs.0.1
            KILLED logs.0.1 ->
            show -> logs v1, logs.1.1 v1 Running; web v1, web.0.2 v1 Running
            inverse j B 10 -> accept inverse j; want * 2*1
            show -> logs v1, logs.1.1 v1 Running; web v1, web.0.2 v1 Running + - v1 Waiting
            drains k B 3600 -> accept inverse k
            offer A cpus:4;mem:4GiB -> launch logs.0.2 web.0.3 on A; want *
            RUNNING web.0.3 -> kill web.0.2
            KILLED web.0.2 -> kill logs.1.1; want * 2*1
        "#]],
    );
}

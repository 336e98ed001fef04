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

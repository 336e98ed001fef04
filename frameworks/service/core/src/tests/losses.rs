//! Agents that are away: what ran there starts elsewhere after the service's own time, a few agents at a time.

use std::fmt::Write as _;

use expect_test::{Expect, expect};

use super::world::scenario;

fn check(text: &str, expect: Expect) {
    expect.assert_eq(&scenario(text));
}

#[test]
fn a_replica_starts_elsewhere_when_its_agent_was_away_for_as_long_as_the_service_says_and_the_old_one_is_killed()
 {
    check(
        "subscribe
        wait 60
        lost-after 3
        apply web 1 cpus:1;mem:64MiB
        offer A cpus:1;mem:4GiB
        RUNNING web.0.1
        away A 2
        wait 0
        wait 1
        offer B cpus:1;mem:4GiB
        RUNNING web.0.2
        back A
        RUNNING web.0.1
        KILLED web.0.1
        show",
        expect![[r#"
            subscribe -> want *
            wait 60 ->
            lost-after 3 ->
            apply web 1 cpus:1;mem:64MiB -> created; want * 1*1
            offer A cpus:1;mem:4GiB -> launch web.0.1 on A; want *
            RUNNING web.0.1 ->
            away A 2 ->
            wait 0 ->
            wait 1 -> kill web.0.1; want * 1*1
            offer B cpus:1;mem:4GiB -> launch web.0.2 on B; want *
            RUNNING web.0.2 ->
            back A ->
            RUNNING web.0.1 -> kill web.0.1
            KILLED web.0.1 ->
            show -> web v1, web.0.2 v1 Running
        "#]],
    );
}

#[test]
fn an_agent_that_is_back_in_time_keeps_its_replicas() {
    check(
        "subscribe
        apply web 1 cpus:1;mem:64MiB
        offer A cpus:1;mem:4GiB
        RUNNING web.0.1
        away A 0
        wait 9
        back A
        wait 60
        away A 0
        wait 9
        disconnect
        wait 60
        show",
        expect![[r#"
            subscribe -> want *
            apply web 1 cpus:1;mem:64MiB -> created; want * 1*1
            offer A cpus:1;mem:4GiB -> launch web.0.1 on A; want *
            RUNNING web.0.1 ->
            away A 0 ->
            wait 9 ->
            back A ->
            wait 60 ->
            away A 0 ->
            wait 9 ->
            disconnect ->
            wait 60 ->
            show -> web v1, web.0.1 v1 Running
        "#]],
    );
}

#[test]
fn no_more_than_five_agents_are_given_up_in_a_minute_and_the_others_wait_for_their_turn() {
    let mut text = "subscribe\napply web 7 cpus:1;mem:64MiB\n".to_owned();
    for agent in 0..7 {
        writeln!(text, "offer A{agent} cpus:1;mem:4GiB").unwrap();
    }
    for agent in 0..7 {
        writeln!(text, "away A{agent} 0").unwrap();
    }
    text += "wait 10\nwhy web\nback A5\nwait 59\nwait 1\nshow";
    check(
        &text,
        expect![[r#"
            subscribe -> want *
            apply web 7 cpus:1;mem:64MiB -> created; want * 1*7
            offer A0 cpus:1;mem:4GiB -> launch web.0.1 on A0; want * 1*6
            offer A1 cpus:1;mem:4GiB -> launch web.1.1 on A1; want * 1*5
            offer A2 cpus:1;mem:4GiB -> launch web.2.1 on A2; want * 1*4
            offer A3 cpus:1;mem:4GiB -> launch web.3.1 on A3; want * 1*3
            offer A4 cpus:1;mem:4GiB -> launch web.4.1 on A4; want * 1*2
            offer A5 cpus:1;mem:4GiB -> launch web.5.1 on A5; want * 1*1
            offer A6 cpus:1;mem:4GiB -> launch web.6.1 on A6; want *
            away A0 0 ->
            away A1 0 ->
            away A2 0 ->
            away A3 0 ->
            away A4 0 ->
            away A5 0 ->
            away A6 0 ->
            wait 10 -> kill web.0.1; kill web.1.1; kill web.2.1; kill web.3.1; kill web.4.1; want * 1*5
            why web -> service `web` has 0 of 7 replicas running
                replicas waiting for an offer of cpus:1;mem:64MiB: 5
                the cluster has no agents
                agents with replicas that are away, and wait for their turn: 2; 5 agents are given up in a minute, or one of 50
                version 1 is available in 0 of 7 replicas; replica 0 waits for an offer of cpus:1;mem:64MiB
            back A5 ->
            wait 59 ->
            wait 1 -> kill web.6.1; want * 1*6
            show -> web v1, web.0.1 v1 Waiting, web.1.1 v1 Waiting, web.2.1 v1 Waiting, web.3.1 v1 Waiting, web.4.1 v1 Waiting, web.5.1 v1 Starting, web.6.1 v1 Waiting
        "#]],
    );
}

#[test]
fn a_time_too_short_for_an_agent_to_start_again_is_refused() {
    check(
        "lost-after 1
        apply web 1 cpus:1;mem:64MiB",
        expect![[r#"
            lost-after 1 ->
            apply web 1 cpus:1;mem:64MiB -> service `web` gives agents up after 1s; it must be 2s to 3600s
        "#]],
    );
}

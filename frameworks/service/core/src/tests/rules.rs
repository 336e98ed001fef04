//! The rules of a service's life, one scenario each.

use expect_test::{Expect, expect};

use super::world::scenario;

fn check(text: &str, expect: Expect) {
    expect.assert_eq(&scenario(text));
}

#[test]
fn replicas_spread_over_the_agents_and_nothing_more_is_offered_when_all_have_one() {
    check(
        "subscribe
        apply web 3 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB B cpus:1;mem:4GiB
        RUNNING web.0.1
        offer A cpus:2;mem:4GiB
        show",
        expect![[r#"
            subscribe -> want *
            apply web 3 cpus:1;mem:64MiB -> created; want * 1*3
            offer A cpus:4;mem:4GiB B cpus:1;mem:4GiB -> launch web.0.1 web.2.1 on A; launch web.1.1 on B; want *
            RUNNING web.0.1 ->
            offer A cpus:2;mem:4GiB -> decline 0ns
            show -> web v1, web.0.1 v1 Running, web.1.1 v1 Starting, web.2.1 v1 Starting
        "#]],
    );
}

#[test]
fn a_service_starts_only_on_offers_in_its_role() {
    check(
        "subscribe
        role eng
        apply web 1 cpus:1;mem:64MiB
        role *
        offer A cpus:4;mem:4GiB
        role eng
        offer A cpus:4;mem:4GiB",
        expect![[r#"
            subscribe -> want *
            role eng ->
            apply web 1 cpus:1;mem:64MiB -> created; want eng 1*1
            role * ->
            offer A cpus:4;mem:4GiB -> decline 0ns
            role eng ->
            offer A cpus:4;mem:4GiB -> launch web.0.1 on A; want eng
        "#]],
    );
}

#[test]
fn quick_failures_double_the_pause_up_to_a_minute_and_ten_seconds_of_life_end_it() {
    check(
        "apply web 1 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB
        FAILED web.0.1
        wait 1
        offer A cpus:4;mem:4GiB
        RUNNING web.0.2
        FINISHED web.0.2
        wait 1
        wait 1
        offer A cpus:4;mem:4GiB
        RUNNING web.0.3
        wait 10
        FAILED web.0.3",
        expect![[r#"
            apply web 1 cpus:1;mem:64MiB -> created; want * 1*1
            offer A cpus:4;mem:4GiB -> launch web.0.1 on A; want *
            FAILED web.0.1 ->
            wait 1 -> want * 1*1
            offer A cpus:4;mem:4GiB -> launch web.0.2 on A; want *
            RUNNING web.0.2 ->
            FINISHED web.0.2 ->
            wait 1 ->
            wait 1 -> want * 1*1
            offer A cpus:4;mem:4GiB -> launch web.0.3 on A; want *
            RUNNING web.0.3 ->
            wait 10 ->
            FAILED web.0.3 -> want * 1*1
        "#]],
    );
}

#[test]
fn a_replica_killed_by_the_drain_of_its_agent_is_replaced_at_once_though_it_never_ran() {
    check(
        "apply web 1 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB
        DRAINED web.0.1
        show",
        expect![[r#"
            apply web 1 cpus:1;mem:64MiB -> created; want * 1*1
            offer A cpus:4;mem:4GiB -> launch web.0.1 on A; want *
            DRAINED web.0.1 -> want * 1*1
            show -> web v1, web.0.1 v1 Waiting
        "#]],
    );
}

#[test]
fn a_replica_that_ran_and_was_taken_away_is_replaced_at_once() {
    check(
        "apply web 3 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB
        RUNNING web.0.1
        KILLED web.0.1
        RUNNING web.1.1
        GONE web.1.1
        KILLED web.2.1
        show",
        expect![[r#"
            apply web 3 cpus:1;mem:64MiB -> created; want * 1*3
            offer A cpus:4;mem:4GiB -> launch web.0.1 web.1.1 web.2.1 on A; want *
            RUNNING web.0.1 ->
            KILLED web.0.1 -> want * 1*1
            RUNNING web.1.1 ->
            GONE web.1.1 -> want * 1*2
            KILLED web.2.1 ->
            show -> web v1, web.0.1 v1 Waiting, web.1.1 v1 Waiting, web.2.1 v1 BackingOff
        "#]],
    );
}

#[test]
fn an_unreachable_replica_is_replaced_and_the_surplus_one_killed_when_it_comes_back() {
    check(
        "apply web 1 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB
        RUNNING web.0.1
        UNREACHABLE web.0.1
        offer B cpus:4;mem:4GiB
        RUNNING web.0.2
        RUNNING web.0.1
        KILLING web.0.1
        KILLED web.0.1
        show",
        expect![[r#"
            apply web 1 cpus:1;mem:64MiB -> created; want * 1*1
            offer A cpus:4;mem:4GiB -> launch web.0.1 on A; want *
            RUNNING web.0.1 ->
            UNREACHABLE web.0.1 -> want * 1*1
            offer B cpus:4;mem:4GiB -> launch web.0.2 on B; want *
            RUNNING web.0.2 ->
            RUNNING web.0.1 -> kill web.0.1
            KILLING web.0.1 ->
            KILLED web.0.1 ->
            show -> web v1, web.0.2 v1 Running
        "#]],
    );
}

#[test]
fn an_unreachable_replica_that_comes_back_before_it_was_replaced_is_kept() {
    check(
        "apply web 1 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB
        RUNNING web.0.1
        UNREACHABLE web.0.1
        RUNNING web.0.1
        show",
        expect![[r#"
            apply web 1 cpus:1;mem:64MiB -> created; want * 1*1
            offer A cpus:4;mem:4GiB -> launch web.0.1 on A; want *
            RUNNING web.0.1 ->
            UNREACHABLE web.0.1 -> want * 1*1
            RUNNING web.0.1 -> want *
            show -> web v1, web.0.1 v1 Running
        "#]],
    );
}

#[test]
fn scaling_down_stops_the_highest_slots_and_up_again_starts_them_under_new_ids() {
    check(
        "apply web 3 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB
        RUNNING web.0.1
        RUNNING web.1.1
        scale web 1
        KILLED web.2.1
        scale web 3
        KILLED web.1.1
        offer A cpus:4;mem:4GiB
        show",
        expect![[r#"
            apply web 3 cpus:1;mem:64MiB -> created; want * 1*3
            offer A cpus:4;mem:4GiB -> launch web.0.1 web.1.1 web.2.1 on A; want *
            RUNNING web.0.1 ->
            RUNNING web.1.1 ->
            scale web 1 -> kill web.2.1; kill web.1.1
            KILLED web.2.1 ->
            scale web 3 -> want * 1*1
            KILLED web.1.1 -> want * 1*2
            offer A cpus:4;mem:4GiB -> launch web.1.2 web.2.2 on A; want *
            show -> web v1, web.0.1 v1 Running, web.1.2 v1 Starting, web.2.2 v1 Starting
        "#]],
    );
}

#[test]
fn a_changed_task_replaces_one_replica_at_a_time() {
    check(
        "apply web 2 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB
        RUNNING web.0.1
        RUNNING web.1.1
        apply web 2 cpus:1;mem:64MiB new
        FAILED web.0.1
        offer A cpus:4;mem:4GiB
        why web
        RUNNING web.0.2
        KILLED web.1.1
        offer A cpus:4;mem:4GiB
        RUNNING web.1.2
        show",
        expect![[r#"
            apply web 2 cpus:1;mem:64MiB -> created; want * 1*2
            offer A cpus:4;mem:4GiB -> launch web.0.1 web.1.1 on A; want *
            RUNNING web.0.1 ->
            RUNNING web.1.1 ->
            apply web 2 cpus:1;mem:64MiB new -> version 2; want * 2*1
            FAILED web.0.1 ->
            offer A cpus:4;mem:4GiB -> launch web.0.2 on A; want *
            why web -> service `web` has 1 of 2 replicas running
                replicas backing off after quick failures: 1; replica 0 starts again in 1s after 1 in a row, the latest FAILED
                version 2 is available in 0 of 2 replicas, replicas of other versions to be replaced: 1; replica 0 does not run yet: nothing is heard of it yet
            RUNNING web.0.2 -> want * 2*1
            KILLED web.1.1 -> want * 1*1 2*1
            offer A cpus:4;mem:4GiB -> launch web.1.2 web.1.3 on A; want *
            RUNNING web.1.2 ->
            show -> web v2, web.0.2 v2 Running, web.1.2 v1 Running + web.1.3 v2 Starting
        "#]],
    );
}

#[test]
fn a_new_version_that_fails_takes_down_one_replica_and_a_good_one_goes_on_from_there() {
    check(
        "apply web 2 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB
        RUNNING web.0.1
        RUNNING web.1.1
        apply web 2 cpus:1;mem:64MiB broken
        KILLED web.0.1
        offer A cpus:4;mem:4GiB
        FAILED web.0.2
        show
        apply web 2 cpus:1;mem:64MiB good
        offer A cpus:4;mem:4GiB
        RUNNING web.0.3",
        expect![[r#"
            apply web 2 cpus:1;mem:64MiB -> created; want * 1*2
            offer A cpus:4;mem:4GiB -> launch web.0.1 web.1.1 on A; want *
            RUNNING web.0.1 ->
            RUNNING web.1.1 ->
            apply web 2 cpus:1;mem:64MiB broken -> version 2; want * 2*1
            KILLED web.0.1 -> want * 1*1 2*1
            offer A cpus:4;mem:4GiB -> launch web.0.2 web.0.3 on A; want *
            FAILED web.0.2 ->
            show -> web v2, web.0.2 v1 BackingOff + web.0.3 v2 Starting, web.1.1 v1 Running
            apply web 2 cpus:1;mem:64MiB good -> version 3; kill web.0.3; want * 1*1
            offer A cpus:4;mem:4GiB -> launch web.0.4 on A; want *
            RUNNING web.0.3 ->
        "#]],
    );
}

#[test]
fn the_same_again_changes_nothing_and_another_number_is_only_a_scale() {
    check(
        "apply web 1 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB
        apply web 1 cpus:1;mem:64MiB
        apply web 2 cpus:1;mem:64MiB",
        expect![[r#"
            apply web 1 cpus:1;mem:64MiB -> created; want * 1*1
            offer A cpus:4;mem:4GiB -> launch web.0.1 on A; want *
            apply web 1 cpus:1;mem:64MiB -> version 1
            apply web 2 cpus:1;mem:64MiB -> version 1; want * 1*1
        "#]],
    );
}

#[test]
fn a_deleted_service_is_forgotten_with_its_last_replica_and_its_ids_are_never_used_again() {
    check(
        "apply web 2 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB
        RUNNING web.0.1
        delete web
        delete web
        apply web 2 cpus:1;mem:64MiB
        scale web 3
        KILLED web.0.1
        show
        KILLED web.1.1
        show
        delete web
        restart
        apply web 1 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB",
        expect![[r#"
            apply web 2 cpus:1;mem:64MiB -> created; want * 1*2
            offer A cpus:4;mem:4GiB -> launch web.0.1 web.1.1 on A; want *
            RUNNING web.0.1 ->
            delete web -> kill web.1.1; kill web.0.1
            delete web ->
            apply web 2 cpus:1;mem:64MiB -> service `web` is being deleted; apply it again when it is gone
            scale web 3 -> service `web` is being deleted
            KILLED web.0.1 ->
            show -> web v1, web.1.1 v1 Stopping
            KILLED web.1.1 ->
            show ->
            delete web -> there is no service `web`
            restart ->
            apply web 1 cpus:1;mem:64MiB -> created; want * 1*1
            offer A cpus:4;mem:4GiB -> launch web.0.2 on A; want *
        "#]],
    );
}

#[test]
fn running_replicas_outlive_a_restart_of_the_scheduler() {
    check(
        "subscribe
        apply web 1 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB
        RUNNING web.0.1
        restart
        subscribe
        RUNNING web.0.1
        show",
        expect![[r#"
            subscribe -> want *
            apply web 1 cpus:1;mem:64MiB -> created; want * 1*1
            offer A cpus:4;mem:4GiB -> launch web.0.1 on A; want *
            RUNNING web.0.1 ->
            restart ->
            subscribe -> want *
            RUNNING web.0.1 ->
            show -> web v1, web.0.1 v1 Running
        "#]],
    );
}

#[test]
fn a_task_of_the_framework_that_is_no_replica_is_killed() {
    check(
        "RUNNING stranger
        STAGING web.0.1
        FINISHED stranger",
        expect![[r#"
            RUNNING stranger -> kill stranger
            STAGING web.0.1 -> kill web.0.1; want *
            FINISHED stranger ->
        "#]],
    );
}

#[test]
fn a_wrong_spec_is_refused_with_what_to_change() {
    check(
        "shapes cpus:4;mem:4GiB
        apply we/b 1 cpus:1;mem:64MiB
        apply web 10001 cpus:1;mem:64MiB
        apply web 1 mem:64MiB
        apply web 1 cpus:1
        apply web 1 cpus:5;mem:64MiB
        scale web 1
        delete web
        show",
        expect![[r#"
            shapes cpus:4;mem:4GiB -> want *
            apply we/b 1 cpus:1;mem:64MiB -> service name `we/b` must be one label of a DNS name, or two, NAME.NAMESPACE: each 1 to 63 lower-case letters, digits, `-` or `_`, the first a letter or digit
            apply web 10001 cpus:1;mem:64MiB -> service `web` asks for 10001 replicas, at most 10000 are allowed
            apply web 1 mem:64MiB -> service `web` must ask for more than 0 cpus
            apply web 1 cpus:1 -> service `web` must ask for more than 0 mem
            apply web 1 cpus:5;mem:64MiB -> service `web` asks for cpus:5, and the largest agent has cpus:4;mem:4GiB
            scale web 1 -> there is no service `web`
            delete web -> there is no service `web`
            show ->
        "#]],
    );
}

#[test]
fn why_tells_what_is_missing() {
    check(
        "apply web 2 cpus:3;mem:64MiB
        why web
        subscribe
        why web
        shapes cpus:4;mem:4GiB
        offer A cpus:4;mem:4GiB
        why web
        FAILED web.0.1
        why web
        shapes cpus:2;mem:4GiB
        why web",
        expect![[r#"
            apply web 2 cpus:3;mem:64MiB -> created; want * 1*2
            why web -> service `web` has 0 of 2 replicas running
                replicas waiting for an offer of cpus:3;mem:64MiB: 2
                the framework is not connected to a master
                version 1 is available in 0 of 2 replicas; replica 0 waits for an offer of cpus:3;mem:64MiB
            subscribe ->
            why web -> service `web` has 0 of 2 replicas running
                replicas waiting for an offer of cpus:3;mem:64MiB: 2
                the cluster has no agents
                version 1 is available in 0 of 2 replicas; replica 0 waits for an offer of cpus:3;mem:64MiB
            shapes cpus:4;mem:4GiB ->
            offer A cpus:4;mem:4GiB -> launch web.0.1 on A; want * 1*1
            why web -> service `web` has 0 of 2 replicas running
                replicas waiting for an offer of cpus:3;mem:64MiB: 1
                version 1 is available in 0 of 2 replicas; replica 1 waits for an offer of cpus:3;mem:64MiB
            FAILED web.0.1 ->
            why web -> service `web` has 0 of 2 replicas running
                replicas waiting for an offer of cpus:3;mem:64MiB: 1
                replicas backing off after quick failures: 1; replica 0 starts again in 1s after 1 in a row, the latest FAILED
                version 1 is available in 0 of 2 replicas; replica 1 waits for an offer of cpus:3;mem:64MiB
            shapes cpus:2;mem:4GiB ->
            why web -> service `web` has 0 of 2 replicas running
                replicas waiting for an offer of cpus:3;mem:64MiB: 1
                it asks for cpus:3, and the largest agent has cpus:2;mem:4GiB
                replicas backing off after quick failures: 1; replica 0 starts again in 1s after 1 in a row, the latest FAILED
                version 1 is available in 0 of 2 replicas; replica 1 waits for an offer of cpus:3;mem:64MiB
        "#]],
    );
}

#[test]
fn monitors_are_told_of_a_crash_loop_until_the_replica_has_run_for_a_while() {
    check(
        "subscribe
        apply web.shop 1 cpus:1;mem:64MiB
        tally
        offer A cpus:4;mem:4GiB
        FAILED web.shop.0.1
        wait 1
        offer A cpus:4;mem:4GiB
        FAILED web.shop.0.2
        wait 2
        tally
        offer A cpus:4;mem:4GiB
        FAILED web.shop.0.3
        tally
        wait 4
        offer A cpus:4;mem:4GiB
        RUNNING web.shop.0.4
        wait 9
        tally
        wait 1
        tally",
        expect![[r#"
            subscribe -> want *
            apply web.shop 1 cpus:1;mem:64MiB -> created; want * 1*1
            tally -> shop/web 0 of 1, 0 crash, failed false
            offer A cpus:4;mem:4GiB -> launch web.shop.0.1 on A; want *
            FAILED web.shop.0.1 ->
            wait 1 -> want * 1*1
            offer A cpus:4;mem:4GiB -> launch web.shop.0.2 on A; want *
            FAILED web.shop.0.2 ->
            wait 2 -> want * 1*1
            tally -> shop/web 0 of 1, 0 crash, failed false
            offer A cpus:4;mem:4GiB -> launch web.shop.0.3 on A; want *
            FAILED web.shop.0.3 ->
            tally -> shop/web 0 of 1, 1 crash, failed true
            wait 4 -> want * 1*1
            offer A cpus:4;mem:4GiB -> launch web.shop.0.4 on A; want *
            RUNNING web.shop.0.4 ->
            wait 9 ->
            tally -> shop/web 1 of 1, 1 crash, failed false
            wait 1 ->
            tally -> shop/web 1 of 1, 0 crash, failed false
        "#]],
    );
}

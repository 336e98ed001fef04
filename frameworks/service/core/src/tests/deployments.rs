//! Deployments: what is replaced in which order, what holds them up, and how they are taken back.

use expect_test::{Expect, expect};

use super::world::scenario;

fn check(text: &str, expect: Expect) {
    expect.assert_eq(&scenario(text));
}

/// Two replicas that run version 1.
const TWO: &str = "apply web 2 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB
        RUNNING web.0.1
        RUNNING web.1.1";

fn from_two(text: &str, expect: Expect) {
    let (_, shown) = scenario(&format!("{TWO}\nshow\n{text}"))
        .split_once("show -> ")
        .map(|(before, after)| (before.to_owned(), after.to_owned()))
        .unwrap();
    expect.assert_eq(&shown);
}

#[test]
fn a_new_replica_runs_beside_the_old_one_which_stops_once_the_new_one_was_well_for_a_while() {
    from_two(
        "update healthy=5
        apply web 2 cpus:1;mem:64MiB new
        offer A cpus:4;mem:4GiB
        RUNNING web.0.2
        wait 4
        why web
        wait 1
        KILLED web.0.1
        offer A cpus:4;mem:4GiB
        RUNNING web.1.2
        wait 5
        KILLED web.1.1
        show
        versions web",
        expect![[r#"
            web v1, web.0.1 v1 Running, web.1.1 v1 Running
            update healthy=5 ->
            apply web 2 cpus:1;mem:64MiB new -> version 2; want * 2*1
            offer A cpus:4;mem:4GiB -> launch web.0.2 on A; want *
            RUNNING web.0.2 ->
            wait 4 ->
            why web -> service `web` has 2 of 2 replicas running
                version 2 is available in 0 of 2 replicas, replicas of other versions to be replaced: 1; replica 0 has to stay healthy and ready for a while
            wait 1 -> kill web.0.1
            KILLED web.0.1 -> want * 2*1
            offer A cpus:4;mem:4GiB -> launch web.1.2 on A; want *
            RUNNING web.1.2 ->
            wait 5 -> kill web.1.1
            KILLED web.1.1 ->
            show -> web v2, web.0.2 v2 Running, web.1.2 v2 Running
            versions web -> v1 Good, v2 Good
        "#]],
    );
}

#[test]
fn where_nothing_may_surge_a_replica_stops_first() {
    from_two(
        "update surge=0 unavailable=1
        apply web 2 cpus:1;mem:64MiB new
        KILLED web.0.1
        offer A cpus:4;mem:4GiB
        RUNNING web.0.2
        KILLED web.1.1
        offer A cpus:4;mem:4GiB
        RUNNING web.1.2
        show
        versions web",
        expect![[r#"
            web v1, web.0.1 v1 Running, web.1.1 v1 Running
            update surge=0 unavailable=1 ->
            apply web 2 cpus:1;mem:64MiB new -> version 2; kill web.0.1
            KILLED web.0.1 -> want * 2*1
            offer A cpus:4;mem:4GiB -> launch web.0.2 on A; want *
            RUNNING web.0.2 -> kill web.1.1
            KILLED web.1.1 -> want * 2*1
            offer A cpus:4;mem:4GiB -> launch web.1.2 on A; want *
            RUNNING web.1.2 ->
            show -> web v2, web.0.2 v2 Running, web.1.2 v2 Running
            versions web -> v1 Good, v2 Good
        "#]],
    );
}

#[test]
fn with_checks_only_what_is_healthy_and_ready_counts() {
    check(
        "checks
        apply web 1 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB
        RUNNING web.0.1
        why web
        WELL-READY web.0.1
        apply web 1 cpus:1;mem:64MiB new
        offer A cpus:4;mem:4GiB
        RUNNING web.0.2
        WELL-UNREADY web.0.2
        why web
        WELL-READY web.0.2
        KILLED web.0.1
        show",
        expect![[r#"
            checks ->
            apply web 1 cpus:1;mem:64MiB -> created; want * 1*1
            offer A cpus:4;mem:4GiB -> launch web.0.1 on A; want *
            RUNNING web.0.1 ->
            why web -> service `web` has 1 of 1 replicas running, 0 of them healthy and ready
                version 1 is available in 0 of 1 replicas; replica 0 runs, and is not healthy and ready: RUNNING
            WELL-READY web.0.1 ->
            apply web 1 cpus:1;mem:64MiB new -> version 2; want * 2*1
            offer A cpus:4;mem:4GiB -> launch web.0.2 on A; want *
            RUNNING web.0.2 ->
            WELL-UNREADY web.0.2 ->
            why web -> service `web` has 1 of 1 replicas running
                version 2 is available in 0 of 1 replicas; replica 0 runs, and is not healthy and ready: RUNNING
            WELL-READY web.0.2 -> kill web.0.1
            KILLED web.0.1 ->
            show -> web v2, web.0.2 v2 Running
        "#]],
    );
}

#[test]
fn canaries_run_beside_all_old_ones_until_they_are_promoted_by_hand() {
    from_two(
        "update canary=1 by-hand
        apply web 2 cpus:1;mem:64MiB new
        promote web
        offer A cpus:4;mem:4GiB
        RUNNING web.0.2
        wait 3600
        why web
        scale web 3
        offer A cpus:4;mem:4GiB
        RUNNING web.2.1
        promote web
        promote web
        KILLED web.0.1
        offer A cpus:4;mem:4GiB
        RUNNING web.1.2
        KILLED web.1.1
        offer A cpus:4;mem:4GiB
        RUNNING web.2.2
        KILLED web.2.1
        show
        promote web",
        expect![[r#"
            web v1, web.0.1 v1 Running, web.1.1 v1 Running
            update canary=1 by-hand ->
            apply web 2 cpus:1;mem:64MiB new -> version 2; want * 2*1
            promote web -> only 0 of the 1 new replicas of service `web` that are to be tried are available
            offer A cpus:4;mem:4GiB -> launch web.0.2 on A; want *
            RUNNING web.0.2 ->
            wait 3600 ->
            why web -> service `web` has 2 of 2 replicas running
                version 2 is available in 1 of 2 replicas, replicas of other versions to be replaced: 1; waits to be promoted
            scale web 3 -> want * 1*1
            offer A cpus:4;mem:4GiB -> launch web.2.1 on A; want *
            RUNNING web.2.1 ->
            promote web -> version 2; kill web.0.1
            promote web -> the deployment of service `web` is promoted already
            KILLED web.0.1 -> want * 2*1
            offer A cpus:4;mem:4GiB -> launch web.1.2 on A; want *
            RUNNING web.1.2 -> kill web.1.1
            KILLED web.1.1 -> want * 2*1
            offer A cpus:4;mem:4GiB -> launch web.2.2 on A; want *
            RUNNING web.2.2 -> kill web.2.1
            KILLED web.2.1 ->
            show -> web v2, web.0.2 v2 Running, web.1.2 v2 Running, web.2.2 v2 Running
            promote web -> service `web` has no deployment under way
        "#]],
    );
}

#[test]
fn blue_green_starts_all_before_any_stops() {
    from_two(
        "update blue-green
        apply web 2 cpus:1;mem:64MiB new
        offer A cpus:4;mem:4GiB
        RUNNING web.0.2
        RUNNING web.1.2
        KILLED web.0.1
        KILLED web.1.1
        show",
        expect![[r#"
            web v1, web.0.1 v1 Running, web.1.1 v1 Running
            update blue-green ->
            apply web 2 cpus:1;mem:64MiB new -> version 2; want * 2*2
            offer A cpus:4;mem:4GiB -> launch web.0.2 web.1.2 on A; want *
            RUNNING web.0.2 ->
            RUNNING web.1.2 -> kill web.0.1; kill web.1.1
            KILLED web.0.1 ->
            KILLED web.1.1 ->
            show -> web v2, web.0.2 v2 Running, web.1.2 v2 Running
        "#]],
    );
}

#[test]
fn a_crash_loop_takes_the_deployment_back_at_once() {
    from_two(
        "update deadline=600
        apply web 2 cpus:1;mem:64MiB broken
        offer A cpus:4;mem:4GiB
        FAILED web.0.2
        wait 1
        offer A cpus:4;mem:4GiB
        FAILED web.0.3
        wait 2
        offer A cpus:4;mem:4GiB
        FAILED web.0.4
        why web
        show
        versions web
        restart
        apply web 2 cpus:1;mem:64MiB good
        versions web",
        expect![[r#"
            web v1, web.0.1 v1 Running, web.1.1 v1 Running
            update deadline=600 ->
            apply web 2 cpus:1;mem:64MiB broken -> version 2; want * 2*1
            offer A cpus:4;mem:4GiB -> launch web.0.2 on A; want *
            FAILED web.0.2 ->
            wait 1 -> want * 2*1
            offer A cpus:4;mem:4GiB -> launch web.0.3 on A; want *
            FAILED web.0.3 ->
            wait 2 -> want * 2*1
            offer A cpus:4;mem:4GiB -> launch web.0.4 on A; want *
            FAILED web.0.4 ->
            why web -> service `web` has 2 of 2 replicas running
                version 2 failed, and was taken back to version 1: replica 0 is in a crash loop, the latest FAILED
            show -> web v1, web.0.1 v1 Running, web.1.1 v1 Running
            versions web -> v1 Good, v2 Failed("replica 0 is in a crash loop, the latest FAILED")
            restart ->
            apply web 2 cpus:1;mem:64MiB good -> version 3; want * 3*1
            versions web -> v1 Good, v2 Failed("replica 0 is in a crash loop, the latest FAILED"), v3 Deploying
        "#]],
    );
}

#[test]
fn no_progress_until_the_deadline_takes_the_deployment_back_and_says_what_blocked_it() {
    from_two(
        "update deadline=60
        apply web 2 cpus:1;mem:64MiB new
        offer A cpus:4;mem:4GiB
        RUNNING web.0.2
        wait 59
        KILLED web.0.1
        wait 1
        wait 59
        why web
        show
        offer A cpus:4;mem:4GiB
        RUNNING web.0.3
        KILLED web.0.2
        show
        versions web
        why web",
        expect![[r#"
            web v1, web.0.1 v1 Running, web.1.1 v1 Running
            update deadline=60 ->
            apply web 2 cpus:1;mem:64MiB new -> version 2; want * 2*1
            offer A cpus:4;mem:4GiB -> launch web.0.2 on A; want *
            RUNNING web.0.2 -> kill web.0.1
            wait 59 ->
            KILLED web.0.1 -> want * 2*1
            wait 1 -> want * 1*1
            wait 59 ->
            why web -> service `web` has 2 of 2 replicas running
                replicas waiting for an offer of cpus:1;mem:64MiB: 1
                the framework is not connected to a master
                version 2 failed, and was taken back to version 1: no progress within 60s, with 1 of 2 replicas available: replica 1 waits for an offer of cpus:1;mem:64MiB
                version 1 is available in 1 of 2 replicas; replica 0 waits for an offer of cpus:1;mem:64MiB
            show -> web v1, web.0.2 v2 Running + - v1 Waiting, web.1.1 v1 Running
            offer A cpus:4;mem:4GiB -> launch web.0.3 on A; want *
            RUNNING web.0.3 -> kill web.0.2
            KILLED web.0.2 ->
            show -> web v1, web.0.3 v1 Running, web.1.1 v1 Running
            versions web -> v1 Good, v2 Failed("no progress within 60s, with 1 of 2 replicas available: replica 1 waits for an offer of cpus:1;mem:64MiB")
            why web -> service `web` has 2 of 2 replicas running
                version 2 failed, and was taken back to version 1: no progress within 60s, with 1 of 2 replicas available: replica 1 waits for an offer of cpus:1;mem:64MiB
        "#]],
    );
}

#[test]
fn without_rollback_what_failed_stays_until_somebody_resumes_it_or_applies_another() {
    from_two(
        "update deadline=60 no-rollback
        apply web 2 cpus:1;mem:64MiB new
        wait 60
        why web
        offer A cpus:4;mem:4GiB
        RUNNING web.0.2
        show
        resume web
        show
        pause web
        KILLED web.0.1
        wait 120
        why web
        resume web
        versions web
        rollback web
        show",
        expect![[r#"
            web v1, web.0.1 v1 Running, web.1.1 v1 Running
            update deadline=60 no-rollback ->
            apply web 2 cpus:1;mem:64MiB new -> version 2; want * 2*1
            wait 60 ->
            why web -> service `web` has 2 of 2 replicas running
                replicas waiting for an offer of cpus:1;mem:64MiB: 1
                the framework is not connected to a master
                the deployment of version 2 failed: no progress within 60s, with 0 of 2 replicas available: replica 0 waits for an offer of cpus:1;mem:64MiB
            offer A cpus:4;mem:4GiB -> launch web.0.2 on A; want *
            RUNNING web.0.2 ->
            show -> web v2, web.0.1 v1 Running + web.0.2 v2 Running, web.1.1 v1 Running
            resume web -> version 2; kill web.0.1
            show -> web v2, web.0.1 v1 Stopping + web.0.2 v2 Running, web.1.1 v1 Running
            pause web -> version 2
            KILLED web.0.1 ->
            wait 120 ->
            why web -> service `web` has 2 of 2 replicas running
                version 2 is available in 1 of 2 replicas, replicas of other versions to be replaced: 1; paused, until it is resumed
            resume web -> version 2; want * 2*1
            versions web -> v1 Good, v2 Deploying
            rollback web -> version 1; want * 1*1
            show -> web v1, web.0.2 v2 Running + - v1 Waiting, web.1.1 v1 Running
        "#]],
    );
}

#[test]
fn a_version_is_rolled_back_to_and_restarted_by_hand() {
    from_two(
        "rollback web
        rollback web 7
        apply web 2 cpus:1;mem:64MiB new
        rollback web 2
        rollback web
        show
        again web
        offer A cpus:4;mem:4GiB
        RUNNING web.0.2
        KILLED web.0.1
        offer A cpus:4;mem:4GiB
        RUNNING web.1.2
        KILLED web.1.1
        versions web
        pause web
        resume web
        rollback nothing",
        expect![[r#"
            web v1, web.0.1 v1 Running, web.1.1 v1 Running
            rollback web -> service `web` has no earlier version that was good
            rollback web 7 -> service `web` has no version 7 in its history
            apply web 2 cpus:1;mem:64MiB new -> version 2; want * 2*1
            rollback web 2 -> service `web` is at version 2 already
            rollback web -> version 1; want *
            show -> web v1, web.0.1 v1 Running, web.1.1 v1 Running
            again web -> version 3; want * 3*1
            offer A cpus:4;mem:4GiB -> launch web.0.2 on A; want *
            RUNNING web.0.2 -> kill web.0.1
            KILLED web.0.1 -> want * 3*1
            offer A cpus:4;mem:4GiB -> launch web.1.2 on A; want *
            RUNNING web.1.2 -> kill web.1.1
            KILLED web.1.1 ->
            versions web -> v1 Good, v2 Superseded, v3 Good
            pause web -> service `web` has no deployment under way
            resume web -> service `web` has no deployment under way
            rollback nothing -> there is no service `nothing`
        "#]],
    );
}

#[test]
fn a_first_version_that_fails_is_tried_on_and_is_good_when_it_runs_after_all() {
    check(
        "update deadline=60
        apply web 1 cpus:1;mem:64MiB
        wait 60
        why web
        versions web
        offer A cpus:4;mem:4GiB
        RUNNING web.0.1
        versions web
        why web",
        expect![[r#"
            update deadline=60 ->
            apply web 1 cpus:1;mem:64MiB -> created; want * 1*1
            wait 60 ->
            why web -> service `web` has 0 of 1 replicas running
                replicas waiting for an offer of cpus:1;mem:64MiB: 1
                the framework is not connected to a master
                the deployment of version 1 failed: no progress within 60s, with 0 of 1 replicas available: replica 0 waits for an offer of cpus:1;mem:64MiB
            versions web -> v1 Failed("no progress within 60s, with 0 of 1 replicas available: replica 0 waits for an offer of cpus:1;mem:64MiB")
            offer A cpus:4;mem:4GiB -> launch web.0.1 on A; want *
            RUNNING web.0.1 ->
            versions web -> v1 Good
            why web -> service `web` has 1 of 1 replicas running
        "#]],
    );
}

#[test]
fn an_update_that_could_replace_nothing_is_refused() {
    check(
        "update surge=0
        apply web 2 cpus:1;mem:64MiB
        update surge=101%
        apply web 2 cpus:1;mem:64MiB
        update by-hand
        apply web 2 cpus:1;mem:64MiB
        update blue-green canary=1
        apply web 2 cpus:1;mem:64MiB
        update healthy=60 deadline=60
        apply web 2 cpus:1;mem:64MiB
        update deadline=0
        apply web 2 cpus:1;mem:64MiB",
        expect![[r#"
            update surge=0 ->
            apply web 2 cpus:1;mem:64MiB -> the update of service `web` has neither max_surge nor max_unavailable, so that nothing could be replaced
            update surge=101% ->
            apply web 2 cpus:1;mem:64MiB -> the update of service `web` has max_surge of 101%, at most 100% is possible
            update by-hand ->
            apply web 2 cpus:1;mem:64MiB -> the update of service `web` has promotion by hand, and no canary to promote
            update blue-green canary=1 ->
            apply web 2 cpus:1;mem:64MiB -> the update of service `web` has canaries, and blue-green, which starts all new replicas at once
            update healthy=60 deadline=60 ->
            apply web 2 cpus:1;mem:64MiB -> the update of service `web` has a min_healthy_time of 60s, which is not less than its deadline of 60s
            update deadline=0 ->
            apply web 2 cpus:1;mem:64MiB -> the update of service `web` has a deadline of 0ns, it must be more than 0 and at most 604800s
        "#]],
    );
}

#[test]
fn a_daemon_runs_once_on_every_agent_that_is_offered_and_is_replaced_there() {
    check(
        "subscribe
        daemon edge cpus:1;mem:64MiB
        shapes cpus:4;mem:4GiB cpus:4;mem:4GiB
        offer A cpus:4;mem:4GiB,1*1
        offer A cpus:3;mem:4GiB B cpus:4;mem:4GiB
        RUNNING edge.0.1
        RUNNING edge.1.1
        FAILED edge.1.1
        shapes cpus:4;mem:4GiB cpus:4;mem:4GiB cpus:4;mem:4GiB
        offer B cpus:4;mem:4GiB,1*1
        wait 1
        offer B cpus:4;mem:4GiB,1*1
        RUNNING edge.1.2
        why edge
        daemon edge cpus:1;mem:64MiB new
        offer B cpus:3;mem:4GiB
        offer A cpus:3;mem:4GiB
        RUNNING edge.0.2
        KILLED edge.0.1
        offer B cpus:3;mem:4GiB
        RUNNING edge.1.3
        KILLED edge.1.2
        GONE edge.0.2
        show
        scale edge 3
        apply edge 3 cpus:1;mem:64MiB
        versions edge
        delete edge
        KILLED edge.1.3
        show",
        expect![[r#"
            subscribe -> want *
            daemon edge cpus:1;mem:64MiB -> version 1
            shapes cpus:4;mem:4GiB cpus:4;mem:4GiB -> want * 1*2
            offer A cpus:4;mem:4GiB,1*1 -> launch edge.0.1 on A; want * 1*1
            offer A cpus:3;mem:4GiB B cpus:4;mem:4GiB -> decline 0ns; launch edge.1.1 on B; want *
            RUNNING edge.0.1 ->
            RUNNING edge.1.1 ->
            FAILED edge.1.1 ->
            shapes cpus:4;mem:4GiB cpus:4;mem:4GiB cpus:4;mem:4GiB -> want * 1*1
            offer B cpus:4;mem:4GiB,1*1 -> decline 10s
            wait 1 -> want * 1*2
            offer B cpus:4;mem:4GiB,1*1 -> launch edge.1.2 on B; want * 1*1
            RUNNING edge.1.2 ->
            why edge -> service `edge` has 2 of 2 replicas running
                agents that do not run it, as they do not match or have no room for cpus:1;mem:64MiB: 1
            daemon edge cpus:1;mem:64MiB new -> version 2; want * 1*1 A*1
            offer B cpus:3;mem:4GiB -> decline 0ns
            offer A cpus:3;mem:4GiB -> launch edge.0.2 on A; want * 1*1
            RUNNING edge.0.2 -> kill edge.0.1
            KILLED edge.0.1 -> want * 1*1 B*1
            offer B cpus:3;mem:4GiB -> launch edge.1.3 on B; want * 1*1
            RUNNING edge.1.3 -> kill edge.1.2
            KILLED edge.1.2 ->
            GONE edge.0.2 -> want * 1*2
            show -> edge v2, edge.1.3 v2 Running
            scale edge 3 -> service `edge` runs once on each agent, so it has no number of replicas, no scaling, and no other number for an agent
            apply edge 3 cpus:1;mem:64MiB -> service `edge` is a daemon; delete it before it becomes the other
            versions edge -> v1 Good, v2 Good
            delete edge -> kill edge.1.3; want *
            KILLED edge.1.3 ->
            show ->
        "#]],
    );
}

//! The rules of where replicas run, one scenario each.

use expect_test::{Expect, expect};

use super::world::scenario;

fn check(text: &str, expect: Expect) {
    expect.assert_eq(&scenario(text));
}

#[test]
fn a_spread_service_asks_for_the_places_that_may_take_one_more() {
    check(
        "subscribe
        agents A,zone=a B,zone=b C,zone=c D
        rules spread:zone
        apply web 4 cpus:1;mem:64MiB
        asks
        offer A cpus:8;mem:4GiB,1*3
        asks
        offer D cpus:8;mem:4GiB
        offer B cpus:8;mem:4GiB C cpus:8;mem:4GiB
        asks
        why web",
        expect![[r#"
            subscribe -> want *
            agents A,zone=a B,zone=b C,zone=c D ->
            rules spread:zone ->
            apply web 4 cpus:1;mem:64MiB -> created; want * 1*3
            asks -> 1*3 where zone exists
            offer A cpus:8;mem:4GiB,1*3 -> launch web.0.1 on A; want * 1*2
            asks -> 1*2 where zone != a and zone exists
            offer D cpus:8;mem:4GiB -> decline 0ns
            offer B cpus:8;mem:4GiB C cpus:8;mem:4GiB -> launch web.1.1 web.3.1 on B; launch web.2.1 on C; want *
            asks ->
            why web -> service `web` has 0 of 4 replicas running
                version 1 is available in 0 of 4 replicas; replica 0 does not run yet: nothing is heard of it yet
        "#]],
    );
}

#[test]
fn places_that_no_replica_could_use_keep_none_waiting() {
    check(
        "subscribe
        agents A,zone=a,disk=ssd B,zone=b,disk=hdd C,zone=c,disk=ssd,off
        rules spread:zone disk=ssd
        apply web 2 cpus:1;mem:64MiB
        offer A cpus:8;mem:4GiB
        agents D,zone=d,disk=ssd
        apply api 3 cpus:1;mem:64MiB
        asks",
        expect![[r#"
            subscribe -> want *
            agents A,zone=a,disk=ssd B,zone=b,disk=hdd C,zone=c,disk=ssd,off ->
            rules spread:zone disk=ssd ->
            apply web 2 cpus:1;mem:64MiB -> created; want * 1*1
            offer A cpus:8;mem:4GiB -> launch web.0.1 web.1.1 on A; want *
            agents D,zone=d,disk=ssd ->
            apply api 3 cpus:1;mem:64MiB -> created; want * 2*2
            asks -> 2*2 where disk = ssd and zone exists
        "#]],
    );
}

#[test]
fn no_two_replicas_share_a_host_and_a_successor_starts_beside_its_own_predecessor() {
    check(
        "subscribe
        agents A,host=h B,host=h C
        rules unique:hostname
        apply web 3 cpus:1;mem:64MiB
        asks
        offer A cpus:4;mem:4GiB B cpus:4;mem:4GiB C cpus:4;mem:4GiB
        asks
        why web
        scale web 2
        RUNNING web.0.1
        RUNNING web.1.1
        apply web 2 cpus:1;mem:64MiB other
        asks
        offer C cpus:4;mem:4GiB
        offer B cpus:4;mem:4GiB
        show
        RUNNING web.0.2
        KILLED web.0.1
        asks",
        expect![[r#"
            subscribe -> want *
            agents A,host=h B,host=h C ->
            rules unique:hostname ->
            apply web 3 cpus:1;mem:64MiB -> created; want * 1*2
            asks -> 1*2 1 an agent where hostname exists
            offer A cpus:4;mem:4GiB B cpus:4;mem:4GiB C cpus:4;mem:4GiB -> launch web.0.1 on A; decline 0ns; launch web.1.1 on C; want *
            asks ->
            why web -> service `web` has 0 of 3 replicas running
                replicas waiting for an offer of cpus:1;mem:64MiB: 1
                the cluster has no agents
                unique by hostname: of 2 places, 0 have no other replica
                version 1 is available in 0 of 3 replicas; replica 2 waits for an offer of cpus:1;mem:64MiB, unique by hostname
            scale web 2 -> want *
            RUNNING web.0.1 ->
            RUNNING web.1.1 ->
            apply web 2 cpus:1;mem:64MiB other -> version 2; want * 9223372036856872960*1
            asks -> 0*1 where hostname != C and hostname exists
            offer C cpus:4;mem:4GiB -> decline 0ns
            offer B cpus:4;mem:4GiB -> launch web.0.2 on B; want *
            show -> web v2, web.0.1 v1 Running + web.0.2 v2 Starting, web.1.1 v1 Running
            RUNNING web.0.2 -> kill web.0.1
            KILLED web.0.1 -> want * 9223372036856872961*1
            asks -> 1*1 where hostname != h and hostname exists
        "#]],
    );
}

#[test]
fn a_successor_that_finds_no_room_says_by_which_rule() {
    check(
        "update deadline=60
        subscribe
        agents A B
        rules unique:hostname
        apply web 2 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB B cpus:4;mem:4GiB
        RUNNING web.0.1
        RUNNING web.1.1
        apply web 2 cpus:1;mem:64MiB other
        why web
        wait 60
        versions web",
        expect![[r#"
            update deadline=60 ->
            subscribe -> want *
            agents A B ->
            rules unique:hostname ->
            apply web 2 cpus:1;mem:64MiB -> created; want * 1*2
            offer A cpus:4;mem:4GiB B cpus:4;mem:4GiB -> launch web.0.1 on A; launch web.1.1 on B; want *
            RUNNING web.0.1 ->
            RUNNING web.1.1 ->
            apply web 2 cpus:1;mem:64MiB other -> version 2; want * 9223372036856872960*1
            why web -> service `web` has 2 of 2 replicas running
                replica 0 waits for an offer of cpus:1;mem:64MiB, beside its other task
                the cluster has no agents
                unique by hostname: of 2 places, 1 have no other replica
                version 2 is available in 0 of 2 replicas, replicas of other versions to be replaced: 1; replica 0 waits for an offer of cpus:1;mem:64MiB, unique by hostname
            wait 60 -> want *
            versions web -> v1 Good, v2 Failed("no progress within 60s, with 0 of 2 replicas available: replica 0 waits for an offer of cpus:1;mem:64MiB, unique by hostname")
        "#]],
    );
}

#[test]
fn successors_spread_as_if_the_old_were_gone() {
    check(
        "update surge=3
        subscribe
        agents A,zone=a B,zone=b C,zone=c
        rules spread:zone
        apply web 3 cpus:1;mem:64MiB
        offer A cpus:1;mem:4GiB B cpus:1;mem:4GiB C cpus:1;mem:4GiB
        RUNNING web.0.1
        RUNNING web.1.1
        RUNNING web.2.1
        apply web 3 cpus:1;mem:64MiB other
        asks
        offer A cpus:4;mem:4GiB
        asks
        offer B cpus:1;mem:4GiB C cpus:1;mem:4GiB
        show",
        expect![[r#"
            update surge=3 ->
            subscribe -> want *
            agents A,zone=a B,zone=b C,zone=c ->
            rules spread:zone ->
            apply web 3 cpus:1;mem:64MiB -> created; want * 1*3
            offer A cpus:1;mem:4GiB B cpus:1;mem:4GiB C cpus:1;mem:4GiB -> launch web.0.1 on A; launch web.1.1 on B; launch web.2.1 on C; want *
            RUNNING web.0.1 ->
            RUNNING web.1.1 ->
            RUNNING web.2.1 ->
            apply web 3 cpus:1;mem:64MiB other -> version 2; want * 9223372036856872960*1 9223372036856872961*1 9223372036856872962*1
            asks -> 0*1 where zone != b and zone != c and zone exists; 1*1 where zone != a and zone != c and zone exists; 2*1 where zone != a and zone != b and zone exists
            offer A cpus:4;mem:4GiB -> launch web.0.2 on A; want * 9223372036856872961*1 9223372036856872962*1
            asks -> 1*1 where zone != a and zone != c and zone exists; 2*1 where zone != a and zone != b and zone exists
            offer B cpus:1;mem:4GiB C cpus:1;mem:4GiB -> launch web.1.2 on B; launch web.2.2 on C; want *
            show -> web v2, web.0.1 v1 Running + web.0.2 v2 Starting, web.1.1 v1 Running + web.1.2 v2 Starting, web.2.1 v1 Running + web.2.2 v2 Starting
        "#]],
    );
}

#[test]
fn replicas_that_belong_together_follow_the_first() {
    check(
        "subscribe
        agents A,zone=a B,zone=b
        rules together:zone
        apply web 2 cpus:1;mem:64MiB
        asks
        offer B cpus:1;mem:4GiB A cpus:4;mem:4GiB
        asks
        why web
        GONE web.0.1
        asks",
        expect![[r#"
            subscribe -> want *
            agents A,zone=a B,zone=b ->
            rules together:zone ->
            apply web 2 cpus:1;mem:64MiB -> created; want * 1*2
            asks -> 1*2 where zone exists
            offer B cpus:1;mem:4GiB A cpus:4;mem:4GiB -> launch web.0.1 on B; decline 0ns; want * 1*1
            asks -> 1*1 where zone = b
            why web -> service `web` has 0 of 2 replicas running
                replicas waiting for an offer of cpus:1;mem:64MiB: 1
                the cluster has no agents
                together by zone: others run where zone is b
                version 1 is available in 0 of 2 replicas; replica 1 waits for an offer of cpus:1;mem:64MiB, together by zone
            GONE web.0.1 -> want * 1*1
            asks -> 1*1 where zone exists
        "#]],
    );
}

#[test]
fn a_service_runs_near_another_or_not_at_all() {
    check(
        "subscribe
        agents A,zone=a B,zone=b
        rules near:db:zone
        apply web 1 cpus:1;mem:64MiB
        asks
        offer A cpus:4;mem:4GiB
        why web
        rules
        apply db 1 cpus:1;mem:64MiB
        offer B cpus:1;mem:4GiB
        asks
        offer A cpus:4;mem:4GiB B cpus:4;mem:4GiB",
        expect![[r#"
            subscribe -> want *
            agents A,zone=a B,zone=b ->
            rules near:db:zone ->
            apply web 1 cpus:1;mem:64MiB -> created; want *
            asks ->
            offer A cpus:4;mem:4GiB -> decline 0ns
            why web -> service `web` has 0 of 1 replicas running
                replicas waiting for an offer of cpus:1;mem:64MiB: 1
                the cluster has no agents
                near `db` by zone: `db` has no replica with a zone
                version 1 is available in 0 of 1 replicas; replica 0 waits for an offer of cpus:1;mem:64MiB, near `db` by zone
            rules ->
            apply db 1 cpus:1;mem:64MiB -> created; want * 2*1
            offer B cpus:1;mem:4GiB -> launch db.0.1 on B; want * 1*1
            asks -> 1*1 where zone = b
            offer A cpus:4;mem:4GiB B cpus:4;mem:4GiB -> decline 0ns; launch web.0.1 on B; want *
        "#]],
    );
}

#[test]
fn services_apart_keep_away_from_each_other_whoever_says_so() {
    check(
        "subscribe
        agents A B,host=h C,host=h
        rules apart:db
        apply web 1 cpus:1;mem:64MiB
        rules
        apply db 2 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB
        show
        asks
        offer B cpus:4;mem:4GiB
        scale db 3
        asks
        offer B cpus:4;mem:4GiB,2*1
        offer C cpus:4;mem:4GiB,2*1",
        expect![[r#"
            subscribe -> want *
            agents A B,host=h C,host=h ->
            rules apart:db ->
            apply web 1 cpus:1;mem:64MiB -> created; want * 1*1
            rules ->
            apply db 2 cpus:1;mem:64MiB -> created; want * 2*2 1*1
            offer A cpus:4;mem:4GiB -> launch db.0.1 db.1.1 on A; want * 1*1
            show -> db v1, db.0.1 v1 Starting, db.1.1 v1 Starting; web v1, - v1 Waiting
            asks -> 1*1 where hostname != A
            offer B cpus:4;mem:4GiB -> launch web.0.1 on B; want *
            scale db 3 -> want * 2*1
            asks -> 2*1
            offer B cpus:4;mem:4GiB,2*1 -> decline 10s
            offer C cpus:4;mem:4GiB,2*1 -> launch db.2.1 on C; want *
        "#]],
    );
}

#[test]
fn one_daemon_runs_on_a_host_of_several_agents_and_is_replaced_there() {
    check(
        "subscribe
        agents A,host=h B,host=h C
        shapes cpus:4;mem:4GiB cpus:4;mem:4GiB cpus:4;mem:4GiB
        rules unique:hostname
        daemon log cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB B cpus:4;mem:4GiB
        asks
        offer C cpus:4;mem:4GiB
        asks
        why log
        RUNNING log.0.1
        RUNNING log.1.1
        daemon log cpus:1;mem:64MiB other
        asks
        offer A cpus:4;mem:4GiB",
        expect![[r#"
            subscribe -> want *
            agents A,host=h B,host=h C ->
            shapes cpus:4;mem:4GiB cpus:4;mem:4GiB cpus:4;mem:4GiB ->
            rules unique:hostname ->
            daemon log cpus:1;mem:64MiB -> version 1; want * 1*2
            offer A cpus:4;mem:4GiB B cpus:4;mem:4GiB -> launch log.0.1 on A; decline 0ns; want * 1*1
            asks -> 1*1 1 an agent where hostname != h and hostname exists
            offer C cpus:4;mem:4GiB -> launch log.1.1 on C; want *
            asks ->
            why log -> service `log` has 0 of 2 replicas running
                agents that do not run it, as they do not match or have no room for cpus:1;mem:64MiB: 1
                unique by hostname: of 2 places, 0 have no other replica
            RUNNING log.0.1 ->
            RUNNING log.1.1 ->
            daemon log cpus:1;mem:64MiB other -> version 2; want * A*1
            asks -> 0*1 on A where hostname != C and hostname exists
            offer A cpus:4;mem:4GiB -> launch log.0.2 on A; want *
        "#]],
    );
}

#[test]
fn rules_that_make_no_sense_are_refused() {
    check(
        "rules spread:zone:0
        apply web 1 cpus:1;mem:64MiB
        rules near:web
        apply web 1 cpus:1;mem:64MiB
        rules apart:
        apply web 1 cpus:1;mem:64MiB
        rules together:zone
        daemon web cpus:1;mem:64MiB",
        expect![[r#"
            rules spread:zone:0 ->
            apply web 1 cpus:1;mem:64MiB -> service `web` cannot be spread by zone (max_skew 0) with no difference at all
            rules near:web ->
            apply web 1 cpus:1;mem:64MiB -> service `web` cannot be near `web` by agent: that is itself
            rules apart: ->
            apply web 1 cpus:1;mem:64MiB -> service `web` cannot be near or apart from another: service name `` must be one label of a DNS name, or two, NAME.NAMESPACE: each 1 to 63 lower-case letters, digits, `-` or `_`, the first a letter or digit
            rules together:zone ->
            daemon web cpus:1;mem:64MiB -> service `web` cannot be together by zone: it runs once on each agent
        "#]],
    );
}

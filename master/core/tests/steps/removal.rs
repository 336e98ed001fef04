//! How many agents are given up at a time.

use expect_test::expect;

use crate::script::check;

#[test]
fn no_more_agents_are_given_up_in_a_span_than_the_limit_and_whoever_returns_waits_no_more() {
    check(
        "removals 1 1200 | agent a0 cpus:1 | agent a1 cpus:1 | agent a2 cpus:1 | show registry
             lost a0 | lost a1 | lost a2 | wait 75 | wait 1000 | agent a1 cpus:1 | wait 199 | wait 1",
        expect![[r#"
            > removals 1 1200
            > agent a0 cpus:1
            a0 <- registered as a0
            > agent a1 cpus:1
            a1 <- registered as a1
            > agent a2 cpus:1
            a2 <- registered as a2
            > show registry
            > lost a0
            > lost a1
            > lost a2
            > wait 75
            store agent a0 cpus:1 unreachable since 75000ms
            > wait 1000
            > agent a1 cpus:1
            a1 <- registered as a1
            > wait 199
            > wait 1
            store agent a2 cpus:1 unreachable since 1275000ms
        "#]],
    );
}

#[test]
fn a_limit_does_not_keep_an_operator_from_declaring_agents_gone() {
    check(
        "removals 1 1200 | agent a0 cpus:1 | agent a1 cpus:1 | show registry | lost a0 | lost a1 | wait 75 | gone a1 | wait 1200",
        expect![[r#"
            > removals 1 1200
            > agent a0 cpus:1
            a0 <- registered as a0
            > agent a1 cpus:1
            a1 <- registered as a1
            > show registry
            > lost a0
            > lost a1
            > wait 75
            store agent a0 cpus:1 unreachable since 75000ms
            > gone a1
            store agent a1 cpus:1 gone since 75000ms
            operator <- done
            > wait 1200
        "#]],
    );
}

#[test]
fn when_too_many_agents_do_not_come_back_after_a_failover_none_is_given_up() {
    check(
        "recovery-removals 50 | agent a0 cpus:1 | agent a1 cpus:1 | agent a2 cpus:1 | agent a3 cpus:1 | restart
             show registry | agent a0 cpus:1 | wait 75 | wait 74 | agent a1 cpus:1 | wait 1",
        expect![[r#"
            > recovery-removals 50
            > agent a0 cpus:1
            a0 <- registered as a0
            > agent a1 cpus:1
            a1 <- registered as a1
            > agent a2 cpus:1
            a2 <- registered as a2
            > agent a3 cpus:1
            a3 <- registered as a3
            > restart
            > show registry
            > agent a0 cpus:1
            a0 <- registered as a0
            > wait 75
            > wait 74
            > agent a1 cpus:1
            a1 <- registered as a1
            > wait 1
            store agent a2 cpus:1 unreachable since 150000ms
            store agent a3 cpus:1 unreachable since 150000ms
        "#]],
    );
}

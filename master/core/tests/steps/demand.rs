//! What frameworks say of themselves and of what they want reaches the allocator, whole or not at all.

use expect_test::expect;

use crate::script::check;

#[test]
fn with_demand_offers_carry_what_fits_and_no_more() {
    check(
        "framework f0 | demand f0 * 1=cpus:1x3 2=mem:1GiBx1 | agent a0 cpus:2;mem:4GiB | agent a1 cpus:8
         accept f0 o0 t1@a0:cpus:1#1 t2@a0:cpus:1#1 | accept f0 o1 t3@a1:cpus:1#1 | undemand f0 *",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > demand f0 * 1=cpus:1x3 2=mem:1GiBx1
            > agent a0 cpus:2;mem:4GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:2;mem:1GiB 2 of 1 1 of 2
            > agent a1 cpus:8
            a1 <- registered as a1
            f0 <- offer o1 a1 * cpus:1 1 of 1
            > accept f0 o0 t1@a0:cpus:1#1 t2@a0:cpus:1#1
            a0 <- run f0/t1 cpus:1
            a0 <- run f0/t2 cpus:1
            > accept f0 o1 t3@a1:cpus:1#1
            a1 <- run f0/t3 cpus:1
            > undemand f0 *
            f0 <- offer o2 a0 * mem:4GiB
            f0 <- offer o3 a1 * cpus:7
        "#]],
    );
}

#[test]
fn an_offer_that_is_declined_leaves_the_demand_as_it_was() {
    check(
        "framework f0 | demand f0 * 1=cpus:1x1 | agent a0 cpus:2;mem:4GiB | decline f0 o0 refuse 5 | wait 5
         accept f0 o1 t1@a0:cpus:1#1 | demand f0 * 1=cpus:1x1^1 | demand f0 * 1=cpus:1x1^2",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > demand f0 * 1=cpus:1x1
            > agent a0 cpus:2;mem:4GiB
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:1 1 of 1
            > decline f0 o0 refuse 5
            > wait 5
            f0 <- offer o1 a0 * cpus:1 1 of 1
            > accept f0 o1 t1@a0:cpus:1#1
            a0 <- run f0/t1 cpus:1
            > demand f0 * 1=cpus:1x1^1
            > demand f0 * 1=cpus:1x1^2
            f0 <- offer o2 a0 * cpus:1 1 of 1
        "#]],
    );
}

#[test]
fn a_demand_that_makes_no_sense_is_refused() {
    check(
        "framework f0 | demand f0 eng 1=cpus:1x1 | framework f1 | demand f1 * 1=cpus:1x1 1=cpus:2x1
         framework f2 | demand f2 * 1=ports:[1-2]x1 | framework f3 | demand f3 * 1=cpus:1x10001@g1",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > demand f0 eng 1=cpus:1x1
            f0 <- error: demand is stated for `eng`, which is not one of the framework's roles
            f0 closed: the peer was refused: demand is stated for `eng`, which is not one of the framework's roles
            > framework f1
            f1 <- subscribed as f1
            > demand f1 * 1=cpus:1x1 1=cpus:2x1
            f1 <- error: shape 1 is stated twice
            f1 closed: the peer was refused: shape 1 is stated twice
            > framework f2
            f2 <- subscribed as f2
            > demand f2 * 1=ports:[1-2]x1
            f2 <- error: shape 1: `resources` must be plain scalars
            f2 closed: the peer was refused: shape 1: `resources` must be plain scalars
            > framework f3
            f3 <- subscribed as f3
            > demand f3 * 1=cpus:1x10001@g1
            f3 <- error: gang 1 has 10001 tasks, at most 10000 are allowed
            f3 closed: the peer was refused: gang 1 has 10001 tasks, at most 10000 are allowed
        "#]],
    );
}

#[test]
fn constraints_and_smallest_offers_are_kept() {
    check(
        "framework f0 host host-a1 min cpus:2 | agent a0 cpus:4 | agent a1 cpus:4 | accept f0 o0 t1@a1:cpus:3
         status a1 f0/t1 FINISHED",
        expect![[r#"
            > framework f0 host host-a1 min cpus:2
            f0 <- subscribed as f0
            > agent a0 cpus:4
            a0 <- registered as a0
            > agent a1 cpus:4
            a1 <- registered as a1
            f0 <- offer o0 a1 * cpus:4
            > accept f0 o0 t1@a1:cpus:3
            a1 <- run f0/t1 cpus:3
            > status a1 f0/t1 FINISHED
            f0 <- t1 FINISHED #1
            f0 <- offer o1 a1 * cpus:4
        "#]],
    );
}

#[test]
fn an_update_leaves_roles_and_enters_others_without_a_new_subscription() {
    check(
        "show registry | framework f0 role a role b | agent a0 cpus:4 | decline f0 o0 refuse 600 | accept f0 o1 t1@a0:cpus:1
         update f0 role c | show roles | update f0 role c | update f0 role c id f9",
        expect![[r#"
            > show registry
            > framework f0 role a role b
            store framework f0 order 0
            f0 <- subscribed as f0
            > agent a0 cpus:4
            store agent a0 cpus:4
            a0 <- registered as a0
            f0 <- offer o0 a0 a cpus:4
            > decline f0 o0 refuse 600
            f0 <- offer o1 a0 b cpus:4
            > accept f0 o1 t1@a0:cpus:1
            a0 <- run f0/t1 cpus:1
            f0 <- offer o2 a0 b cpus:3
            > update f0 role c
            store framework f0 order 0
            f0 <- rescind o2
            f0 <- offer o3 a0 c cpus:3
            > show roles
            role b has cpus:1
            role c has cpus:3
            > update f0 role c
            > update f0 role c id f9
            store framework f0 order 0 away until 3600000ms
            f0 <- error: framework `f0` cannot become `f9`
            f0 closed: the peer was refused: framework `f0` cannot become `f9`
        "#]],
    );
}

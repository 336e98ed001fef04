//! Quota: what a role is guaranteed and what it may not exceed, at any level of the tree; it never kills.

use expect_test::expect;

use crate::script::check;

#[test]
fn settings_are_stored_one_by_one_and_survive_a_restart() {
    check(
        "show registry | agent a0 cpus:8 | role eng limit cpus:6 | role eng priority 3 | role eng guarantee cpus:2 weight 2000
         restart | role eng weight 1000 priority 0 | role eng guarantee nothing limit nothing",
        expect![[r#"
            > show registry
            > agent a0 cpus:8
            store agent a0 cpus:8
            a0 <- registered as a0
            > role eng limit cpus:6
            store role eng weight 1000 limit cpus:6000
            operator <- done
            > role eng priority 3
            store role eng weight 1000 priority 3 limit cpus:6000
            operator <- done
            > role eng guarantee cpus:2 weight 2000
            store role eng weight 2000 priority 3 guarantee cpus:2 limit cpus:6000
            operator <- done
            > restart
            > role eng weight 1000 priority 0
            store role eng weight 1000 guarantee cpus:2 limit cpus:6000
            operator <- done
            > role eng guarantee nothing limit nothing
            forget role eng
            operator <- done
        "#]],
    );
}

#[test]
fn a_limit_bounds_what_is_offered_to_the_roles_below_it_too() {
    check(
        "agent a0 cpus:8 | role eng limit cpus:3 | framework f0 role eng/prod | accept f0 o0 t1@a0:cpus:2
         framework f1 role eng/dev | decline f0 o1 refuse 60",
        expect![[r#"
            > agent a0 cpus:8
            a0 <- registered as a0
            > role eng limit cpus:3
            operator <- done
            > framework f0 role eng/prod
            f0 <- subscribed as f0
            f0 <- offer o0 a0 eng/prod cpus:3
            > accept f0 o0 t1@a0:cpus:2
            a0 <- run f0/t1 cpus:2
            f0 <- offer o1 a0 eng/prod cpus:1
            > framework f1 role eng/dev
            f1 <- subscribed as f1
            > decline f0 o1 refuse 60
            f1 <- offer o2 a0 eng/dev cpus:1
        "#]],
    );
}

#[test]
fn a_new_limit_takes_offers_back_and_kills_nothing() {
    check(
        "framework f0 role eng | agent a0 cpus:8 | accept f0 o0 t1@a0:cpus:4 | role eng limit cpus:3
         role eng limit cpus:3 force | role eng limit cpus:5",
        expect![[r#"
            > framework f0 role eng
            f0 <- subscribed as f0
            > agent a0 cpus:8
            a0 <- registered as a0
            f0 <- offer o0 a0 eng cpus:8
            > accept f0 o0 t1@a0:cpus:4
            a0 <- run f0/t1 cpus:4
            f0 <- offer o1 a0 eng cpus:4
            > role eng limit cpus:3
            operator <- role `eng` uses cpus:4 already, and its limit would be cpus:3
            > role eng limit cpus:3 force
            f0 <- rescind o1
            operator <- done
            > role eng limit cpus:5
            operator <- done
            f0 <- offer o2 a0 eng cpus:1
        "#]],
    );
}

#[test]
fn a_new_guarantee_takes_as_many_offers_back_as_it_needs() {
    check(
        "framework f0 | agent a0 cpus:4 | agent a1 cpus:4 | agent a2 cpus:4 | role eng guarantee cpus:6
         framework f1 role eng",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:4
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:4
            > agent a1 cpus:4
            a1 <- registered as a1
            f0 <- offer o1 a1 * cpus:4
            > agent a2 cpus:4
            a2 <- registered as a2
            f0 <- offer o2 a2 * cpus:4
            > role eng guarantee cpus:6
            f0 <- rescind o0
            f0 <- rescind o1
            operator <- done
            f0 <- offer o3 a0 * cpus:2
            > framework f1 role eng
            f1 <- subscribed as f1
            f1 <- offer o4 a0 eng cpus:2
            f1 <- offer o5 a1 eng cpus:4
        "#]],
    );
}

#[test]
fn settings_that_cannot_hold_are_refused_unless_forced() {
    check(
        "agent a0 cpus:8;ports:[1-9] | role a guarantee cpus:9 | role a guarantee cpus:5 | role b guarantee cpus:4
         role a/x guarantee cpus:3 | role a/y guarantee cpus:3 | role a guarantee cpus:2 | role a guarantee cpus:6
         role a limit cpus:5 | role c limit cpus:1 | role c/x guarantee cpus:2 | role c guarantee ports:[1-2]
         role b guarantee cpus:4 force",
        expect![[r#"
            > agent a0 cpus:8;ports:[1-9]
            a0 <- registered as a0
            > role a guarantee cpus:9
            operator <- guarantees come to cpus:9, and the cluster has cpus:8
            > role a guarantee cpus:5
            operator <- done
            > role b guarantee cpus:4
            operator <- guarantees come to cpus:9, and the cluster has cpus:8
            > role a/x guarantee cpus:3
            operator <- done
            > role a/y guarantee cpus:3
            operator <- the roles below `a` are guaranteed cpus:6, and it has cpus:5
            > role a guarantee cpus:2
            operator <- the roles below `a` are guaranteed cpus:3, and it has cpus:2
            > role a guarantee cpus:6
            operator <- done
            > role a limit cpus:5
            operator <- role `a` is guaranteed cpus:6, beyond its limit of cpus:5
            > role c limit cpus:1
            operator <- done
            > role c/x guarantee cpus:2
            operator <- the roles below `c` are guaranteed cpus:2, and it has cpus:1
            > role c guarantee ports:[1-2]
            operator <- the quota of role `c` must be of scalars; `ports` is none
            > role b guarantee cpus:4 force
            operator <- done
        "#]],
    );
}

#[test]
fn with_quota_a_restarted_master_waits_for_its_agents_before_it_offers() {
    check(
        "framework f0 | agent a0 cpus:1 | agent a1 cpus:1 | agent a2 cpus:1 | agent a3 cpus:1 | agent a4 cpus:1
         role eng limit cpus:1 | restart | framework f0 | agent a0 cpus:1 | agent a1 cpus:1 | agent a2 cpus:1 | agent a3 cpus:1",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:1
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:1
            > agent a1 cpus:1
            a1 <- registered as a1
            f0 <- offer o1 a1 * cpus:1
            > agent a2 cpus:1
            a2 <- registered as a2
            f0 <- offer o2 a2 * cpus:1
            > agent a3 cpus:1
            a3 <- registered as a3
            f0 <- offer o3 a3 * cpus:1
            > agent a4 cpus:1
            a4 <- registered as a4
            f0 <- offer o4 a4 * cpus:1
            > role eng limit cpus:1
            operator <- done
            > restart
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:1
            a0 <- registered as a0
            > agent a1 cpus:1
            a1 <- registered as a1
            > agent a2 cpus:1
            a2 <- registered as a2
            > agent a3 cpus:1
            a3 <- registered as a3
            f0 <- offer m2-o0 a0 * cpus:1
            f0 <- offer m2-o1 a1 * cpus:1
            f0 <- offer m2-o2 a2 * cpus:1
            f0 <- offer m2-o3 a3 * cpus:1
        "#]],
    );
}

#[test]
fn agents_that_are_given_up_are_waited_for_no_longer() {
    check(
        "framework f0 | agent a0 cpus:1 | agent a1 cpus:1 | role eng limit cpus:1 | restart | framework f0 | agent a0 cpus:1
         wait 74 | wait 1",
        expect![[r#"
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:1
            a0 <- registered as a0
            f0 <- offer o0 a0 * cpus:1
            > agent a1 cpus:1
            a1 <- registered as a1
            f0 <- offer o1 a1 * cpus:1
            > role eng limit cpus:1
            operator <- done
            > restart
            > framework f0
            f0 <- subscribed as f0
            > agent a0 cpus:1
            a0 <- registered as a0
            > wait 74
            > wait 1
            f0 <- agent a1 lost
            f0 <- offer m2-o0 a0 * cpus:1
        "#]],
    );
}

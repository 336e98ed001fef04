//! What is asked for, how offers that were made for it are used, and what stays readable.

use expect_test::{Expect, expect};
use proffer_session::Scheduler as _;
use proffer_types::{Placement, Role, ShapeId};

use super::empty;
use super::world::{World, scenario, spec};
use crate::Outcome;

fn check(text: &str, expect: Expect) {
    expect.assert_eq(&scenario(text));
}

#[test]
fn an_offer_goes_to_the_service_it_was_made_for() {
    check(
        "subscribe
        apply api 2 cpus:1;mem:64MiB
        apply web 3 cpus:1;mem:64MiB
        offer A cpus:2;mem:4GiB,2*2 B cpus:1;mem:4GiB,2*1
        offer A cpus:3;mem:4GiB,2*2",
        expect![[r#"
            subscribe -> want *
            apply api 2 cpus:1;mem:64MiB -> created; want * 1*2
            apply web 3 cpus:1;mem:64MiB -> created; want * 1*2 2*3
            offer A cpus:2;mem:4GiB,2*2 B cpus:1;mem:4GiB,2*1 -> launch web.0.1 web.1.1 on A; launch web.2.1 on B; want * 1*2
            offer A cpus:3;mem:4GiB,2*2 -> launch api.0.1 api.1.1 on A; want *
        "#]],
    );
}

#[test]
fn replicas_start_only_where_they_may_and_no_more_on_one_agent_than_allowed() {
    check(
        "subscribe
        rules rack=r1 max=2
        apply web 3 cpus:1;mem:64MiB
        offer A cpus:4;mem:4GiB B cpus:4;mem:4GiB,rack=r2
        offer A cpus:4;mem:4GiB,rack=r1
        offer A cpus:4;mem:4GiB,rack=r1
        shapes cpus:4;mem:4GiB
        why web
        offer B cpus:4;mem:4GiB,1*1",
        expect![[r#"
            subscribe -> want *
            rules rack=r1 max=2 ->
            apply web 3 cpus:1;mem:64MiB -> created; want * 1*3
            offer A cpus:4;mem:4GiB B cpus:4;mem:4GiB,rack=r2 -> decline 0ns; decline 0ns
            offer A cpus:4;mem:4GiB,rack=r1 -> launch web.0.1 web.1.1 on A; want * 1*1
            offer A cpus:4;mem:4GiB,rack=r1 -> decline 0ns
            shapes cpus:4;mem:4GiB ->
            why web -> service `web` has 0 of 3 replicas running
                replicas waiting for an offer of cpus:1;mem:64MiB where rack = r1: 1
                with as many on one agent as it allows, the agents there are hold 2 at most
                version 1 is available in 0 of 3 replicas; replica 2 waits for an offer of cpus:1;mem:64MiB
            offer B cpus:4;mem:4GiB,1*1 -> launch web.2.1 on B; want *
        "#]],
    );
}

#[test]
fn what_a_replica_cannot_have_is_refused() {
    check(
        "apply web 1 cpus:1;mem:64MiB;ports:[31000-31000]
        rules max=0
        apply web 1 cpus:1;mem:64MiB",
        expect![[r#"
            apply web 1 cpus:1;mem:64MiB;ports:[31000-31000] -> service `web` asks for more than amounts; ports, sets, reservations and volumes cannot be asked for
            rules max=0 ->
            apply web 1 cpus:1;mem:64MiB -> service `web` allows 0 replicas on one agent
        "#]],
    );
}

#[test]
fn a_service_spreads_and_its_version_keeps_its_shape_over_restarts() {
    let mut world = World::new();
    for (name, command) in [("api", "a"), ("web", "a"), ("web", "b")] {
        let spec = spec(name, 2, "cpus:1;mem:64MiB", &[command]);
        world.run(|services, cx| services.apply(spec, cx)).0.unwrap();
    }
    world.restart();
    let demand = world.services.demand(&Role::default());
    let ids: Vec<_> = demand.iter().map(|shape| (shape.id, shape.placement)).collect();
    assert_eq!(
        ids,
        [(ShapeId(1), Placement::Spread), (ShapeId(3), Placement::Spread)]
    );
}

/// `spec("web", 2, "cpus:1;mem:64MiB", &["a"])` as it was written before containers had images, volumes and networks.
const EARLIER: &[u8] = b" \x018\x01B6\n\x03web\x12\x01*\x18\x02\"*\n!\n\x0f\n\x04cpus\x11\0\0\0\0\0\0\xf0?\n\x0e\n\x03mem\x11\0\0\0\0\0\0\x90A\x12\x03\n\x01a\x1a\0";

#[test]
fn a_service_of_an_earlier_version_is_read() {
    let spec = spec("web", 2, "cpus:1;mem:64MiB", &["a"]);
    let mut services = empty();
    services
        .recover(&[("service/web".to_owned(), EARLIER.to_vec())])
        .unwrap();
    let view = &services.list()[0];
    assert_eq!((&view.spec.task, view.version), (&spec.task, 1));
    assert_eq!(view.versions[0].outcome, Outcome::Good);
}

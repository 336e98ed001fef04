//! What is asked for, and how offers that were made for it are used.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use expect_test::expect;
use proffer_session::{Input, Output, Session};
use proffer_types::scheduler_link::{Call, Event};
use proffer_types::{Capabilities, FrameworkId, FrameworkInfo, MasterId, Resources, Role, Timestamp};

use super::world::{World, check, spec_of};
use crate::{Batch, JobSpec, MAX_ROLES};

#[test]
fn an_offer_goes_to_what_it_was_made_for_and_only_then_to_what_goes_before() {
    check(
        "submit J1 a*9 | submit J2 a:cpus:4 | offer O1 cpus:4;mem:8GiB for=2.0*1 | submit J3 a:cpus:2 \
         | offer O2 cpus:3;mem:8GiB for=3.0*1",
        expect![[r#"
            submit J1 a*9: 9 instances; want * 1.0*9
            submit J2 a:cpus:4: 1 instances; want * 1.0*9 2.0*1
            offer O1 cpus:4;mem:8GiB for=2.0*1: accept O1 J2-2.a.0 0ns; want * 1.0*9
            submit J3 a:cpus:2: 1 instances; want * 1.0*9 3.0*1
            offer O2 cpus:3;mem:8GiB for=3.0*1: accept O2 J3-3.a.0 J1-1.a.0 0ns; want * 1.0*8
        "#]],
    );
}

#[test]
fn what_is_no_longer_wanted_of_an_offer_goes_to_others_or_back_without_a_filter() {
    check(
        "submit J1 a*2 | cancel J1 | submit J2 a | offer O1 cpus:2;mem:8GiB for=1.0*2 | offer O2 cpus:2;mem:8GiB for=1.0*2",
        expect![[r#"
            submit J1 a*2: 2 instances; want * 1.0*2
            cancel J1: want *
            submit J2 a: 1 instances; want * 2.0*1
            offer O1 cpus:2;mem:8GiB for=1.0*2: accept O1 J2-2.a.0 0ns; want *
            offer O2 cpus:2;mem:8GiB for=1.0*2: decline O2 0ns
        "#]],
    );
}

#[test]
fn an_offer_that_was_not_made_for_a_task_is_used_only_where_the_task_may_run() {
    check(
        "submit J a rack=r1 | submit K a m1 | offer O1 cpus:4;mem:8GiB | offer O2 cpus:4;mem:8GiB rack=r2 \
         | offer O3 cpus:4;mem:8GiB rack=r1 | offer O4 cpus:1;mem:8GiB for=2.0*1",
        expect![[r#"
            submit J a rack=r1: 1 instances; want * 1.0*1
            submit K a m1: 1 instances; want * 1.0*1 2.0*1
            offer O1 cpus:4;mem:8GiB: decline O1 0ns
            offer O2 cpus:4;mem:8GiB rack=r2: decline O2 0ns
            offer O3 cpus:4;mem:8GiB rack=r1: accept O3 J-1.a.0 0ns; want * 2.0*1
            offer O4 cpus:1;mem:8GiB for=2.0*1: accept O4 K-2.a.0 0ns; want *
        "#]],
    );
}

#[test]
fn an_array_that_is_a_gang_starts_on_the_offers_of_its_bundle_or_not_at_all() {
    check(
        "submit J a*3! | offer O1 cpus:9;mem:9GiB | offer O2 cpus:3;mem:9GiB for=1.0*3 \
         | offer O3 cpus:1;mem:1GiB for=1.0*1 gang=2 + O4 cpus:1;mem:1GiB on=A2 for=1.0*1 gang=2 \
         | explain J | shapes cpus:1;mem:2GiB cpus:1;mem:2GiB | explain J \
         | offer O5 cpus:1;mem:1GiB for=1.0*1 gang=2 + O6 cpus:2;mem:2GiB on=A2 for=1.0*2 gang=2",
        expect![[r#"
            submit J a*3!: 3 instances; want * 1.0*3 gang 1.0
            offer O1 cpus:9;mem:9GiB: decline O1 0ns
            offer O2 cpus:3;mem:9GiB for=1.0*3: decline O2 0ns
            offer O3 cpus:1;mem:1GiB for=1.0*1 gang=2 + O4 cpus:1;mem:1GiB on=A2 for=1.0*1 gang=2: decline O3 0ns
            explain J: 3 instances of `a` must wait for an offer with cpus:1;mem:1GiB for all 3 of its gang at once: there is no agent.
            explain J: 3 instances of `a` must wait for an offer with cpus:1;mem:1GiB for all 3 of its gang at once: 3 are more than the 2 that 2 agents can hold.
            offer O5 cpus:1;mem:1GiB for=1.0*1 gang=2 + O6 cpus:2;mem:2GiB on=A2 for=1.0*2 gang=2: accept O5 O6 J-1.a.0 J-1.a.1 J-1.a.2 0ns; want *
        "#]],
    );
}

#[test]
fn all_tasks_of_a_job_may_be_one_gang() {
    check(
        "submit J a*2 b:cpus:2 gang | submit K a | offer O1 cpus:9;mem:9GiB for=1.0*2 for=1.1*1 gang=1",
        expect![[r#"
            submit J a*2 b:cpus:2 gang: 3 instances; want * 1.0*2 gang 1.0 1.1*1 gang 1.0
            submit K a: 1 instances; want * 1.0*2 gang 1.0 1.1*1 gang 1.0 2.0*1
            offer O1 cpus:9;mem:9GiB for=1.0*2 for=1.1*1 gang=1: accept O1 J-1.a.0 J-1.a.1 J-1.b.0 0ns; want * 2.0*1
        "#]],
    );
}

#[test]
fn a_gang_of_which_one_fails_is_stopped_and_starts_again_whole_once_all_have_ended() {
    check(
        "submit J a*3! r1 | offer O1 cpus:3;mem:9GiB for=1.0*3 gang=1 | J-1.a.2 FINISHED | J-1.a.0 FAILED | explain J \
         | crash | offer O2 cpus:3;mem:9GiB | J-1.a.1 FAILED | offer O3 cpus:2;mem:9GiB for=1.0*2 gang=1 \
         | J-1.a.0-2 RUNNING | J-1.a.1-2 GONE | J-1.a.0-2 KILLED | offer O4 cpus:2;mem:9GiB for=1.0*2 gang=1 \
         | J-1.a.1-3 FAILED | show J | J-1.a.0-3 KILLED | show J",
        expect![[r#"
            submit J a*3! r1: 3 instances; want * 1.0*3 gang 1.0
            offer O1 cpus:3;mem:9GiB for=1.0*3 gang=1: accept O1 J-1.a.0 J-1.a.1 J-1.a.2 0ns; want *
            J-1.a.0 FAILED: kill J-1.a.1; want *
            explain J: 1 instance of `a` must wait for an offer with cpus:1;mem:1GiB for all 2 of its gang at once: 1 instance of the gang must end first, whose kill is on its way. / 1 instance of `a` started and did not end yet.
            crash: want *
            offer O2 cpus:3;mem:9GiB: decline O2 0ns
            J-1.a.1 FAILED: want * 1.0*2 gang 1.0
            offer O3 cpus:2;mem:9GiB for=1.0*2 gang=1: accept O3 J-1.a.0-2 J-1.a.1-2 0ns; want *
            J-1.a.1-2 GONE: kill J-1.a.0-2; want *
            J-1.a.0-2 KILLED: want * 1.0*2 gang 1.0
            offer O4 cpus:2;mem:9GiB for=1.0*2 gang=1: accept O4 J-1.a.0-3 J-1.a.1-3 0ns; want *
            J-1.a.1-3 FAILED: kill J-1.a.0-3
            show J: Running a.0:Running a.1:Failed a.2:Finished
            J-1.a.0-3 KILLED: want *
            show J: Failed a.0:Cancelled a.1:Failed a.2:Finished
        "#]],
    );
}

#[test]
fn a_gang_of_which_one_is_unreachable_for_too_long_starts_again_whole() {
    check(
        "submit J a*2! | offer O1 cpus:2;mem:9GiB for=1.0*2 gang=1 | J-1.a.0 UNREACHABLE | wait 301 | J-1.a.1 KILLED",
        expect![[r#"
            submit J a*2!: 2 instances; want * 1.0*2 gang 1.0
            offer O1 cpus:2;mem:9GiB for=1.0*2 gang=1: accept O1 J-1.a.0 J-1.a.1 0ns; want *
            wait 301: kill J-1.a.0; kill J-1.a.1; want *
            J-1.a.1 KILLED: want * 1.0*2 gang 1.0
        "#]],
    );
}

#[test]
fn what_a_gang_or_a_task_cannot_have_is_refused() {
    check(
        "submit J a b<a gang | submit J a*10001! | submit J a*5000! | submit J a m0",
        expect![[r#"
            submit J a b<a gang: task `b` comes after another one, but all tasks of a gang start together
            submit J a*10001!: 10001 instances in one gang, at most 10000 are allowed
            submit J a*5000!: a gang is launched in one message of at most 2097152 bytes, and this one takes 2590000
            submit J a m0: task `a` allows 0 instances on one agent
        "#]],
    );
}

#[test]
fn more_than_a_statement_holds_is_asked_for_when_some_of_it_runs() {
    let mut world = World::new();
    let spec = |n: usize, name: String| JobSpec {
        name,
        role: Role::default(),
        tasks: (0..n)
            .map(|n| spec_of(&format!("t{n}"), 1, None, Resources::of(1000, 1 << 20, 0)))
            .collect(),
        ..JobSpec::default()
    };
    world
        .run(|batch, cx| batch.submit(spec(1000, "J".to_owned()), cx))
        .0
        .unwrap();
    let (_, calls) = world.run(|batch, cx| batch.submit(spec(2, "K".to_owned()), cx));
    assert!(matches!(&calls[..], [Call::Demand { demand: Some(demand), .. }] if demand.shapes.len() == 1000));
    let offer = super::world::offer("O1", "cpus:1;mem:1GiB", None);
    world.run(|batch, cx| proffer_session::Scheduler::offers(batch, cx, vec![offer]));
    let ids: BTreeSet<_> = world
        .batch
        .demand(&Role::default(), Timestamp(0))
        .shapes
        .iter()
        .map(|shape| super::super::demand::of_shape(shape.id).0)
        .collect();
    assert_eq!(ids, [1, 2].into());
}

/// A session that is subscribed, with what it sent since.
fn subscribed() -> (Session<Batch>, Output) {
    let info = FrameworkInfo {
        id: None,
        name: "batch".to_owned(),
        roles: [Role::default()].into(),
        failover_timeout: Duration::ZERO,
        services: Vec::new(),
        labels: BTreeMap::new(),
        capabilities: Capabilities::default(),
        preferences: BTreeMap::new(),
    };
    let mut session = Session::recover(info, 0, Vec::new(), Batch::new()).unwrap();
    let mut out = Output::default();
    session.step(Timestamp(0), Input::Connected, &mut out);
    let event = Event::Subscribed {
        framework_id: FrameworkId::new("F1").unwrap(),
        master_id: MasterId::from_random(0),
        heartbeat_interval: Duration::from_secs(5),
    };
    let mut out = Output::default();
    session.step(Timestamp(0), Input::Event(event), &mut out);
    (session, out)
}

fn in_role(name: &str, role: &str) -> JobSpec {
    JobSpec {
        name: name.to_owned(),
        role: Role::new(role).unwrap(),
        tasks: vec![spec_of("a", 1, None, Resources::of(1000, 1 << 20, 0))],
        ..JobSpec::default()
    }
}

#[test]
fn nothing_is_asked_for_from_the_start_and_a_job_in_a_new_role_does_not_resubscribe() {
    let (mut session, out) = subscribed();
    let demands = |calls: &[Call]| {
        let demand = |call: &Call| {
            let Call::Demand { role, demand } = call else {
                return None;
            };
            Some((
                role.to_string(),
                demand.as_ref().map_or(0, |demand| demand.shapes.len()),
            ))
        };
        calls.iter().filter_map(demand).collect::<Vec<_>>()
    };
    assert_eq!(demands(&out.calls), [("*".to_owned(), 0)]);
    let mut out = Output::default();
    session
        .with(Timestamp(1), &mut out, |batch, cx| {
            batch.submit(in_role("J", "eng"), cx)
        })
        .unwrap();
    assert!(!out.disconnect);
    assert!(matches!(&out.calls[0], Call::Update { info, .. } if info.roles.len() == 2));
    assert_eq!(demands(&out.calls), [("eng".to_owned(), 1)]);
}

#[test]
fn roles_are_bounded_and_those_of_ended_jobs_make_room() {
    let mut world = World::new();
    let mut submit = |name: &str, role: &str| {
        let spec = in_role(name, role);
        world.run(|batch, cx| batch.submit(spec, cx)).0.map_err(|error| {
            let _ = world.run(|batch, cx| batch.cancel("J7", cx));
            error.to_string()
        })
    };
    for n in 1..MAX_ROLES {
        submit(&format!("J{n}"), &format!("r{n}")).unwrap();
    }
    let refusal = submit("K", "one-more").unwrap_err();
    assert_eq!(
        refusal,
        "role `one-more` would be one more than the 64 that all jobs together may be in"
    );
    submit("K", "one-more").unwrap();
}

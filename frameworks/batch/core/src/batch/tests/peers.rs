//! What the members of a gang are told of each other.

use expect_test::{Expect, expect};
use proffer_session::Scheduler as _;
use proffer_types::container::{NetworkMode, PortMapping, Protocol};
use proffer_types::scheduler_link::Call;
use proffer_types::{Offer, Operation};

use super::world::{World, job, offers};
use crate::JobSpec;

/// Offers, each on a host of its own.
fn bundle(texts: &[&str]) -> Vec<Offer> {
    let offer = |(nth, text): (usize, &&str)| Offer {
        hostname: format!("node-{nth}"),
        ..offers(text)
    };
    texts.iter().enumerate().map(offer).collect()
}

/// What each task that was launched knows.
fn launched(calls: &[Call]) -> String {
    let mut text = String::new();
    for call in calls {
        let Call::Accept { operations, .. } = call else {
            continue;
        };
        for operation in operations {
            let Operation::Launch(tasks) = operation else {
                continue;
            };
            for task in tasks {
                let env = |name: &str| task.container.env.get(name).map_or("-", String::as_str);
                let [rank, n] = ["PROFFER_RANK", "PROFFER_N"].map(env);
                let [leader, peers] = ["PROFFER_LEADER", "PROFFER_PEERS"].map(env);
                text += &format!("{} is {rank} of {n}, led by {leader}, among {peers}\n", task.id);
            }
        }
    }
    text
}

fn check(spec: JobSpec, texts: &[&str], expected: Expect) {
    let mut world = World::new();
    world.run(|batch, cx| batch.submit(spec, cx)).0.unwrap();
    let ((), calls) = world.run(|batch, cx| batch.offers(cx, bundle(texts)));
    expected.assert_eq(&launched(&calls));
}

#[test]
fn members_of_a_gang_know_their_rank_and_where_the_others_are() {
    check(
        job(&["J", "a*2", "b", "gang"]),
        &[
            "O1 cpus:2;mem:9GiB on=A1 for=1.0*1 for=1.1*1 gang=2",
            "O2 cpus:2;mem:9GiB on=A2 for=1.0*1 gang=2",
        ],
        expect![[r#"
            J-1.a.0 is 0 of 3, led by node-0, among node-0,node-1,node-0
            J-1.b.0 is 2 of 3, led by node-0, among node-0,node-1,node-0
            J-1.a.1 is 1 of 3, led by node-0, among node-0,node-1,node-0
        "#]],
    );
}

#[test]
fn a_member_with_a_port_of_its_own_is_reached_there() {
    let mut spec = job(&["J", "a*2!"]);
    spec.tasks[0].container.network.mode = NetworkMode::Bridge;
    spec.tasks[0].container.network.ports = vec![PortMapping {
        name: String::new(),
        container_port: 80,
        host_port: 0,
        protocol: Protocol::Tcp,
    }];
    check(
        spec,
        &["O1 cpus:2;mem:9GiB;ports:[31000-31009] on=A1 for=1.0*2 gang=1"],
        expect![[r#"
            J-1.a.0 is 0 of 2, led by node-0:31000, among node-0:31000,node-0:31001
            J-1.a.1 is 1 of 2, led by node-0:31000, among node-0:31000,node-0:31001
        "#]],
    );
}

#[test]
fn the_list_is_left_out_where_it_is_too_long_and_who_is_alone_is_told_nothing() {
    let mut world = World::new();
    world
        .run(|batch, cx| batch.submit(job(&["J", "a*2000!"]), cx))
        .0
        .unwrap();
    let offers = bundle(&["O1 cpus:2000;mem:4000GiB on=A1 for=1.0*2000 gang=1"]);
    let ((), calls) = world.run(|batch, cx| batch.offers(cx, offers));
    let text = launched(&calls);
    assert!(
        text.starts_with("J-1.a.0 is 0 of 2000, led by node-0, among -\n"),
        "{text}"
    );
    check(
        job(&["J", "a"]),
        &["O1 cpus:2;mem:9GiB for=1.0*1"],
        expect![[r#"
        J-1.a.0 is - of -, led by -, among -
    "#]],
    );
}

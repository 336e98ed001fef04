//! What comes after what, and how jobs of many tasks and instances hold up.

use expect_test::expect;
use proffer_session::Scheduler as _;
use proffer_types::Resources;

use super::world::{World, check, offer, spec_of, status};
use crate::{After, JobSpec, On, Phase, Pick};

#[test]
fn a_failure_starts_what_waits_for_it_and_drops_what_waits_for_success() {
    check(
        "submit J a*2 good<a bad<a? all<a~ | offer O1 cpus:2;mem:8GiB | J-1.a.0 FAILED | explain J | J-1.a.1 FINISHED | show J \
         | offer O2 cpus:9;mem:9GiB | J-1.bad.0 FINISHED | J-1.all.0 FINISHED | show J",
        expect![[r#"
            submit J a*2 good<a bad<a? all<a~: 5 instances; want * 1.0*2
            offer O1 cpus:2;mem:8GiB: accept O1 J-1.a.0 J-1.a.1 0ns; want *
            explain J: 1 instance of `a` ended as FAILED. / 1 instance of `a` started and did not end yet. / 1 instance of `bad` must come after `a` (1 of 2 failed). / 1 instance of `all` must come after `a` (1 of 2 ended).
            J-1.a.1 FINISHED: want * 1.2*1 1.3*1
            show J: Running a.0:Failed a.1:Finished good.0:Cancelled bad.0:Waiting all.0:Waiting
            offer O2 cpus:9;mem:9GiB: accept O2 J-1.bad.0 J-1.all.0 0ns; want *
            show J: Failed a.0:Failed a.1:Finished good.0:Cancelled bad.0:Finished all.0:Finished
        "#]],
    );
}

#[test]
fn what_waits_for_a_failure_is_dropped_when_there_is_none() {
    check(
        "submit J a bad<a? then<bad last<bad~ | offer O1 cpus:1;mem:8GiB | J-1.a.0 FINISHED | show J | explain J",
        expect![[r#"
            submit J a bad<a? then<bad last<bad~: 4 instances; want * 1.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J-1.a.0 0ns; want *
            J-1.a.0 FINISHED: want * 1.3*1
            show J: Running a.0:Finished bad.0:Cancelled then.0:Cancelled last.0:Waiting
            explain J: 1 instance of `last` must wait for an offer with cpus:1;mem:1GiB: there is no agent.
        "#]],
    );
}

#[test]
fn index_by_index_each_starts_when_its_own_predecessor_has_ended() {
    check(
        "submit J a*3 b*3<a^ c<b d*3<b?^ | offer O1 cpus:3;mem:8GiB | J-1.a.1 FINISHED | J-1.a.2 FAILED | show J | crash \
         | offer O2 cpus:9;mem:9GiB | J-1.b.1 FAILED | explain J | J-1.a.0 FINISHED | offer O3 cpus:9;mem:9GiB | J-1.b.0 FINISHED | show J",
        expect![[r#"
            submit J a*3 b*3<a^ c<b d*3<b?^: 10 instances; want * 1.0*3
            offer O1 cpus:3;mem:8GiB: accept O1 J-1.a.0 J-1.a.1 J-1.a.2 0ns; want *
            J-1.a.1 FINISHED: want * 1.1*1
            show J: Running a.0:Running a.1:Finished a.2:Failed b.0:Blocked b.1:Waiting b.2:Cancelled c.0:Cancelled d.0:Blocked d.1:Blocked d.2:Cancelled
            crash: want * 1.1*1
            offer O2 cpus:9;mem:9GiB: accept O2 J-1.b.1 0ns; want *
            J-1.b.1 FAILED: want * 1.3*1
            explain J: 1 instance of `a` ended as FAILED. / 1 instance of `a` started and did not end yet. / 1 instance of `b` ended as FAILED. / 1 instance of `b` must come after each index of `a` (1 of 3 finished). / 1 instance of `d` must wait for an offer with cpus:1;mem:1GiB: there is no agent. / 1 instance of `d` must come after each index of `b` (1 of 3 failed).
            J-1.a.0 FINISHED: want * 1.1*1 1.3*1
            offer O3 cpus:9;mem:9GiB: accept O3 J-1.b.0 J-1.d.1 0ns; want *
            show J: Running a.0:Finished a.1:Finished a.2:Failed b.0:Finished b.1:Failed b.2:Cancelled c.0:Cancelled d.0:Cancelled d.1:Running d.2:Cancelled
        "#]],
    );
}

#[test]
fn index_by_index_needs_arrays_of_one_size_and_no_gang() {
    check(
        "submit J a*3 b*2<a^ | submit J a*3 b*3<a^! | submit J a<c b<a c<b | submit J a<b b a | submit J a<x",
        expect![[r#"
            submit J a*3 b*2<a^: each index of task `b` comes after the same of `a`, which has 3, and not 2
            submit J a*3 b*3<a^!: task `b` is a gang, whose indexes start together and cannot come after others one by one
            submit J a<c b<a c<b: tasks come after each other in a cycle: a -> c -> b -> a
            submit J a<b b a: task `a` is named twice
            submit J a<x: task `a` comes after `x`, which is not a task of the job
        "#]],
    );
}

#[test]
fn a_cancelled_job_drops_what_waits_for_any_end() {
    check(
        "submit J a b<a~ | offer O1 cpus:1;mem:8GiB | cancel J | J-1.a.0 KILLED | show J",
        expect![[r#"
            submit J a b<a~: 2 instances; want * 1.0*1
            offer O1 cpus:1;mem:8GiB: accept O1 J-1.a.0 0ns; want *
            cancel J: kill J-1.a.0
            show J: Cancelled a.0:Cancelled b.0:Cancelled
        "#]],
    );
}

/// A job of layers, each task of which comes after every task of the layer before.
fn layers(n_layers: usize, width: usize) -> JobSpec {
    let mut spec = JobSpec {
        name: "J".to_owned(),
        ..JobSpec::default()
    };
    let name = |layer, nth| format!("t{layer}_{nth}");
    for layer in 0..n_layers {
        for nth in 0..width {
            let mut task = spec_of(&name(layer, nth), 1, None, Resources::of(1, 1, 0));
            let earlier = 0..width * usize::from(layer > 0);
            task.after = earlier
                .map(|earlier| After {
                    task: name(layer - 1, earlier),
                    on: On::Success,
                    each: false,
                })
                .collect();
            spec.tasks.push(task);
        }
    }
    spec
}

#[test]
fn a_graph_of_a_hundred_thousand_edges_runs_through_layer_by_layer() {
    let (n_layers, width) = (10, 100);
    let mut world = World::new();
    let spec = layers(n_layers, width);
    let n_edges: usize = spec.tasks.iter().map(|task| task.after.len()).sum();
    assert_eq!(n_edges, 90_000);
    world.run(|batch, cx| batch.submit(spec, cx)).0.unwrap();
    for layer in 0..n_layers {
        let made = offer(&format!("O{layer}"), "cpus:9;mem:9GiB", None);
        world.run(|batch, cx| batch.offers(cx, vec![made]));
        let running: Vec<_> = world.batch.running.keys().cloned().collect();
        assert_eq!(running.len(), width);
        for id in running {
            let ended = status(id.as_str(), "FINISHED");
            world.run(|batch, cx| batch.update(cx, &ended));
        }
    }
    assert!(world.batch.get("J", &Pick::all()).unwrap().ended.is_some());
}

#[test]
fn a_million_instances_take_no_more_memory_or_records_than_one_until_they_are_launched() {
    let mut world = World::new();
    let mut spec = layers(1, 1);
    spec.name = "K".to_owned();
    world.run(|batch, cx| batch.submit(spec, cx)).0.unwrap();
    world.run(|batch, cx| batch.cancel("K", cx)).0.unwrap();
    let mut spec = layers(1, 1);
    spec.tasks[0].count = 1_000_000;
    let (n, _) = world.run(|batch, cx| batch.submit(spec, cx));
    assert_eq!(n.unwrap(), 1_000_000);
    let made = offer("O1", "cpus:0.01;mem:1GiB", None);
    world.run(|batch, cx| batch.offers(cx, vec![made]));
    // Those of the submissions, of the earlier job and its end, of this one, and of each launch.
    assert_eq!((world.store.len(), world.batch.running.len()), (4 + 10, 10));
    let pick = Pick {
        limit: 3,
        phases: vec![Phase::Running, Phase::Waiting],
        suspended: false,
        after: Some(("t0_0".to_owned(), 7)),
    };
    let view = world.batch.get("J", &pick).unwrap();
    assert_eq!(view.counts, [[0, 999_990, 10, 0, 0, 0, 0]]);
    let picked: Vec<_> = view
        .instances
        .iter()
        .map(|instance| (instance.index, instance.phase))
        .collect();
    assert_eq!(
        picked,
        [(8, Phase::Running), (9, Phase::Running), (10, Phase::Waiting)]
    );
    world.run(|batch, cx| batch.cancel("J", cx)).0.unwrap();
    let view = world.batch.get("J", &pick).unwrap();
    assert_eq!(view.counts, [[0, 0, 10, 0, 0, 999_990, 0]]);
    world.batch = world.recovered();
    assert_eq!(world.batch.get("J", &pick).unwrap().counts, view.counts);
    for id in world.batch.running.keys().cloned().collect::<Vec<_>>() {
        let ended = status(id.as_str(), "KILLED");
        world.run(|batch, cx| batch.update(cx, &ended));
    }
    assert!(world.batch.get("J", &pick).unwrap().ended.is_some());
    // It takes nobody's place among those that are kept.
    assert!(world.batch.get("K", &pick).is_ok());
}

#[test]
fn a_large_job_is_forgotten_a_piece_at_a_time_and_by_whoever_is_there() {
    let mut world = World::new();
    let mut spec = layers(1, 1);
    spec.tasks[0].count = 50_000;
    world.run(|batch, cx| batch.submit(spec, cx)).0.unwrap();
    let made = |n| offer(&format!("O{n}"), "cpus:20;mem:1GiB", None);
    let made: Vec<_> = (0..30).map(made).collect();
    for made in made.chunks(5) {
        world.run(|batch, cx| batch.offers(cx, made.to_vec()));
    }
    let ids: Vec<_> = world.batch.running.keys().cloned().collect();
    assert_eq!(ids.len(), 50_000);
    let ((), _) = world.run(|batch, cx| {
        for id in &ids {
            batch.update(cx, &status(id.as_str(), "FINISHED"));
        }
    });
    assert!(world.batch.get("J", &Pick::NONE).unwrap().ended.is_some());
    // A job of the same name takes its place.
    world.run(|batch, cx| batch.submit(layers(1, 1), cx)).0.unwrap();
    assert_eq!(
        world.store.len(),
        50_001 + 4,
        "two jobs' own records, the mark, and the account"
    );
    for left in [30_001, 10_001] {
        assert!(world.batch.next_deadline().is_some_and(|at| at <= world.now()));
        world.run(proffer_session::Scheduler::tick);
        assert_eq!(world.store.len(), left + 4);
        world.batch = world.recovered();
    }
    world.run(proffer_session::Scheduler::tick);
    assert_eq!((world.store.len(), world.batch.next_deadline()), (3, None));
    assert_eq!(
        world.batch.get("J", &Pick::NONE).unwrap().counts,
        [[0, 1, 0, 0, 0, 0, 0]]
    );
}

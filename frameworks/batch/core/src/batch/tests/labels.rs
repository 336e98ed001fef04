//! The labels of a job on its tasks.

use proffer_session::Scheduler;
use proffer_types::scheduler_link::Call;
use proffer_types::{Resources, TaskInfo};

use super::world::{World, launched, offer, spec_of};
use crate::JobSpec;

fn launch_all(world: &mut World) -> Vec<TaskInfo> {
    let offer = offer("O1", "cpus:100;mem:100GiB", None);
    let ((), calls) = world.run(|batch, cx| batch.offers(cx, vec![offer]));
    let Some(Call::Accept { operations, .. }) = calls.first() else {
        panic!("{calls:?}");
    };
    launched(operations).cloned().collect()
}

fn job(value: String, count: u32) -> JobSpec {
    JobSpec {
        name: "J".to_owned(),
        tasks: vec![spec_of("a", count, None, Resources::of(1000, 1 << 20, 0))],
        labels: [("team".to_owned(), value)].into(),
        ..JobSpec::default()
    }
}

#[test]
fn tasks_carry_the_labels_of_their_job_after_a_restart_too() {
    let mut world = World::new();
    let job = job("x".to_owned(), 1);
    let labels = job.labels.clone();
    world.run(|batch, cx| batch.submit(job, cx)).0.unwrap();
    world.crash();
    let tasks = launch_all(&mut world);
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].labels, labels);
}

#[test]
fn labels_count_in_the_message_that_launches_their_tasks() {
    let mut world = World::new();
    let job = job("x".repeat(60_000), 100);
    world.run(|batch, cx| batch.submit(job, cx)).0.unwrap();
    // 1 MiB holds 17 times 60,000 bytes.
    assert_eq!(launch_all(&mut world).len(), 17);
}

//! Reservations, volumes and groups, from the master's messages to the containers.

use std::path::Path;
use std::time::Duration;

use proffer_agent::{AgentError, Config};
use proffer_types::agent_link::AgentMessage;
use proffer_types::{
    OperationState, Reservation, ResourceChange, Resources, Role, TaskInfo, TaskState, Volume, VolumeId,
};
use tokio_util::sync::CancellationToken;

use crate::master::Master;
use crate::{Agent, SmallDisk, can_run, shell};

fn parse(text: &str) -> Resources {
    text.parse().unwrap()
}

pub(crate) fn reserve(text: &str) -> ResourceChange {
    ResourceChange::Reserve {
        resources: parse(text),
        reservation: Reservation::dynamic(Role::new("prod").unwrap()),
    }
}

pub(crate) fn create(disk: &str, container_path: &Path) -> ResourceChange {
    ResourceChange::Create {
        disk: parse(disk),
        volume: Volume {
            id: VolumeId::new("v").unwrap(),
            container_path: container_path.to_str().unwrap().to_owned(),
            shared: false,
        },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_outlives_its_tasks_and_the_agent_until_it_is_destroyed() {
    if !can_run() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (data, mnt) = (dir.path().join("data"), dir.path().join("mnt"));
    std::fs::create_dir(&mnt).unwrap();
    let uses = |id: &str, script: &str| {
        let script = format!("cd {} && {script}", mnt.display());
        let mut task = shell(id, &script);
        task.resources
            .add(&parse(&format!("disk(+prod)[v:{}]:64MiB", mnt.display())));
        task
    };
    let mut master = Master::start().await;
    let agent = Agent::start(&master, &data, true).await;
    let (mut stream, _) = master.register(1).await;
    assert_eq!(
        stream.change(reserve("disk:64MiB")).await,
        OperationState::Finished
    );
    let made = stream.change(create("disk(+prod):64MiB", &mnt)).await;
    assert_eq!(made, OperationState::Finished);
    stream.run(uses("writes", "echo data >file")).await;
    assert_eq!(stream.end_of("writes").await.state, TaskState::Finished);
    agent.stop().await;

    let agent = Agent::start(&master, &data, true).await;
    let (mut stream, registration) = master.register(2).await;
    let AgentMessage::Register { info, operations, .. } = registration else {
        panic!("not a registration: {registration:?}");
    };
    assert!(info.resources.volume(&VolumeId::new("v").unwrap()).is_some());
    assert_eq!(operations, []);
    stream.run(uses("reads", "cat file")).await;
    assert_eq!(stream.end_of("reads").await.state, TaskState::Finished);
    assert_eq!(agent.log("reads").await, "data\n");

    let volume = VolumeId::new("v").unwrap();
    let destroyed = stream.change(ResourceChange::Destroy { volume }).await;
    assert_eq!(destroyed, OperationState::Finished);
    assert!(!data.join("volumes/roles/prod").exists());
    stream.run(uses("late", "true")).await;
    assert_eq!(stream.end_of("late").await.state, TaskState::Dropped);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_no_longer_has_what_is_reserved_does_not_start() {
    if !can_run() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut master = Master::start().await;
    let agent = Agent::start(&master, dir.path(), true).await;
    let (mut stream, _) = master.register(1).await;
    assert_eq!(stream.change(reserve("cpus:2")).await, OperationState::Finished);
    agent.stop().await;
    let config = Config {
        resources: parse("cpus:1"),
        ..Config::new(
            vec![master.address.to_string()],
            "127.0.0.1:0".parse().unwrap(),
            dir.path().to_owned(),
        )
    };
    let error = proffer_agent::run(config, CancellationToken::new())
        .await
        .unwrap_err();
    let AgentError::Restore(cause) = error else {
        panic!("{error}");
    };
    assert!(
        cause.to_string().starts_with("too little cpus: `cpus:2`"),
        "{cause}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_an_operation_is_not_reported_until_it_is_kept() {
    if !can_run() {
        return;
    }
    let Some(disk) = SmallDisk::mount() else { return };
    let data = disk.dir.path().join("data");
    let mut master = Master::start().await;
    let agent = Agent::start(&master, &data, true).await;
    let (mut stream, _) = master.register(1).await;
    // By its end the agent has kept its id, without which it would not go on.
    stream.run(shell("before", "true")).await;
    stream.end_of("before").await;
    let tasks = data.join("tasks");
    while std::fs::read_dir(&tasks).unwrap().count() > 0 {
        tokio::task::yield_now().await;
    }
    disk.fill();
    let reserved = stream.change(reserve("cpus:1"));
    tokio::pin!(reserved);
    let early = tokio::time::timeout(Duration::from_millis(500), &mut reserved).await;
    assert!(early.is_err(), "{early:?}");
    assert!(!data.join("resources").exists());
    std::fs::remove_file(disk.ballast()).unwrap();
    assert_eq!(reserved.await, OperationState::Finished);
    assert!(data.join("resources").exists());
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_a_task_of_a_group_fails_the_rest_is_killed() {
    if !can_run() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut master = Master::start().await;
    let agent = Agent::start(&master, dir.path(), true).await;
    let (mut stream, _) = master.register(1).await;
    let tasks: Vec<TaskInfo> = vec![shell("fails", "sleep 0.2; exit 3"), shell("waits", "sleep 100")];
    stream.run_group(tasks).await;
    let end = stream.end_of("waits").await;
    assert_eq!(end.state, TaskState::Killed);
    assert_eq!(end.message, "task `fails` of its group did not finish");
    agent.stop().await;
}

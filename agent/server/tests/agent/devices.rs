//! Devices that are counted: what a task finds of its own, and that nobody else has it.

use proffer_types::TaskState;

use crate::master::Master;
use crate::{Agent, can_run, shell};

/// A device that every host has and no container does; opening it for writing does nothing.
pub(crate) const LIST: &str = "logs=/dev/kmsg";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_finds_its_device_by_the_environment_and_nobody_else_has_it() {
    if !can_run() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut master = Master::start().await;
    let agent = Agent::start(&master, dir.path(), true).await;
    let (mut stream, _) = master.register(1).await;
    // Twice, since the second gets what the first gave back.
    for id in ["first", "second"] {
        let mut task = shell(id, ": >$PROFFER_DEVICES_LOGS && echo $PROFFER_DEVICES_LOGS");
        task.resources.add(&"logs:1".parse().unwrap());
        stream.run(task).await;
        assert_eq!(stream.end_of(id).await.state, TaskState::Finished);
        assert_eq!(agent.log(id).await, "/dev/kmsg\n");
    }
    stream.run(shell("other", "[ ! -e /dev/kmsg ]")).await;
    assert_eq!(stream.end_of("other").await.state, TaskState::Finished);
    agent.stop().await;
}

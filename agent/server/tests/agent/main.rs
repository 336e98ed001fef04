//! A whole agent with real containers, against a master that says what the test says. Needs root.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]
#![expect(clippy::print_stdout, reason = "a test that cannot run says so")]

mod devices;
mod disk;
mod files;
mod master;
mod networks;
mod resources;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use master::{Master, agent_id, framework_id, patiently};
use proffer_agent::{AgentError, Config, Pool};
use proffer_grpc::v1::agent_client::AgentClient;
use proffer_types::agent_link::AgentMessage;
use proffer_types::{Resources, StatusReason, TaskExit, TaskId, TaskInfo, TaskState};
use proffer_wire::v1::{LogStream, ReadLogRequest};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Agent {
    api: SocketAddr,
    shutdown: CancellationToken,
    run: JoinHandle<Result<(), AgentError>>,
}

impl Agent {
    async fn start(master: &Master, data_dir: &Path, kill_tasks_on_stop: bool) -> Self {
        Self::start_with(master, data_dir, kill_tasks_on_stop, |config| config).await
    }

    async fn start_with(
        master: &Master,
        data_dir: &Path,
        kill_tasks_on_stop: bool,
        change: impl FnOnce(Config) -> Config,
    ) -> Self {
        let (tx, rx) = oneshot::channel();
        let config = Config {
            resources: "cpus:2;mem:512MiB;disk:1GiB".parse().unwrap(),
            devices: Pool::new([devices::LIST.parse().unwrap()]).unwrap(),
            kill_tasks_on_stop,
            listening: Some(tx),
            ..Config::new(
                vec![master.address.to_string()],
                "127.0.0.1:0".parse().unwrap(),
                data_dir.to_owned(),
            )
        };
        let shutdown = CancellationToken::new();
        let run = tokio::spawn(proffer_agent::run(change(config), shutdown.clone()));
        let api = match patiently(rx).await {
            Ok(api) => api,
            Err(_) => panic!("the agent did not start: {:?}", run.await.unwrap()),
        };
        Self { api, shutdown, run }
    }

    async fn stop(self) {
        self.shutdown.cancel();
        patiently(self.run).await.unwrap().unwrap();
    }

    async fn log(&self, task: &str) -> String {
        let mut client = AgentClient::connect(format!("http://{}", self.api))
            .await
            .unwrap();
        let request = ReadLogRequest {
            framework_id: framework_id().to_string(),
            task_id: task.into(),
            stream: LogStream::Stdout.into(),
            offset: 0,
            follow: true,
            tail_lines: None,
        };
        let mut stream = client.read_log(request).await.unwrap().into_inner();
        let mut text = Vec::new();
        while let Some(chunk) = patiently(stream.message()).await.unwrap() {
            text.extend(chunk.data);
        }
        String::from_utf8(text).unwrap()
    }
}

fn shell(id: &str, script: &str) -> TaskInfo {
    let resources = Resources::of(100, 64 << 20, 0);
    TaskInfo::new(
        TaskId::new(id).unwrap(),
        agent_id(),
        resources,
        ["/bin/sh", "-c", script],
    )
}

/// Containers need root; says so where there is none.
fn can_run() -> bool {
    let root = std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
    if !root {
        println!("skipped: containers need root");
    }
    root
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_launched_reported_read_and_cleared_away() {
    if !can_run() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut master = Master::start().await;
    let agent = Agent::start(&master, dir.path(), true).await;
    let (mut stream, _) = master.register(1).await;
    stream.run(shell("t", "echo hello; exit 3")).await;
    assert_eq!(stream.status().await.state, TaskState::Starting);
    assert_eq!(stream.status().await.state, TaskState::Running);
    let end = stream.status().await;
    assert_eq!(end.state, TaskState::Failed, "{end:?}");
    assert_eq!(end.reason, Some(StatusReason::CommandFailed));
    assert_eq!(end.exit, Some(TaskExit::Code(3)));
    assert!(end.usage.unwrap().wall_time_us > 0);
    assert_eq!(agent.log("t").await, "hello\n");

    stream.run(shell("u", "sleep 100")).await;
    assert_eq!(stream.status().await.state, TaskState::Starting);
    assert_eq!(stream.status().await.state, TaskState::Running);
    stream.kill("u").await;
    assert_eq!(stream.status().await.state, TaskState::Killing);
    assert_eq!(stream.status().await.state, TaskState::Killed);
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_takes_its_tasks_along_reports_their_end_first() {
    if !can_run() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut master = Master::start().await;
    let agent = Agent::start(&master, dir.path(), true).await;
    let (mut stream, _) = master.register(1).await;
    stream.run(shell("t", "sleep 100")).await;
    assert_eq!(stream.status().await.state, TaskState::Starting);
    assert_eq!(stream.status().await.state, TaskState::Running);
    agent.shutdown.cancel();
    assert_eq!(stream.status().await.state, TaskState::Killing);
    let status = stream.status().await;
    assert_eq!(status.state, TaskState::Killed);
    assert!(status.message.contains("stopped"), "{}", status.message);
    patiently(agent.run).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_outlive_the_agent_and_the_next_one_reports_how_they_ended() {
    if !can_run() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut master = Master::start().await;
    let agent = Agent::start(&master, dir.path(), false).await;
    let (mut stream, _) = master.register(1).await;
    stream
        .run(shell("t", "until test -e go; do sleep 0.05; done; exit 5"))
        .await;
    stream
        .run(shell("u", "until test -e go; do sleep 0.05; done; exit 6"))
        .await;
    for _ in 0..4 {
        assert!(!stream.status().await.state.is_terminal());
    }
    let sandbox = dir.path().join("sandboxes").join(framework_id().as_str());
    agent.stop().await;
    // One ends while no agent is there, the other after.
    std::fs::write(sandbox.join("t/sandbox/go"), "\n").unwrap();
    let agent = Agent::start(&master, dir.path(), true).await;
    let (mut stream, registration) = master.register(2).await;
    let AgentMessage::Register {
        agent_id: Some(id),
        tasks,
        ..
    } = registration
    else {
        panic!("not a registration with an id: {registration:?}");
    };
    assert_eq!(id, agent_id());
    assert_eq!(tasks.len(), 2);
    std::fs::write(sandbox.join("u/sandbox/go"), "\n").unwrap();
    let mut ends = BTreeMap::new();
    while ends.len() < 2 {
        let status = stream.status().await;
        if status.state.is_terminal() {
            ends.insert(status.task_id.to_string(), status.exit);
        }
    }
    assert_eq!(ends["t"], Some(TaskExit::Code(5)));
    assert_eq!(ends["u"], Some(TaskExit::Code(6)));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_stream_is_opened_again_and_waiting_updates_come_with_it() {
    if !can_run() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut master = Master::start().await;
    let agent = Agent::start(&master, dir.path(), true).await;
    let (stream, _) = master.register(1).await;
    stream.run(shell("t", "true")).await;
    drop(stream);
    let (mut stream, registration) = master.register(2).await;
    let AgentMessage::Register { tasks, .. } = registration else {
        panic!("not a registration: {registration:?}");
    };
    if tasks.is_empty() {
        // The stream was lost before the launch reached the agent, which then must never happen.
        stream.run(shell("t", "true")).await;
    }
    let mut states = Vec::new();
    while states.last() != Some(&TaskState::Finished) {
        states.push(stream.status().await.state);
    }
    assert_eq!(
        states,
        [TaskState::Starting, TaskState::Running, TaskState::Finished]
    );
    agent.stop().await;
}

/// A file system of its own for a test, full or not.
struct SmallDisk {
    dir: tempfile::TempDir,
}

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        mount
            .args(["-t", "tmpfs", "-o", "size=1m", "none"])
            .arg(dir.path());
        if mount.status().is_ok_and(|status| status.success()) {
            return Some(Self { dir });
        }
        println!("skipped: cannot mount a tmpfs");
        None
    }

    fn ballast(&self) -> std::path::PathBuf {
        self.dir.path().join("ballast")
    }

    fn fill(&self) {
        let mut file = std::fs::File::create(self.ballast()).unwrap();
        while std::io::Write::write_all(&mut file, &[1; 4096]).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .args(["-l"])
            .arg(self.dir.path())
            .status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_full_disk_new_tasks_are_dropped_with_the_cause_and_the_agent_goes_on() {
    if !can_run() {
        return;
    }
    let Some(disk) = SmallDisk::mount() else { return };
    let mut master = Master::start().await;
    let agent = Agent::start(&master, &disk.dir.path().join("data"), true).await;
    let (mut stream, _) = master.register(1).await;
    stream.run(shell("before", "true")).await;
    while !stream.status().await.state.is_terminal() {}
    let tasks = disk.dir.path().join("data/tasks");
    while std::fs::read_dir(&tasks).unwrap().count() > 0 {
        tokio::task::yield_now().await;
    }
    disk.fill();
    stream.run(shell("full", "true")).await;
    let status = stream.status().await;
    assert_eq!(status.state, TaskState::Dropped);
    assert!(
        status.message.contains("No space left on device"),
        "{}",
        status.message
    );
    std::fs::remove_file(disk.ballast()).unwrap();
    stream.run(shell("after", "true")).await;
    let mut last = stream.status().await;
    while !last.state.is_terminal() {
        last = stream.status().await;
    }
    assert_eq!(
        (last.task_id.as_str(), last.state),
        ("after", TaskState::Finished)
    );
    agent.stop().await;
}

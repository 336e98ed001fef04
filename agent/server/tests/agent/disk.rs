//! The disk of tasks: who holds them to it, and that it ends those who take more by its own reason.
//!
//! The same tests run on this host, where the agent measures as a rule, and in guests whose file system has project
//! quotas.

use std::path::{Path, PathBuf};

use proffer_agent::DiskQuota;
use proffer_linux::ProjectQuota;
use proffer_privileged_tests::guest::{self, FileSystem};
use proffer_types::container::{VolumeSource, VolumeSpec};
use proffer_types::task::TaskStatus;
use proffer_types::{OperationState, ResourceChange, VolumeId};

use super::resources::{create, reserve};
use super::*;

const MIB: u64 = 1 << 20;

/// A task with so many MiB of disk.
fn with_disk(id: &str, disk: u64, script: &str) -> TaskInfo {
    let mut task = shell(id, script);
    task.resources = Resources::of(100, 64 * MIB, disk * MIB);
    task
}

/// Fails at once where it cannot write, and is there to be ended where it can.
fn writes(file: &str) -> String {
    format!("dd if=/dev/zero of={file} bs=1M count=60 || exit 1; sleep 60")
}

fn sandbox(dir: &Path, task: &str) -> PathBuf {
    let framework = dir.join("sandboxes").join(framework_id().as_str());
    framework.join(task).join("sandbox")
}

/// What the file system counts; none where the agent measures.
fn quota(dir: &Path) -> Option<ProjectQuota> {
    ProjectQuota::open(dir).ok()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let look = async {
        while !holds() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    assert!(
        tokio::time::timeout(master::PATIENCE, look).await.is_ok(),
        "waited in vain for {what}"
    );
}

fn assert_over(end: &TaskStatus, what: &str) {
    assert_eq!(end.state, TaskState::Failed, "{end:?}");
    assert_eq!(end.reason, Some(StatusReason::ContainerLimitationDisk), "{end:?}");
    assert!(end.message.contains(what), "{}", end.message);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_more_than_its_disk_ends_by_that_reason_and_others_do_not_notice() {
    if !can_run() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut master = Master::start().await;
    let agent = Agent::start(&master, dir.path(), true).await;
    let (mut stream, registration) = master.register(1).await;
    let AgentMessage::Register { info, .. } = registration else {
        panic!("not a registration: {registration:?}");
    };
    let shown = info.attributes.iter().find(|shown| shown.name == "disk_quota");
    let quota = quota(dir.path());
    let expected = if quota.is_some() { "project" } else { "measured" };
    assert_eq!(shown.unwrap().value, expected);

    let waits = "head -c 12M /dev/zero >file; until test -e end; do sleep 0.1; done";
    stream.run(with_disk("modest", 16, waits)).await;
    stream.run(with_disk("greedy", 16, &writes("file"))).await;
    let end = stream.end_of("greedy").await;
    assert_over(&end, "of the disk limit of 16MiB");
    let written = std::fs::metadata(sandbox(dir.path(), "greedy").join("file"))
        .unwrap()
        .len();
    // With quotas refused at the write, not far above the limit.
    let most = if quota.is_some() { 27 } else { 60 };
    assert!((16 * MIB..=most * MIB).contains(&written), "{written}");

    std::fs::write(sandbox(dir.path(), "modest").join("end"), "").unwrap();
    assert_eq!(stream.end_of("modest").await.state, TaskState::Finished);
    agent.stop().await;

    let Some(quota) = quota else { return };
    let sandbox = sandbox(dir.path(), "modest");
    let project = quota.project(&sandbox).unwrap();
    assert_ne!(project, 0);
    assert!(quota.usage(project).unwrap().n_bytes >= 12 * MIB);
    // As the collection of sandboxes does.
    std::fs::remove_dir_all(sandbox.parent().unwrap()).unwrap();
    let is_free = || quota.usage(project).unwrap().n_inodes == 0;
    until("a project without files", is_free).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_agent_finds_whose_files_are_whose() {
    if !can_run() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut master = Master::start().await;
    let agent = Agent::start(&master, dir.path(), false).await;
    let (mut stream, _) = master.register(1).await;
    let waits = format!(
        "until test -e end; do sleep 0.1; done; {}",
        writes("$PROFFER_SANDBOX/file")
    );
    stream.run(with_disk("first", 16, &waits)).await;
    while stream.status().await.state != TaskState::Running {}
    agent.stop().await;

    let agent = Agent::start(&master, dir.path(), true).await;
    let (mut stream, _) = master.register(2).await;
    stream
        .run(with_disk("second", 16, "head -c 12M /dev/zero >file"))
        .await;
    assert_eq!(stream.end_of("second").await.state, TaskState::Finished);
    if let Some(quota) = quota(dir.path()) {
        let project = |task: &str| quota.project(&sandbox(dir.path(), task)).unwrap();
        assert!(project("first") != 0 && project("second") != 0);
        assert_ne!(project("first"), project("second"));
        let tmp = sandbox(dir.path(), "first").with_file_name("tmp");
        assert_eq!(quota.project(&tmp).unwrap(), project("first"));
    }
    std::fs::write(sandbox(dir.path(), "first").join("end"), "").unwrap();
    let end = stream.end_of("first").await;
    assert_over(&end, "of the disk limit of 16MiB");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_group_shares_counts_once_against_the_disk_of_all() {
    if !can_run() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut master = Master::start().await;
    let agent = Agent::start(&master, dir.path(), true).await;
    let (mut stream, _) = master.register(1).await;
    let member = |id: &str, script: &str| {
        let mut task = with_disk(id, 8, script);
        task.container.volumes = vec![VolumeSpec {
            source: VolumeSource::Group { name: "g".to_owned() },
            container_path: "/run/shared".to_owned(),
            read_only: false,
        }];
        task
    };
    let fills = "head -c 12M /dev/zero >/run/shared/file; sleep 3; touch /run/shared/well; sleep 60";
    let more = format!(
        "until test -e /run/shared/well; do sleep 0.1; done; {}",
        writes("/run/shared/more")
    );
    stream
        .run_group(vec![member("fills", fills), member("more", &more)])
        .await;
    let mut ends = Vec::new();
    while ends.len() < 2 {
        let status = stream.status().await;
        if status.state.is_terminal() {
            ends.push(status);
        }
    }
    // Whoever is over it, the other one ends for that reason only. And what was there before `well` was, is more than
    // either may have, and less than both.
    let by_disk = |end: &TaskStatus| end.reason == Some(StatusReason::ContainerLimitationDisk);
    ends.sort_by_key(|end| !by_disk(end));
    assert_over(&ends[0], "the files of its group");
    assert!(
        ends[0].message.ends_with("of the disk limit of 16MiB"),
        "{ends:?}"
    );
    assert_eq!(ends[1].state, TaskState::Killed, "{ends:?}");
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_persistent_volume_holds_what_it_is_for_and_goes_whole() {
    if !can_run() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // Of the host's directories one that tasks get to, wherever the tests keep theirs.
    let (data, mnt) = (dir.path().join("data"), Path::new("/mnt"));
    let disk = |amount: u64| format!("disk(+prod)[v:{}]:{amount}MiB", mnt.display());
    let uses = |id: &str, script: &str| {
        let mut task = shell(id, script);
        task.resources.add(&disk(16).parse().unwrap());
        task
    };
    let mut master = Master::start().await;
    let agent = Agent::start(&master, &data, true).await;
    let (mut stream, _) = master.register(1).await;
    for change in [reserve("disk:16MiB"), create("disk(+prod):16MiB", mnt)] {
        assert_eq!(stream.change(change).await, OperationState::Finished);
    }
    let fits = format!("head -c 12M /dev/zero >{}/file", mnt.display());
    stream.run(uses("fits", &fits)).await;
    assert_eq!(stream.end_of("fits").await.state, TaskState::Finished);
    let more = writes(&format!("{}/more", mnt.display()));
    stream.run(uses("more", &more)).await;
    assert_over(&stream.end_of("more").await, "the files of its volume `v`");
    let volume = data.join("volumes/roles/prod/v");
    let project = quota(&data).map(|quota| (quota.project(&volume).unwrap(), quota));

    let destroy = ResourceChange::Destroy {
        volume: VolumeId::new("v").unwrap(),
    };
    assert_eq!(stream.change(destroy).await, OperationState::Finished);
    if let Some((project, quota)) = project {
        assert_ne!(project, 0);
        let is_free = || quota.usage(project).unwrap().n_inodes == 0;
        until("a project without files", is_free).await;
    }
    agent.stop().await;
}

#[tokio::test]
async fn an_agent_does_not_start_with_quotas_that_cannot_be_had() {
    if !can_run() || guest::is_inside() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    if quota(dir.path()).is_some() {
        println!("skipped: this host has project quotas");
        return;
    }
    let mut config = Config::new(
        vec!["127.0.0.1:1".to_owned()],
        "127.0.0.1:0".parse().unwrap(),
        dir.path().to_owned(),
    );
    config.files.disk_quota = DiskQuota::Project;
    let error = proffer_agent::run(config, CancellationToken::new()).await;
    let error = error.unwrap_err();
    assert!(error.to_string().contains("--disk-quota project"), "{error}");
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("prjquota"), "{cause}");
}

fn in_a_guest(file_system: FileSystem) {
    guest::run_tests_with_project_quotas(
        file_system,
        &std::env::current_exe().unwrap(),
        "disk::",
        "the_same_holds",
        Path::new(env!("CARGO_TARGET_TMPDIR")),
    )
    .unwrap();
}

#[test]
fn the_same_holds_with_project_quotas_of_ext4() {
    in_a_guest(FileSystem::Ext4);
}

#[test]
fn the_same_holds_with_project_quotas_of_xfs() {
    in_a_guest(FileSystem::Xfs);
}

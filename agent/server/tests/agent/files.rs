//! Volumes, secrets, fetched files, and the files that are left.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use proffer_agent::{Config, FilePolicy};
use proffer_grpc::v1::files_client::FilesClient;
use proffer_types::container::{Fetch, Propagation, VolumeSource, VolumeSpec};
use proffer_types::{StatusReason, TaskInfo, TaskState};
use proffer_wire::v1::{ListFilesRequest, ReadFileRequest};
use tonic::Code;

use crate::master::{Master, framework_id, patiently};
use crate::{Agent, can_run, shell};

/// Not to be found on any disk.
const SECRET: &str = "correct-horse-battery-staple";

fn volume(source: VolumeSource, path: &str, read_only: bool) -> VolumeSpec {
    VolumeSpec {
        container_path: path.to_owned(),
        source,
        read_only,
    }
}

fn host(path: &Path) -> VolumeSource {
    VolumeSource::HostPath {
        path: path.display().to_string(),
        propagation: Propagation::Private,
    }
}

async fn agent(master: &Master, dir: &Path) -> Agent {
    let files = FilePolicy {
        allowed_host_paths: vec![dir.join("open")],
        allowed_fetch_paths: vec![dir.join("open")],
        secrets: Some(dir.join("secrets")),
        ..FilePolicy::default()
    };
    Agent::start_with(master, &dir.join("data"), true, |config| Config {
        files,
        ..config
    })
    .await
}

fn host_files() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for made in ["open", "secrets"] {
        fs::create_dir(dir.path().join(made)).unwrap();
    }
    fs::write(dir.path().join("open/file"), "of the host\n").unwrap();
    fs::write(dir.path().join("secrets/key"), SECRET).unwrap();
    dir
}

/// Every file below a directory that holds a text.
fn holders(dir: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let kind = fs::symlink_metadata(&path).unwrap();
        if kind.is_dir() {
            found.extend(holders(&path, text));
        } else if kind.is_file() {
            let content = fs::read(&path).unwrap();
            if content.windows(text.len()).any(|part| part == text.as_bytes()) {
                found.push(path);
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_sees_its_volumes_and_its_secrets_are_on_no_disk() {
    if !can_run() {
        return;
    }
    let dir = host_files();
    let mut master = Master::start().await;
    let agent = agent(&master, dir.path()).await;
    let (mut stream, _) = master.register(1).await;
    let script = "cat /run/v/host/file; echo x 2>/dev/null >/run/v/host/new || echo read-only
        echo kept >/run/v/own/file; cat sub/file; echo y >/run/v/group/file && echo shared
        grep -o '/run/v/memory tmpfs' /proc/mounts; test \"$(cat /run/v/key)\" = \"$KEY\" && echo ${#KEY}
        ls $DATA | wc -l; ls $SECRETS | wc -l";
    let mut task = shell("t", script);
    let group = VolumeSource::Group { name: "g".to_owned() };
    let own = VolumeSource::Sandbox {
        path: "sub".to_owned(),
    };
    let secret = VolumeSource::Secret {
        name: "key".to_owned(),
    };
    task.container.volumes = vec![
        volume(host(&dir.path().join("open")), "/run/v/host", true),
        volume(own, "/run/v/own", false),
        volume(group, "/run/v/group", false),
        volume(
            VolumeSource::Tmpfs { size: Some(1 << 20) },
            "/run/v/memory",
            false,
        ),
        volume(secret, "/run/v/key", true),
    ];
    task.container
        .secret_env
        .insert("KEY".to_owned(), "key".to_owned());
    for name in ["data", "secrets"] {
        let path = dir.path().join(name).display().to_string();
        task.container.env.insert(name.to_uppercase(), path);
    }
    stream.run(task).await;
    let end = stream.end_of("t").await;
    assert_eq!(end.state, TaskState::Finished, "{end:?} {}", agent.log("t").await);
    let expected = format!(
        "of the host\nread-only\nkept\nshared\n/run/v/memory tmpfs\n{}\n0\n0\n",
        SECRET.len()
    );
    assert_eq!(agent.log("t").await, expected);
    assert_eq!(holders(&dir.path().join("data"), SECRET), Vec::<PathBuf>::new());

    // What cannot be had is named, and what it is is not told.
    symlink("/etc", dir.path().join("open/link")).unwrap();
    let cases = [
        (host(Path::new("/etc")), "--allow-host-path"),
        (host(&dir.path().join("open/link")), "--allow-host-path"),
        (
            VolumeSource::Secret {
                name: "none".to_owned(),
            },
            "the secret `none`",
        ),
    ];
    for (n, (source, why)) in cases.into_iter().enumerate() {
        let id = format!("refused{n}");
        let mut task = shell(&id, "true");
        task.container.volumes = vec![volume(source, "/run/v/x", false)];
        stream.run(task).await;
        let end = stream.end_of(&id).await;
        assert_eq!(end.reason, Some(StatusReason::ContainerLaunchFailed));
        assert!(end.message.contains(why), "{}", end.message);
    }
    agent.stop().await;
    let left = ["containers", "groups"].map(|name| fs::read_dir(dir.path().join("data").join(name)));
    assert_eq!(left.map(|dir| dir.unwrap().count()), [0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tasks_of_a_group_share_its_volumes() {
    if !can_run() {
        return;
    }
    let dir = host_files();
    let mut master = Master::start().await;
    let agent = agent(&master, dir.path()).await;
    let (mut stream, _) = master.register(1).await;
    let member = |id: &str, script: &str| {
        let mut task = shell(id, script);
        let group = VolumeSource::Group { name: "g".to_owned() };
        task.container.volumes = vec![volume(group, "/run/shared", false)];
        task
    };
    let tasks: Vec<TaskInfo> = vec![
        member("writes", "echo from writer >/run/shared/file"),
        member(
            "reads",
            "until cat /run/shared/file 2>/dev/null; do sleep 0.05; done",
        ),
    ];
    stream.run_group(tasks).await;
    assert_eq!(stream.end_of("reads").await.state, TaskState::Finished);
    assert_eq!(agent.log("reads").await, "from writer\n");
    agent.stop().await;
    assert_eq!(fs::read_dir(dir.path().join("data/groups")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetched_files_are_there_before_the_task_and_its_own_can_be_read_after_it() {
    if !can_run() {
        return;
    }
    let dir = host_files();
    let mut master = Master::start().await;
    let agent = agent(&master, dir.path()).await;
    let (mut stream, _) = master.register(1).await;
    let mut task = shell("t", "./in/prog; ln -s /etc/passwd link; mkfifo pipe; exec true");
    fs::write(
        dir.path().join("open/prog"),
        "#!/bin/sh\necho fetched | tee out\n",
    )
    .unwrap();
    task.container.fetch = vec![Fetch {
        uri: format!("file://{}/open/prog", dir.path().display()),
        sha256: None,
        destination: Some("in/prog".to_owned()),
        executable: true,
        extract: false,
        cache: false,
    }];
    stream.run(task.clone()).await;
    let end = stream.end_of("t").await;
    assert_eq!(end.state, TaskState::Finished, "{end:?}");
    assert_eq!(agent.log("t").await, "fetched\n");

    let mut files = FilesClient::connect(format!("http://{}", agent.api))
        .await
        .unwrap();
    let list = ListFilesRequest {
        framework_id: framework_id().to_string(),
        task_id: "t".into(),
        path: String::new(),
    };
    let mut listed = files.list_files(list).await.unwrap().into_inner();
    let listed = patiently(listed.message()).await.unwrap().unwrap().entries;
    let mut names: Vec<_> = listed.into_iter().map(|entry| entry.name).collect();
    names.sort();
    assert_eq!(names, ["in", "link", "out", "pipe"]);
    let read = |path: &str| ReadFileRequest {
        framework_id: framework_id().to_string(),
        task_id: "t".into(),
        path: path.to_owned(),
        offset: 3,
        length: Some(4),
    };
    let mut chunks = files.read_file(read("out")).await.unwrap().into_inner();
    assert_eq!(patiently(chunks.message()).await.unwrap().unwrap().data, b"ched");
    for (path, code) in [
        ("link", Code::FailedPrecondition),
        ("pipe", Code::InvalidArgument),
        ("../stdout", Code::InvalidArgument),
    ] {
        let mut chunks = files.read_file(read(path)).await.unwrap().into_inner();
        assert_eq!(
            patiently(chunks.message()).await.unwrap_err().code(),
            code,
            "{path}"
        );
    }

    let mut wrong = shell("wrong", "true");
    wrong.container.fetch = vec![Fetch {
        sha256: Some("0".repeat(64)),
        ..task.container.fetch.remove(0)
    }];
    stream.run(wrong).await;
    let end = stream.end_of("wrong").await;
    assert_eq!(end.reason, Some(StatusReason::ContainerLaunchFailed));
    assert!(end.message.contains("has sha256"), "{}", end.message);
    agent.stop().await;
}

//! Hostile and mistaken input: a clear error that says what to do, and nothing changed.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{fs, os::unix::fs::PermissionsExt as _};

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::{Cluster, built_binary, signal, skipped, text, wait_for};
use proffer_wire::v1;
use tonic::Code;

const PATIENCE: Duration = Duration::from_secs(60);

/// A job of one task with some lines changed.
fn job(task: &str) -> String {
    format!("name: bad\ntasks:\n  - name: a\n    cpus: 0.1\n    mem: 16MiB\n    command: [\"true\"]\n{task}")
}

#[test]
fn a_bad_job_file_is_refused_with_its_place_and_changes_nothing() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    let refused = |job: &str, says: &[&str]| -> Result<()> {
        let path = cluster.scratch().join("bad.yaml");
        fs::write(&path, job)?;
        let output = cluster.run(&["job", "submit", &path.to_string_lossy()])?;
        let stderr = text(&output.stderr);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{job}\n{stderr}");
        assert!(
            says.iter().all(|say| stderr.contains(say)),
            "{job}\nshould say {says:?}:\n{stderr}"
        );
        assert!(!stderr.contains("panicked"), "{stderr}");
        Ok(())
    };
    refused(&job("    colour: blue\n"), &["bad.yaml:7", "colour"])?;
    refused(
        &job("").replace("mem: 16MiB", "mem: -16MiB"),
        &["bad.yaml:5", "mem", "-16MiB"],
    )?;
    refused(
        &job("").replace("cpus: 0.1", "cpus: .nan"),
        &["bad.yaml:4", "cpus"],
    )?;
    refused(&job("    count: -1\n"), &["bad.yaml:7", "count"])?;
    refused(&job("    timeout: soon\n"), &["bad.yaml:7", "timeout"])?;
    refused(&job("").replace("name: a", "name: a/b"), &["a/b"])?;
    refused(&job("").replace("    command: [\"true\"]\n", ""), &["command"])?;
    refused(
        &job(
            "    after: [b]\n  - name: b\n    cpus: 0.1\n    mem: 16MiB\n    command: [x]\n    after: [a]\n",
        ),
        &["cycle", "a", "b"],
    )?;
    refused(&job("    after: [nobody]\n"), &["after", "nobody"])?;
    refused(
        &job("").replace("cpus: 0.1", "cpus: 4000"),
        &["`a`", "cpus", "4000", "largest agent"],
    )?;
    refused(
        &job("").replace("16MiB", "900TiB"),
        &["`a`", "mem", "900TiB", "largest agent"],
    )?;
    refused("name: [", &["bad.yaml"])?;
    refused("", &["bad.yaml"])?;

    let missing = cluster.run(&["job", "submit", "/no/such/file.yaml"])?;
    assert!(text(&missing.stderr).contains("/no/such/file.yaml"));
    let jobs = cluster.json(&["job", "list"])?;
    assert_eq!(jobs.as_array().map(Vec::len), Some(0), "{jobs}");
    Ok(())
}

#[test]
fn what_no_agent_could_ever_hold_is_explained_by_resource_and_largest_agent() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    // No agent yet, so nobody can tell that the job is too big.
    let cluster = Cluster::start_with(&built_binary()?, &["--agents", "0"])?;
    let big = job("").replace("cpus: 0.1", "cpus: 64");
    let submitted = cluster.run_with_input(&["job", "submit", "-"], &big)?;
    ensure!(submitted.status.success(), "{}", text(&submitted.stderr));
    assert!(
        cluster.ok(&["why", "bad"])?.contains("no agent"),
        "{}",
        cluster.ok(&["why", "bad"])?
    );

    let mut agent = Daemon(
        Command::new(built_binary()?)
            .args([
                "agent",
                "--listen",
                "127.0.0.1:0",
                "--resources",
                "cpus:1;mem:1GiB",
                "--kill-tasks-on-stop",
            ])
            .args(["--master", &cluster.master()?, "--data-dir"])
            .arg(cluster.scratch().join("agent"))
            .stderr(Stdio::null())
            .spawn()?,
    );
    let why = || cluster.ok(&["why", "bad"]).unwrap_or_default();
    let told = wait_for(PATIENCE, || {
        ["cpus", "64", "largest agent"]
            .iter()
            .all(|say| why().contains(say))
    });
    assert!(told, "{}", why());
    agent.stop()
}

/// A daemon of the test's own, stopped with it.
struct Daemon(Child);

impl Daemon {
    fn stop(&mut self) -> Result<()> {
        signal(self.0.id(), "TERM")?;
        ensure!(self.0.wait()?.success());
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = signal(self.0.id(), "TERM");
            let _ = self.0.wait();
        }
    }
}

fn resources(cpus: f64) -> Option<v1::Resources> {
    let scalar = |name: &str, value| v1::Resource {
        name: name.to_owned(),
        value: Some(v1::resource::Value::Scalar(value)),
        ..Default::default()
    };
    Some(v1::Resources {
        items: vec![scalar("cpus", cpus), scalar("mem", 16_777_216.0)],
    })
}

fn job_spec(name: &str, cpus: f64) -> v1::JobSpec {
    let container = v1::ContainerSpec {
        command: vec!["true".to_owned()],
        ..Default::default()
    };
    let task = v1::JobTask {
        name: "a".to_owned(),
        resources: resources(cpus),
        container: Some(container),
        ..Default::default()
    };
    v1::JobSpec {
        name: name.to_owned(),
        tasks: vec![task],
        ..Default::default()
    }
}

#[tokio::test]
async fn a_wrong_message_is_refused_and_nothing_dies_of_it() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    let address = format!("http://{}", cluster.master()?);
    let mut jobs = proffer_grpc::v1::jobs_client::JobsClient::connect(address.clone()).await?;
    for (spec, says) in [
        (job_spec("nan", f64::NAN), "cpus"),
        (job_spec("inf", f64::INFINITY), "cpus"),
        (job_spec("negative", -1.0), "cpus"),
        (job_spec("a/b", 0.1), "a/b"),
        (job_spec("", 0.1), "name"),
        (
            v1::JobSpec {
                name: "none".to_owned(),
                ..Default::default()
            },
            "task",
        ),
    ] {
        let name = spec.name.clone();
        let request = v1::SubmitJobRequest { spec: Some(spec) };
        let status = jobs
            .submit_job(request)
            .await
            .err()
            .with_context(|| format!("`{name}` was taken"))?;
        assert_eq!(status.code(), Code::InvalidArgument, "{name}: {status:?}");
        assert!(status.message().contains(says), "{name}: {status:?}");
    }
    let status = jobs
        .submit_job(v1::SubmitJobRequest { spec: None })
        .await
        .err()
        .context("was taken")?;
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");

    let refused = |info: v1::FrameworkInfo| {
        let address = address.clone();
        async move {
            let mut scheduler = proffer_grpc::v1::scheduler_client::SchedulerClient::connect(address).await?;
            let subscribe = v1::scheduler_call::Subscribe {
                framework_info: Some(info),
                suppressed_roles: vec![],
                ..Default::default()
            };
            let call = v1::SchedulerCall {
                call: Some(v1::scheduler_call::Call::Subscribe(subscribe)),
            };
            let calls = tokio_stream::iter([v1::SchedulerCalls { calls: vec![call] }]);
            let mut events = match scheduler.subscribe(calls).await {
                Ok(response) => response.into_inner(),
                Err(status) => return Ok(status.message().to_owned()),
            };
            // Refused by an Error event, or by the status the stream ends with.
            loop {
                match events.message().await {
                    Ok(Some(frame)) => {
                        for event in frame.events {
                            if let Some(v1::scheduler_event::Event::Error(error)) = event.event {
                                return Ok(error.message);
                            }
                            ensure!(
                                !matches!(event.event, Some(v1::scheduler_event::Event::Subscribed(_))),
                                "it was subscribed"
                            );
                        }
                    }
                    Ok(None) => anyhow::bail!("the stream ended without a reason"),
                    Err(status) => return Ok(status.message().to_owned()),
                }
            }
        }
    };
    let info = v1::FrameworkInfo {
        name: "x".to_owned(),
        roles: vec!["*".to_owned()],
        ..Default::default()
    };
    let slash = refused(v1::FrameworkInfo {
        framework_id: "a/b".to_owned(),
        ..info.clone()
    })
    .await?;
    assert!(slash.contains("a/b"), "{slash}");
    let labels = (0..64)
        .map(|n| (format!("label{n}"), "x".repeat(80_000)))
        .collect();
    let labels = refused(v1::FrameworkInfo {
        labels,
        ..info.clone()
    })
    .await?;
    assert!(!labels.is_empty());
    let few_labels = (0..8)
        .map(|n| (format!("label{n}"), "x".repeat(80_000)))
        .collect();
    let few_labels = refused(v1::FrameworkInfo {
        labels: few_labels,
        ..info.clone()
    })
    .await?;
    assert!(few_labels.contains("labels"), "{few_labels}");
    let roles = refused(v1::FrameworkInfo {
        roles: vec![],
        ..info.clone()
    })
    .await?;
    assert!(roles.contains("role"), "{roles}");
    let never = refused(v1::FrameworkInfo {
        framework_id: "never-issued-f1".to_owned(),
        ..info
    })
    .await?;
    assert!(never.contains("never-issued-f1"), "{never}");

    // All of it changed nothing: the cluster still works, with its two frameworks.
    assert_eq!(cluster.run(&["run", "--", "true"])?.status.code(), Some(0));
    assert_eq!(cluster.json(&["frameworks"])?.as_array().map(Vec::len), Some(2));
    Ok(())
}

#[test]
fn a_daemon_that_cannot_start_says_what_to_do() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let binary = built_binary()?;
    let refused = |mut command: Command, says: &[&str]| -> Result<()> {
        let output = command.stdin(Stdio::null()).output()?;
        let stderr = text(&output.stderr);
        assert!(
            matches!(output.status.code(), Some(1 | 2)),
            "{command:?}: {}\n{stderr}",
            output.status
        );
        assert!(
            says.iter().all(|say| stderr.contains(say)),
            "should say {says:?}:\n{stderr}"
        );
        Ok(())
    };
    let daemon = |args: &[&str], data: &Path| {
        let mut command = Command::new(&binary);
        command.args(args).arg("--data-dir").arg(data);
        command
    };
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    refused(
        daemon(&["master", "--listen", &address], &dir.path().join("m")),
        &[&address, "in use"],
    )?;
    refused(
        daemon(&["master", "--listen", "0.0.0.0:0"], &dir.path().join("m")),
        &["--insecure-listen"],
    )?;
    fs::write(dir.path().join("file"), "")?;
    refused(
        daemon(&["master", "--listen", "127.0.0.1:0"], &dir.path().join("file")),
        &["file"],
    )?;
    refused(
        daemon(
            &["agent", "--listen", "127.0.0.1:0", "--resources", "cpus:-3"],
            &dir.path().join("a"),
        ),
        &["-3"],
    )?;
    refused(
        daemon(&["master", "--allocator", "best"], &dir.path().join("m")),
        &["best", "drf, random, fifo, priority"],
    )?;
    refused(
        daemon(&["dev", "--allocator", "best"], &dir.path().join("d")),
        &["best", "drf, random, fifo, priority"],
    )?;
    refused(
        daemon(&["master", "--domain", "eu"], &dir.path().join("m")),
        &["--domain", "`eu`", "eu-west/a"],
    )?;

    // Not root: the binary where nobody can read it, and a directory nobody may write.
    let copy = dir.path().join("proffer");
    fs::copy(&binary, &copy)?;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777))?;
    let mut nobody = Command::new("setpriv");
    nobody
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&copy)
        .args(["agent", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(dir.path().join("nobody"));
    refused(nobody, &["root"])
}

/// A small file system that is unmounted with its test.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: &Path, size: &str) -> Result<Self> {
        fs::create_dir_all(at)?;
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(at)
            .status()?;
        ensure!(status.success(), "mount: {status}");
        Ok(Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_named_and_work_goes_on_when_there_is_room_again() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let disk = SmallDisk::mount(&dir.path().join("disk"), "64m")?;
    let mut cluster = Cluster::start_at(&built_binary()?, &disk.0, &[])?;
    assert_eq!(cluster.run(&["run", "--", "true"])?.status.code(), Some(0));

    let filler = disk.0.join("filler");
    let full = Command::new("sh")
        .args(["-c", "cat /dev/zero > \"$0\" 2>/dev/null; true"])
        .arg(&filler)
        .status()?;
    ensure!(full.success());
    // A store may have room of its own set aside: it takes jobs until that is used up, and keeps what it took.
    let large = |n: u32| {
        let task = |t: u32| {
            let env = "x".repeat(60_000);
            format!(
                "  - name: t{t}\n    cpus: 0.1\n    mem: 16MiB\n    command: [\"true\"]\n    env: {{ LARGE: {env} }}\n"
            )
        };
        format!(
            "name: large{n}\ntasks:\n{}",
            (0..10).map(task).collect::<String>()
        )
    };
    let mut taken = 0;
    let stderr = loop {
        ensure!(taken < 20, "12 MB were taken though the disk is full");
        let output = cluster.run_with_input(&["job", "submit", "-"], &large(taken))?;
        if !output.status.success() {
            break text(&output.stderr);
        }
        taken += 1;
    };
    assert!(stderr.to_lowercase().contains("no space left"), "{stderr}");

    fs::remove_file(&filler)?;
    let works = wait_for(PATIENCE, || {
        cluster
            .run(&["run", "--", "true"])
            .is_ok_and(|done| done.status.code() == Some(0))
    });
    assert!(works, "no task runs though there is room again");
    let refused = format!("large{taken}");
    let ended = |name: &str| {
        cluster
            .json(&["job", "status", name])
            .is_ok_and(|job| job["state"] == "finished")
    };
    for n in 0..taken {
        assert!(
            wait_for(PATIENCE, || ended(&format!("large{n}"))),
            "large{n} was taken and does not end"
        );
    }
    assert_eq!(
        cluster.run(&["job", "status", &refused])?.status.code(),
        Some(1),
        "{refused} was refused"
    );
    cluster.stop()
}

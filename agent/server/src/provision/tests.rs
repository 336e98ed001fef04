//! What is prepared is taken back, whoever is left to do it.

use std::fs;
use std::path::PathBuf;

use proffer_types::{AgentId, FrameworkId, Resources, TaskId};

use proffer_grpc::leader::Masters;

use super::*;

struct Bench {
    provisioner: Provisioner,
    dir: tempfile::TempDir,
}

async fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = Arc::new(DataDir::open(dir.path()).unwrap());
    let images = ImageStore::open(&data_dir.images(), proffer_image::Config::default()).unwrap();
    let networks = proffer_network::Networks::open(proffer_network::Config {
        tag: proffer_network::Tag::new(data_dir.hash()),
        is_rootless: false,
        records: data_dir.networks(),
        bridge_subnet: proffer_network::Subnet::default(),
        set_ip_forward: false,
        cni_config_dir: dir.path().join("cni"),
        cni_plugin_dirs: Vec::new(),
    });
    let networks = networks.await.unwrap();
    Bench {
        provisioner: Provisioner::new(
            Arc::clone(&data_dir),
            Disk::new(data_dir, None, None),
            &FilePolicy::default(),
            &SecurityPolicy::default(),
            networks,
            images,
            Configs::new(Masters::new(Vec::new()), dir.path().join("configs")),
            Pool::default(),
            Ranges::default(),
        )
        .unwrap(),
        dir,
    }
}

fn request(container_id: u64) -> Request {
    let task_id = TaskId::new(format!("t{container_id}")).unwrap();
    let agent_id = AgentId::new("a").unwrap();
    Request {
        container_id: ContainerId(container_id),
        key: TaskKey {
            framework_id: FrameworkId::new("f").unwrap(),
            task_id: task_id.clone(),
        },
        group: None,
        info: TaskInfo::new(task_id, agent_id, Resources::new(), ["true"]),
        keeps_sandbox: false,
        executor: None,
    }
}

impl Bench {
    fn enter(&self, id: u64, group: &str) {
        let group = GroupId::new(group).unwrap();
        self.provisioner.enter(ContainerId(id), Some(&group)).unwrap();
    }

    fn left(&self) -> Vec<PathBuf> {
        let dirs = ["containers", "groups"].map(|name| self.dir.path().join(name));
        let entries = dirs.iter().flat_map(|dir| fs::read_dir(dir).unwrap());
        let mut left: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        left.sort();
        let root = self.dir.path();
        left.iter()
            .map(|path| path.strip_prefix(root).unwrap().to_owned())
            .collect()
    }
}

#[tokio::test]
async fn a_group_ends_with_the_last_of_its_containers() {
    let bench = bench().await;
    bench.enter(1, "g");
    bench.enter(2, "g");
    bench.provisioner.release(ContainerId(1)).await;
    assert_eq!(
        bench.left(),
        ["containers/0000000000000002", "groups/g"].map(PathBuf::from)
    );
    bench.provisioner.release(ContainerId(2)).await;
    bench.provisioner.release(ContainerId(2)).await;
    assert_eq!(bench.left(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn what_an_agent_that_was_killed_prepared_goes_at_the_next_start() {
    let bench = bench().await;
    bench.enter(1, "known");
    bench.enter(2, "known");
    bench.enter(3, "lost");
    // A member whose container was removed, and one that was written before its container knew.
    fs::remove_dir_all(bench.dir.path().join("containers/0000000000000003")).unwrap();
    bench.enter(4, "half");
    fs::remove_file(bench.dir.path().join("containers/0000000000000004/group")).unwrap();
    bench.provisioner.recover(&[ContainerId(2)]).await;
    assert_eq!(
        bench.left(),
        ["containers/0000000000000002", "groups/known"].map(PathBuf::from)
    );
    let members = fs::read_dir(bench.dir.path().join("groups/known/members")).unwrap();
    assert_eq!(members.count(), 1);
}

#[tokio::test]
async fn a_release_waits_for_work_that_goes_on_after_its_launch_was_given_up() {
    let bench = bench().await;
    let id = ContainerId(1);
    bench.provisioner.enter(id, None).unwrap();
    let (started_tx, started) = tokio::sync::oneshot::channel();
    let (go_on, waits) = std::sync::mpsc::channel();
    let stage = bench.provisioner.stage(id);
    let prepare = tokio::spawn(async move {
        let work = move |data_dir: &DataDir| {
            started_tx.send(()).unwrap();
            waits.recv().unwrap();
            let made = data_dir.make_container(id);
            let late = made.and_then(|dir| fs::write(dir.join("late"), ""));
            late.map_err(|error| error.to_string())
        };
        stage.blocking(work).await.unwrap();
    });
    started.await.unwrap();
    prepare.abort();
    let release = bench.provisioner.release(id);
    tokio::pin!(release);
    assert!(futures::poll!(&mut release).is_pending());
    go_on.send(()).unwrap();
    release.await;
    assert_eq!(bench.left(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_task_finds_nothing_of_an_earlier_one_of_its_name_but_keeps_its_own_over_a_restart() {
    let bench = bench().await;
    let (progress, _) = Progress::new();
    let sandbox = bench.dir.path().join("sandboxes/f/t1/sandbox");
    bench.provisioner.prepare(&request(1), &progress).await.unwrap();
    fs::write(sandbox.join("file"), "").unwrap();
    let restarted = Request {
        keeps_sandbox: true,
        ..request(1)
    };
    bench.provisioner.prepare(&restarted, &progress).await.unwrap();
    assert!(sandbox.join("file").exists());
    bench.provisioner.prepare(&request(1), &progress).await.unwrap();
    assert_eq!(fs::read_dir(&sandbox).unwrap().count(), 0);
}

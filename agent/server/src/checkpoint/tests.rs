//! What is written is read back, and what is damaged costs one task.

mod damage;
mod formats;

use proffer_agent_core::{KillCause, KillRecord, Process, SuspensionRecord};
use proffer_types::agent_link::RegisteredOperation;
use proffer_types::{
    FrameworkId, GroupId, OperationId, OperationState, OperationStatus, Resources, Role, StatusSource,
    StatusUuid, TaskExit, TaskId, TaskInfo, TaskState, TaskStatus, Timestamp, Usage,
};

use crate::clock::Base;

use super::*;

fn checkpoints(dir: &Path) -> Checkpoints {
    let clock = Clock::of(Base {
        boot: 0x1234,
        booted_at_ms: 1_000,
    });
    Checkpoints::new(Arc::new(DataDir::open(dir).unwrap()), clock)
}

fn task(name: &str) -> TaskRecord {
    TaskRecord {
        framework_id: FrameworkId::new("f").unwrap(),
        role: Role::new("eng/prod").unwrap(),
        group: Some(GroupId::new("g").unwrap()),
        info: TaskInfo {
            max_completion_time: Some(std::time::Duration::from_secs(5)),
            ..TaskInfo::new(
                TaskId::new(name).unwrap(),
                AgentId::new("a").unwrap(),
                Resources::of(500, 1 << 20, 0),
                ["true"],
            )
        },
    }
}

fn state(name: &str, state: TaskState) -> StateRecord {
    let latest = TaskStatus {
        task_id: TaskId::new(name).unwrap(),
        agent_id: Some(AgentId::new("a").unwrap()),
        state,
        source: StatusSource::Agent,
        reason: None,
        message: String::new(),
        timestamp: Timestamp(7),
        uuid: Some(StatusUuid([3; 16])),
        exit: Some(TaskExit::Code(0)),
        usage: Some(Usage::default()),
        condition: proffer_types::TaskCondition::default(),
    };
    StateRecord {
        process: Some(Process {
            pid: 4,
            start_time: 5,
        }),
        started_at: Some(Timestamp(6)),
        first_started_at: Some(Timestamp(2)),
        restarts: 3,
        short_runs: 2,
        restart_at: Some(Timestamp(8)),
        suspension: SuspensionRecord {
            count: 2,
            since: Some(Timestamp(8)),
        },
        kill: Some(KillRecord {
            cause: KillCause::GroupEnded {
                task_id: TaskId::new("other").unwrap(),
            },
            kill_at: Timestamp(9),
        }),
        latest: latest.clone(),
        updates: vec![latest],
    }
}

/// Two tasks on disk, then what `damage` does to the file of the first.
fn recovered_after(damage: impl FnOnce(&Path)) -> (Recovered, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = checkpoints(dir.path());
    for (id, name) in [(1, "t"), (2, "u")] {
        checkpoints.save_task(ContainerId(id), &task(name)).unwrap();
        let state = state(name, TaskState::Finished);
        checkpoints.save_state(ContainerId(id), &state).unwrap();
    }
    damage(&checkpoints.data_dir.task(ContainerId(1)));
    (checkpoints.recover().unwrap(), dir)
}

fn flip_last_byte(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_is_written_is_read_back() {
    let (recovered, _dir) = recovered_after(|_| ());
    let expected = [(1, "t"), (2, "u")].map(|(id, name)| RecoveredTask {
        container_id: ContainerId(id),
        task: task(name),
        state: Some(state(name, TaskState::Finished)),
    });
    assert_eq!(recovered.tasks, expected);
    assert_eq!(recovered.agent_id, Some(AgentId::new("a").unwrap()));
}

#[test]
fn a_damaged_task_record_costs_that_task_only_and_is_kept_for_inspection() {
    let truncate = |path: &Path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..7]).unwrap();
    };
    let flip_first = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[16] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    for damage in [flip_first, truncate] {
        let (recovered, dir) = recovered_after(damage);
        assert_eq!(recovered.tasks.len(), 1);
        assert_eq!(recovered.tasks[0].container_id, ContainerId(2));
        assert!(dir.path().join("damaged/0-0000000000000001").exists());
    }
}

#[test]
fn a_record_of_an_older_agent_is_of_the_default_role_and_no_group() {
    let mut bytes = record::encode_task(&task("t"));
    let newer = bytes.split_off(bytes.len() - "eng/prod".len() - 2 - "g".len() - 2);
    assert_eq!(newer, b"\x1a\x08eng/prod\x22\x01g");
    let expected = TaskRecord {
        role: Role::default(),
        group: None,
        ..task("t")
    };
    assert_eq!(record::decode_task(&bytes).unwrap(), expected);
}

fn resources() -> ResourcesRecord {
    let status = OperationStatus {
        operation_id: OperationId::new("o").unwrap(),
        agent_id: Some(AgentId::new("a").unwrap()),
        state: OperationState::Failed,
        message: "no".into(),
        timestamp: Timestamp(7),
        uuid: Some(StatusUuid([3; 16])),
    };
    let framework_id = FrameworkId::new("f").unwrap();
    ResourcesRecord {
        changed: "cpus(+prod):1;disk(+prod)[v:/data]:1GiB".parse().unwrap(),
        operations: vec![RegisteredOperation { framework_id, status }],
    }
}

#[test]
fn resources_are_read_back_and_a_volume_has_its_directory_by_then() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = checkpoints(dir.path());
    assert_eq!(
        checkpoints.recover_resources().unwrap(),
        ResourcesRecord::default()
    );
    checkpoints
        .save_resources(&resources(), Durability::Synced)
        .unwrap();
    let volume = dir.path().join("volumes/roles/prod/v");
    fs::write(volume.join("file"), "data").unwrap();
    assert_eq!(checkpoints.recover_resources().unwrap(), resources());
    assert!(volume.join("file").exists());
    checkpoints
        .save_resources(&ResourcesRecord::default(), Durability::Synced)
        .unwrap();
    assert!(!volume.exists());
}

#[test]
fn a_damaged_checkpoint_of_resources_is_no_empty_one() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = checkpoints(dir.path());
    checkpoints
        .save_resources(&resources(), Durability::Synced)
        .unwrap();
    flip_last_byte(&dir.path().join("resources"));
    let refused = checkpoints.recover_resources();
    assert!(matches!(refused, Err(AgentError::ResourcesCheckpoint { .. })));
    assert!(dir.path().join("volumes/roles/prod/v").exists());
}

#[test]
fn a_damaged_state_leaves_the_task_known() {
    let (recovered, _dir) = recovered_after(flip_last_byte);
    assert_eq!(recovered.tasks.len(), 2);
    assert_eq!(recovered.tasks[0].state, None);
}

#[test]
fn a_removal_cut_short_is_finished_at_the_next_start() {
    let (recovered, dir) = recovered_after(|task| {
        fs::remove_file(task).unwrap();
        fs::write(task.with_extension("exit"), "").unwrap();
        fs::write(task.with_file_name("0000000000000002.exit"), "").unwrap();
        fs::write(task.with_file_name("0000000000000003"), "").unwrap();
    });
    assert_eq!(recovered.tasks.len(), 1);
    let left = fs::read_dir(dir.path().join("tasks")).unwrap();
    let mut left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["0000000000000002", "0000000000000002.exit"]);
}

#[test]
fn a_forgotten_task_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = checkpoints(dir.path());
    checkpoints.save_task(ContainerId(1), &task("t")).unwrap();
    fs::write(checkpoints.data_dir.exit(ContainerId(1)), "").unwrap();
    checkpoints.forget(ContainerId(1)).unwrap();
    checkpoints.forget(ContainerId(1)).unwrap();
    assert_eq!(fs::read_dir(dir.path().join("tasks")).unwrap().count(), 0);
}

#[test]
fn an_agent_keeps_its_id() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = checkpoints(dir.path());
    let id = AgentId::new("m-a7").unwrap();
    checkpoints.save_agent_id(&id).unwrap();
    assert_eq!(checkpoints.recover().unwrap().agent_id, Some(id));
}

#[test]
fn an_executor_is_found_again_with_its_exit_record_until_it_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = checkpoints(dir.path());
    let mut executor = ExecutorRecord {
        framework_id: FrameworkId::new("f").unwrap(),
        info: proffer_types::ExecutorInfo::new(proffer_types::ExecutorId::new("e").unwrap(), ["worker"]),
        was_subscribed: false,
    };
    let id = ContainerId(7);
    checkpoints.save_executor(id, &executor).unwrap();
    executor.was_subscribed = true;
    checkpoints.save_executor(id, &executor).unwrap();
    let exit = checkpoints.data_dir.exit(id);
    fs::write(&exit, "").unwrap();

    let found = checkpoints.recover().unwrap();
    let container_id = id;
    assert_eq!(
        found.executors,
        [RecoveredExecutor {
            container_id,
            executor
        }]
    );
    assert_eq!(found.tasks, []);
    assert!(exit.exists(), "how it ended is still to be read");
    checkpoints.forget(id).unwrap();
    assert_eq!(checkpoints.recover().unwrap(), Recovered::default());
    assert!(!exit.exists());
}

#[test]
fn a_deadline_is_as_far_away_for_the_next_agent_whatever_the_wall_clock_was_set_to() {
    let dir = tempfile::tempdir().unwrap();
    let before = checkpoints(dir.path());
    before.save_task(ContainerId(1), &task("t")).unwrap();
    before
        .save_state(ContainerId(1), &state("t", TaskState::Running))
        .unwrap();
    let set = Clock::of(Base {
        boot: 0x1234,
        booted_at_ms: 3_601_000,
    });
    let after = Checkpoints::new(Arc::clone(&before.data_dir), set);
    let found = after.recover().unwrap().tasks.remove(0).state.unwrap();
    assert_eq!(found.started_at, Some(Timestamp(3_600_006)));
    assert_eq!(found.first_started_at, Some(Timestamp(3_600_002)));
    assert_eq!(found.restart_at, Some(Timestamp(3_600_008)));
    assert_eq!(found.suspension.since, Some(Timestamp(3_600_008)));
    assert_eq!(found.kill.unwrap().kill_at, Timestamp(3_600_009));
}

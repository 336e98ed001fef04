//! Every format that an agent ever wrote is read, by the fixture that its own code made.

use std::path::PathBuf;

use super::*;

fn fixture(format: u32) -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.join("src/checkpoint/testdata").join(format.to_string())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (entry, to) = (
            entry.as_ref().unwrap().path(),
            to.join(entry.unwrap().file_name()),
        );
        match entry.is_dir() {
            true => copy(&entry, &to),
            false => drop(fs::copy(&entry, &to).unwrap()),
        }
    }
}

/// The files below a directory, with their content.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push((path.clone(), fs::read(&path).unwrap())),
        }
    }
    found.sort();
    found
}

/// Of a task that was never suspended: what an agent wrote that knew no suspensions.
fn state(name: &str, state: TaskState) -> StateRecord {
    StateRecord {
        suspension: SuspensionRecord::default(),
        ..super::state(name, state)
    }
}

/// What every fixture says: a task that ended, one that runs, and one whose launch was cut short.
fn expected() -> Vec<RecoveredTask> {
    let found = |id, name, last: Option<TaskState>| RecoveredTask {
        container_id: ContainerId(id),
        task: task(name),
        state: last.map(|last| state(name, last)),
    };
    vec![
        found(1, "ended", Some(TaskState::Finished)),
        found(2, "running", Some(TaskState::Running)),
        found(3, "launching", None),
    ]
}

fn executor() -> ExecutorRecord {
    ExecutorRecord {
        framework_id: FrameworkId::new("f").unwrap(),
        info: proffer_types::ExecutorInfo::new(proffer_types::ExecutorId::new("e").unwrap(), ["worker"]),
        was_subscribed: true,
    }
}

/// Writes what [`expected`] says.
fn write(dir: &Path) {
    let checkpoints = checkpoints(dir);
    for found in expected() {
        checkpoints.save_task(found.container_id, &found.task).unwrap();
        if let Some(last) = found.state {
            let first = state(found.task.info.id.as_str(), TaskState::Starting);
            checkpoints.save_state(found.container_id, &first).unwrap();
            checkpoints.save_state(found.container_id, &last).unwrap();
        }
    }
    fs::write(checkpoints.data_dir.exit(ContainerId(2)), "exit record").unwrap();
    checkpoints.save_executor(ContainerId(4), &executor()).unwrap();
    checkpoints
        .save_resources(&resources(), Durability::Synced)
        .unwrap();
    let volume = checkpoints.data_dir.volumes().join("prod/v");
    fs::write(volume.join("file"), "kept").unwrap();
    let id = AgentId::new("a").unwrap();
    checkpoints.save_agent_id(&id).unwrap();
}

/// Has an agent read a fixture, and the next one what that made of it.
fn read(format: u32) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(format), dir.path());
    for life in ["first", "second"] {
        let checkpoints = checkpoints(dir.path());
        let resources_found = checkpoints.recover_resources().unwrap();
        let found = checkpoints.recover().unwrap();
        assert_eq!(found.agent_id, Some(AgentId::new("a").unwrap()), "{life}");
        assert_eq!(found.tasks, expected(), "{life}");
        assert_eq!(resources_found, resources(), "{life}");
        let exit = fs::read(checkpoints.data_dir.exit(ContainerId(2))).unwrap();
        assert_eq!(exit, b"exit record", "{life}");
        let executors: Vec<_> = found.executors.into_iter().map(|found| found.executor).collect();
        let n_executors = usize::from(format >= 2);
        assert_eq!(executors, vec![executor(); n_executors], "{life}");
        assert_eq!(
            fs::read(dir.path().join("volumes/roles/prod/v/file")).unwrap(),
            b"kept"
        );
        assert_eq!(checkpoints.data_dir.n_damaged(), 0, "{life}");
    }
    dir
}

#[test]
fn an_agent_reads_every_format_that_any_wrote() {
    for format in 1..=crate::data_dir::FORMAT {
        let dir = read(format);
        let checkpoints = checkpoints(dir.path());
        let status = state("running", TaskState::Running);
        checkpoints.save_state(ContainerId(2), &status).unwrap();
        assert_eq!(checkpoints.recover().unwrap().tasks, expected());
        let said = fs::read_to_string(dir.path().join("format")).unwrap();
        assert_eq!(said, "proffer agent data, format 2\n");
    }
}

#[test]
fn an_upgrade_cut_short_is_finished_by_the_next_agent() {
    let whole = read(1);
    let whole = files(&whole.path().join("tasks"));
    let names: Vec<_> = whole.iter().map(|(path, _)| path.file_name().unwrap()).collect();
    assert_eq!(
        names,
        [
            "0000000000000001",
            "0000000000000002",
            "0000000000000002.exit",
            "0000000000000003"
        ]
    );
    let cut_short: [fn(&Path); 3] = [
        |task| fs::write(task.with_extension("tmp"), "half").unwrap(),
        |task| fs::rename(task.join("exit"), task.with_extension("exit")).unwrap(),
        |task| {
            let (exit, old) = (task.with_extension("exit"), task.with_extension("tmp"));
            fs::rename(task.join("exit"), exit).unwrap();
            fs::rename(task, old).unwrap();
            let new = fixture(2).join("tasks/0000000000000002");
            fs::copy(new, task).unwrap();
        },
    ];
    for cut_short in cut_short {
        let dir = tempfile::tempdir().unwrap();
        copy(&fixture(1), dir.path());
        cut_short(&dir.path().join("tasks/0000000000000002"));
        let found = checkpoints(dir.path()).recover().unwrap();
        assert_eq!(found.tasks, expected());
        let left = files(&dir.path().join("tasks"));
        let left: Vec<_> = left.iter().map(|(path, _)| path.file_name().unwrap()).collect();
        assert_eq!(left, names);
    }
}

/// Where this fails, what is written has changed: that is a format of its own if an agent of before misreads it, and
/// another fixture if not, beside the one that is there.
#[test]
fn what_is_written_is_what_the_newest_fixture_has() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    let relative = |root: &Path| {
        let all = files(root).into_iter();
        let all = all.filter(|(path, _)| !path.ends_with("lock"));
        all.map(|(path, content)| (path.strip_prefix(root).unwrap().to_owned(), content))
            .collect::<Vec<_>>()
    };
    let (written, kept) = (relative(dir.path()), relative(&fixture(crate::data_dir::FORMAT)));
    if written != kept {
        let dir = dir.keep();
        panic!("the fixture differs from what is in {}", dir.display());
    }
}

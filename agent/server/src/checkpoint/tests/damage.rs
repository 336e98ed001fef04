//! Whatever happens to a file: it is noticed, and costs nothing but what the file was for.

use std::os::unix::fs::symlink;

use super::*;

/// What is put in the place of a file.
type Put = fn(&Path);

/// A task of several states, beside a healthy one; what `damage` did to its file is read.
fn found_after(damage: impl FnOnce(&Path)) -> (Vec<RecoveredTask>, usize) {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = checkpoints(dir.path());
    for (id, name) in [(1, "t"), (2, "u")] {
        checkpoints.save_task(ContainerId(id), &task(name)).unwrap();
        for last in [TaskState::Starting, TaskState::Running, TaskState::Killing] {
            checkpoints
                .save_state(ContainerId(id), &state(name, last))
                .unwrap();
        }
    }
    damage(&checkpoints.data_dir.task(ContainerId(1)));
    let found = checkpoints.recover().unwrap().tasks;
    let again = checkpoints.recover().unwrap().tasks;
    assert_eq!(found, again, "the next start finds the same");
    (found, checkpoints.data_dir.n_damaged())
}

/// The healthy task is there as it was; the other one too, or is gone, or in an earlier state. Answers whether it is as it
/// was.
fn check(found: &[RecoveredTask], n_damaged: usize, what: &str) -> bool {
    let (healthy, others) = found.split_last().unwrap();
    assert_eq!(healthy.container_id, ContainerId(2), "{what}");
    assert_eq!(healthy.task, task("u"), "{what}");
    assert_eq!(healthy.state, Some(state("u", TaskState::Killing)), "{what}");
    let [other] = others else {
        assert_eq!((others.len(), n_damaged), (0, 1), "{what}: lost without a word");
        return false;
    };
    assert_eq!(other.task, task("t"), "{what}");
    let states = [TaskState::Starting, TaskState::Running, TaskState::Killing];
    let known = states.map(|last| state("t", last));
    let newest = known.last().cloned();
    assert!(
        other.state.is_none() || known.contains(other.state.as_ref().unwrap()),
        "{what}: {:?}",
        other.state
    );
    other.state == newest
}

#[test]
fn a_task_file_that_is_cut_off_anywhere_costs_states_or_that_task() {
    let (whole, _) = found_after(|_| ());
    assert_eq!(whole.len(), 2);
    let mut length = 0;
    found_after(|path| length = fs::metadata(path).unwrap().len());
    for cut in 0..length {
        let file = |path: &Path| fs::OpenOptions::new().write(true).open(path).unwrap();
        let (found, n_damaged) = found_after(|path| file(path).set_len(cut).unwrap());
        if cut == 0 {
            // As a first write that was cut short: nothing followed from it.
            assert_eq!((found.len(), n_damaged), (1, 0));
            continue;
        }
        assert!(!check(&found, n_damaged, &format!("cut at {cut}")));
    }
}

#[test]
fn no_flipped_bit_of_a_task_file_goes_unseen() {
    let mut length = 0;
    found_after(|path| length = fs::metadata(path).unwrap().len());
    let n_bits = usize::try_from(length).unwrap() * 8;
    // All of the header, of the first frame, and some of the rest.
    for bit in (0..16 * 8).chain((16 * 8..n_bits).step_by(7)) {
        let (found, n_damaged) = found_after(|path| {
            let mut bytes = fs::read(path).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(path, bytes).unwrap();
        });
        let what = format!("bit {bit}");
        let is_whole = check(&found, n_damaged, &what);
        // A length that grew looks like a write that was cut short, which is nothing to keep.
        let is_told = n_damaged == 1 || !is_whole;
        assert!(is_told, "{what} went unseen");
    }
}

#[test]
fn what_stands_in_the_place_of_a_file_is_not_taken_for_it() {
    let replace = |with: Put| {
        move |path: &Path| {
            fs::rename(path, path.with_file_name("elsewhere")).unwrap();
            with(path);
        }
    };
    let kinds: [(&str, Put); 6] = [
        ("a directory", |path| fs::create_dir(path).unwrap()),
        ("a directory with files", |path| {
            fs::create_dir(path).unwrap();
            fs::write(path.join("state"), "x").unwrap();
        }),
        ("a symbolic link", |path| {
            symlink(path.with_file_name("elsewhere"), path).unwrap();
        }),
        ("a fifo", |path| {
            let mode = rustix::fs::Mode::RWXU;
            rustix::fs::mkfifoat(rustix::fs::CWD, path, mode).unwrap();
        }),
        ("a huge file", |path| {
            let file = File::create(path).unwrap();
            file.set_len(1 << 40).unwrap();
        }),
        ("something else", |path| {
            fs::write(path, "something else entirely").unwrap()
        }),
    ];
    for (what, with) in kinds {
        let (found, n_damaged) = found_after(replace(with));
        assert_eq!(found.len(), 1, "{what}");
        check(&found, n_damaged, what);
    }
}

#[test]
fn a_file_of_another_user_is_not_taken_for_ones_own() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root gives files away");
        return;
    }
    let (found, n_damaged) = found_after(|path| std::os::unix::fs::chown(path, Some(7), None).unwrap());
    assert_eq!(found.len(), 1);
    check(&found, n_damaged, "of another user");
}

#[test]
fn an_agent_whose_id_is_damaged_has_that_of_its_tasks_and_says_so() {
    for damage in [&b""[..], b"PFCK", b"garbage that is long enough"] {
        let (_, dir) = recovered_after(|_| ());
        fs::write(dir.path().join("agent_id"), damage).unwrap();
        let checkpoints = checkpoints(dir.path());
        let found = checkpoints.recover().unwrap();
        assert_eq!(found.agent_id, Some(AgentId::new("a").unwrap()));
        assert_eq!(checkpoints.data_dir.n_damaged(), 1);
    }
}

#[test]
fn an_executor_whose_record_is_damaged_costs_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = checkpoints(dir.path());
    let executor = ExecutorRecord {
        framework_id: FrameworkId::new("f").unwrap(),
        info: proffer_types::ExecutorInfo::new(proffer_types::ExecutorId::new("e").unwrap(), ["worker"]),
        was_subscribed: false,
    };
    for id in [7, 8] {
        checkpoints.save_executor(ContainerId(id), &executor).unwrap();
    }
    flip_last_byte(&dir.path().join("tasks/0000000000000007.executor"));
    let found = checkpoints.recover().unwrap().executors;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].container_id, ContainerId(8));
    assert_eq!(checkpoints.data_dir.n_damaged(), 1);
}

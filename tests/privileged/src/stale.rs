//! What tests that were killed half way left of their containers: groups, and what runs in them.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Before the pid of the test's process.
pub(crate) const PREFIX: &str = "proffer-test-";

/// A killed process is gone in milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// Removes the groups of processes that are gone, once in the life of this one. What stays is no test's failure.
pub(crate) fn sweep(mount: &Path) {
    static DONE: Once = Once::new();
    DONE.call_once(|| {
        let tops = directories(mount).into_iter().chain([mount.to_owned()]);
        let groups = tops.flat_map(|top| directories(&top));
        groups
            .filter(|group| is_stale(group))
            .for_each(|group| remove(&group));
    });
}

fn directories(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let entries = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    entries.map(|entry| entry.path()).collect()
}

fn is_stale(group: &Path) -> bool {
    let name = group
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let pid = name.strip_prefix(PREFIX).and_then(|pid| pid.parse::<u32>().ok());
    pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

/// Removes a group with all below it.
fn remove(group: &Path) {
    directories(group).iter().for_each(|child| remove(child));
    // What is frozen on cgroup v1 does not die. Elsewhere there is no such file.
    let state = fs::OpenOptions::new()
        .write(true)
        .open(group.join("freezer.state"));
    let _ = state.and_then(|mut state| state.write_all(b"THAWED"));
    let deadline = Instant::now() + PATIENCE;
    while fs::remove_dir(group).is_err() && group.exists() && Instant::now() < deadline {
        let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        for pid in processes.lines().filter_map(|pid| pid.parse().ok()) {
            // It may end by itself meanwhile.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

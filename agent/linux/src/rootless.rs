//! An agent without root: it becomes root of a user namespace of its own, with a mount namespace that belongs to it, and
//! works in a cgroup that was delegated to its user.
//!
//! Both namespaces live as long as the agent or one of its containers: pid 1 of each keeps them, and an agent that starts
//! again joins them, since in namespaces of its own it would have no power over those containers. All of it happens before
//! the process has a second thread: the kernel allows no other.

mod ids;
mod tree;

use std::env;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{Gid, Uid, User};
use proffer_container::{IdMap, Leaf};
use proffer_init::fd;
use thiserror::Error;

pub(crate) use ids::groups;
use ids::{MIN_IDS, Range, mapped, range};
pub use tree::{TreeError, delegated};

const SUBUID: &str = "/etc/subuid";
const SUBGID: &str = "/etc/subgid";

/// Maps 0 to the user and 1 to the range, once it is told to by a line: for users, then for groups. A shell does it from
/// outside of the new namespace, where set-user-id programs still work.
const MAP_IDS: &str =
    r#"read -r _ && newuidmap "$1" 0 "$2" 1 1 "$3" "$4" && newgidmap "$1" 0 "$5" 1 1 "$6" "$7""#;

/// A user cannot run an agent here.
#[derive(Debug, Error)]
pub enum RootlessError {
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "`{}` gives user `{user}` fewer than {MIN_IDS} ids for tasks: give it a range, as with `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}`", path.display()
    )]
    NoRange { path: PathBuf, user: String },
    #[error(
        "the kernel refuses user {uid} {what}: allow user namespaces (sysctls user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)"
    )]
    Namespace {
        uid: Uid,
        what: &'static str,
        source: io::Error,
    },
    #[error(
        "newuidmap and newgidmap did not map the user's ids ({said}): install the package uidmap, and start the agent without NoNewPrivileges"
    )]
    MapIds { said: String },
    #[error("cannot start `sh`")]
    Shell { source: io::Error },
    #[error("cannot join the namespaces of the agent's containers")]
    Join { source: io::Error },
}

/// Whether this process is no root, not even that of a user namespace.
#[must_use]
pub fn is_user() -> bool {
    !Uid::effective().is_root()
}

/// Makes this process, of an ordinary user, root of a user namespace and of a mount namespace: of those that the containers
/// in the group `cgroup_root` of a delegated tree have, or of new ones. Must be called before the process has a second
/// thread; on failure the process is of no further use.
pub fn enter(tree: &Path, cgroup_root: &str) -> Result<(), RootlessError> {
    match kept(&tree.join(cgroup_root)) {
        Some(namespaces) => namespaces.join(),
        None => make(),
    }
}

/// The namespaces of an earlier agent.
struct Namespaces {
    user: File,
    mounts: File,
}

/// Finds those that pid 1 of a container keeps.
fn kept(root: &Path) -> Option<Namespaces> {
    let containers = fs::read_dir(root).ok()?.flatten();
    let leaves = containers.map(|entry| entry.path().join(Leaf::Init.as_str()).join("cgroup.procs"));
    let pids = leaves.filter_map(|leaf| fs::read_to_string(leaf).ok());
    pids.flat_map(|pids| pids.lines().map(str::to_owned).collect::<Vec<_>>())
        .find_map(|pid| {
            let process = Path::new("/proc").join(pid);
            // One that is ending has none any more.
            let user = File::open(process.join("ns/user")).ok()?;
            let mounts = File::open(process.join(format!("fd/{}", fd::MOUNTS))).ok()?;
            let own = fs::metadata("/proc/self/ns/user").ok()?;
            let is_other = user.metadata().ok()?.ino() != own.ino();
            is_other.then_some(Namespaces { user, mounts })
        })
}

impl Namespaces {
    fn join(self) -> Result<(), RootlessError> {
        let here = env::current_dir();
        let joined = setns(self.user, CloneFlags::CLONE_NEWUSER)
            .and_then(|()| setns(self.mounts, CloneFlags::CLONE_NEWNS));
        joined.map_err(|errno| RootlessError::Join { source: errno.into() })?;
        // It led to the root of that mount namespace. From a directory that this user cannot get to, no path leads anywhere,
        // so the root will do.
        let _ = here.and_then(env::set_current_dir);
        Ok(())
    }
}

fn make() -> Result<(), RootlessError> {
    let uid = Uid::current();
    let (users, groups) = (ids_of(SUBUID, uid)?, ids_of(SUBGID, uid)?);
    let helper = helper(uid, users, groups)?;
    let refused = |what| {
        move |errno: nix::errno::Errno| RootlessError::Namespace {
            uid,
            what,
            source: errno.into(),
        }
    };
    unshare(CloneFlags::CLONE_NEWUSER).map_err(refused("a user namespace"))?;
    map_ids(helper)?;
    unshare(CloneFlags::CLONE_NEWNS).map_err(refused("a mount namespace in its user namespace"))
}

fn ids_of(file: &str, uid: Uid) -> Result<Range, RootlessError> {
    let path = PathBuf::from(file);
    let name = User::from_uid(uid).ok().flatten().map(|user| user.name);
    let user = name.unwrap_or_else(|| uid.to_string());
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(source) => return Err(RootlessError::Read { path, source }),
        Ok(text) => text,
    };
    let found = range(&text, &user, uid.as_raw());
    found.ok_or(RootlessError::NoRange { path, user })
}

/// Starts what will map the ids of this process.
fn helper(uid: Uid, users: Range, groups: Range) -> Result<Child, RootlessError> {
    let count = users.count.min(groups.count);
    let numbers = [
        std::process::id(),
        uid.as_raw(),
        users.first,
        count,
        Gid::current().as_raw(),
        groups.first,
        count,
    ];
    Command::new("sh")
        .args(["-c", MAP_IDS, "sh"])
        .args(numbers.map(|number| number.to_string()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| RootlessError::Shell { source })
}

fn map_ids(mut helper: Child) -> Result<(), RootlessError> {
    let told = helper.stdin.take().map(|mut stdin| stdin.write_all(b"\n"));
    let ended = helper
        .wait_with_output()
        .map_err(|source| RootlessError::Shell { source })?;
    if matches!(told, Some(Ok(()))) && ended.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stderr)
        .trim()
        .escape_debug()
        .to_string();
    Err(RootlessError::MapIds { said })
}

/// The ids for tasks of the user namespace this process is in; `None` for the host's.
pub(crate) fn task_ids() -> io::Result<Option<IdMap>> {
    let users = fs::read_to_string("/proc/self/uid_map")?;
    Ok(mapped(&users, &fs::read_to_string("/proc/self/gid_map")?))
}

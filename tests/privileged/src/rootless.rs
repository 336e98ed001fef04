//! An ordinary user in a guest, with a range of ids and a delegated cgroup.
//!
//! The guest's files are this host's, so nothing is written to them: what the user needs is mounted over them, in the guest.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

/// The user's id.
pub const USER: u32 = 54_321;

/// The first of the 65536 ids that it has for tasks.
pub const FIRST_ID: u32 = 300_000;

/// The delegated group.
pub const TREE: &str = "/sys/fs/cgroup/delegated";

/// Where the user finds what is in directories that it cannot get through to.
pub const PLACE: &str = "/mnt";

/// What of this host the user needs.
const NEEDED: [(&str, &str); 3] = [
    ("/usr/bin/newuidmap", "the package uidmap"),
    ("/usr/bin/setpriv", "the package util-linux"),
    ("/etc/subuid", "the file /etc/subuid"),
];

/// Says what is missing, if something is.
#[must_use]
pub fn lacks() -> Option<String> {
    let missing = NEEDED.iter().find(|(path, _)| !Path::new(path).exists());
    missing.map(|(_, what)| format!("no agent without root: {what} is missing"))
}

/// What root does in the guest, as lines of shell: the user, its ids, its group, and a home on `$TMPDIR`. The directory
/// `programs` is then at `bin` of [`PLACE`].
#[must_use]
pub fn prelude(programs: &Path) -> String {
    let programs = programs.display();
    format!(
        r#"set -e
        mount -t tmpfs tmpfs {PLACE}
        cp /etc/passwd {PLACE}/passwd
        echo 'ordinary:x:{USER}:{USER}::{PLACE}/home:/bin/sh' >>{PLACE}/passwd
        echo 'ordinary:{FIRST_ID}:65536' >{PLACE}/ids
        mount --bind {PLACE}/passwd /etc/passwd
        mount --bind {PLACE}/ids /etc/subuid
        mount --bind {PLACE}/ids /etc/subgid
        mkdir -p {PLACE}/bin {PLACE}/home "$TMPDIR/home"
        chown {USER}:{USER} "$TMPDIR/home"
        mount --bind '{programs}' {PLACE}/bin
        mount --bind "$TMPDIR/home" {PLACE}/home
        echo '+cpu +memory +pids +io' >/sys/fs/cgroup/cgroup.subtree_control
        mkdir {TREE}
        chown {USER}:{USER} {TREE} {TREE}/cgroup.procs {TREE}/cgroup.threads {TREE}/cgroup.subtree_control
        ip link set lo up
        grep -q overlay /proc/filesystems || insmod "$(find /usr/lib/uml/modules -name overlay.ko | head -n 1)" || true
"#
    )
}

/// A command line that the user runs the words after it with.
#[must_use]
pub fn as_user() -> String {
    format!("setpriv --reuid {USER} --regid {USER} --clear-groups env HOME={PLACE}/home")
}

/// Runs the prelude, as root of a guest.
pub fn prepare(programs: &Path) -> Result<()> {
    let output = Command::new("sh").args(["-c", &prelude(programs)]).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "no user could be made: {said}");
    Ok(())
}

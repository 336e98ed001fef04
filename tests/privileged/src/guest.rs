//! Guests with cgroup v2, that run a test program on this host's files.
//!
//! A guest is a kernel of its own in processes of this host, and nothing in it can touch the host's cgroups, mounts or
//! processes. Its files are the host's, but for a disk of its own.

pub mod machine;
mod qemu;
mod uml;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::say;

/// Longer than all tests of a program take in a guest on a busy machine.
const GUEST_TIMEOUT: Duration = Duration::from_secs(600);

/// Tells a test program that it runs in the guest already.
const IN_GUEST: &str = "PROFFER_IN_GUEST";

/// Bytes of a guest's disk; it takes no more of the host's than is written.
/// XFS takes no less than 300 MiB.
const DISK_BYTES: u64 = 512 << 20;

/// What tells the guests apart.
trait Guest {
    /// Why there can be none here.
    fn lacks(&self) -> Option<String>;

    /// What the first process does before the tests, as lines of shell; they make the disk `$disk`.
    fn prelude(&self) -> &'static str;

    /// What makes a file system on `$disk`, and mounts it, before the directory.
    fn mount(&self) -> &'static str {
        "mkfs.ext4 -q \"$disk\" && mount -t ext4 \"$disk\""
    }

    /// The command that boots it with a first process, and the processes it needs for that.
    fn command(&self, script: &Path, disk: &Path) -> Result<(Command, Vec<Child>)>;
}

/// Runs every test of a program but the one named in a User-Mode Linux guest, which boots in a second or two. Its kernel
/// has the controllers cpu, memory, pids and io. Says `skipped` where no guest can be.
pub fn run_tests(program: &Path, but: &str, dir: &Path) -> Result<()> {
    run(&uml::Uml, program, "", but, dir)
}

/// Does the same in a QEMU guest, which is slower, with the kernel of a distribution: every controller, BPF programs, pressure
/// stall information, two processors.
pub fn run_tests_with_every_controller(program: &Path, but: &str, dir: &Path) -> Result<()> {
    run(&qemu::Qemu::default(), program, "", but, dir)
}

/// Does so with the tests whose names hold a text, where project quotas are in force on the disk.
pub fn run_tests_with_project_quotas(
    file_system: FileSystem,
    program: &Path,
    only: &str,
    but: &str,
    dir: &Path,
) -> Result<()> {
    run(
        &qemu::Qemu::with_project_quotas(file_system),
        program,
        only,
        but,
        dir,
    )
}

/// A file system with project quotas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    Ext4,
    Xfs,
}

/// Whether this process is in a guest.
#[must_use]
pub fn is_inside() -> bool {
    std::env::var_os(IN_GUEST).is_some()
}

fn run(guest: &impl Guest, program: &Path, only: &str, but: &str, dir: &Path) -> Result<()> {
    if is_inside() {
        return Ok(());
    }
    if let Some(why) = guest.lacks() {
        say(&format!("skipped: {why}"));
        return Ok(());
    }
    let dir = tempfile::tempdir_in(dir)?;
    let disk = dir.path().join("disk");
    File::create(&disk)?.set_len(DISK_BYTES)?;
    let script = write_script(guest, program, only, but, dir.path())?;
    let console = boot(guest, &script, &disk)?;
    let read = |name| fs::read_to_string(dir.path().join(name));
    let output = read("output").with_context(|| format!("no test ran in the guest: {console}"))?;
    say(&output);
    let status = read("status").with_context(|| format!("the guest stopped half way: {console}"))?;
    ensure!(status.trim() == "0", "the tests failed in the guest");
    // A filter that matches nothing would pass as well.
    ensure!(
        output.contains("test result: ok") && !output.contains(" 0 passed"),
        "no test ran in the guest"
    );
    Ok(())
}

/// The guest's first process: mounts what a host has, runs the tests, powers off.
fn write_script(guest: &impl Guest, program: &Path, only: &str, but: &str, dir: &Path) -> Result<PathBuf> {
    let script = dir.join("init");
    let (dir, program) = (dir.display(), program.display());
    let (prelude, mount) = (guest.prelude(), guest.mount());
    fs::create_dir(script.with_file_name("tmp"))?;
    fs::write(
        &script,
        format!(
            "#!/bin/sh\n\
             PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH\n\
             mount -t proc proc /proc\n\
             mount -t sysfs sysfs /sys\n\
             mount -t cgroup2 none /sys/fs/cgroup\n\
             mount -t tmpfs tmpfs '{dir}/tmp'\n\
             cd '{dir}'\n\
             {prelude}\n\
             {mount} '{dir}/tmp'\n\
             {IN_GUEST}=1 TMPDIR='{dir}/tmp' RUST_BACKTRACE=0 '{program}' {only} --skip {but} --test-threads 1 --show-output \
             >output 2>&1 </dev/null\n\
             echo $? >status\n\
             sync\n\
             poweroff -f\n"
        ),
    )?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Ok(script)
}

/// Boots a guest and waits until it has powered off; returns what its console said.
fn boot(guest: &impl Guest, script: &Path, disk: &Path) -> Result<String> {
    let (mut command, helpers) = guest.command(script, disk)?;
    let booted = command
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn();
    let console = booted.map_err(anyhow::Error::from).and_then(|guest| {
        let group = guest.id();
        wait(guest, GUEST_TIMEOUT).unwrap_or_else(|| {
            // The guest's processes are threads and children of the one started: its group has them all.
            let _ = Command::new("kill")
                .args(["-KILL", "--", &format!("-{group}")])
                .status();
            bail!("the guest did not power off within {} s", GUEST_TIMEOUT.as_secs())
        })
    });
    for mut helper in helpers {
        // They end with the guest as a rule.
        let _ = helper.kill();
        let _ = helper.wait();
    }
    console
}

fn wait(guest: Child, timeout: Duration) -> Option<Result<String>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let output = guest.wait_with_output();
        // Nobody listens any more after the timeout.
        let _ = sender.send(output.map(|output| {
            let said = [output.stdout, output.stderr].concat();
            String::from_utf8_lossy(&said).into_owned()
        }));
    });
    receiver.recv_timeout(timeout).ok().map(|output| Ok(output?))
}

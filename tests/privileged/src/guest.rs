//! A User-Mode Linux guest with cgroup v2, that runs a test program on this host's files.
//!
//! The guest is a kernel of its own in a few processes of this host: it needs no image, boots in a second or two, and
//! nothing in it can touch the host's cgroups, mounts or processes. Its files are the host's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::say;

/// Longer than all tests take in a guest.
const GUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// Tells a test program that it runs in the guest already.
const IN_GUEST: &str = "PROFFER_IN_GUEST";

/// Where Debian puts the kernel.
const KERNEL: &str = "/usr/bin/linux.uml";

/// Runs every test of a program in a guest, but the one named. Says `skipped` where no guest can be.
pub fn run_tests(program: &Path, but: &str, dir: &Path) -> Result<()> {
    if std::env::var_os(IN_GUEST).is_some() {
        return Ok(());
    }
    if !Path::new(KERNEL).exists() {
        say("skipped: no cgroup v2 guest: install the package user-mode-linux");
        return Ok(());
    }
    let dir = tempfile::tempdir_in(dir)?;
    let script = write_script(program, but, dir.path())?;
    let console = boot(&script)?;
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
fn write_script(program: &Path, but: &str, dir: &Path) -> Result<PathBuf> {
    let script = dir.join("init");
    let (dir, program) = (dir.display(), program.display());
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
             {IN_GUEST}=1 TMPDIR='{dir}/tmp' RUST_BACKTRACE=0 '{program}' --skip {but} --test-threads 1 --show-output \
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
fn boot(script: &Path) -> Result<String> {
    let guest = Command::new(KERNEL)
        .args([
            "mem=1024M",
            "root=/dev/root",
            "rootfstype=hostfs",
            "hostfs=/",
            "rw",
            "quiet",
        ])
        .args(["con=null", "con0=fd:0,fd:1"])
        .arg(format!("init={}", script.display()))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()?;
    let group = guest.id();
    match wait(guest, GUEST_TIMEOUT) {
        Some(output) => output,
        None => {
            // The guest's processes are threads and children of the one started: its group has them all.
            let _ = Command::new("kill")
                .args(["-KILL", "--", &format!("-{group}")])
                .status();
            bail!("the guest did not power off within {} s", GUEST_TIMEOUT.as_secs())
        }
    }
}

fn wait(guest: Child, timeout: Duration) -> Option<Result<String>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let output = guest.wait_with_output();
        // Nobody listens any more after the timeout.
        let _ = sender.send(output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()));
    });
    receiver.recv_timeout(timeout).ok().map(|output| Ok(output?))
}

//! A kernel with cgroup v2 for hosts without: User-Mode Linux, on this host's files, for one command.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// Where Debian puts the kernel.
const KERNEL: &str = "/usr/bin/linux.uml";

/// Seconds until it is given up.
const TIMEOUT_S: &str = "120";

/// Says that a process runs in a guest.
const IN_GUEST: &str = "PROFFER_BENCH_GUEST";

pub(super) fn is_inside() -> bool {
    std::env::var_os(IN_GUEST).is_some()
}

/// Runs this program with an argument in a guest whose `TMPDIR` is in memory; returns what it wrote.
pub(super) fn run(argument: &str, parent: &Path) -> Result<String> {
    ensure!(
        Path::new(KERNEL).exists(),
        "the package user-mode-linux is missing"
    );
    let dir = tempfile::tempdir_in(parent)?;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
    fs::create_dir(dir.path().join("tmp"))?;
    let script = dir.path().join("init");
    let program = std::env::current_exe()?;
    let (program, at) = (program.display(), dir.path().display());
    fs::write(
        &script,
        format!(
            "#!/bin/sh\n\
             PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH\n\
             mount -t proc proc /proc\n\
             mount -t sysfs sysfs /sys\n\
             mount -t cgroup2 none /sys/fs/cgroup\n\
             mount -t tmpfs -o mode=755 tmpfs '{at}/tmp'\n\
             {IN_GUEST}=1 TMPDIR='{at}/tmp' '{program}' {argument} >'{at}/output' 2>'{at}/errors' </dev/null\n\
             sync\n\
             poweroff -f\n"
        ),
    )?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    let status = Command::new("timeout")
        .args([
            "--kill-after=5",
            TIMEOUT_S,
            KERNEL,
            "mem=1024M",
            "root=/dev/root",
            "rootfstype=hostfs",
        ])
        .args(["hostfs=/", "rw", "quiet", "con=null", "con0=fd:0,fd:1"])
        .arg(format!("init={}", script.display()))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("timeout")?;
    let output = fs::read_to_string(dir.path().join("output")).unwrap_or_default();
    let errors = fs::read_to_string(dir.path().join("errors")).unwrap_or_default();
    ensure!(
        !output.is_empty(),
        "nothing was measured in the guest ({status}): {errors}"
    );
    Ok(output)
}

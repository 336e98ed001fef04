//! The runtimes of others: bubblewrap, and OCI bundles for crun and runc. What they set up is what they would by default,
//! but with the host's user ids and without a seccomp filter, which is less than ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

use super::ours::{CPU_MILLIS, MEM_BYTES, PIDS};
use super::stamp;

/// A period of the kernel's cpu quota, in microseconds.
const PERIOD_US: u64 = 100_000;

/// bubblewrap in the same namespaces: all but net.
pub(super) fn bwrap(program: &Path) -> Command {
    let mut bwrap = Command::new("bwrap");
    bwrap
        .args([
            "--unshare-user",
            "--unshare-pid",
            "--unshare-uts",
            "--unshare-ipc",
        ])
        .args([
            "--unshare-cgroup",
            "--ro-bind",
            "/",
            "/",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
        ])
        .args(["--tmpfs", "/run", "--tmpfs", "/tmp", "--"])
        .arg(program);
    bwrap
}

/// A bundle that runs the program.
#[derive(Debug)]
pub(super) struct Bundle {
    dir: PathBuf,
    runtime: &'static str,
    arguments: &'static [&'static str],
    n_runs: u32,
}

impl Bundle {
    pub(super) fn crun(dir: &Path, stamp: &Path, is_limited: bool) -> Result<Self> {
        let arguments: &[_] = match is_limited {
            true => &["--cgroup-manager=cgroupfs"],
            false => &["--cgroup-manager=disabled"],
        };
        Self::new(dir, stamp, "crun", arguments, is_limited)
    }

    pub(super) fn runc(dir: &Path, stamp: &Path) -> Result<Self> {
        Self::new(dir, stamp, "runc", &[], true)
    }

    fn new(
        dir: &Path,
        stamp: &Path,
        runtime: &'static str,
        arguments: &'static [&'static str],
        is_limited: bool,
    ) -> Result<Self> {
        let kind = if is_limited { "limited" } else { "free" };
        let dir = dir.join(format!("{runtime}-{kind}"));
        let root = dir.join("rootfs");
        fs::create_dir_all(&root)?;
        fs::copy(stamp, root.join(stamp::NAME))?;
        fs::write(dir.join("config.json"), spec(is_limited).to_string())?;
        Ok(Self {
            dir,
            runtime,
            arguments,
            n_runs: 0,
        })
    }

    pub(super) fn command(&mut self) -> Command {
        self.n_runs += 1;
        let mut command = Command::new(self.runtime);
        command
            .arg("--root")
            .arg(self.dir.join("state"))
            .args(self.arguments)
            .args(["run", "--bundle"])
            .arg(&self.dir)
            .arg(format!("proffer-bench-{}-{}", std::process::id(), self.n_runs));
        command
    }
}

/// What `runc spec` writes, but without a network namespace, with our capabilities and limits.
fn spec(is_limited: bool) -> Value {
    let capabilities = json!([
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_KILL",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETPCAP",
        "CAP_NET_BIND_SERVICE",
        "CAP_SYS_CHROOT",
        "CAP_SETFCAP"
    ]);
    let mut linux = json!({
        "namespaces": [
            {"type": "pid"}, {"type": "mount"}, {"type": "uts"}, {"type": "ipc"}, {"type": "cgroup"}
        ],
        "maskedPaths": [
            "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
            "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"
        ],
        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    });
    if is_limited {
        linux["resources"] = json!({
            "cpu": {"quota": CPU_MILLIS * PERIOD_US / 1000, "period": PERIOD_US, "shares": 512},
            "memory": {"limit": MEM_BYTES},
            "pids": {"limit": PIDS},
        });
    }
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false, "user": {"uid": 0, "gid": 0}, "args": [format!("/{}", stamp::NAME)], "cwd": "/",
            "env": ["PATH=/usr/bin:/bin"], "noNewPrivileges": true,
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "other",
        "mounts": [
            mount("/proc", "proc", &[]),
            mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        ],
        "linux": linux,
    })
}

fn mount(destination: &str, kind: &str, options: &[&str]) -> Value {
    json!({"destination": destination, "type": kind, "source": kind, "options": options})
}

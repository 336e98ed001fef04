//! The programs we compare with: the same command in a sandbox of bubblewrap or crun.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use std::{env, fs, process};

use anyhow::{Context as _, Result, ensure};

/// A command in new pid, mount, uts, ipc and cgroup namespaces; no cgroup limits.
pub(crate) fn bwrap(command: &[&str]) -> Command {
    let mut bwrap = Command::new("bwrap");
    bwrap
        .args([
            "--unshare-pid",
            "--unshare-uts",
            "--unshare-ipc",
            "--unshare-cgroup",
            "--bind",
            "/",
            "/",
        ])
        .args(["--proc", "/proc", "--dev-bind", "/dev", "/dev", "--"])
        .args(command)
        .stdin(Stdio::null());
    bwrap
}

/// An OCI bundle for crun that runs one command on the host's root.
#[derive(Debug)]
pub(crate) struct CrunBundle {
    dir: tempfile::TempDir,
    runs: u32,
}

impl CrunBundle {
    pub(crate) fn new(command: &[&str]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        fs::create_dir(dir.path().join("rootfs"))?;
        let spec = serde_json::json!({
            "ociVersion": "1.0.0",
            "process": {
                "terminal": false, "user": {"uid": 0, "gid": 0}, "args": command, "cwd": "/",
                "env": [format!("PATH={}", env::var("PATH").unwrap_or_default())],
                "noNewPrivileges": true,
            },
            "root": {"path": "/", "readonly": false},
            "hostname": "crun",
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
            "linux": {
                "cgroupsPath": format!("/proffer-bench-{}", process::id()),
                "resources": {"memory": {"limit": 134_217_728}, "cpu": {"quota": 50_000, "period": 100_000}, "pids": {"limit": 1024}},
                "namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "uts"}, {"type": "ipc"}],
            },
        });
        fs::write(dir.path().join("config.json"), spec.to_string())?;
        Ok(Self { dir, runs: 0 })
    }

    pub(crate) fn command(&mut self) -> Command {
        self.runs += 1;
        let mut crun = Command::new("crun");
        crun.args(["--cgroup-manager=cgroupfs", "run", "--bundle"])
            .arg(self.dir.path())
            .arg(format!("proffer-bench-{}-{}", process::id(), self.runs))
            .stdin(Stdio::null());
        crun
    }
}

/// Runs a command to its end and returns the milliseconds it took.
pub(crate) fn time_ms(mut command: Command) -> Result<f64> {
    let start = Instant::now();
    let output = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| command.get_program().to_string_lossy().into_owned())?;
    let took = start.elapsed().as_secs_f64() * 1000.0;
    ensure!(
        output.status.success(),
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(took)
}

/// The proportional set size of a process in KiB, as the kernel counts it.
pub(crate) fn pss_kib(pid: u32) -> Result<f64> {
    let path = PathBuf::from(format!("/proc/{pid}/smaps_rollup"));
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let line = text
        .lines()
        .find(|line| line.starts_with("Pss:"))
        .context("no Pss line")?;
    Ok(line.split_whitespace().nth(1).context("no Pss value")?.parse()?)
}

/// All pids whose command name is `name`.
pub(crate) fn pids_named(name: &str) -> Vec<u32> {
    let named = |path: &Path| fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name);
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| named(&entry.path()))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

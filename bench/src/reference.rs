//! The programs we compare with: the same command in a sandbox of bubblewrap or crun.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
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
///
/// crun refuses hosts with hybrid cgroups and needs a root that is a mount, so it runs in a mount namespace where
/// both are arranged; a process of ours holds that namespace. It sets no limits there.
#[derive(Debug)]
pub(crate) struct CrunBundle {
    dir: tempfile::TempDir,
    holder: Child,
    runs: u32,
}

impl CrunBundle {
    pub(crate) fn new(command: &[&str]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let root = dir.path().join("rootfs");
        fs::create_dir(&root)?;
        let spec = serde_json::json!({
            "ociVersion": "1.0.0",
            "process": {
                "terminal": false, "user": {"uid": 0, "gid": 0}, "args": command, "cwd": "/",
                "env": [format!("PATH={}", env::var("PATH").unwrap_or_default())],
                "noNewPrivileges": true,
            },
            "root": {"path": "rootfs", "readonly": false},
            "hostname": "crun",
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
            "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "uts"}, {"type": "ipc"}]},
        });
        fs::write(dir.path().join("config.json"), spec.to_string())?;
        let arrange = "mount -t cgroup2 none /sys/fs/cgroup && mount --rbind / \"$0\" && echo ready && exec sleep infinity";
        let mut holder = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", arrange])
            .arg(&root)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("unshare")?;
        let mut ready = [0; 5];
        let arranged = holder
            .stdout
            .as_mut()
            .context("no stdout")?
            .read_exact(&mut ready);
        let bundle = Self { dir, holder, runs: 0 };
        arranged.context("cannot arrange the mounts crun needs")?;
        Ok(bundle)
    }

    pub(crate) fn command(&mut self) -> Command {
        self.runs += 1;
        let mut crun = Command::new("nsenter");
        crun.arg(format!("--mount=/proc/{}/ns/mnt", self.holder.id()))
            .args(["crun", "--cgroup-manager=disabled", "run", "--bundle"])
            .arg(self.dir.path())
            .arg(format!("proffer-bench-{}-{}", process::id(), self.runs))
            .stdin(Stdio::null());
        crun
    }
}

impl Drop for CrunBundle {
    fn drop(&mut self) {
        // Its mounts go with the namespace.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
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
    kib(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

/// The resident set of a process in MiB.
pub(crate) fn rss_mib(pid: u32) -> Result<f64> {
    Ok(kib(&format!("/proc/{pid}/status"), "VmRSS:")? / 1024.0)
}

/// A value in KiB of a file of the kernel's.
fn kib(path: &str, name: &str) -> Result<f64> {
    let text = fs::read_to_string(path).context(path.to_owned())?;
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(value.with_context(|| format!("{path} has no {name}"))?.parse()?)
}

/// The children of a process whose command name is `name`.
pub(crate) fn children_named(parent: u32, name: &str) -> Vec<u32> {
    let wanted = |path: &Path| -> Option<bool> {
        let status = fs::read_to_string(path.join("status")).ok()?;
        let field = |key: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(key))
                .map(str::trim)
        };
        Some(field("Name:")? == name && field("PPid:")? == parent.to_string())
    };
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| wanted(&entry.path()).unwrap_or(false))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

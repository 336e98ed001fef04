//! A machine that can lose its power: a User-Mode Linux guest with a disk that outlives it, a cable, and a console that
//! takes commands.
//!
//! Its disk is a file of this host, with an ext4 on it. A guest that is killed has written there what its own kernel had
//! written to the device, and nothing of what was in its page cache: as after a power loss, but that no device here
//! loses or reorders what it took. All else it sees are this host's files, in which what it writes is at once.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::Guest as _;
use super::uml::{KERNEL, Uml};

/// Longer than a boot or a command takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Bytes of a disk; it takes no more of the host's than is written.
const DISK_BYTES: u64 = 512 << 20;

/// What the console says once it takes commands, and before each one's exit code.
const UP: &str = "<up>";
const DONE: &str = "<done> ";

/// A machine as its parts: what is left when it has no power.
#[derive(Debug, Clone)]
pub struct Parts {
    dir: PathBuf,
    name: String,
    tap: String,
    address: String,
}

/// One that is on.
#[derive(Debug)]
pub struct Machine {
    kernel: Child,
    stdin: ChildStdin,
    console: Receiver<String>,
}

/// Why there can be no machine here.
#[must_use]
pub fn lacks() -> Option<String> {
    let mkfs = Command::new("mkfs.ext4").arg("-V").output();
    Uml.lacks().or(mkfs
        .is_err()
        .then(|| "no disk for a guest: install the package e2fsprogs".to_owned()))
}

impl Parts {
    /// Puts a machine together in a directory of its own, with an empty disk. `name`: its host name; `tap`: the interface that is its cable's
    /// other end; `address`: its own on it, with the length of the network's prefix.
    pub fn new(dir: PathBuf, name: &str, tap: String, address: String) -> Result<Self> {
        fs::create_dir_all(dir.join("root"))?;
        let name = name.to_owned();
        let parts = Self {
            dir,
            name,
            tap,
            address,
        };
        File::create(parts.disk())?.set_len(DISK_BYTES)?;
        let mkfs = Command::new("mkfs.ext4").arg("-q").arg(parts.disk()).output()?;
        let said = String::from_utf8_lossy(&mkfs.stderr);
        ensure!(mkfs.status.success(), "mkfs.ext4: {said}");
        Ok(parts)
    }

    fn disk(&self) -> PathBuf {
        self.dir.join("disk")
    }

    /// Where the machine has its disk; for this host there is nothing.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    /// Puts it on. `enter`: gives the command that starts a program where the tap is; `options`: how the disk is mounted.
    pub fn boot(&self, enter: impl FnOnce(&Path) -> Command, options: &str) -> Result<Machine> {
        let script = self.write_script(options)?;
        let mut command = enter(Path::new(KERNEL));
        command
            .args(Uml::arguments(&script, &self.disk()))
            .arg(format!("eth0=tuntap,{}", self.tap));
        let mut kernel = command
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let (stdin, stdout) = (kernel.stdin.take(), kernel.stdout.take());
        let (lines, console) = mpsc::channel();
        let stdout = BufReader::new(stdout.context("stdout is piped")?);
        thread::spawn(move || {
            for line in stdout.split(b'\n').map_while(Result::ok) {
                // Nobody listens any more to one that is off.
                let _ = lines.send(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
        });
        let mut machine = Machine {
            kernel,
            stdin: stdin.context("stdin is piped")?,
            console,
        };
        machine.hear(UP).context("the machine does not boot")?;
        Ok(machine)
    }

    fn write_script(&self, options: &str) -> Result<PathBuf> {
        let script = self.dir.join("init");
        let (root, name, address) = (self.root(), &self.name, &self.address);
        let root = root.display();
        fs::write(
            &script,
            format!(
                "#!/bin/sh\n\
                 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH\n\
                 stty -echo\n\
                 set -e\n\
                 mount -t proc proc /proc\n\
                 mount -t sysfs sysfs /sys\n\
                 mount -t cgroup2 none /sys/fs/cgroup\n\
                 mount -t tmpfs tmpfs /run\n\
                 mknod /run/disk b 98 0\n\
                 insmod /usr/lib/uml/modules/$(uname -r)/kernel/fs/overlayfs/overlay.ko\n\
                 hostname {name}\n\
                 ip link set lo up\n\
                 ip addr add {address} dev eth0\n\
                 ip link set eth0 up\n\
                 mount -t ext4 -o {options} /run/disk '{root}'\n\
                 cd '{root}'\n\
                 echo '{UP}'\n\
                 set +e\n\
                 while read -r line; do eval \"$line\"; echo \"{DONE}$?\"; done\n\
                 poweroff -f\n"
            ),
        )?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        Ok(script)
    }
}

impl Machine {
    /// Has root execute one line of shell; returns what it printed.
    pub fn sh(&mut self, line: &str) -> Result<String> {
        ensure!(!line.contains('\n'), "more than a line: {line}");
        writeln!(self.stdin, "{line}")?;
        let (printed, code) = self.hear(DONE).with_context(|| line.to_owned())?;
        ensure!(code == "0", "{line}: exit code {code}: {printed}");
        Ok(printed)
    }

    /// Starts a program that goes on, with its output in a file; returns its pid.
    pub fn start(&mut self, command: &str, log: &Path) -> Result<u32> {
        let line = format!("{command} </dev/null >>{} 2>&1 & echo $!", log.display());
        let pid = self.sh(&line)?;
        pid.trim().parse().context(pid)
    }

    /// What the console says up to a line that begins so, and the rest of that line.
    fn hear(&mut self, mark: &str) -> Result<(String, String)> {
        let deadline = Instant::now() + PATIENCE;
        let mut said = String::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.console.recv_timeout(left) else {
                bail!("the console stopped at: {said}");
            };
            if let Some(rest) = line.strip_prefix(mark) {
                return Ok((said, rest.to_owned()));
            }
            said += &line;
            said.push('\n');
        }
    }

    /// Takes its power away, at this moment; returns when nothing of it writes any more.
    pub fn kill(mut self) -> Result<()> {
        self.cut_off();
        let group = self.kernel.id();
        let deadline = Instant::now() + PATIENCE;
        while is_any_alive(group) {
            ensure!(Instant::now() < deadline, "the machine's processes do not end");
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// The guest's processes are threads and children of the one started: its group has them all.
    fn cut_off(&mut self) {
        let group = format!("-{}", self.kernel.id());
        let _ = Command::new("kill")
            .args(["-KILL", "--", &group])
            .stderr(Stdio::null())
            .status();
        let _ = self.kernel.wait();
    }
}

/// A test that fails half way leaves no machine on.
impl Drop for Machine {
    fn drop(&mut self) {
        if matches!(self.kernel.try_wait(), Ok(None)) {
            self.cut_off();
        }
    }
}

/// Whether a process group has one that is alive; a zombie is not.
fn is_any_alive(group: u32) -> bool {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok())
        .any(|stat| {
            let fields = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
            let mut fields = fields.split(' ');
            let is_alive = !matches!(fields.next(), Some("Z" | "X") | None);
            // State, parent, group.
            is_alive && fields.nth(1) == Some(group.to_string().as_str())
        })
}

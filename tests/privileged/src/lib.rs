//! Containers on a real kernel, on this host and in a cgroup v2 guest.
//!
//! A [`Host`] is what a test has: a containerizer with a cgroup root and a directory of its own, and at its end the
//! check that nothing is left of either.

pub mod guest;
pub mod rootless;
mod stale;
pub mod steps;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use proffer_container::{ContainerConfig, ContainerId, Files, LaunchPlan, plan};
use proffer_linux::{Config, Containerizer, ExitRecord, Launched, SetupError};
use proffer_types::{ContainerSpec, Resources, TaskExit, Usage};

/// Longer than anything here takes, even in a guest on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Enough for any command of these tests.
pub const MEM_BYTES: u64 = 64 << 20;

/// Names the delegated cgroup to tests that run without root.
pub const TREE_VARIABLE: &str = "PROFFER_DELEGATED_CGROUP";

/// What the doomed agent says before it launches, and after it has destroyed.
pub const LAUNCHING: &str = "launching";
pub const DESTROYED: &str = "destroyed";

/// One test's part of this host.
#[derive(Debug)]
pub struct Host {
    pub containerizer: Containerizer,
    pub config: Config,
    pub dir: tempfile::TempDir,
}

/// A container that has been launched.
#[derive(Debug)]
pub struct Container {
    pub id: ContainerId,
    pub dir: PathBuf,
    pub launched: Launched,
}

/// What is known of a container that ended.
#[derive(Debug)]
pub struct Ended {
    pub record: ExitRecord,
    pub usage: Usage,
    pub stdout: String,
    pub stderr: String,
}

impl Host {
    /// Prepares this host, or says why it cannot be.
    pub fn new() -> Result<Option<Self>> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let config = Config {
            cgroup_root: format!("{}{}/{n}", stale::PREFIX, std::process::id()),
            cgroup_mount: std::env::var_os(TREE_VARIABLE)
                .map_or_else(|| PathBuf::from("/sys/fs/cgroup"), PathBuf::from),
        };
        stale::sweep(&config.cgroup_mount);
        let containerizer = match Containerizer::new(&config) {
            Ok(containerizer) => containerizer,
            Err(
                error @ (SetupError::NotRoot { .. }
                | SetupError::NoHierarchy { .. }
                | SetupError::ControllersMissing { .. }),
            ) => {
                say(&format!("skipped: {error}"));
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let dir = tempfile::tempdir()?;
        Ok(Some(Self {
            containerizer,
            config,
            dir,
        }))
    }

    /// A container that runs a command, with half a cpu and [`MEM_BYTES`].
    #[must_use]
    pub fn config(&self, name: &str, command: &[&str]) -> ContainerConfig {
        let dir = self.dir.path().join(name);
        let spec = ContainerSpec {
            command: command.iter().map(|&argument| argument.to_owned()).collect(),
            ..ContainerSpec::default()
        };
        let id = ContainerId::new(name).expect("test names are good ids");
        ContainerConfig::new(id, spec, Resources::of(500, MEM_BYTES, 0), files(&dir))
    }

    /// Plans a container for this host.
    pub fn plan(&self, config: &ContainerConfig) -> Result<LaunchPlan> {
        Ok(plan(config, self.containerizer.host_facts())?)
    }

    /// Launches a container.
    pub fn launch(&self, config: &ContainerConfig) -> Result<Container> {
        let launched = self.containerizer.launch(&self.plan(config)?)?;
        Ok(Container {
            id: config.container_id.clone(),
            dir: self.dir.path().join(config.container_id.as_str()),
            launched,
        })
    }

    /// Launches a shell script and waits for its end.
    pub fn run(&self, script: &str) -> Result<Ended> {
        self.run_config(&self.config("script", &["sh", "-c", script]))
    }

    /// Launches a container, waits for its end, and destroys it.
    pub fn run_config(&self, config: &ContainerConfig) -> Result<Ended> {
        let container = self.launch(config)?;
        self.finish(&container)
    }

    /// Waits for a container's end, and removes it and its files.
    pub fn finish(&self, container: &Container) -> Result<Ended> {
        let exit_file = container.dir.join("exit");
        let record = eventually("an exit record", || {
            Ok(self.containerizer.exit_record(&exit_file)?)
        })?;
        let usage = self.containerizer.usage(&container.id)?;
        self.containerizer.destroy(&container.id)?;
        let ended = Ended {
            record,
            usage,
            stdout: fs::read_to_string(container.dir.join("stdout"))?,
            stderr: fs::read_to_string(container.dir.join("stderr"))?,
        };
        fs::remove_dir_all(&container.dir)?;
        Ok(ended)
    }

    /// Waits until a container's stdout holds a text.
    pub fn wait_output(&self, container: &Container, text: &str) -> Result<()> {
        let stdout = container.dir.join("stdout");
        eventually(text, || {
            Ok(fs::read_to_string(&stdout)?.contains(text).then_some(()))
        })
    }

    /// The directories of this test's cgroups, in every hierarchy.
    #[must_use]
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let mount = &self.config.cgroup_mount;
        let mut tops = vec![mount.clone()];
        tops.extend(
            fs::read_dir(mount)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path()),
        );
        let roots = tops.iter().map(|top| top.join(&self.config.cgroup_root));
        roots.filter(|root| root.exists()).collect()
    }

    /// Ends the test: nothing of it may be left.
    pub fn close(self) -> Result<()> {
        let left = self.containerizer.list()?;
        ensure!(left.is_empty(), "containers are left: {left:?}");
        self.containerizer.remove_root()?;
        let cgroups = self.cgroups();
        ensure!(cgroups.is_empty(), "cgroups are left: {cgroups:?}");
        Ok(())
    }
}

/// A test that fails half way leaves nothing either.
impl Drop for Host {
    fn drop(&mut self) {
        for id in self.containerizer.list().into_iter().flatten() {
            let _ = self.containerizer.destroy(&id);
        }
        let _ = self.containerizer.remove_root();
    }
}

impl Ended {
    /// Fails unless the command exited with that code.
    pub fn expect_code(self, code: i32) -> Result<Self> {
        let exit = self.record.exit;
        ensure!(exit == TaskExit::Code(code), "{exit:?}, stderr: {}", self.stderr);
        Ok(self)
    }
}

/// Where the files of a container go whose directory that is.
#[must_use]
pub fn files(dir: &Path) -> Files {
    Files {
        sandbox: dir.join("sandbox"),
        tmp: dir.join("tmp"),
        stdout: dir.join("stdout"),
        stderr: dir.join("stderr"),
        attach: dir.join("attach"),
        exit: dir.join("exit"),
    }
}

/// Runs a test on a host of its own.
pub fn on_host(test: impl FnOnce(&Host) -> Result<()>) -> Result<()> {
    let Some(host) = Host::new()? else { return Ok(()) };
    test(&host)?;
    host.close()
}

/// Waits for something another process does, of which the kernel gives no event.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        ensure!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a process is alive; a zombie is not.
#[must_use]
pub fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// One line of a `/proc/PID/status` file.
pub fn status_line(text: &str, key: &str) -> Result<String> {
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(name, _)| *name == key).context("no such line")?;
    Ok(value.trim().to_owned())
}

/// The files and directories below one.
pub fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    Ok(fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?)
}

/// The processes that have a file open below a directory, or that one as their own: what is left of a container whose files
/// are there.
#[must_use]
pub fn processes_of(dir: &Path) -> Vec<u32> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let uses = |pid: &u32| {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        let mut links = files.map(|entry| entry.path()).chain([process.join("cwd")]);
        links.any(|link| fs::read_link(link).is_ok_and(|target| target.starts_with(dir)))
    };
    pids.filter(|pid| *pid != std::process::id())
        .filter(uses)
        .collect()
}

/// The mounts of this host below a directory.
pub fn mounts_below(dir: &Path) -> Result<Vec<String>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let target = |line: &&str| {
        line.split(' ')
            .nth(4)
            .is_some_and(|target| Path::new(target).starts_with(dir))
    };
    Ok(mounts.lines().filter(target).map(str::to_owned).collect())
}

/// Says that something cannot be tested here.
pub fn skip(why: &str) {
    say(&format!("skipped: {why}"));
}

/// The group of a container's payload that has a file.
pub fn task_group(host: &Host, id: &ContainerId, file: &str) -> Result<PathBuf> {
    let groups = host.cgroups().into_iter();
    let mut leaves = groups.map(|root| task_leaf(&root, id.as_str()));
    leaves
        .find(|leaf| leaf.join(file).exists())
        .with_context(|| format!("no group has a file {file}"))
}

/// The leaf of a container's payload: below its group, or that itself.
#[must_use]
pub fn task_leaf(root: &Path, id: &str) -> PathBuf {
    let group = root.join(id);
    let leaf = group.join("task");
    if leaf.exists() { leaf } else { group }
}

#[expect(clippy::print_stdout, reason = "the test's summary counts these lines")]
/// Prints a line that the summary of all tests counts when it begins with `skipped`.
pub fn say(text: &str) {
    println!("{text}");
}

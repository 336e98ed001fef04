//! The containers of one agent: launched, adopted, signalled, counted, destroyed.
//!
//! A container is its cgroups and its pid 1; the agent can lose sight of both (a restart) and find them again.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::libc;
use nix::unistd::{SysconfVar, sysconf};
use proffer_container::{ContainerId, HostFacts, LaunchPlan, Leaf, Limit};
use proffer_init::SIGNAL_KILL_ALL;
use proffer_types::statistics::Statistics;
use proffer_types::{Timestamp, Usage};

use crate::cgroups::Cgroups;
use crate::exec::{self, Exec, ExecRequest, Leftovers};
use crate::process::Process;
use crate::userns::UserNamespaces;
use crate::{
    DestroyError, DestroyErrors, ExecError, ExitRecord, ExitRecordError, FreezeError, LaunchError, ListError,
    ResizeError, SetupError, SignalError, UsageError, embedded, launch, network, rootless,
};

/// How long a killed process may take to vanish: writing back a core or leaving a slow device. Then something is wrong
/// with the host.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// Between looks at a cgroup that is being emptied: cgroup v1 tells nobody when it is.
const KILL_POLL: Duration = Duration::from_millis(1);

/// Where containers are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The agent's own cgroup below the mount, as `proffer/agent-1`; created, and removed by
    /// [`Containerizer::remove_root`]. Two agents of one host must not share it.
    pub cgroup_root: String,
    /// Where cgroups are mounted: `/sys/fs/cgroup`.
    pub cgroup_mount: PathBuf,
}

/// A container that runs.
#[derive(Debug)]
pub struct Launched {
    /// The host's pid of the container's pid 1 (proffer-init).
    pub pid: u32,
    /// When it started, in clock ticks since boot, as `/proc/PID/stat` has it; with the pid it names one process for
    /// good.
    pub start_time: u64,
    /// Readable when the container has ended.
    pub pidfd: OwnedFd,
}

/// What became of a container while no agent watched.
#[derive(Debug)]
pub enum Adoption {
    /// It runs, or ended just now; the pidfd becomes readable when it has.
    Adopted { pidfd: OwnedFd },
    /// It has ended (see its exit record), or the host was rebooted.
    Gone,
}

/// Runs containers on this host. Every method blocks, for milliseconds as a rule; call them off the runtime's threads.
#[derive(Debug)]
pub struct Containerizer {
    cgroups: Cgroups,
    facts: HostFacts,
    init: OwnedFd,
    user_namespaces: UserNamespaces,
    processes: Mutex<BTreeMap<ContainerId, Arc<Process>>>,
    /// Those that watched over executed commands.
    leftovers: Leftovers,
}

impl Containerizer {
    /// Detects what the host has, creates the root cgroup, and puts proffer-init into a sealed memfd.
    pub fn new(config: &Config) -> Result<Self, SetupError> {
        let uid = nix::unistd::geteuid();
        if !uid.is_root() {
            return Err(SetupError::NotRoot { uid: uid.as_raw() });
        }
        let cgroups = Cgroups::new(&config.cgroup_mount, &config.cgroup_root)?;
        let namespaces = |source| SetupError::Namespaces { source };
        let ids = rootless::task_ids().map_err(namespaces)?;
        let facts = HostFacts {
            rootless: ids,
            ..host_facts(&cgroups, &config.cgroup_mount)
        };
        let init = embedded::init().map_err(|source| SetupError::Init { source })?;
        let processes = Mutex::default();
        Ok(Self {
            cgroups,
            facts,
            init,
            user_namespaces: UserNamespaces::new(ids.is_some()).map_err(namespaces)?,
            processes,
            leftovers: Leftovers::default(),
        })
    }

    /// What containers are planned against.
    #[must_use]
    pub fn host_facts(&self) -> &HostFacts {
        &self.facts
    }

    /// Carries out a plan. Returns when the command has been executed; on failure everything is undone.
    pub fn launch(&self, plan: &LaunchPlan) -> Result<Launched, LaunchError> {
        let process = launch::launch(&self.cgroups, &self.init, &self.user_namespaces, plan)?;
        let pidfd = process.pidfd().map_err(|source| LaunchError::Spawn {
            source,
            undo: self
                .destroy_process(&plan.container_id, Some(&process))
                .err()
                .unwrap_or_default(),
        })?;
        let (pid, start_time) = (process.pid, process.start_time);
        self.processes()
            .insert(plan.container_id.clone(), Arc::new(process));
        Ok(Launched {
            pid,
            start_time,
            pidfd,
        })
    }

    /// Takes a container back that an earlier agent launched. An error says nothing of the container: it could not be
    /// looked at, for want of descriptors as a rule.
    pub fn adopt(&self, container_id: &ContainerId, pid: u32, start_time: u64) -> io::Result<Adoption> {
        let process = match Process::open(pid) {
            Ok(process) if process.start_time == start_time => process,
            Ok(_) => return Ok(Adoption::Gone),
            Err(error) if is_gone(&error) => return Ok(Adoption::Gone),
            Err(error) => return Err(error),
        };
        let pidfd = process.pidfd()?;
        self.processes().insert(container_id.clone(), Arc::new(process));
        Ok(Adoption::Adopted { pidfd })
    }

    /// Finds a container whose launch was cut short with its agent: by the process in its init group that is pid 1 of
    /// a namespace of its own. It may still fail to execute its command; then it ends without an exit record. An error
    /// says nothing of the container, as with [`Self::adopt`].
    pub fn find(&self, container_id: &ContainerId) -> io::Result<Option<Launched>> {
        for pid in self.cgroups.try_processes_in(container_id, &[Leaf::Init])? {
            let process = match Process::open(pid) {
                Ok(process) => process,
                Err(error) if is_gone(&error) => continue,
                Err(error) => return Err(error),
            };
            if !process.is_pid_1()? {
                continue;
            }
            let (start_time, pidfd) = (process.start_time, process.pidfd()?);
            self.processes().insert(container_id.clone(), Arc::new(process));
            return Ok(Some(Launched {
                pid,
                start_time,
                pidfd,
            }));
        }
        Ok(None)
    }

    /// The root directory of a running container, to be opened without following any link below it: what is there is the
    /// container's.
    #[must_use]
    pub fn root(&self, container_id: &ContainerId) -> Option<PathBuf> {
        let pid = self.processes().get(container_id)?.pid;
        // The dot makes it a directory, in place of a link to one.
        Some(Path::new("/proc").join(pid.to_string()).join("root").join("."))
    }

    /// Executes a command in a running container, confined as its payload. Returns when it has been executed.
    pub fn exec(&self, container_id: &ContainerId, request: ExecRequest) -> Result<Exec, ExecError> {
        self.leftovers.sweep();
        let init = self.processes().get(container_id).cloned();
        let init = init.ok_or(ExecError::Gone)?;
        // What is started in it would never get to its end.
        if self.is_frozen(container_id).unwrap_or(false) {
            return Err(ExecError::Frozen);
        }
        let leftovers = self.leftovers.clone();
        exec::exec(
            &self.cgroups,
            &self.init,
            container_id,
            &init,
            &request,
            leftovers,
        )
    }

    /// Signals the payload's process group, that is its first process and all it started that did not make groups of
    /// their own: SIGTERM, SIGINT, SIGHUP, SIGUSR1 or SIGUSR2. SIGKILL goes to every process of the container but init,
    /// which then leaves the exit record and ends.
    pub fn signal(&self, container_id: &ContainerId, signal: i32) -> Result<(), SignalError> {
        let signal = match signal {
            libc::SIGKILL => SIGNAL_KILL_ALL,
            libc::SIGTERM | libc::SIGINT | libc::SIGHUP | libc::SIGUSR1 | libc::SIGUSR2 => signal,
            signal => return Err(SignalError::Unsupported { signal }),
        };
        let process = self.processes().get(container_id).cloned();
        let process = process.ok_or_else(|| SignalError::Gone(container_id.clone()))?;
        let container_id = container_id.clone();
        process
            .signal(signal)
            .map_err(|source| match source.raw_os_error() {
                Some(libc::ESRCH) => SignalError::Gone(container_id),
                _ => SignalError::Send { container_id, source },
            })
    }

    /// Whether containers can be frozen here.
    #[must_use]
    pub fn can_freeze(&self) -> bool {
        self.cgroups.can_freeze()
    }

    /// Begins to freeze the payload of a container that runs; init is not frozen. [`Self::is_frozen`] tells when it is.
    /// Once more does no harm.
    pub fn freeze(&self, container_id: &ContainerId) -> Result<(), FreezeError> {
        let frozen = self.cgroups.freeze(container_id);
        frozen.map_err(|source| freeze_error("freeze", container_id, source))
    }

    /// Whether no process of a container's payload runs any more: one that is in the kernel is frozen when it comes out.
    pub fn is_frozen(&self, container_id: &ContainerId) -> Result<bool, FreezeError> {
        let frozen = self.cgroups.is_frozen(container_id);
        frozen.map_err(|source| freeze_error("look at the freezer of", container_id, source))
    }

    /// Lets a container's payload run again. One that is not frozen, or not there, is left as it is.
    pub fn thaw(&self, container_id: &ContainerId) -> Result<(), FreezeError> {
        let thawed = self.cgroups.thaw(container_id);
        thawed.map_err(|source| freeze_error("thaw", container_id, source))
    }

    /// Sets other limits for a container that runs. Answers whether all are in force: the limit of memory
    /// is not taken below what the container cannot give back, which would kill it.
    pub fn resize(&self, container_id: &ContainerId, limits: &[Limit]) -> Result<bool, ResizeError> {
        self.cgroups
            .resize(container_id, limits)
            .map_err(|source| ResizeError {
                container_id: container_id.clone(),
                source: Box::new(source),
            })
    }

    /// Reads a container's exit record; `None` while it runs, or when it ended without one.
    pub fn exit_record(&self, exit_file: &Path) -> Result<Option<ExitRecord>, ExitRecordError> {
        ExitRecord::read(exit_file)
    }

    /// What the kernel counted for the payload so far; `wall_time_us` is 0, the exit record has it. To be read before
    /// [`Self::destroy`].
    pub fn usage(&self, container_id: &ContainerId) -> Result<Usage, UsageError> {
        self.cgroups.usage(container_id)
    }

    /// What the kernel counts for the payload while it runs; `disk_bytes` is for those who know the sandbox. Without a
    /// process of its own that is known (adopted or launched here), it has no counts of its network.
    pub fn statistics(&self, container_id: &ContainerId) -> Result<Statistics, UsageError> {
        let mut statistics = Statistics {
            timestamp: now(),
            ..Statistics::default()
        };
        self.cgroups.statistics(container_id, &mut statistics)?;
        let process = self.processes().get(container_id).cloned();
        if let Some(process) = process {
            statistics.network = network::statistics(process.pid);
        }
        Ok(statistics)
    }

    /// Kills what is left of a container, reaps it, and removes its cgroups. Destroying what is not there succeeds.
    /// The sandbox and the exit file stay.
    pub fn destroy(&self, container_id: &ContainerId) -> Result<(), DestroyErrors> {
        let process = self.processes().remove(container_id);
        let destroyed = self.destroy_process(container_id, process.as_deref());
        self.leftovers.sweep();
        destroyed
    }

    fn destroy_process(&self, id: &ContainerId, process: Option<&Process>) -> Result<(), DestroyErrors> {
        let mut errors = DestroyErrors::default();
        // Of cgroup v1, what is frozen does not die. Where it cannot be thawed, what follows says that it lives.
        let _ = self.cgroups.thaw(id);
        if let Some(process) = process {
            errors.note(end(process));
        }
        errors.extend(clear(&self.cgroups, id));
        errors.into_result()
    }

    /// The containers that have cgroups below this agent's root, whoever launched them.
    pub fn list(&self) -> Result<Vec<ContainerId>, ListError> {
        Ok(self.cgroups.list()?.into_iter().collect())
    }

    /// Removes the root cgroup. Fails while containers are left in it.
    pub fn remove_root(&self) -> Result<(), DestroyErrors> {
        self.cgroups.remove_roots()
    }

    fn processes(&self) -> MutexGuard<'_, BTreeMap<ContainerId, Arc<Process>>> {
        // Every change is one call on the map, so a thread that panicked left it whole.
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn freeze_error(what: &'static str, container_id: &ContainerId, source: io::Error) -> FreezeError {
    let container_id = container_id.clone();
    FreezeError {
        what,
        container_id,
        source,
    }
}

/// Whether an error says that there is no such process: of a pid, of `/proc/PID`, or of a file in it.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ESRCH | libc::ENOENT))
}

/// Kills pid 1, and with it the whole pid namespace, and waits until it is gone.
fn end(process: &Process) -> Result<(), DestroyError> {
    let pid = process.pid;
    match process.signal(libc::SIGKILL) {
        Err(source) if source.raw_os_error() != Some(libc::ESRCH) => {
            return Err(DestroyError::Kill { pid, source });
        }
        _ => {}
    }
    match process.wait(KILL_TIMEOUT) {
        Ok(true) => {
            process.reap();
            Ok(())
        }
        Ok(false) => Err(DestroyError::StillAlive {
            pids: vec![pid],
            after: KILL_TIMEOUT,
        }),
        Err(source) => Err(DestroyError::Kill { pid, source }),
    }
}

/// Kills whatever a container's cgroups still hold, removes them, and waits until the killed are gone.
pub(crate) fn clear(cgroups: &Cgroups, id: &ContainerId) -> Result<(), DestroyErrors> {
    let deadline = Instant::now() + KILL_TIMEOUT;
    let mut killed = BTreeMap::new();
    loop {
        // A group that holds a process is not removed; as a rule none does any more.
        let removed = cgroups.remove(id);
        if removed.is_ok() || Instant::now() >= deadline {
            let mut errors = removed.err().unwrap_or_default();
            // A process leaves its cgroup before it is gone, pid 1 long before: it waits for its whole namespace.
            errors.note(gone(&killed, deadline));
            return errors.into_result();
        }
        for pid in cgroups.processes(id) {
            if let Some(process) = kill_member(cgroups, id, pid) {
                killed.entry(pid).or_insert(process);
            }
        }
        thread::sleep(KILL_POLL);
    }
}

/// Kills a process found in a container's cgroups.
fn kill_member(cgroups: &Cgroups, id: &ContainerId, pid: u32) -> Option<Process> {
    let process = Process::open(pid).ok()?;
    // Looked up again now that the pidfd is held: the pid may have changed hands since it was listed.
    let is_member = cgroups.processes(id).contains(&pid);
    (is_member && process.signal(libc::SIGKILL).is_ok()).then_some(process)
}

/// Waits until killed processes have ended, and reaps those that are children of ours.
fn gone(killed: &BTreeMap<u32, Process>, deadline: Instant) -> Result<(), DestroyError> {
    let mut alive = Vec::new();
    for process in killed.values() {
        let left = deadline.saturating_duration_since(Instant::now());
        if process.wait(left).unwrap_or(false) {
            process.reap();
        } else {
            alive.push(process.pid);
        }
    }
    if alive.is_empty() {
        return Ok(());
    }
    let after = KILL_TIMEOUT;
    Err(DestroyError::StillAlive { pids: alive, after })
}

fn host_facts(cgroups: &Cgroups, mount: &Path) -> HostFacts {
    let page_size = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
    let filesystems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    HostFacts {
        version: cgroups.version,
        controllers: cgroups.controllers(),
        swap_limit: cgroups.has_swap_limit(),
        has_swap: has_swap(),
        soft_limit: cgroups.has_soft_limit(),
        cpu_idle: cgroups.has_cpu_idle(),
        extras: cgroups.extras(),
        mem_bytes: mem_bytes(),
        page_size: page_size
            .and_then(|size| u64::try_from(size).ok())
            .unwrap_or(4096),
        cgroup_mount: mount.to_owned(),
        has_mqueue: filesystems.lines().any(|line| line.ends_with("\tmqueue")),
        has_time_namespace: Path::new("/proc/self/ns/time").exists(),
        rootless: None,
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// All memory of the host; 0 when the kernel does not tell.
fn mem_bytes() -> u64 {
    let get = |name| {
        let found = sysconf(name).ok().flatten();
        found.and_then(|found| u64::try_from(found).ok()).unwrap_or(0)
    };
    get(SysconfVar::_PHYS_PAGES).saturating_mul(get(SysconfVar::PAGE_SIZE))
}

/// Whether any swap is in use on the host: a line below the heading of `/proc/swaps`.
fn has_swap() -> bool {
    fs::read_to_string("/proc/swaps").is_ok_and(|swaps| swaps.lines().count() > 1)
}

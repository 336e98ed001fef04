//! One life of an agent: its tasks come and go, until it stops or is killed; and that of the next one.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proffer_privileged_tests::steps::FAIL_WITH;
use proffer_types::agent_link::RegisteredTask;
use proffer_types::{StatusReason, TaskId, TaskState};

use crate::left::{groups, left};
use crate::master::{Agent, Master};
use crate::world::World;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

const POLL: Duration = Duration::from_millis(2);

/// The one with everything, two of a group, and the one that is started again.
pub(crate) const N_TASKS: usize = 4;

/// An agent's daemon, alone or with whoever kills it.
pub(crate) struct Daemon {
    child: Child,
    pid: Pid,
}

/// A step of an agent's life: its name, and the how manieth of this name it is.
pub(crate) type Step = (String, usize);

impl Daemon {
    pub(crate) fn start(world: &World, master: &Master) -> Result<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(world.dir.join("agent.log"))?;
        let child = Command::new(env!("CARGO_BIN_EXE_whole-agent"))
            .arg(master.address.to_string())
            .arg(&world.dir)
            // Why it ends is a line.
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()?;
        let pid = Pid::from_raw(child.id().cast_signed());
        Ok(Self { child, pid })
    }

    /// Starts one that is killed just before a step, if it comes to that. Its end is that of all that came of it.
    pub(crate) fn start_doomed(world: &World, master: &Master, step: &Step) -> Result<Self> {
        Self::start_traced(world, master, step, None)
    }

    /// Starts one of which a step fails with an error.
    pub(crate) fn start_failing(world: &World, master: &Master, step: &Step, errno: i32) -> Result<Self> {
        Self::start_traced(world, master, step, Some(errno))
    }

    fn start_traced(world: &World, master: &Master, step: &Step, errno: Option<i32>) -> Result<Self> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(world.dir.join("agent.log"))?;
        let mut child = Command::new(env!("CARGO_BIN_EXE_kill-before"))
            .envs(errno.map(|errno| (FAIL_WITH, errno.to_string())))
            .stderr(log)
            .arg(world.dir.join("steps"))
            .arg(&world.dir)
            .args([&step.0, &step.1.to_string()])
            .arg(env!("CARGO_BIN_EXE_whole-agent"))
            .args(["--traced", &master.address.to_string()])
            .arg(&world.dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("stdout is piped")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let pid = Pid::from_raw(line.trim().parse().context("no pid")?);
        Ok(Self { child, pid })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw().cast_unsigned()
    }

    /// One that is killed is reaped by whoever traces it, when all of its threads have ended.
    fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none() && Path::new(&format!("/proc/{}", self.pid)).exists())
    }

    /// Kills it; its tasks go on.
    pub(crate) async fn kill(mut self) -> Result<()> {
        kill(self.pid, Signal::SIGKILL)?;
        self.child.wait()?;
        Ok(())
    }

    /// Waits until it registers, or ends by itself.
    pub(crate) async fn register_or_end(
        &mut self,
        master: &mut Master,
    ) -> Result<Option<(Agent, Vec<RegisteredTask>)>> {
        loop {
            // A connection of the agent before may still be waiting here.
            match tokio::time::timeout(POLL, master.register()).await {
                Ok(registered) => {
                    if let Some(registered) = registered? {
                        return Ok(Some(registered));
                    }
                }
                Err(_) if self.child.try_wait()?.is_none() => {}
                Err(_) => return Ok(None),
            }
        }
    }

    /// Waits until one that was killed has ended; what it started may go on.
    pub(crate) async fn died(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.is_running()? {
            ensure!(Instant::now() < deadline, "the agent does not end");
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Has it registered; `None` when it was killed before.
    pub(crate) async fn register(&mut self, master: &mut Master) -> Result<Option<Agent>> {
        loop {
            let registered = tokio::time::timeout(POLL, master.register()).await;
            match registered {
                Ok(registered) => return Ok(registered?.map(|(agent, _)| agent)),
                Err(_) if self.is_running()? => {}
                Err(_) => return Ok(None),
            }
        }
    }

    /// Asks it to stop, if it is there.
    pub(crate) fn ask_to_stop(&self) {
        // It may be killed meanwhile.
        let _ = kill(self.pid, Signal::SIGTERM);
    }

    /// Asks it to stop, and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<()> {
        kill(self.pid, Signal::SIGTERM)?;
        self.wait("the agent to stop").await
    }

    pub(crate) async fn wait(&mut self, what: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "{status}");
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "waited in vain for {what}");
            tokio::time::sleep(POLL).await;
        }
    }
}

/// A test that fails half way leaves no process: whoever traces takes all with it.
impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Removes the groups of a test that failed half way, once their processes are gone.
pub(crate) struct Sweep<'a>(pub(crate) &'a World);

impl Drop for Sweep<'_> {
    fn drop(&mut self) {
        for group in groups(self.0) {
            for pid in fs::read_to_string(group.join("cgroup.procs"))
                .unwrap_or_default()
                .lines()
            {
                if let Ok(pid) = pid.parse() {
                    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
                }
            }
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        while !groups(self.0).is_empty() && Instant::now() < deadline {
            for group in groups(self.0) {
                let _ = fs::remove_dir(group);
            }
            std::thread::sleep(POLL);
        }
    }
}

/// Whether nothing is left of any container.
fn is_idle(world: &World) -> bool {
    let is_empty =
        |name| fs::read_dir(world.data().join(name)).is_ok_and(|mut entries| entries.next().is_none());
    ["tasks", "containers", "groups"].into_iter().all(is_empty)
}

/// Waits until nothing is left of any container.
pub(crate) async fn idle(world: &World) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !is_idle(world) {
        ensure!(Instant::now() < deadline, "never idle: {:#?}", left(world)?);
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}

/// Has an agent make what tasks need once, and ends it again; returns everything there is then.
pub(crate) async fn prepare(world: &World, master: &mut Master) -> Result<BTreeSet<String>> {
    let mut daemon = Daemon::start(world, master)?;
    let mut agent = daemon.register(master).await?.context("the agent is gone")?;
    for change in world.changes()? {
        agent.change(change).await?;
    }
    daemon.stop().await?;
    left(world)
}

/// Has an agent run all tasks, until they do. `None` when it was killed meanwhile.
pub(crate) async fn up(world: &World, agent: &mut Agent) -> Result<Option<BTreeSet<TaskId>>> {
    agent.run(world.rich()?)?;
    agent.run_group(world.group()?)?;
    agent.run(world.again()?)?;
    let mut running = BTreeSet::new();
    let mut has_restarted = false;
    while running.len() < N_TASKS {
        let Some(status) = agent.status().await? else {
            return Ok(None);
        };
        ensure!(!status.state.is_terminal(), "{status:?}");
        has_restarted |= status.reason == Some(StatusReason::TaskRestarted);
        if status.state == TaskState::Running && (status.task_id.as_str() != "again" || has_restarted) {
            running.insert(status.task_id.clone());
        }
    }
    Ok(Some(running))
}

/// Has an agent run all tasks and end them again. False when it was killed meanwhile.
pub(crate) async fn live(world: &World, daemon: &mut Daemon, agent: &mut Agent) -> Result<bool> {
    let Some(running) = up(world, agent).await? else {
        return Ok(false);
    };
    for task_id in &running {
        agent.kill(task_id)?;
    }
    let mut n_ended = 0;
    while n_ended < N_TASKS {
        let Some(status) = agent.status().await? else {
            return Ok(false);
        };
        if status.state.is_terminal() {
            ensure!(status.state == TaskState::Killed, "{status:?}");
            n_ended += 1;
        }
    }
    let deadline = Instant::now() + PATIENCE;
    while !is_idle(world) {
        if !daemon.is_running()? {
            return Ok(false);
        }
        ensure!(Instant::now() < deadline, "never idle: {:#?}", left(world)?);
        tokio::time::sleep(POLL).await;
    }
    Ok(true)
}

/// Starts an agent after one that was killed, ends what it has taken back, and stops it when it is idle.
pub(crate) async fn recover(world: &World, master: &mut Master) -> Result<()> {
    let daemon = Daemon::start(world, master)?;
    // A connection of the agent before may still be waiting here.
    let (mut agent, tasks) = loop {
        if let Some(registered) = master.register().await? {
            break registered;
        }
    };
    let ids: Vec<TaskId> = tasks.iter().map(|task| task.info.id.clone()).collect();
    for id in &ids {
        agent.kill(id)?;
    }
    let deadline = Instant::now() + PATIENCE;
    while !is_idle(world) {
        // Acknowledged, so that nothing of them is kept.
        let status = tokio::time::timeout(POLL, agent.status()).await;
        if let Ok(status) = status {
            ensure!(
                status?.is_some(),
                "the next agent is gone, too: {:#?}",
                left(world)?
            );
        }
        ensure!(Instant::now() < deadline, "never idle again: {:#?}", left(world)?);
    }
    daemon.stop().await
}

//! Agents on machines that are slow, or have too little: what runs goes on, and what cannot start says why.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::wait_for;
use proffer_privileged_tests::guest::machine::Machine;

use crate::site::{Neighbour, PATIENCE, Site};
use crate::slow_disk::{self, WHILE, WRITE_MS};

const MASTER: &str = "10.78.0.1";
const AGENT: &str = "10.78.0.11";

/// The group of all tasks.
const TASKS: &str = "/sys/fs/cgroup/proffer";

/// Goes on until its file is there.
const WAIT: &str = "until test -e /tmp/runs/done; do sleep 0.2; done";

/// A site with one machine, whose agent is to be started.
struct Stage {
    site: Site,
    machine: Machine,
    _neighbours: [Neighbour; 3],
}

impl Stage {
    fn start() -> Result<Option<Self>> {
        let Some(mut site) = Site::new(MASTER, &[MASTER])? else {
            return Ok(None);
        };
        let neighbours = site.start_but_agents(MASTER)?;
        let parts = site.machine("agent", AGENT)?;
        let machine = site.boot(&parts, "commit=5")?;
        Ok(Some(Self {
            site,
            machine,
            _neighbours: neighbours,
        }))
    }

    fn start_agent(&mut self) -> Result<u32> {
        let pid = self.site.start_agent(&mut self.machine, "agent", MASTER, AGENT)?;
        self.site.await_whole(1, 2)?;
        Ok(pid)
    }

    fn await_runs(&self, job: &str, n_runs: usize) -> Result<()> {
        let runs = || self.site.n_runs(job, 0);
        let logs = || self.site.logs();
        ensure!(
            wait_for(PATIENCE, || runs() == n_runs),
            "{job} ran {} times: {}",
            runs(),
            logs()
        );
        Ok(())
    }

    /// Ends what goes on, which ran once all the time.
    fn end(self) -> Result<()> {
        std::fs::write(self.site.runs().join("done"), "")?;
        self.site.await_end("steady")?;
        self.await_runs("steady", 1)?;
        self.site.check_logs()?;
        self.machine.kill()
    }
}

#[test]
fn an_agent_whose_disk_takes_seconds_for_a_write_is_slow_and_not_silent() -> Result<()> {
    if slow_disk::is_impossible() {
        return Ok(());
    }
    let Some(mut stage) = Stage::start()? else {
        return Ok(());
    };
    slow_disk::lay(&mut stage.machine)?;
    stage.start_agent()?;
    stage.site.submit("steady", 1, WAIT, "")?;
    stage.await_runs("steady", 1)?;

    slow_disk::delay(&mut stage.machine, WRITE_MS)?;
    stage.site.submit("short", 3, "true", "")?;
    let started = Instant::now();
    while started.elapsed() < WHILE {
        let agents = stage.site.listed(&["agents"])?;
        ensure!(
            agents[0]["state"] == "active",
            "{agents:?}: {}",
            stage.site.logs()
        );
    }
    let n_lost = stage.site.count("agent", "session lost");
    ensure!(n_lost == 0, "the agent was cut off: {}", stage.site.logs());
    let n_slow = stage.site.count("agent", "a checkpoint took long to be written");
    ensure!(n_slow > 0, "the disk was not slow: {}", stage.site.logs());
    slow_disk::delay(&mut stage.machine, 0)?;
    stage.site.await_end("short")?;
    stage.end()
}

#[test]
fn an_agent_without_processes_or_memory_loses_no_task() -> Result<()> {
    let Some(mut stage) = Stage::start()? else {
        return Ok(());
    };
    let group = "/sys/fs/cgroup/the-agent";
    let pid = stage.start_agent()?;
    stage.site.submit("steady", 1, WAIT, "")?;
    stage.await_runs("steady", 1)?;

    // No process and no thread beside those that there are: neither of the agent nor of all tasks together.
    for line in [
        "echo '+pids +memory' >/sys/fs/cgroup/cgroup.subtree_control".to_owned(),
        format!("mkdir {group} && echo {pid} >{group}/cgroup.procs"),
        format!("for g in {group} {TASKS}; do cat $g/pids.current >$g/pids.max; done"),
    ] {
        stage.machine.sh(&line)?;
    }
    stage.site.submit("refused", 1, "true", "")?;
    let why = |stage: &Stage| {
        let job = stage.site.json(&["job", "status", "refused"]).unwrap_or_default();
        job["tasks"][0]["latest_status"]["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    let is_told = || why(&stage).contains("Resource temporarily unavailable");
    ensure!(
        wait_for(PATIENCE, is_told),
        "it says {:?}: {}",
        why(&stage),
        stage.site.logs()
    );
    stage
        .machine
        .sh(&format!("echo max >{group}/pids.max; echo max >{TASKS}/pids.max"))?;
    stage.site.submit("after", 1, "true", "")?;
    stage.site.await_end("after")?;

    // No memory: the kernel kills it. The next one goes on.
    stage.machine.sh(&format!("echo 0 >{group}/memory.max"))?;
    let is_gone = |machine: &mut Machine| machine.sh(&format!("kill -0 {pid}")).is_err();
    let deadline = Instant::now() + PATIENCE;
    while !is_gone(&mut stage.machine) {
        ensure!(Instant::now() < deadline, "an agent without memory goes on");
    }
    let killed = stage
        .machine
        .sh(&format!("grep -w oom_kill {group}/memory.events"))?;
    ensure!(killed.trim() != "oom_kill 0", "{killed}");
    stage.start_agent().context("no agent after one without memory")?;
    stage.site.submit("again", 1, "true", "")?;
    stage.site.await_end("again")?;
    stage.end()
}

//! Agents with kernels of their own, on cables that are cut and at a power that fails; master and frameworks are elsewhere.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::lan::Cut;
use proffer_cluster_tests::wait_for;
use proffer_privileged_tests::guest::machine::{Machine, Parts};

use crate::site::{Neighbour, PATIENCE, RETRIES, Site};

const MASTER: &str = "10.78.0.1";

/// The machines, by their names.
const AGENTS: [(&str, &str); 2] = [("east", "10.78.0.11"), ("west", "10.78.0.12")];

/// Tasks that are run while cables are cut.
const N_TASKS: usize = 12;

/// A site with two agents.
struct Stage {
    site: Site,
    parts: BTreeMap<&'static str, Parts>,
    machines: BTreeMap<&'static str, Machine>,
    _neighbours: [Neighbour; 3],
}

impl Stage {
    fn start() -> Result<Option<Self>> {
        let Some(mut site) = Site::new(MASTER, &[MASTER])? else {
            return Ok(None);
        };
        let neighbours = site.start_but_agents(MASTER)?;
        let mut parts = BTreeMap::new();
        for (name, address) in AGENTS {
            parts.insert(name, site.machine(name, address)?);
        }
        let mut stage = Self {
            site,
            parts,
            machines: BTreeMap::new(),
            _neighbours: neighbours,
        };
        for (name, _) in AGENTS {
            stage.boot(name)?;
        }
        stage.await_whole()?;
        Ok(Some(stage))
    }

    fn boot(&mut self, name: &'static str) -> Result<()> {
        let mut machine = self.site.boot(&self.parts[name], "commit=5")?;
        let daemon = format!("agent-{name}");
        self.site
            .start_agent(&mut machine, &daemon, MASTER, address(name)?)?;
        self.machines.insert(name, machine);
        Ok(())
    }

    fn await_whole(&self) -> Result<()> {
        self.site.await_whole(AGENTS.len(), 2)
    }

    fn await_unreachable(&self, name: &str) -> Result<()> {
        let is_given_up = || {
            let agents = self.site.listed(&["agents"]).unwrap_or_default();
            let mut own = agents.iter().filter(|agent| agent["hostname"] == name);
            own.any(|agent| agent["state"] == "unreachable")
        };
        let logs = || self.site.logs();
        ensure!(
            wait_for(PATIENCE, is_given_up),
            "{name} is waited for: {}",
            logs()
        );
        Ok(())
    }

    /// The machines that replicas of the service run on.
    fn homes(&self) -> Vec<String> {
        let tasks = self.site.listed(&["ps"]).unwrap_or_default();
        let of_service = tasks.iter().filter(|task| task["framework_name"] == "service");
        let running = of_service.filter(|task| task["state"] == "running");
        let homes = running.filter_map(|task| task["agent_hostname"].as_str());
        homes.map(str::to_owned).collect()
    }

    /// Waits until there is one replica, on any machine but one; returns where.
    fn home(&self, not: &str) -> Result<&'static str> {
        let mut homes = Vec::new();
        let is_there = wait_for(PATIENCE, || {
            homes = self.homes();
            homes.len() == 1 && homes[0] != not
        });
        let logs = || self.site.logs();
        ensure!(is_there, "it is on {homes:?}, not to be on {not:?}: {}", logs());
        let home = AGENTS.iter().find(|(name, _)| *name == homes[0]);
        home.map(|(name, _)| *name).context("no machine")
    }
}

fn address(name: &str) -> Result<&'static str> {
    let agent = AGENTS.iter().find(|(agent, _)| *agent == name);
    agent.map(|(_, address)| *address).context("no machine")
}

#[test]
fn a_machine_that_is_cut_off_or_dies_is_replaced_and_says_what_became_of_its_tasks() -> Result<()> {
    let Some(mut stage) = Stage::start()? else {
        return Ok(());
    };
    let service = stage.site.runs().join("service.yaml");
    let task = "{ cpus: 0.2, mem: 16MiB, command: [sleep, '1000'] }";
    fs::write(
        &service,
        format!("name: long\nreplicas: 1\nlost_after: 3s\ntask: {task}\n"),
    )?;
    stage
        .site
        .ok(&["service", "apply", "-f", &service.display().to_string()])?;
    let home = stage.home("")?;
    stage.site.submit("load", N_TASKS, "sleep 1", RETRIES)?;

    // It does not hear: it leaves by itself, and comes back.
    stage.site.lan.cut(address(home)?, Cut::In)?;
    let is_lost = || stage.site.count(&format!("agent-{home}"), "session lost") > 0;
    ensure!(wait_for(PATIENCE, is_lost), "the deaf agent noticed nothing");
    stage.site.lan.mend(address(home)?)?;
    stage.await_whole()?;

    // It is not heard for longer than it is waited for: what it has runs elsewhere, and there no more once it is back.
    let home = stage.home("")?;
    stage.site.lan.cut(address(home)?, Cut::Out)?;
    stage.await_unreachable(home)?;
    stage.home(home)?;
    stage.site.lan.mend(address(home)?)?;
    stage.await_whole()?;
    let home = stage.home("")?;
    stage.site.await_end("load")?;
    let n_runs: Vec<_> = (0..N_TASKS).map(|n| stage.site.n_runs("load", n)).collect();
    ensure!(n_runs == [1; N_TASKS], "{n_runs:?}");

    // It dies, with what it knows of its tasks on disk: what it does not know, it cannot tell of.
    let mut machine = stage.machines.remove(home).context("it is on")?;
    machine.sh("sync")?;
    machine.kill()?;
    stage.await_unreachable(home)?;
    stage.home(home)?;
    stage.boot(home)?;
    stage.await_whole()?;
    let is_told = || stage.site.count(&format!("agent-{home}"), "AGENT_REBOOTED") > 0;
    let logs = || stage.site.logs();
    ensure!(wait_for(PATIENCE, is_told), "no word of the reboot: {}", logs());
    stage.home(home)?;
    stage.site.check_logs()?;
    stage.machines.into_values().try_for_each(Machine::kill)
}

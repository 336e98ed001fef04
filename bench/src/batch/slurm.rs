//! Slurm, as Debian has it: a controller and a node daemon on this host, in a network of their own, where they need no
//! passwords. Without accounting and without isolation, so with the least that it can do.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, Result, ensure};

use super::array::Ended;
use super::enclosed::Enclosed;
use super::queued::Held;
use crate::fleet::cpu_ms_of_all;
use crate::reference::rss_mib;

/// Cores that the node claims to have, so that as many tasks start in one pass of the scheduler.
const CORES: u32 = 64;
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Slurm {
    node: Option<Daemon>,
    controller: Option<Daemon>,
    network: Enclosed,
    dir: tempfile::TempDir,
}

/// A daemon in the foreground, dead with its owner.
#[derive(Debug)]
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Slurm {
    pub(super) fn start() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("proffer-bench-").tempdir()?;
        fs::write(dir.path().join("slurm.conf"), config(dir.path())?)?;
        let mut slurm = Self {
            node: None,
            controller: None,
            network: Enclosed::new()?,
            dir,
        };
        slurm.start_controller()?;
        slurm.node = Some(slurm.daemon("slurmd", &["-N", "bench"])?);
        slurm.wait_until("its node", |slurm| {
            slurm
                .said("sinfo", &["-h", "-o", "%t"])
                .is_ok_and(|state| state.trim() == "idle")
        })?;
        Ok(slurm)
    }

    fn start_controller(&mut self) -> Result<()> {
        self.controller = Some(self.daemon("slurmctld", &[])?);
        Ok(())
    }

    fn daemon(&self, program: &str, args: &[&str]) -> Result<Daemon> {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join(format!("{program}.out")))?;
        let path = sbin(program)?;
        let mut command = self.command(&path.display().to_string(), &["-D", "-f"]);
        command.arg(self.config()).args(args);
        let child = command
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("nsenter")?;
        Ok(Daemon(child))
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("slurm.conf")
    }

    /// One of its programs.
    pub(super) fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = self.network.command(program);
        command
            .args(args)
            .env("SLURM_CONF", self.config())
            .current_dir(self.dir.path());
        command
    }

    fn said(&self, program: &str, args: &[&str]) -> Result<String> {
        let output = self.command(program, args).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{program}: {}", said.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn wait_until(&self, what: &str, holds: impl Fn(&Self) -> bool) -> Result<()> {
        let start = Instant::now();
        while !holds(self) {
            ensure!(
                start.elapsed() < PATIENCE,
                "{what} is not there after {PATIENCE:?}"
            );
            thread::sleep(LOOK);
        }
        Ok(())
    }

    pub(super) fn array(&self, n: u32) -> Result<Ended> {
        let cpu = self.cpu_ms()?;
        let start = Instant::now();
        let id = self.batch(&[&format!("--array=0-{}", n - 1)])?;
        // `sbatch --wait` looks every ten seconds only.
        self.wait_until("the end of the array", |slurm| {
            let left = slurm.said("squeue", &["-h", "-j", id.trim()]);
            left.is_ok_and(|left| left.trim().is_empty())
        })?;
        let took = start.elapsed().as_secs_f64();
        Ok(Ended {
            rate: f64::from(n) / took,
            cpu_ms: (self.cpu_ms()? - cpu) / f64::from(n),
        })
    }

    /// An array that waits, and a controller that is killed with it.
    pub(super) fn hold(&mut self, n: u32) -> Result<Held> {
        self.batch(&["--hold", &format!("--array=0-{}", n - 1)])?;
        let queue = |slurm: &Self| slurm.said("squeue", &["-h", "-o", "%K %t"]);
        let before = queue(self)?;
        let controller = self.controller.as_ref().context("no controller")?;
        let mib = rss_mib(controller.0.id())?;
        // It writes its state now and then, in the background.
        thread::sleep(Duration::from_secs(6));
        self.controller = None;
        let start = Instant::now();
        self.start_controller()?;
        self.wait_until("the array", |slurm| queue(slurm).is_ok_and(|now| now == before))?;
        Ok(Held {
            mib,
            back_s: Some(start.elapsed().as_secs_f64()),
        })
    }

    /// Submits `true`; returns the job's number.
    fn batch(&self, args: &[&str]) -> Result<String> {
        let quiet = [
            "--parsable",
            "--output=/dev/null",
            "--error=/dev/null",
            "--wrap=true",
        ];
        self.said("sbatch", &[args, &quiet].concat())
    }

    fn cpu_ms(&self) -> Result<f64> {
        let daemons = [&self.controller, &self.node].into_iter().flatten();
        daemons.map(|daemon| cpu_ms_of_all(daemon.0.id())).sum()
    }
}

/// Where Debian puts daemons; not on everybody's path.
fn sbin(program: &str) -> Result<PathBuf> {
    let path = Path::new("/usr/sbin").join(program);
    ensure!(path.exists(), "there is no {program} here");
    Ok(path)
}

fn config(dir: &Path) -> Result<String> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname")?;
    let host = host.trim();
    let mut config = Vec::new();
    for name in ["state", "spool"] {
        fs::create_dir(dir.join(name))?;
    }
    let dir = dir.display();
    write!(
        config,
        "\
ClusterName=bench
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
StateSaveLocation={dir}/state
SlurmdSpoolDir={dir}/spool
SlurmctldPidFile={dir}/slurmctld.pid
SlurmdPidFile={dir}/slurmd.pid
SlurmctldLogFile={dir}/slurmctld.log
SlurmdLogFile={dir}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,default_queue_depth=10000,bf_interval=1
SlurmdParameters=config_overrides
MaxArraySize=1000001
MaxJobCount=1100000
ReturnToService=2
NodeName=bench NodeHostname={host} NodeAddr=127.0.0.1 CPUs={CORES} State=UNKNOWN
PartitionName=main Nodes=bench Default=YES MaxTime=INFINITE State=UP
"
    )?;
    Ok(String::from_utf8(config)?)
}

//! Processes of simulated agents, seen from the benchmark: started, asked, counted, ended.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use anyhow::{Context as _, Result, bail};

use crate::agents::Counts;

/// The most agents of one process: a connection each, of the 20,000 files a process may have open on most machines.
const AGENTS_A_PROCESS: u32 = 15_000;
/// How often something is asked that is waited for. What is timed is taken note of where it happens.
const LOOK: Duration = Duration::from_millis(20);
/// How often it is said how far something is that is waited for, if it got any further.
const SAY: Duration = Duration::from_secs(1);
/// Of proc(5): `USER_HZ`.
const TICKS_A_SECOND: f64 = 100.0;

/// What a fleet plays.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) masters: Vec<String>,
    pub(crate) n_agents: u32,
    /// Tasks that each has room for.
    pub(crate) slots: u32,
    /// Absent means that tasks run for ever.
    pub(crate) lifetime: Option<Duration>,
}

#[derive(Debug)]
pub(crate) struct Fleet {
    processes: Vec<Process>,
    n_agents: u32,
}

#[derive(Debug)]
struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Fleet {
    pub(crate) fn start(plan: &Plan) -> Result<Self> {
        let mut processes = Vec::new();
        let mut first = 0;
        while first < plan.n_agents {
            let count = AGENTS_A_PROCESS.min(plan.n_agents - first);
            processes.push(Process::start(plan, first, count)?);
            first += count;
        }
        Ok(Self {
            processes,
            n_agents: plan.n_agents,
        })
    }

    /// What all agents have seen.
    pub(crate) fn counts(&mut self) -> Result<Counts> {
        let mut sum = Counts::default();
        for process in &mut self.processes {
            process.tell("count")?;
            let mut line = String::new();
            process.stdout.read_line(&mut line)?;
            sum = sum.plus(line.parse()?);
        }
        Ok(sum)
    }

    /// Whether running tasks have news all the time.
    pub(crate) fn set_updates(&mut self, on: bool) -> Result<()> {
        let line = if on { "updates on" } else { "updates off" };
        self.processes
            .iter_mut()
            .try_for_each(|process| process.tell(line))
    }

    /// Waits until one number has reached another, and says each second how far it is.
    pub(crate) fn wait(
        &mut self,
        limit: Duration,
        what: &str,
        reached: impl Fn(&Counts) -> (u64, u64),
    ) -> Result<Counts> {
        let start = Instant::now();
        let mut said = (Instant::now(), 0);
        loop {
            let counts = self.counts()?;
            let (n, of) = reached(&counts);
            if n >= of {
                return Ok(counts);
            }
            if start.elapsed() > limit {
                bail!("{what}: {n} of {of} after {limit:?}: {counts:?}");
            }
            if said.0.elapsed() > SAY && said.1 != n {
                eprintln!("{:4.0} s: {what}: {n} of {of}", start.elapsed().as_secs_f64());
                said = (Instant::now(), n);
            }
            thread::sleep(LOOK);
        }
    }

    /// Waits until all agents are connected that were not at `since`; returns when the last one was, in microseconds.
    pub(crate) fn wait_up(&mut self, limit: Duration, since_us: u64) -> Result<u64> {
        let n_agents = u64::from(self.n_agents);
        // While the last one was there before, not all have noticed that their master is gone.
        let up = |counts: &Counts| match counts.all_up_us > since_us {
            true => (counts.n_up, n_agents),
            false => (counts.n_up.min(n_agents - 1), n_agents),
        };
        Ok(self.wait(limit, "agents are connected", up)?.all_up_us)
    }

    /// Milliseconds of processor time.
    pub(crate) fn cpu_ms(&self) -> Result<f64> {
        self.processes
            .iter()
            .map(|process| cpu_ms(process.child.id()))
            .sum()
    }
}

impl Process {
    fn start(plan: &Plan, first: u32, count: u32) -> Result<Self> {
        let lifetime_ms = plan.lifetime.map_or(0, |lifetime| lifetime.as_millis());
        let mut child = Command::new(env::current_exe()?)
            .args(["agents", "--master", &plan.masters.join(",")])
            .args(["--first", &first.to_string(), "--count", &count.to_string()])
            .args(["--slots", &plan.slots.to_string()])
            .args(["--lifetime-ms", &lifetime_ms.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take().context("no stdin")?;
        let stdout = child.stdout.take().context("no stdout")?;
        Ok(Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
        })
    }

    fn tell(&mut self, line: &str) -> Result<()> {
        writeln!(self.stdin, "{line}").context("agents ended")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Milliseconds of processor time that a process has spent.
pub(crate) fn cpu_ms(pid: u32) -> Result<f64> {
    // utime and stime; see proc_pid_stat(5).
    ticks_ms(pid, 2)
}

/// Milliseconds of processor time that a process has spent, and all that it started and reaped.
pub(crate) fn cpu_ms_of_all(pid: u32) -> Result<f64> {
    // cutime and cstime, too.
    ticks_ms(pid, 4)
}

fn ticks_ms(pid: u32, n_fields: usize) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields = stat.rsplit_once(") ").context("no name in stat")?.1;
    let fields = fields.split(' ').skip(11).take(n_fields);
    let n_ticks = fields.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(n_ticks as f64 * 1000.0 / TICKS_A_SECOND)
}

//! The workload that broke Chronos: recurring jobs, while everything is killed or cut off.
//!
//! Three masters and two batch frameworks on a real etcd, and two agents, each on a host of its own; a seed decides what is
//! killed with SIGKILL, hangs (SIGSTOP) or is cut off, one way or both, when and for how long. What the tasks wrote is
//! held against the framework's ledger and against what was done; the rules are in `proffer_cluster_tests::chronos`. `PROFFER_CHRONOS_SECONDS` is how long faults go on, `PROFFER_CHRONOS_SEED` repeats a run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::chronos::{Entry, Fault, Job, Report, Victim};
use proffer_cluster_tests::lan::{Cut, Lan, SWITCH};
use proffer_cluster_tests::{built_binary, signal, skipped, text, wait_for};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long faults go on where nobody says.
const SECONDS: u64 = 45;
const ETCD: &str = "10.78.0.9";
const MASTERS: [&str; 3] = ["10.78.0.1", "10.78.0.2", "10.78.0.3"];
const AGENTS: [&str; 2] = ["10.78.0.11", "10.78.0.12"];
const FRAMEWORKS: [&str; 2] = ["10.78.0.21", "10.78.0.22"];
const N_JOBS: u64 = 14;
/// Everything is well when it was at so many looks in a row: what has just been killed may not have been missed yet.
const LOOKS: usize = 3;
/// A leader whose etcd was away may find out only when its lease is over.
const LEASE: Duration = Duration::from_secs(4);
/// How often the witness writes, and how long a write may take on a host that is well.
const LOOK: Duration = Duration::from_millis(100);
const SLOW: Duration = Duration::from_millis(500);
/// A write that takes so long may take etcd's, too, and cost the leader its lease; so much later the next one leads, and
/// everybody has found it.
const LONG: Duration = Duration::from_secs(1);
const AFTERMATH_MS: u64 = 10_000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(300);

struct Daemon {
    victim: Victim,
    host: &'static str,
    program: PathBuf,
    args: Vec<String>,
    child: Option<Child>,
}

/// What is done to a daemon.
#[derive(Debug, Clone, Copy)]
enum Harm {
    Kill,
    Stop,
    Cut(Cut<'static>),
}

/// A cluster in which anything may be dead, or unheard of.
struct Stage {
    binary: PathBuf,
    lan: Lan,
    dir: tempfile::TempDir,
    masters: String,
    /// In the order in which they are started.
    daemons: Vec<(String, Daemon)>,
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Stage {
    fn start() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("proffer-chronos-").tempdir()?;
        let binary = built_binary()?;
        let data = |name: &str| dir.path().join(name).display().to_string();
        let masters = MASTERS.map(|host| format!("{host}:5050")).join(",");
        let (client, peer) = (format!("http://{ETCD}:2379"), format!("http://{ETCD}:2380"));
        let etcd = format!(
            "--name test --log-level error --data-dir {} --listen-client-urls {client} --advertise-client-urls {client} \
             --listen-peer-urls {peer} --initial-advertise-peer-urls {peer} --initial-cluster test={peer}",
            data("etcd")
        );
        let mut commands = vec![("etcd".to_owned(), Victim::Etcd, ETCD, PathBuf::from("etcd"), etcd)];
        for host in MASTERS {
            // Short, so that who is cut off is noticed within the test.
            let args = format!(
                "master --listen {host}:5050 --insecure-listen --store etcd://{ETCD}:2379/test --heartbeat-interval 1s \
                 --agent-reregister-timeout 4s"
            );
            commands.push((
                format!("master-{host}"),
                Victim::Master,
                host,
                binary.clone(),
                args,
            ));
        }
        let out = dir.path().join("out");
        fs::create_dir(&out)?;
        fs::set_permissions(&out, std::os::unix::fs::PermissionsExt::from_mode(0o1777))?;
        for host in AGENTS {
            let name = format!("agent-{host}");
            let args = format!(
                "agent --master {masters} --listen {host}:5051 --insecure-listen --data-dir {} --allow-host-path {}",
                data(&name),
                out.display()
            );
            commands.push((name, Victim::Agent, host, binary.clone(), args));
        }
        for host in FRAMEWORKS {
            let args = format!(
                "framework batch --master {masters} --listen {host}:0 --insecure-listen --store etcd://{ETCD}:2379/test"
            );
            commands.push((
                format!("batch-{host}"),
                Victim::Framework,
                host,
                binary.clone(),
                args,
            ));
        }
        let hosts: Vec<_> = commands.iter().map(|(_, _, host, _, _)| *host).collect();
        let lan = Lan::new(dir.path().join("hosts"), &hosts)?;
        let daemon = |(name, victim, host, program, args): (String, _, _, _, String)| {
            let args = args.split(' ').map(str::to_owned).collect();
            let daemon = Daemon {
                victim,
                host,
                program,
                args,
                child: None,
            };
            (name, daemon)
        };
        let mut stage = Self {
            binary,
            lan,
            masters,
            daemons: commands.into_iter().map(daemon).collect(),
            dir,
        };
        for n in 0..stage.daemons.len() {
            stage.start_one(n)?;
        }
        ensure!(stage.is_well_within(PATIENCE), "the cluster does not come up");
        Ok(stage)
    }

    fn start_one(&mut self, n: usize) -> Result<()> {
        let (name, daemon) = &mut self.daemons[n];
        let log = self.dir.path().join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = self.lan.on(daemon.host, &daemon.program);
        command.args(&daemon.args);
        command.stdout(log.try_clone()?).stderr(log);
        daemon.child = Some(command.spawn().with_context(|| name.clone())?);
        Ok(())
    }

    /// Kills one with SIGKILL.
    fn kill(&mut self, n: usize) -> Result<()> {
        if let Some(mut child) = self.daemons[n].1.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Starts again what ended by itself, as a supervisor would: a master whose term is over does.
    fn supervise(&mut self) -> Result<()> {
        for n in 0..self.daemons.len() {
            let child = self.daemons[n].1.child.as_mut();
            if child.is_some_and(|child| matches!(child.try_wait(), Ok(Some(_)))) {
                self.start_one(n)?;
            }
        }
        Ok(())
    }

    fn run(&self, args: &[&str]) -> Result<Output> {
        let mut command = self.lan.on(SWITCH, &self.binary);
        Ok(command.args(args).env("PROFFER_MASTER", &self.masters).output()?)
    }

    fn json(&self, args: &[&str]) -> Result<Value> {
        let output = self.run(&[args, &["-o", "json"]].concat())?;
        ensure!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Whether a master leads that has all agents and the framework.
    fn is_well(&self) -> bool {
        let active = |listing: &str| {
            let listed = self.run(&[listing]).map(|output| text(&output.stdout));
            listed.map_or(0, |listed| listed.matches(" ACTIVE ").count())
        };
        active("agents") == AGENTS.len() && active("frameworks") == 1
    }

    fn is_well_within(&mut self, limit: Duration) -> bool {
        let start = Instant::now();
        let mut n_well = 0;
        while n_well < LOOKS && start.elapsed() < limit {
            let supervised = self.supervise();
            n_well = if supervised.is_ok() && self.is_well() {
                n_well + 1
            } else {
                0
            };
            std::thread::sleep(BETWEEN_LOOKS);
        }
        n_well == LOOKS
    }

    fn harm(&mut self, n: usize, harm: Harm) -> Result<()> {
        let daemon = &self.daemons[n].1;
        match (harm, &daemon.child) {
            (Harm::Stop, Some(child)) => signal(child.id(), "STOP"),
            (Harm::Cut(cut), _) => self.lan.cut(daemon.host, cut),
            (Harm::Kill | Harm::Stop, _) => self.kill(n),
        }
    }

    fn mend(&mut self, n: usize, harm: Harm) -> Result<()> {
        let daemon = &self.daemons[n].1;
        match (harm, &daemon.child) {
            (Harm::Cut(_), _) => self.lan.mend(daemon.host),
            (_, Some(child)) => signal(child.id(), "CONT"),
            (_, None) => self.start_one(n),
        }
    }

    /// Harms one or two, lets them be for a while, and waits until all is well again.
    fn fault(&mut self, rng: &mut ChaCha8Rng) -> Result<Vec<Fault>> {
        let n_victims = if rng.random_range(0..4) == 0 { 2 } else { 1 };
        let harm = match rng.random_range(0..8) {
            0..4 => Harm::Kill,
            4 => Harm::Stop,
            5 => Harm::Cut(Cut::Both),
            6 => Harm::Cut(Cut::In),
            _ => Harm::Cut(Cut::Out),
        };
        let victims: BTreeSet<usize> = (0..n_victims).map(|_| self.draw(rng)).collect();
        let from_ms = now_ms();
        for victim in &victims {
            eprintln!("{from_ms} {harm:?} {}", self.daemons[*victim].0);
            self.harm(*victim, harm)?;
        }
        std::thread::sleep(Duration::from_millis(rng.random_range(0..7_000)));
        for victim in &victims {
            self.mend(*victim, harm)?;
        }
        if victims.iter().any(|n| self.daemons[*n].1.victim == Victim::Etcd) {
            std::thread::sleep(LEASE);
        }
        ensure!(self.is_well_within(PATIENCE), "the cluster does not come back");
        let to_ms = now_ms();
        eprintln!("{to_ms} well");
        let fault = |victim| Fault {
            victim,
            from_ms,
            to_ms,
        };
        Ok(victims
            .into_iter()
            .map(|n| fault(self.daemons[n].1.victim))
            .collect())
    }

    /// The framework and the leader are the most interesting.
    fn draw(&self, rng: &mut ChaCha8Rng) -> usize {
        let of = |victim: Victim| {
            let all = self.daemons.iter().enumerate();
            let all = all.filter(move |(_, (_, daemon))| daemon.victim == victim);
            all.map(|(n, _)| n).collect::<Vec<_>>()
        };
        let any = |of: Vec<usize>, rng: &mut ChaCha8Rng| of[rng.random_range(0..of.len())];
        match rng.random_range(0..10) {
            0..4 => any(of(Victim::Framework), rng),
            4..6 => self.leader().unwrap_or_else(|| any(of(Victim::Master), rng)),
            6 => any(of(Victim::Master), rng),
            7..9 => any(of(Victim::Agent), rng),
            _ => any(of(Victim::Etcd), rng),
        }
    }

    fn leader(&self) -> Option<usize> {
        let leads = |host: &&&str| {
            let mut ask = self.lan.on(SWITCH, Path::new("curl"));
            ask.args(["-sf", "--max-time", "1", &format!("http://{host}:5050/readyz")]);
            ask.output().is_ok_and(|answer| answer.status.success())
        };
        let leader = MASTERS.iter().find(leads)?;
        self.daemons.iter().position(|(_, daemon)| daemon.host == *leader)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for entry in fs::read_dir(self.dir.path()).into_iter().flatten().flatten() {
            // Shown by the test runner when the test failed.
            let log = fs::read_to_string(entry.path()).unwrap_or_default();
            eprintln!("--- {}:\n{log}", entry.path().display());
        }
        // Agents first: they end their containers.
        for (_, daemon) in self.daemons.iter_mut().rev() {
            let Some(mut child) = daemon.child.take() else {
                continue;
            };
            // One that was stopped must go on to end.
            let _ = signal(child.id(), "CONT");
            let _ = signal(child.id(), "TERM");
            if !wait_for(Duration::from_secs(10), || {
                matches!(child.try_wait(), Ok(Some(_)))
            }) {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// Writes as the scheduler does, beside it, and notes when that took long: a window that is late then is the host's doing.
struct Witness {
    stop: std::sync::mpsc::Sender<()>,
    writer: std::thread::JoinHandle<Vec<Fault>>,
}

impl Witness {
    fn start(path: &Path) -> Result<Self> {
        let mut file = File::create(path)?;
        let (stop, stopped) = std::sync::mpsc::channel();
        let mut stalls = Vec::new();
        let writer = std::thread::spawn(move || {
            while let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = stopped.recv_timeout(LOOK) {
                let (from_ms, began) = (now_ms(), Instant::now());
                let written = file.write_all(b"a line of a log").and_then(|()| file.sync_data());
                if written.is_err() || began.elapsed() > SLOW {
                    let aftermath = if began.elapsed() > LONG { AFTERMATH_MS } else { 0 };
                    let (victim, to_ms) = (Victim::Host, now_ms() + aftermath);
                    stalls.push(Fault {
                        victim,
                        from_ms,
                        to_ms,
                    });
                }
            }
            stalls
        });
        Ok(Self { stop, writer })
    }

    fn stalls(self) -> Vec<Fault> {
        drop(self.stop);
        self.writer.join().unwrap_or_default()
    }
}

/// A job that is due every few seconds; its tasks write when they start and end, each a file of its own.
fn submit(stage: &Stage, n: u64, rng: &mut ChaCha8Rng) -> Result<Job> {
    let name = format!("j{n}");
    let interval = rng.random_range(6..14_u64);
    let epsilon = rng.random_range(4..=interval);
    let duration = rng.random_range(0..3_u64);
    let start = now_ms() / 1000 + 3 + rng.random_range(0..5);
    let at_least_once = n % 4 == 3;
    let skips_overlaps = n % 5 == 4;
    let out = stage.dir.path().join("out");
    let script = format!(
        "w=$(date -d $PROFFER_WINDOW +%s); f=/tmp/out/$PROFFER_JOB.$w.$(date +%s%N).$$; echo started > $f; \
         sleep {duration}; echo ended >> $f"
    );
    let file = format!(
        "name: {name}\nschedule:\n  every: {interval}s\n  start: \"{}\"\n  epsilon: {epsilon}s\n  history: 100\n  \
         missed: {}\n  overlap: {}\ntasks:\n  - name: t\n    cpus: 0.02\n    mem: 16MiB\n    command: [sh, -c, '{script}']\n    \
         volumes: [{{ path: /tmp/out, host: {} }}]\n",
        rfc3339(start)?,
        if at_least_once {
            "at_least_once"
        } else {
            "at_most_once"
        },
        if skips_overlaps { "skip" } else { "allow" },
        out.display()
    );
    let path = stage.dir.path().join(format!("{name}.yaml"));
    fs::write(&path, file)?;
    let submitted = stage.run(&["job", "submit", &path.display().to_string()])?;
    ensure!(submitted.status.success(), "{}", text(&submitted.stderr));
    let first = &stage.json(&["job", "status", &name])?["recurrence"]["next_ms"];
    Ok(Job {
        name,
        first_ms: first.as_u64().context("no next window")?,
        interval_ms: interval * 1000,
        epsilon_ms: epsilon * 1000,
        at_least_once,
        skips_overlaps,
        ..Job::default()
    })
}

fn rfc3339(seconds: u64) -> Result<String> {
    let date = Command::new("date")
        .args(["-u", "-d", &format!("@{seconds}"), "+%FT%TZ"])
        .output()?;
    Ok(text(&date.stdout).trim().to_owned())
}

/// Adds what the framework says of a job's windows; whether none before `until_ms` is open or undecided.
fn look(stage: &Stage, job: &mut Job, until_ms: u64) -> Result<bool> {
    let recurrence = stage.json(&["job", "status", &job.name])?["recurrence"].take();
    let number = |value: &Value, field: &str| value[field].as_u64().unwrap_or_default();
    let word = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let windows = recurrence["windows"].as_array().context("no windows")?;
    let mut is_open = false;
    for window in windows {
        let entry = Entry {
            first_ms: number(window, "at_ms"),
            last_ms: number(window, "last_ms"),
            cause: word(window, "cause"),
            why: word(window, "why"),
            state: word(window, "state"),
            n_lost: number(window, "n_lost"),
        };
        is_open |= entry.first_ms < until_ms && matches!(entry.state.as_str(), "pending" | "running");
        job.ledger.retain(|earlier| earlier.first_ms != entry.first_ms);
        job.ledger.push(entry);
    }
    job.n_extra = number(&recurrence, "n_extra");
    Ok(!is_open && number(&recurrence, "next_ms") >= until_ms)
}

/// What the tasks wrote: the starts of each window of each job, by the names of their files.
fn starts(out: &Path) -> Result<BTreeMap<String, BTreeMap<u64, Vec<u64>>>> {
    let mut starts: BTreeMap<String, BTreeMap<u64, Vec<u64>>> = BTreeMap::new();
    for entry in fs::read_dir(out)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let [job, window, start, _] = name.split('.').collect::<Vec<_>>()[..] else {
            anyhow::bail!("{name} is no file of a run");
        };
        let window: u64 = window.parse::<u64>()? * 1000;
        let of_job = starts.entry(job.to_owned()).or_default();
        of_job
            .entry(window)
            .or_default()
            .push(start.parse::<u64>()? / 1_000_000);
    }
    Ok(starts)
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[expect(clippy::print_stdout, reason = "the run's summary counts these lines")]
fn is_impossible() -> bool {
    let is_there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    let programs = ["etcd", "ip", "nft", "nsenter", "curl"];
    let missing = programs.into_iter().find(|program| !is_there(program));
    if let Some(missing) = missing {
        println!("skipped: there is no {missing} here");
    }
    missing.is_some() || skipped()
}

#[test]
fn no_window_runs_twice_or_is_missed_without_cause_while_everything_is_killed_or_cut_off() -> Result<()> {
    if is_impossible() {
        return Ok(());
    }
    let seed = number("PROFFER_CHRONOS_SEED").unwrap_or_else(now_ms);
    let seconds = number("PROFFER_CHRONOS_SECONDS").unwrap_or(SECONDS);
    eprintln!("PROFFER_CHRONOS_SEED={seed} PROFFER_CHRONOS_SECONDS={seconds}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut stage = Stage::start()?;
    let jobs: Result<Vec<_>> = (0..N_JOBS).map(|n| submit(&stage, n, &mut rng)).collect();
    let mut jobs = jobs?;
    let witness = Witness::start(&stage.dir.path().join("witness"))?;
    let (mut faults, began) = (Vec::new(), Instant::now());
    while began.elapsed() < Duration::from_secs(seconds) {
        std::thread::sleep(Duration::from_millis(rng.random_range(500..3_000)));
        faults.extend(stage.fault(&mut rng)?);
        for job in &mut jobs {
            // A framework that is away is asked again after the next fault; it forgets nothing so soon.
            if let Err(error) = look(&stage, job, 0) {
                eprintln!("{error:#}");
            }
        }
    }
    let until = now_ms();
    faults.extend(witness.stalls());
    for job in &mut jobs {
        let mut is_decided = || look(&stage, job, until).unwrap_or(false);
        ensure!(
            wait_for(PATIENCE, &mut is_decided),
            "windows of {} stay open",
            job.name
        );
    }
    let mut starts = starts(&stage.dir.path().join("out"))?;
    let (mut once, mut least, mut n_extra) = (Report::default(), Report::default(), 0);
    for job in &mut jobs {
        job.starts = starts.remove(&job.name).unwrap_or_default();
        let report = if job.at_least_once { &mut least } else { &mut once };
        report.add(job, until, &faults);
        n_extra += job.n_extra;
    }
    let n_stalls = faults.iter().filter(|fault| fault.victim == Victim::Host).count();
    let n_faults = faults.len() - n_stalls;
    eprintln!(
        "{n_faults} faults in {:?}; {n_stalls} stalls of the host",
        began.elapsed()
    );
    for (policy, report) in [("at_most_once", &once), ("at_least_once", &least)] {
        eprintln!(
            "{policy}: {} windows, {} ran, {} lost, {} starts more, missed: {:?}",
            report.n_windows, report.n_ran, report.n_lost, report.n_extra, report.missed
        );
    }
    let violations: Vec<_> = once.violations.iter().chain(&least.violations).collect();
    assert!(violations.is_empty(), "seed {seed}: {violations:#?}\n{faults:#?}");
    assert!(once.n_ran > 0 && least.n_ran > 0, "nothing ran");
    assert!(
        least.n_extra <= n_extra,
        "{} starts more than one, {n_extra} are counted",
        least.n_extra
    );
    Ok(())
}

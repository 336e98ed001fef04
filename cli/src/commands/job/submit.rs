//! `proffer job submit`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use console::Term;
use indicatif::{ProgressBar, ProgressStyle};
use proffer_wire::v1;

use super::super::run::label;
use super::UserArgs;
use super::dry_run::dry_run;
use crate::client::{Cluster, JobWatcher, MasterArgs, has_ended};
use crate::failure::refused;
use crate::output::print;
use crate::spec::{self, AfterJob};
use crate::views::{StatusView, instance_name, state_name};

/// How many failed tasks are named at the end; `job status` shows all.
const MAX_FAILURES_NAMED: u32 = 10;
/// Into a pipe or file goes at most one line in this time: the log of a CI run is read by people.
const LINE_INTERVAL: Duration = Duration::from_secs(2);
/// How often the time beside the bar moves on.
const TICK: Duration = Duration::from_secs(1);
/// 128 + SIGINT.
const SIGINT_EXIT: u8 = 130;

/// Submit a job and print its name
#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// A job file in YAML; `-` is stdin
    file: PathBuf,
    /// Wait for the end, showing progress; exit with 0 when all finished, else with 1. Ctrl-C ends the waiting, not the job
    #[arg(long, env = "PROFFER_WAIT")]
    wait: bool,
    /// A label, besides those of the file or in place of one; may be given several times
    #[arg(long, env = "PROFFER_LABEL", value_name = "KEY=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// Submit nothing: check the job, and say what of it would start where now, and what the rest would wait for
    #[arg(long, env = "PROFFER_DRY_RUN", conflicts_with = "wait")]
    dry_run: bool,
    /// Start only when another job has finished, or with NAME:failure has failed, or with NAME:any has ended; may be given
    /// several times
    #[arg(long, env = "PROFFER_AFTER_JOB", value_name = "NAME[:ON]")]
    after_job: Vec<AfterJob>,
    #[command(flatten)]
    user: UserArgs,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn submit(args: SubmitArgs) -> Result<u8> {
    let mut spec = spec::read_job(&args.file)?;
    spec.labels.extend(args.label);
    spec.user = args.user.name();
    let after = args.after_job.into_iter().map(Into::into);
    spec.after_jobs.extend(after);
    ensure!(
        !args.wait || spec.schedule.is_none(),
        "a job with a schedule has no end to wait for; `proffer job runs {}` shows its windows",
        spec.name
    );
    ensure!(
        !args.wait || spec.template.is_none(),
        "a job with parameters runs when it is dispatched; `proffer job dispatch {} --wait` waits for the end of a run",
        spec.name
    );
    let cluster = Cluster::connect(&args.master).await?;
    if args.dry_run {
        return dry_run(&cluster, spec).await;
    }
    let request = v1::SubmitJobRequest { spec: Some(spec) };
    let answer = cluster
        .jobs()
        .submit_job(request)
        .await
        .map_err(|status| refused(&status))?;
    let v1::SubmitJobResponse { name, n_tasks } = answer.into_inner();
    print(&format!("{name}\n"))?;
    if args.wait {
        wait(&cluster, &name, n_tasks).await
    } else {
        Ok(0)
    }
}

/// Shows how far a job is until it has ended; returns the exit code.
pub(super) async fn wait(cluster: &Cluster, name: &str, n_tasks: u32) -> Result<u8> {
    let request = v1::GetJobRequest {
        name: name.to_owned(),
        limit: MAX_FAILURES_NAMED,
        states: vec![v1::JobTaskState::JobTaskFailed.into()],
        after: None,
        brief: true,
    };
    let mut watcher = JobWatcher::new(cluster, request);
    let mut progress = Progress::new(n_tasks);
    loop {
        let job = tokio::select! {
            job = watcher.next() => job?,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                progress.bar.finish_and_clear();
                eprintln!(
                    "job {name} goes on: `proffer job status {name}` shows how far it is, `proffer job cancel {name}` ends it"
                );
                return Ok(SIGINT_EXIT);
            }
        };
        progress.show(&job);
        if has_ended(&job) {
            progress.bar.finish_and_clear();
            return Ok(conclude(&job));
        }
    }
}

/// A bar on a terminal, a line now and then elsewhere.
struct Progress {
    bar: ProgressBar,
    lines: Option<Lines>,
}

/// What was said, and when.
#[derive(Default)]
struct Lines {
    last: String,
    at: Option<Instant>,
}

impl Progress {
    fn new(n_tasks: u32) -> Self {
        let bar = ProgressBar::new(n_tasks.into());
        let template = "{bar:40.green/dim} {human_pos}/{human_len} {msg} {elapsed}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("█▒·"));
        }
        let is_terminal = Term::stderr().is_term();
        if is_terminal {
            bar.enable_steady_tick(TICK);
        }
        Self {
            bar,
            lines: (!is_terminal).then(Lines::default),
        }
    }

    fn show(&mut self, job: &v1::Job) {
        let counts = Counts::of(job);
        self.bar.set_position(counts.finished + counts.failed);
        self.bar.set_message(counts.text());
        let line = format!("{}/{} finished, {}", counts.finished, counts.n(), counts.text());
        let lines = self.lines.as_mut();
        if let Some(line) = lines.and_then(|lines| lines.next(line, has_ended(job), Instant::now())) {
            eprintln!("{line}");
        }
    }
}

impl Lines {
    /// The line, if it is to be said now: the first, the last, and a changed one once in a while.
    fn next(&mut self, line: String, is_last: bool, now: Instant) -> Option<String> {
        let is_due = self.at.is_none_or(|at| now.duration_since(at) >= LINE_INTERVAL);
        if line == self.last || !(is_due || is_last) {
            return None;
        }
        self.at = Some(now);
        self.last.clone_from(&line);
        Some(line)
    }
}

/// Tasks of a job by state.
#[derive(Default)]
struct Counts {
    waiting: u64,
    running: u64,
    finished: u64,
    failed: u64,
}

impl Counts {
    fn of(job: &v1::Job) -> Self {
        let mut counts = Self::default();
        for task in &job.counts {
            counts.waiting += [task.blocked, task.waiting, task.delayed]
                .map(u64::from)
                .iter()
                .sum::<u64>();
            counts.running += u64::from(task.running) + u64::from(task.suspended);
            counts.finished += u64::from(task.finished);
            counts.failed += u64::from(task.failed) + u64::from(task.cancelled);
        }
        counts
    }

    fn n(&self) -> u64 {
        self.waiting + self.running + self.finished + self.failed
    }

    fn text(&self) -> String {
        let mut text = format!("{} running, {} waiting", self.running, self.waiting);
        if self.failed > 0 {
            text += &format!(", {} failed", self.failed);
        }
        text
    }
}

/// Says on stderr how it ended; returns the exit code.
fn conclude(job: &v1::Job) -> u8 {
    let spec = job.spec.clone().unwrap_or_default();
    eprintln!(
        "job {} {}",
        spec.name,
        state_name(job.state().as_str_name(), "JOB_")
    );
    if job.state() == v1::JobState::JobFinished {
        return 0;
    }
    for task in &job.tasks {
        let count = spec
            .tasks
            .iter()
            .find(|of| of.name == task.name)
            .map_or(1, |of| of.count);
        let why = task
            .status
            .clone()
            .map(StatusView::from)
            .unwrap_or_default()
            .why();
        eprintln!("  {}: {why}", instance_name(&task.name, task.index, count));
    }
    let n_failed: u32 = job.counts.iter().map(|counts| counts.failed).sum();
    if n_failed > MAX_FAILURES_NAMED {
        eprintln!("  and {} more", n_failed - MAX_FAILURES_NAMED);
    }
    eprintln!(
        "see `proffer job status {0}` and `proffer job logs {0}`",
        spec.name
    );
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_gets_the_first_line_the_last_and_few_in_between() {
        let (mut lines, start) = (Lines::default(), Instant::now());
        let mut at = |ms: u64, line: &str, is_last| {
            let now = start + Duration::from_millis(ms);
            lines.next(line.to_owned(), is_last, now).is_some()
        };
        assert!(at(0, "0/3", false));
        assert!(!at(1_999, "1/3", false));
        assert!(at(2_000, "1/3", false));
        assert!(!at(9_000, "1/3", false), "nothing new");
        assert!(at(9_001, "2/3", false));
        assert!(at(9_002, "3/3", true));
    }
}

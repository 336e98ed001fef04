//! `proffer job submit`.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use console::Term;
use indicatif::{ProgressBar, ProgressStyle};
use proffer_wire::v1;

use crate::client::{Cluster, JobWatcher, MasterArgs, has_ended};
use crate::failure::refused;
use crate::output::print;
use crate::spec::{self, JobFile};
use crate::views::{StatusView, instance_name, state_name};

/// How many failed tasks are named at the end; `job status` shows all.
const MAX_FAILURES_NAMED: u32 = 10;

/// Submit a job and print its name
#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// A job file in YAML; `-` is stdin
    file: PathBuf,
    /// Wait for the end, showing progress; exit with 0 when all finished, else with 1
    #[arg(long, env = "PROFFER_WAIT")]
    wait: bool,
    #[command(flatten)]
    master: MasterArgs,
}

pub(super) async fn submit(args: SubmitArgs) -> Result<u8> {
    let job: JobFile = spec::read(&args.file)?;
    let spec = v1::JobSpec::from(job);
    ensure!(
        !args.wait || spec.schedule.is_none(),
        "a job with a schedule has no end to wait for; `proffer job runs {}` shows its windows",
        spec.name
    );
    let cluster = Cluster::connect(&args.master).await?;
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

async fn wait(cluster: &Cluster, name: &str, n_tasks: u32) -> Result<u8> {
    let request = v1::GetJobRequest {
        name: name.to_owned(),
        limit: MAX_FAILURES_NAMED,
        states: vec![v1::JobTaskState::JobTaskFailed.into()],
        after: None,
    };
    let mut watcher = JobWatcher::new(cluster, request);
    let mut progress = Progress::new(n_tasks);
    loop {
        let job = watcher.next().await?;
        progress.show(&job);
        if has_ended(&job) {
            progress.bar.finish_and_clear();
            return Ok(conclude(&job));
        }
    }
}

/// A bar on a terminal, a line for each change elsewhere.
struct Progress {
    bar: ProgressBar,
    lines: bool,
    last: String,
}

impl Progress {
    fn new(n_tasks: u32) -> Self {
        let bar = ProgressBar::new(n_tasks.into());
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg} {elapsed}") {
            bar.set_style(style);
        }
        Self {
            bar,
            lines: !Term::stderr().is_term(),
            last: String::new(),
        }
    }

    fn show(&mut self, job: &v1::Job) {
        let counts = Counts::of(job);
        let text = counts.text();
        self.bar.set_position(counts.finished);
        self.bar.set_message(text.clone());
        if self.lines && text != self.last {
            eprintln!("{}/{} finished, {text}", counts.finished, counts.n());
            self.last = text;
        }
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
            counts.running += u64::from(task.running);
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

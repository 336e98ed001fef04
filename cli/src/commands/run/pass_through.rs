//! Between the task and this terminal: output one way, signals the other, until the task has ended and all is printed.

use std::future::pending;
use std::process;
use std::time::Duration;

use anyhow::Result;
use proffer_wire::v1;
use tokio::io::{AsyncWrite, stderr, stdout};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::ending::of_signal;
use crate::client::{Cluster, Contact, JobWatcher, LogReader, Phase, Typist, has_ended};
use crate::daemon::Signals;
use crate::failure::OutputClosed;
use crate::terminal;

/// A task that waits longer than this for a place gets an explanation.
const EXPLAIN_AFTER: Duration = Duration::from_secs(2);

/// One run under way.
pub(super) struct PassThrough {
    cluster: Cluster,
    name: String,
    signals: Signals,
    /// The user's first signal.
    asked: Option<i32>,
    /// The attempt whose output is printed.
    task_id: String,
    phase: watch::Sender<Phase>,
    readers: JoinSet<Result<()>>,
    /// Whether what is typed here is the task's input; until it has been handed to an attempt.
    is_interactive: bool,
}

impl PassThrough {
    /// Takes over this process's signals.
    pub(super) fn start(cluster: &Cluster, name: &str, is_interactive: bool) -> Result<Self> {
        Ok(Self {
            cluster: cluster.clone(),
            name: name.to_owned(),
            signals: Signals::new()?,
            asked: None,
            task_id: String::new(),
            phase: watch::Sender::new(Phase::Launching),
            readers: JoinSet::new(),
            is_interactive,
        })
    }

    /// Runs to the end; returns the task's last status, if it ever had one, and the user's signal.
    pub(super) async fn until_end(mut self) -> Result<(Option<v1::TaskStatus>, Option<i32>)> {
        let mut watcher = {
            let request = v1::GetJobRequest {
                name: self.name.clone(),
                ..Default::default()
            };
            JobWatcher::new(&self.cluster, request)
        };
        let explain_at = Instant::now() + EXPLAIN_AFTER;
        let mut explained = false;
        let status = loop {
            let waiting = self.task_id.is_empty() && !explained;
            tokio::select! {
                job = watcher.next() => {
                    let job = job?;
                    let status = self.advance(&job);
                    if has_ended(&job) {
                        break status;
                    }
                }
                signal = self.signals.next() => self.signalled(signal),
                result = next_result(&mut self.readers) => self.read(result).await?,
                () = sleep_until(explain_at), if waiting => {
                    explained = true;
                    self.explain();
                }
            }
        };
        self.drain(status.as_ref()).await?;
        Ok((status, self.asked))
    }

    /// Takes in a state of the job.
    fn advance(&mut self, job: &v1::Job) -> Option<v1::TaskStatus> {
        let task = job.tasks.first()?;
        if !task.task_id.is_empty() && task.task_id != self.task_id {
            self.attend(&job.framework_id, &task.task_id);
        }
        let phase = phase(job, task.status.as_ref());
        self.phase.send_if_modified(|now| {
            let later = phase > *now;
            *now = phase.max(*now);
            later
        });
        task.status.clone()
    }

    /// Starts to print the output of an attempt.
    fn attend(&mut self, framework_id: &str, task_id: &str) {
        if !self.task_id.is_empty() {
            eprintln!("proffer: the task is started again as {task_id}");
            self.phase.send_replace(Phase::Ended);
            self.phase = watch::Sender::new(Phase::Launching);
        }
        self.task_id = task_id.to_owned();
        if std::mem::take(&mut self.is_interactive) {
            let (cluster, phase) = (self.cluster.clone(), self.phase.subscribe());
            let (framework_id, task_id) = (framework_id.to_owned(), task_id.to_owned());
            tokio::spawn(async move {
                if let Err(error) = type_in(&cluster, &framework_id, &task_id, phase).await {
                    eprintln!("proffer: cannot send input: {error:#}");
                }
            });
        }
        for stream in [v1::LogStream::Stdout, v1::LogStream::Stderr] {
            let reader = LogReader::new(&self.cluster, framework_id, task_id, stream);
            let phase = self.phase.subscribe();
            self.readers.spawn(async move {
                let mut output: Box<dyn AsyncWrite + Send + Unpin> = match stream {
                    v1::LogStream::Stderr => Box::new(stderr()),
                    v1::LogStream::Stdout | v1::LogStream::Unspecified => Box::new(stdout()),
                };
                reader.follow(phase, &mut output).await
            });
        }
    }

    /// Waits until all output is printed.
    async fn drain(&mut self, status: Option<&v1::TaskStatus>) -> Result<()> {
        if never_ran(status) {
            return Ok(());
        }
        while !self.readers.is_empty() {
            tokio::select! {
                signal = self.signals.next() => self.signalled(signal),
                result = next_result(&mut self.readers) => self.read(result).await?,
            }
        }
        Ok(())
    }

    /// A reader ended. One that cannot print ends the task.
    async fn read(&mut self, result: Result<()>) -> Result<()> {
        let Err(error) = result else { return Ok(()) };
        if error.is::<OutputClosed>() {
            cancel(self.cluster.clone(), self.name.clone()).await;
            return Err(error);
        }
        eprintln!("proffer: {error:#}");
        Ok(())
    }

    /// The first signal ends the task, the second this program.
    fn signalled(&mut self, signal: i32) {
        if self.asked.is_some() {
            terminal::restore();
            process::exit(of_signal(signal).into());
        }
        self.asked = Some(signal);
        eprintln!("proffer: asking the task to end; once more to leave at once");
        tokio::spawn(cancel(self.cluster.clone(), self.name.clone()));
    }

    /// Says why the task is still waiting, without holding anything up.
    fn explain(&self) {
        let mut jobs = self.cluster.jobs();
        let request = v1::ExplainJobRequest {
            name: self.name.clone(),
        };
        tokio::spawn(async move {
            let Ok(answer) = jobs.explain_job(request).await else {
                return;
            };
            eprintln!("proffer: waiting for a place");
            answer
                .into_inner()
                .reasons
                .iter()
                .for_each(|reason| eprintln!("  {reason}"));
        });
    }
}

/// Sends what is typed here to the task, once it has a container.
async fn type_in(
    cluster: &Cluster,
    framework_id: &str,
    task_id: &str,
    mut phase: watch::Receiver<Phase>,
) -> Result<()> {
    let has_started = phase.wait_for(|now| *now >= Phase::Started).await.is_ok();
    if !has_started {
        return Ok(());
    }
    Typist::new(cluster, framework_id, task_id, false)?
        .run()
        .await
        .map(drop)
}

/// The result of the next reader to end; never, when there is none.
async fn next_result(readers: &mut JoinSet<Result<()>>) -> Result<()> {
    match readers.join_next().await {
        Some(result) => result?,
        None => pending().await,
    }
}

async fn cancel(cluster: Cluster, name: String) {
    let mut contact = Contact::with("the batch framework");
    let request = v1::CancelJobRequest {
        name,
        keep_runs: false,
    };
    while let Err(status) = cluster.jobs().cancel_job(request.clone()).await {
        if let Err(error) = contact.lost(&status).await {
            eprintln!("proffer: cannot cancel: {error:#}");
            return;
        }
        cluster.seek_leader().await;
    }
}

fn phase(job: &v1::Job, status: Option<&v1::TaskStatus>) -> Phase {
    use v1::TaskState as S;
    if has_ended(job) {
        return Phase::Ended;
    }
    match status.map_or(S::Unspecified, v1::TaskStatus::state) {
        S::Unspecified | S::TaskStaging | S::TaskStarting | S::TaskUnknown => Phase::Launching,
        S::TaskRunning
        | S::TaskKilling
        | S::TaskUnreachable
        | S::TaskFinished
        | S::TaskFailed
        | S::TaskKilled
        | S::TaskError
        | S::TaskLost
        | S::TaskDropped
        | S::TaskGone
        | S::TaskGoneByOperator => Phase::Started,
    }
}

/// Whether the task ended without a container, and so without output.
fn never_ran(status: Option<&v1::TaskStatus>) -> bool {
    use v1::TaskState as S;
    match status.map_or(S::Unspecified, v1::TaskStatus::state) {
        S::Unspecified | S::TaskError | S::TaskDropped | S::TaskStaging => true,
        S::TaskStarting
        | S::TaskRunning
        | S::TaskKilling
        | S::TaskFinished
        | S::TaskFailed
        | S::TaskKilled
        | S::TaskLost
        | S::TaskUnreachable
        | S::TaskGone
        | S::TaskGoneByOperator
        | S::TaskUnknown => false,
    }
}

//! A task's output, read to its end across restarts of master and agent: no byte twice, none lost.
//!
//! The offset advances only after a chunk is written out, and every connection resumes at it. What the agent has removed
//! meanwhile is said to be missing.

use std::time::Duration;

use anyhow::Result;
use proffer_types::{ExecutorId, TaskId};
use proffer_wire::v1;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tonic::{Code, Status};

use super::last_bytes::LastBytes;
use super::{Cluster, Contact};
use crate::failure::{output_error, root_cause};

/// How long the rest of a task's output is waited for once the task has ended and its agent is away.
const PATIENCE_AFTER_END: Duration = Duration::from_secs(30);

/// Where the task is, as far as its output is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Its container may not exist yet.
    Launching,
    /// It has or had a container.
    Started,
    /// It writes nothing more.
    Ended,
}

/// One stream of one task's output.
#[derive(Debug)]
pub(crate) struct LogReader {
    cluster: Cluster,
    framework_id: String,
    task_id: String,
    stream: v1::LogStream,
    offset: u64,
    /// Until something was read: start so many lines before the end.
    tail: Option<u32>,
    /// Its agent's, and the name that has the output, for the next connection.
    address: Option<(String, String)>,
    /// Its agent, where somebody has said so: the master knows of few tasks that have ended.
    agent_id: Option<String>,
    contact: Contact,
}

/// How one connection ended.
enum Read {
    /// All was read: what there is so far, or, of a stream that follows, all there will ever be.
    End,
    Lost(Status),
}

impl LogReader {
    /// Reads from the beginning.
    pub(crate) fn new(cluster: &Cluster, framework_id: &str, task_id: &str, stream: v1::LogStream) -> Self {
        Self {
            cluster: cluster.clone(),
            framework_id: framework_id.to_owned(),
            task_id: task_id.to_owned(),
            stream,
            offset: 0,
            tail: None,
            address: None,
            agent_id: None,
            contact: Contact::with("the task's agent"),
        }
    }

    /// Reads only the last lines of what there is, and what comes after them.
    pub(crate) fn tail(self, lines: Option<u32>) -> Self {
        Self { tail: lines, ..self }
    }

    /// Reads from this agent where the master no longer knows of the task.
    pub(crate) fn on_agent(self, agent_id: Option<String>) -> Self {
        Self { agent_id, ..self }
    }

    /// Copies what there is now.
    pub(crate) async fn copy_once(mut self, output: &mut (impl AsyncWrite + Unpin)) -> Result<()> {
        loop {
            match self.read(false, output).await? {
                Read::End => return Ok(()),
                Read::Lost(status) => self.contact.lost(&status).await?,
            }
        }
    }

    /// The end of what there is now, at most `max_bytes` of it. Nothing is tried twice.
    ///
    /// # Errors
    ///
    /// A sentence for a person: who does not answer, or knows of no such output.
    pub(crate) async fn last_bytes(mut self, max_bytes: usize) -> Result<Vec<u8>, String> {
        let mut last = LastBytes::new(max_bytes);
        match self.read(false, &mut last).await {
            Ok(Read::End) => Ok(last.take()),
            Ok(Read::Lost(status)) => Err(root_cause(&status)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Copies as it is written, until the task has ended and all is read.
    pub(crate) async fn follow(
        mut self,
        mut phase: watch::Receiver<Phase>,
        output: &mut (impl AsyncWrite + Unpin),
    ) -> Result<()> {
        // Looked up while the container is being built, so that reading starts at once.
        self.address = self.find().await.ok();
        let mut seen = until(&mut phase, Phase::Started).await;
        loop {
            match self.read(seen < Phase::Ended, output).await? {
                Read::End => return Ok(()),
                // An ended task without a container never ran.
                Read::Lost(status) if seen == Phase::Ended && status.code() == Code::NotFound => {
                    return Ok(());
                }
                Read::Lost(status) => {
                    self.wait(&status, seen).await?;
                    seen = *phase.borrow_and_update();
                }
            }
        }
    }

    async fn wait(&mut self, status: &Status, phase: Phase) -> Result<()> {
        if phase == Phase::Ended && self.contact.away() > PATIENCE_AFTER_END {
            anyhow::bail!("the rest of the output cannot be read: {}", status.message());
        }
        if status.code() == Code::NotFound {
            return self.contact.pause(status.message()).await;
        }
        self.contact.lost(status).await
    }

    /// Reads over one connection.
    async fn read(&mut self, follow: bool, output: &mut (impl AsyncWrite + Unpin)) -> Result<Read> {
        let (address, task_id) = match self.address.take() {
            Some(found) => found,
            None => match self.find().await {
                Ok(found) => found,
                Err(status) => return Ok(Read::Lost(status)),
            },
        };
        let request = v1::ReadLogRequest {
            framework_id: self.framework_id.clone(),
            task_id,
            stream: self.stream.into(),
            offset: self.offset,
            follow,
            tail_lines: self.tail,
        };
        let mut chunks = match self.cluster.agent(&address)?.read_log(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return Ok(Read::Lost(status)),
        };
        loop {
            match chunks.message().await {
                Ok(Some(chunk)) => self.write(&chunk, output).await?,
                Ok(None) => return Ok(Read::End),
                Err(status) => return Ok(Read::Lost(status)),
            }
        }
    }

    async fn write(&mut self, chunk: &v1::LogChunk, output: &mut (impl AsyncWrite + Unpin)) -> Result<()> {
        self.contact.good();
        let n_gone = match self.tail.take() {
            None => chunk.offset.saturating_sub(self.offset),
            Some(_) => 0,
        };
        if n_gone > 0 {
            eprintln!("proffer: {n_gone} bytes of output are gone: the agent keeps only the newest");
        }
        let fresh = unseen(chunk, self.offset);
        output.write_all(fresh).await.map_err(output_error)?;
        output.flush().await.map_err(output_error)?;
        self.offset = self.offset.max(chunk.offset + chunk.data.len() as u64);
        Ok(())
    }

    /// The agent's address, asked anew after each connection: a restarted agent may listen elsewhere. And the name it keeps
    /// the output under, which is that of the executor where there is one.
    async fn find(&self) -> Result<(String, String), Status> {
        let request = v1::ListTasksRequest {
            framework_id: self.framework_id.clone(),
            task_id: self.task_id.clone(),
            include_completed: true,
            ..Default::default()
        };
        let answer = self.cluster.operator().list_tasks(request).await?.into_inner();
        match answer.tasks.into_iter().next_back() {
            Some(task) if !task.agent_address.is_empty() => {
                let executor = task.info.and_then(|info| info.executor);
                let executor = executor.and_then(|executor| ExecutorId::new(executor.executor_id).ok());
                let name = executor.map(|id| TaskId::of_executor(&id).to_string());
                Ok((task.agent_address, name.unwrap_or_else(|| self.task_id.clone())))
            }
            Some(_) => Err(Status::unavailable("its agent is not connected")),
            None => match &self.agent_id {
                Some(agent_id) => Ok((self.cluster.agent_address(agent_id).await?, self.task_id.clone())),
                // A master that just started learns of the task when its agent is back.
                None => Err(Status::unavailable(format!(
                    "the master does not know task {}",
                    self.task_id
                ))),
            },
        }
    }
}

/// The part of a chunk that lies beyond an offset.
fn unseen(chunk: &v1::LogChunk, offset: u64) -> &[u8] {
    let seen = usize::try_from(offset.saturating_sub(chunk.offset)).unwrap_or(usize::MAX);
    chunk.data.get(seen..).unwrap_or_default()
}

/// Waits for a phase or a later one. A watcher that is gone counts as the end.
async fn until(phase: &mut watch::Receiver<Phase>, wanted: Phase) -> Phase {
    match phase.wait_for(|now| *now >= wanted).await {
        Ok(now) => *now,
        Err(_) => Phase::Ended,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_were_seen_are_not_printed_again() {
        let chunk = |offset, data: &str| v1::LogChunk {
            offset,
            data: data.into(),
        };
        assert_eq!(unseen(&chunk(10, "abcdef"), 10), b"abcdef");
        assert_eq!(unseen(&chunk(10, "abcdef"), 13), b"def");
        assert_eq!(unseen(&chunk(10, "abcdef"), 99), b"");
    }
}

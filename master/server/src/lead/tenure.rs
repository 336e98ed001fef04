//! One core from its recovery to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use proffer_master_core::limits::AGENT_HEARTBEAT;
use proffer_master_core::{
    Command, Effect, Event, LinkId, Master, OperatorError, Output, RequestId, Snapshot,
};
use proffer_store::{CommitError, Leadership};
use proffer_types::Timestamp;
use tokio::sync::oneshot;
use tracing::error;

use crate::inbox::{Input, Read};
use crate::lead::{Lead, effects};
use crate::registry::{self, Fence};

/// Inputs of each queue taken at once: they share one commit. More would make the first wait for the last.
const BATCHED_INPUTS: usize = 128;

/// How a tenure ended.
pub(super) enum End {
    Shutdown,
    /// The registry could not be written; the cause is for people.
    Failed(String),
    /// Whether this master still leads is not certain any more.
    Deposed,
}

pub(super) struct Tenure<'a, 'b> {
    lead: &'a mut Lead<'b>,
    master: Master,
    fence: Fence,
    output: Output,
    /// Operators waiting for the batch in hand to be committed.
    waiting: BTreeMap<RequestId, oneshot::Sender<Result<(), OperatorError>>>,
    n_requests: u64,
    readers: Vec<oneshot::Sender<Arc<Snapshot>>>,
    reads: Vec<Read>,
    /// Of the state as it is, if somebody asked since it changed.
    snapshot: Option<Arc<Snapshot>>,
    committed: bool,
}

impl<'a, 'b> Tenure<'a, 'b> {
    pub(super) fn new(lead: &'a mut Lead<'b>, master: Master, fence: Fence) -> Self {
        Self {
            lead,
            master,
            fence,
            output: Output::default(),
            waiting: BTreeMap::new(),
            n_requests: 0,
            readers: Vec::new(),
            reads: Vec::new(),
            snapshot: None,
            committed: false,
        }
    }

    /// Whether the store took anything in this tenure.
    pub(super) fn committed(&self) -> bool {
        self.committed
    }

    pub(super) async fn run(&mut self) -> End {
        let mut inputs = Vec::with_capacity(BATCHED_INPUTS);
        self.step(Command::Tick);
        if let Err(end) = self.settle().await {
            return end;
        }
        self.lead.readiness.set_ready().await;
        loop {
            let deadline = self.master.next_deadline();
            let timer = sleep_until(self.lead, deadline);
            tokio::select! {
                biased;
                () = self.lead.shutdown.cancelled() => return End::Shutdown,
                () = lost(self.lead.leadership.as_deref()) => return End::Deposed,
                () = self.lead.inputs.take(BATCHED_INPUTS, &mut inputs) => {}
                () = timer => {}
            }
            if deadline.is_some_and(|deadline| deadline <= self.lead.clock.now()) {
                self.step(Command::Tick);
            }
            for input in inputs.drain(..) {
                self.take(input);
            }
            if let Err(end) = self.settle().await {
                return end;
            }
        }
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Command(command) => self.step(command),
            Input::Operator { operation, reply } => {
                self.n_requests += 1;
                let request = RequestId(self.n_requests);
                self.waiting.insert(request, reply);
                self.step(Command::Operator { request, operation });
            }
            Input::Snapshot(reader) => self.readers.push(reader),
            Input::Read(read) => self.reads.push(read),
        }
    }

    fn step(&mut self, command: Command) {
        self.lead.metrics.received(&command);
        self.snapshot = None;
        let now = self.lead.clock.now();
        self.master.step(now, command, &mut self.output);
    }

    /// Commits, and only then lets anybody know.
    async fn settle(&mut self) -> Result<(), End> {
        let mut output = std::mem::take(&mut self.output);
        if !output.registry.is_empty() {
            let started = Instant::now();
            let result = self.commit(&output).await;
            self.lead
                .metrics
                .registry_commit(started.elapsed(), result.is_ok());
            if let Err(error) = result {
                error!(error = %error, "registry commit failed; dropping the state and recovering");
                return Err(End::Failed(format!("the registry could not be written: {error}")));
            }
            self.committed = true;
        }
        // The commit may have taken long, or this process have been stopped: who is not sure to lead says nothing.
        if !self.is_certain() {
            return Err(End::Deposed);
        }
        for event in &output.events {
            self.lead.metrics.count(event);
            self.lead.services.observe(event);
            effects::log(event);
        }
        self.perform(output.effects.drain(..));
        // Their room is for the next batch, which is as large as a rule.
        output.events.clear();
        output.registry.clear();
        self.output = output;
        self.answer_readers();
        Ok(())
    }

    /// Commits a batch. While that takes long those who are there hear that this master is there, too.
    async fn commit(&mut self, output: &Output) -> Result<(), CommitError> {
        let store = self.lead.store;
        let mut commit = pin!(registry::commit(store, self.fence, &output.registry));
        loop {
            tokio::select! {
                biased;
                result = &mut commit => return result,
                () = tokio::time::sleep(AGENT_HEARTBEAT) => self.beat(&output.events),
            }
        }
    }

    fn is_certain(&self) -> bool {
        let leadership = self.lead.leadership.as_ref();
        leadership.is_none_or(|lead| lead.is_certain())
    }

    /// Says what heartbeats are due, but on no link whose beginning waits for the commit.
    fn beat(&mut self, uncommitted: &[Event]) {
        if !self.is_certain() {
            return;
        }
        let begun: BTreeSet<LinkId> = uncommitted.iter().filter_map(begun).collect();
        let mut beats = Output::default();
        self.master.beat(self.lead.clock.now(), &mut beats);
        let beats = beats.effects.into_iter().filter(|effect| match effect {
            Effect::ToAgent { link, .. } | Effect::ToFramework { link, .. } => !begun.contains(link),
            Effect::CloseLink { .. } | Effect::Reply { .. } => false,
        });
        self.perform(beats);
    }

    fn perform(&mut self, effects: impl Iterator<Item = Effect>) {
        let mut sends = effects::Sends::default();
        for effect in effects {
            self.lead.metrics.sent(&effect);
            match effect {
                Effect::ToAgent {
                    link,
                    session,
                    message,
                } => sends.add_to_agent(link, session, message),
                Effect::ToFramework { link, event } => sends.add_to_framework(link, event),
                Effect::CloseLink { link, reason } => sends.add_close(link, reason),
                Effect::Reply { request, result } => {
                    if let Some(reply) = self.waiting.remove(&request) {
                        // An operator who went away does not hear it.
                        let _ = reply.send(result);
                    }
                }
            }
        }
        sends.perform(&self.lead.links);
    }

    fn answer_readers(&mut self) {
        for read in self.reads.drain(..) {
            read.perform(&self.master);
        }
        if self.readers.is_empty() {
            return;
        }
        let master = &self.master;
        let snapshot = self.snapshot.get_or_insert_with(|| Arc::new(master.snapshot()));
        for reader in self.readers.drain(..) {
            let _ = reader.send(snapshot.clone());
        }
    }
}

/// The link on which a session or a subscription begins.
fn begun(event: &Event) -> Option<LinkId> {
    if let Event::AgentRegistered { link, .. } | Event::FrameworkSubscribed { link, .. } = event {
        return Some(*link);
    }
    None
}

/// Returns when the lead is lost; never where there is no election.
async fn lost(leadership: Option<&dyn Leadership>) {
    match leadership {
        Some(leadership) => leadership.lost().await,
        None => std::future::pending().await,
    }
}

/// Sleeps until the core wants a tick; for ever when it wants none.
fn sleep_until(lead: &Lead<'_>, deadline: Option<Timestamp>) -> impl Future<Output = ()> + use<> {
    let at = deadline.map(|deadline| lead.clock.instant(deadline));
    async move {
        match at {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}

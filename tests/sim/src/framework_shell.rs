//! A framework's driver: commits what its session writes, then sends what it calls.
//!
//! A failed commit drops the session and recovers it from the store; a crash does the same with a new scheduler.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proffer_session::{Input, Output, Session, Write};
use proffer_store_api::{Batch, Fault, Model};
use proffer_types::{Capabilities, FrameworkId, FrameworkInfo, Timestamp};

use crate::facts::{Fact, Standing};
use crate::load::{Load, Told};
use crate::lost_windows::LostWindows;
use crate::master_shell::Masters;
use crate::network::{Direction, Frame, Parcel, Peer, StreamId};
use crate::sabotage::Sabotage;
use crate::scenario::FrameworkPlan;
use crate::world::{Happening, World};

/// Where a session keeps its framework's id; only a sabotaged store looks for it.
const FRAMEWORK_ID: &str = "session/framework_id";

#[derive(Debug)]
pub(crate) struct FrameworkShell {
    sabotage: Option<Sabotage>,
    plan: Arc<FrameworkPlan>,
    session: Option<Session<Load>>,
    /// Counts starts and crashes.
    pub(crate) life: u32,
    pub(crate) masters: Masters,
    store: Model,
    /// What a sabotaged store loses.
    lost: LostWindows,
    stream: Option<StreamId>,
    wakes_at: Option<Timestamp>,
    /// How many of the updates its scheduler was told the rules have seen, or never will.
    n_told: usize,
    /// The master ended it for good: it stayed away longer than it had said it would.
    refused: bool,
}

impl FrameworkShell {
    pub(crate) fn new(plan: &FrameworkPlan, sabotage: Option<Sabotage>) -> Self {
        Self {
            sabotage,
            plan: Arc::new(plan.clone()),
            session: None,
            life: 0,
            masters: Masters::default(),
            store: Model::new(),
            lost: LostWindows::new(sabotage),
            stream: None,
            wakes_at: None,
            n_told: 0,
            refused: false,
        }
    }

    pub(crate) fn wants_stream(&self) -> bool {
        self.session.is_some() && self.stream.is_none() && !self.refused
    }

    /// Whether every job is done, or nobody waits for it any more.
    pub(crate) fn is_done(&self) -> bool {
        let done = |session: &Session<Load>| session.is_subscribed() && session.scheduler().is_done();
        self.refused || self.session.as_ref().is_some_and(done)
    }

    pub(crate) fn unrest(&self) -> String {
        let Some(session) = &self.session else {
            return "down".to_owned();
        };
        format!(
            "subscribed {}, left {:?}",
            session.is_subscribed(),
            session.scheduler().left()
        )
    }

    fn info(&self) -> FrameworkInfo {
        FrameworkInfo {
            id: None,
            name: "workload".to_owned(),
            roles: self.plan.roles.iter().cloned().collect(),
            failover_timeout: if self.sabotage == Some(Sabotage::FailoverTimeoutZero) {
                Duration::ZERO
            } else {
                self.plan.failover_timeout
            },
            services: Vec::new(),
            labels: BTreeMap::new(),
            capabilities: Capabilities {
                shared: self.plan.habits.makes_volumes,
                ..Capabilities::default()
            },
            preferences: BTreeMap::new(),
        }
    }

    fn records(&self) -> Vec<(String, Vec<u8>)> {
        let forgets_id = self.sabotage == Some(Sabotage::ForgetsFrameworkId);
        self.store
            .scan("")
            .into_iter()
            .filter(|entry| !forgets_id || entry.key != FRAMEWORK_ID)
            .filter_map(|entry| self.lost.read(entry.key, entry.value))
            .collect()
    }
}

impl World {
    pub(crate) fn start_framework(&mut self, n: usize) {
        let framework = &self.frameworks[n];
        if framework.session.is_some() || framework.refused {
            return;
        }
        let scheduler = Load::new(&framework.plan);
        self.recover_framework(n, scheduler);
    }

    fn recover_framework(&mut self, n: usize, scheduler: Load) {
        let (now, seed) = (self.now(), self.dice.seed());
        let framework = &mut self.frameworks[n];
        framework.life += 1;
        framework.wakes_at = None;
        framework.n_told = scheduler.told.len();
        let life = framework.life;
        self.trace
            .line(now, format_args!("framework {n} starts, life {life}"));
        match Session::recover(framework.info(), seed, framework.records(), scheduler) {
            Ok(session) => framework.session = Some(session),
            Err(error) => return self.break_rule("records can be read", error.to_string()),
        }
        let framework = n;
        for standing in [Standing::Down, Standing::Alone] {
            self.observe(&Fact::Stands { framework, standing });
        }
        self.framework_sleeps(n);
        self.redial(Peer::Framework(n), life);
    }

    pub(crate) fn crash_framework(&mut self, n: usize) {
        if self.frameworks[n].session.take().is_none() {
            return;
        }
        let now = self.now();
        self.trace.line(now, format_args!("fault: framework {n} crashes"));
        self.frameworks[n].life += 1;
        let (framework, standing) = (n, Standing::Down);
        self.observe(&Fact::Stands { framework, standing });
        self.drop_framework_stream(n);
        let down = self.downtime();
        self.queue.after(down, Happening::StartFramework(n));
    }

    fn drop_framework_stream(&mut self, n: usize) {
        if let Some(stream) = self.frameworks[n].stream.take() {
            self.network.break_off(stream, &mut self.queue, &mut self.dice);
            self.network
                .deafen(stream, Direction::Down, &mut self.queue, &mut self.dice);
        }
    }

    pub(crate) fn framework_linked(&mut self, n: usize, stream: StreamId) {
        self.frameworks[n].stream = Some(stream);
        self.framework_steps(n, Input::Connected);
    }

    pub(crate) fn framework_receives(&mut self, n: usize, stream: StreamId, parcel: Parcel) {
        match parcel {
            Parcel::Frame(Frame::Events(events)) => {
                for event in events {
                    // A step may have dropped the stream: the rest of the frame goes with it.
                    if self.frameworks[n].stream == Some(stream) {
                        self.framework_steps(n, Input::Event(event));
                    }
                }
            }
            Parcel::Frame(_) => {}
            Parcel::Close => {
                self.close(stream, Direction::Up);
                if self.frameworks[n].stream == Some(stream) {
                    self.framework_unlinked(n);
                }
            }
        }
    }

    fn framework_unlinked(&mut self, n: usize) {
        self.frameworks[n].stream = None;
        self.framework_steps(n, Input::Disconnected);
        self.redial(Peer::Framework(n), self.frameworks[n].life);
    }

    pub(crate) fn framework_wakes(&mut self, n: usize, life: u32) {
        let now = self.now();
        let framework = &mut self.frameworks[n];
        if framework.life != life {
            return;
        }
        framework.wakes_at = None;
        let due = framework.session.as_ref().and_then(Session::next_deadline);
        if due.is_some_and(|due| due <= framework.plan.clock.shows(now)) {
            self.framework_steps(n, Input::Tick);
        } else {
            self.framework_sleeps(n);
        }
    }

    fn framework_sleeps(&mut self, n: usize) {
        let framework = &mut self.frameworks[n];
        let Some(due) = framework.session.as_ref().and_then(Session::next_deadline) else {
            return;
        };
        if framework.wakes_at.is_none_or(|at| due < at) {
            framework.wakes_at = Some(due);
            self.queue.at(
                framework.plan.clock.when(due),
                Happening::FrameworkWakes {
                    framework: n,
                    life: framework.life,
                },
            );
        }
    }

    fn framework_steps(&mut self, n: usize, input: Input) {
        let now = self.now();
        let shown = self.frameworks[n].plan.clock.shows(now);
        let Some(session) = &mut self.frameworks[n].session else {
            return;
        };
        self.trace.line(now, format_args!("framework {n} <- {input:?}"));
        let mut out = Output::default();
        let was_subscribed = session.is_subscribed();
        session.step(shown, input, &mut out);
        let is_subscribed = session.is_subscribed();
        if is_subscribed != was_subscribed {
            let standing = match is_subscribed {
                true => Standing::Subscribed,
                false => Standing::Alone,
            };
            self.observe(&Fact::Stands {
                framework: n,
                standing,
            });
        }
        self.trace.line(now, format_args!("framework {n} -> {out:?}"));
        if self.framework_commits(n, std::mem::take(&mut out.writes)) {
            self.framework_carries_out(n, out);
            self.framework_sleeps(n);
        }
    }

    /// Writes what the session wants kept. False when that failed, or the framework died of it.
    fn framework_commits(&mut self, n: usize, writes: Vec<Write>) -> bool {
        self.frameworks[n].lost.wrote(&writes);
        let batch = writes.into_iter().fold(Batch::new(), |batch, write| match write {
            Write::Put { key, value } => batch.put(key, value),
            Write::Delete { key } => batch.delete(key),
        });
        let has_written = !batch.ops.is_empty();
        if has_written {
            if self.mishap(self.scenario.faults.commit_permille) {
                let fault = if self.dice.chance(500) {
                    Fault::Before
                } else {
                    Fault::After
                };
                self.frameworks[n].store.fail_commit(1, fault);
            }
            if let Err(error) = self.frameworks[n].store.commit(batch) {
                let now = self.now();
                self.trace.line(
                    now,
                    format_args!("fault: a commit of framework {n} fails: {error}"),
                );
                self.drop_framework_stream(n);
                if let Some(session) = self.frameworks[n].session.take() {
                    self.recover_framework(n, session.into_scheduler());
                }
                return false;
            }
        }
        self.framework_tells(n);
        if has_written {
            self.framework_promises(n);
        }
        if self.mishap(self.scenario.faults.midway_permille) {
            self.crash_framework(n);
            return false;
        }
        true
    }

    /// Who asks a scheduler is answered when what he asked for is written.
    fn framework_promises(&mut self, n: usize) {
        if let Some(session) = &self.frameworks[n].session {
            let promises = session.scheduler().promises();
            self.observe(&Fact::Promises {
                framework: n,
                promises: &promises,
            });
        }
        self.framework_windows(n);
    }

    fn framework_windows(&mut self, n: usize) {
        let jobs = self.frameworks[n].session.as_ref();
        let jobs = jobs.map(|session| session.scheduler().recurring());
        let (id, clock) = (self.kept_id(n), self.frameworks[n].plan.clock);
        for job in jobs.into_iter().flatten() {
            self.observe(&Fact::Windows {
                framework: n,
                framework_id: id.as_ref(),
                clock,
                job: &job,
            });
        }
    }

    /// What the scheduler heard of is written: the rules hear of it.
    fn framework_tells(&mut self, n: usize) {
        let framework = &mut self.frameworks[n];
        let Some(session) = &framework.session else {
            return;
        };
        let told = session.scheduler().told[framework.n_told..].to_vec();
        framework.n_told += told.len();
        if let Some(id) = self.kept_id(n) {
            let patience = self.frameworks[n].plan.failover_timeout;
            self.observe(&Fact::FrameworkId {
                framework: n,
                id: &id,
                patience,
            });
            for told in &told {
                let framework_id = &id;
                self.observe(&match told {
                    Told::Task(status) => Fact::Told { framework_id, status },
                    Told::Operation(status) => Fact::ToldOperation { framework_id, status },
                });
            }
        }
    }

    fn kept_id(&self, n: usize) -> Option<FrameworkId> {
        self.frameworks[n].session.as_ref()?.framework_id().cloned()
    }

    fn framework_carries_out(&mut self, n: usize, out: Output) {
        for call in &out.calls {
            let framework = n;
            self.observe(&Fact::Called { framework, call });
        }
        if let Some(stream) = self.frameworks[n].stream {
            if !out.calls.is_empty() {
                self.send(stream, Direction::Up, Frame::Calls(out.calls));
            }
            self.frameworks[n].refused |= out.refused.is_some();
            if out.disconnect {
                self.close(stream, Direction::Up);
                self.framework_unlinked(n);
            }
        }
    }
}

//! One core from its recovery to its end: a batch of commands, one commit, then the effects.
//!
//! A failed commit drops the core, its effects and its links, and the master recovers from the store, as after a crash.
//! Whether it still leads is asked once more between the commit and the effects.

use std::time::Duration;

use proffer_allocator::by_name;
use proffer_master_core::{Command, Config, Effect, Event, LinkId, Master, Output, Registry, State};
use proffer_store_api::CommitError;
use proffer_types::agent_link::MasterMessage;
use proffer_types::{Session, Timestamp};

use crate::endless_holds::EndlessHolds;
use crate::facts::Fact;
use crate::network::{Direction, Frame, Peer, StreamId};
use crate::registry::Fence;
use crate::sabotage::Sabotage;
use crate::spoil;
use crate::standing::Phase;
use crate::store_link::Ask;
use crate::world::{Happening, Node, World};

/// The commands taken at once, as by the shell.
const BATCHED_INPUTS: usize = 128;

#[derive(Debug)]
pub(crate) struct Tenure {
    pub(crate) core: Master,
    pub(crate) fence: Fence,
    pub(crate) inbox: Vec<Command>,
    runs_soon: bool,
    wakes_at: Option<Timestamp>,
    /// What waits for its commit.
    committing: Option<Output>,
    /// Until it acts for the first time: one that was overtaken while it began is nobody's master.
    began_as: Option<Box<State>>,
}

impl World {
    pub(crate) fn master_leads(&mut self, m: usize, fence: Fence, registry: Registry) {
        let (seed, budget) = (self.dice.seed(), self.dice.number(1..200));
        let config = Config {
            allocation_budget: budget,
            hold_after: self.scenario.hold_after,
            ..Config::default()
        };
        let mut allocator = by_name(self.scenario.allocator).expect("a built-in allocator");
        if self.sabotage == Some(Sabotage::HoldsForEver) {
            allocator = Box::new(EndlessHolds(allocator));
        }
        let core = Master::recover(config, allocator, seed, fence.term, registry);
        self.say(format_args!(
            "master {m} leads, term {}, {}",
            fence.term,
            core.id()
        ));
        let state = core.state().clone();
        self.masters[m].phase = Phase::Leading;
        self.masters[m].tenure = Some(Tenure {
            core,
            fence,
            inbox: Vec::new(),
            runs_soon: false,
            wakes_at: None,
            committing: None,
            began_as: Some(Box::new(state)),
        });
        self.master_gets(m, Command::Tick);
    }

    /// Ends the core with its links, as `Links::close_all` does.
    fn end_tenure(&mut self, m: usize) {
        self.masters[m].tenure = None;
        self.masters[m].waits_for = None;
        for stream in self.network.at_master(m) {
            self.close(stream, Direction::Down);
        }
    }

    pub(crate) fn master_deposed(&mut self, m: usize) {
        self.say(format_args!("master {m} leads no more"));
        self.end_tenure(m);
        self.masters[m].lease = None;
        self.master_stands(m);
    }

    pub(crate) fn master_runs_soon(&mut self, m: usize) {
        let slow = self.mishap(20);
        let delay = self.dice.millis(0..if slow { 3_000 } else { 3 });
        let life = self.masters[m].life;
        let Some(tenure) = &mut self.masters[m].tenure else {
            return;
        };
        if !tenure.runs_soon && tenure.committing.is_none() {
            tenure.runs_soon = true;
            let term = tenure.fence.term;
            self.queue.after(
                delay,
                Happening::MasterRuns {
                    master: m,
                    life,
                    term,
                },
            );
        }
    }

    /// The tenure, unless it is another than the one something was meant for.
    fn tenure(&mut self, m: usize, life: u32, term: u32) -> Option<&mut Tenure> {
        let master = self.masters.get_mut(m).filter(|master| master.life == life)?;
        master.tenure.as_mut().filter(|tenure| tenure.fence.term == term)
    }

    pub(crate) fn master_wakes(&mut self, m: usize, life: u32, term: u32) {
        let now = self.master_now(m);
        let Some(tenure) = self.tenure(m, life, term) else {
            return;
        };
        tenure.wakes_at = None;
        if tenure.core.next_deadline().is_some_and(|due| due <= now) {
            self.master_gets(m, Command::Tick);
        } else {
            self.master_sleeps(m);
        }
    }

    fn master_sleeps(&mut self, m: usize) {
        let (clock, life) = (self.masters[m].clock, self.masters[m].life);
        let Some(tenure) = &mut self.masters[m].tenure else {
            return;
        };
        let Some(due) = tenure.core.next_deadline() else {
            return;
        };
        if tenure.wakes_at.is_none_or(|at| due < at) {
            tenure.wakes_at = Some(due);
            let term = tenure.fence.term;
            let happening = Happening::MasterWakes {
                master: m,
                life,
                term,
            };
            self.queue.at(clock.when(due), happening);
        }
    }

    pub(crate) fn master_runs(&mut self, m: usize, life: u32, term: u32) {
        let (now, shown, sabotage) = (self.now(), self.master_now(m), self.sabotage);
        let Some(tenure) = self.tenure(m, life, term) else {
            return;
        };
        tenure.runs_soon = false;
        if tenure.committing.is_some() {
            return;
        }
        let n_commands = tenure.inbox.len().min(BATCHED_INPUTS);
        let mut commands: Vec<_> = tenure.inbox.drain(..n_commands).collect();
        if sabotage == Some(Sabotage::RescindsWithoutFilter) {
            commands.splice(..0, spoil::end_without_filter(tenure.core.state(), shown));
        }
        let fence = tenure.fence;
        let mut out = Output::default();
        for command in commands {
            let command = spoil::command(self.sabotage, command);
            // Borrowed anew: the trace is of the same world.
            self.trace.line(now, format_args!("master {m} <- {command:?}"));
            if let Some(tenure) = &mut self.masters[m].tenure {
                let n_events = out.events.len();
                tenure.core.step(shown, command, &mut out);
                // State is the fold of events: without any it is what was looked at before.
                if out.events.len() > n_events {
                    tenure.core.sanity_check();
                }
            }
        }
        self.trace.line(now, format_args!("master {m} -> {out:?}"));
        if out.registry.is_empty() {
            return self.master_settles(m, out);
        }
        if self.sabotage == Some(Sabotage::ActsBeforeWrite) {
            self.master_settles(m, out.clone());
            out = Output {
                registry: out.registry,
                ..Output::default()
            };
        }
        let changes = out.registry.clone();
        let Some(tenure) = &mut self.masters[m].tenure else {
            return;
        };
        tenure.committing = Some(out);
        let request = self.ask_store(m, Ask::Commit { fence, changes });
        self.masters[m].waits_for = Some(request);
    }

    pub(crate) fn master_committed(&mut self, m: usize, result: Result<(), CommitError>) {
        let Some(tenure) = &mut self.masters[m].tenure else {
            return;
        };
        let Some(out) = tenure.committing.take() else {
            return;
        };
        match result {
            Ok(()) => {
                self.masters[m].back_off = Duration::ZERO;
                self.master_settles(m, out);
            }
            Err(error) => {
                self.say(format_args!("fault: a commit of master {m} fails: {error}"));
                self.end_tenure(m);
                self.master_backs_off(m);
            }
        }
    }

    /// Everything is written: who is not sure to lead says nothing all the same.
    fn master_settles(&mut self, m: usize, out: Output) {
        if !self.is_sure(m) && self.sabotage != Some(Sabotage::SpeaksThoughDeposed) {
            return self.master_deposed(m);
        }
        let Some(tenure) = &mut self.masters[m].tenure else {
            return;
        };
        let term = tenure.fence.term;
        let begins = tenure.began_as.take();
        let has_changed = begins.is_some() || !out.events.is_empty();
        if let Some(state) = begins {
            self.observe(&Fact::MasterStarted(&state));
        }
        self.observe(&Fact::MasterActs { master: m, term });
        if out.events.iter().any(Event::durable) {
            let stored = self.store.read();
            let events = &out.events;
            self.observe(&Fact::Promised {
                events,
                stored: &stored,
            });
        }
        for event in &out.events {
            self.observe(&Fact::MasterEvent(event));
        }
        if has_changed {
            self.master_is_looked_at(m);
        }
        self.master_carries_out(m, out.effects);
        if let Some(tenure) = &self.masters[m].tenure
            && !tenure.inbox.is_empty()
        {
            self.master_runs_soon(m);
        }
        self.master_sleeps(m);
    }

    fn master_is_looked_at(&mut self, m: usize) {
        // Out of the world for as long as the rules of the same world look at it.
        let Some(tenure) = self.masters[m].tenure.take() else {
            return;
        };
        self.observe(&Fact::MasterState {
            state: tenure.core.state(),
            snapshot: &tenure.core.snapshot(),
        });
        self.masters[m].tenure = Some(tenure);
    }

    fn master_carries_out(&mut self, m: usize, mut effects: Vec<Effect>) {
        let permille = self.scenario.faults.midway_permille;
        let mut stops_at =
            (!effects.is_empty() && self.mishap(permille)).then(|| self.dice.index(effects.len()));
        let rest = stops_at.take().map(|at| effects.split_off(at));
        self.master_performs(m, effects);
        let Some(rest) = rest else { return };
        if self.dice.chance(500) {
            return self.crash_master(m);
        }
        // It hangs right here: after it made sure that it leads, before all is said. What is healed hangs no more, and what
        // it was at comes before all else.
        let left = self.scenario.faults.until.since(self.now());
        let hang = self.dice.millis(1..20_000).min(left);
        self.hang(Node::Master(m), hang);
        let life = self.masters[m].life;
        let Some(tenure) = &self.masters[m].tenure else {
            return;
        };
        let term = tenure.fence.term;
        self.queue.after(
            Duration::ZERO,
            Happening::MasterGoesOn {
                master: m,
                life,
                term,
                effects: rest,
            },
        );
    }

    pub(crate) fn master_goes_on(&mut self, m: usize, life: u32, term: u32, effects: Vec<Effect>) {
        if self.tenure(m, life, term).is_some() {
            self.master_performs(m, effects);
        }
    }

    fn master_performs(&mut self, m: usize, effects: Vec<Effect>) {
        let mut frames: Vec<(StreamId, Frame)> = Vec::new();
        for effect in effects {
            match spoil::effect(self.sabotage, effect) {
                Effect::ToAgent {
                    link,
                    session,
                    message,
                } => to_agent(&mut frames, link, session, message),
                Effect::ToFramework { link, event } => match frames.last_mut() {
                    Some((stream, Frame::Events(events))) if stream.0 == link.0 => events.push(event),
                    _ => frames.push((StreamId(link.0), Frame::Events(vec![event]))),
                },
                Effect::CloseLink { link, .. } => {
                    self.master_sends(&mut frames);
                    self.master_closes(m, StreamId(link.0));
                }
                Effect::Reply { .. } => {}
            }
        }
        self.master_sends(&mut frames);
    }

    fn master_sends(&mut self, frames: &mut Vec<(StreamId, Frame)>) {
        for (stream, frame) in frames.drain(..) {
            self.send(stream, Direction::Down, frame);
        }
    }

    fn master_closes(&mut self, m: usize, stream: StreamId) {
        let peer = self.network.peer(stream);
        self.close(stream, Direction::Down);
        // Telling it of a link it closed is harmless; some shells will.
        if self.dice.chance(500) {
            let link = LinkId(stream.0);
            match peer {
                Some(Peer::Agent(_)) => self.master_gets(m, Command::AgentLinkLost { link }),
                Some(Peer::Framework(_)) => self.master_gets(m, Command::SchedulerLinkLost { link }),
                None => {}
            }
        }
    }
}

fn to_agent(frames: &mut Vec<(StreamId, Frame)>, link: LinkId, of: Session, message: MasterMessage) {
    match frames.last_mut() {
        Some((stream, Frame::ToAgent { session, messages })) if stream.0 == link.0 && *session == of => {
            messages.push(message);
        }
        _ => frames.push((
            StreamId(link.0),
            Frame::ToAgent {
                session: of,
                messages: vec![message],
            },
        )),
    }
}

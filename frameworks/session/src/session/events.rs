//! What the master says, one function an event.
//!
//! The scheduler hears of an update before it is acknowledged, in the same output: whatever it writes
//! is on disk before the master may forget.

use std::collections::BTreeSet;

use proffer_types::scheduler_link::{Call, Event};
use proffer_types::{
    Filters, FrameworkId, Offer, OfferId, OperationState, OperationStatus, Role, TaskId, TaskState,
    TaskStatus,
};

use super::{Link, Local, MIN_HEARTBEAT_INTERVAL, Session};
use crate::records::{self, Live};
use crate::{Output, Scheduler};

impl<S: Scheduler> Session<S> {
    pub(super) fn event(&mut self, event: Event, out: &mut Output) {
        match &mut self.link {
            Link::Down => return,
            Link::Subscribing { .. } => {
                if !matches!(event, Event::Subscribed { .. } | Event::Error { .. }) {
                    return;
                }
            }
            Link::Up { heard, .. } => *heard = self.now,
        }
        match event {
            Event::Subscribed {
                framework_id,
                master_id: _,
                heartbeat_interval,
            } => {
                self.heartbeat_interval = heartbeat_interval.max(MIN_HEARTBEAT_INTERVAL);
                self.subscribed(framework_id, out);
            }
            Event::Offers(offers) => self.offered(offers, out),
            Event::Rescind(offer) => self.rescinded(&offer, out),
            Event::InverseOffers(offers) => {
                for offer in offers {
                    self.run(out, |scheduler, cx| scheduler.inverse_offer(cx, &offer));
                }
            }
            Event::RescindInverse(offer) => {
                self.run(out, |scheduler, cx| scheduler.inverse_rescinded(cx, &offer));
            }
            Event::Update(status) => self.updated(&status, out),
            Event::OperationUpdate(status) => self.operation_updated(&status, out),
            Event::AgentLost(agent) => {
                self.ask_about(&agent, out);
                self.run(out, |scheduler, cx| scheduler.agent_lost(cx, &agent));
            }
            Event::AgentAway { agent_id, away_for } => {
                self.run(out, |scheduler, cx| scheduler.agent_away(cx, &agent_id, away_for));
            }
            Event::AgentBack(agent) => self.run(out, |scheduler, cx| scheduler.agent_back(cx, &agent)),
            Event::Shapes { n_agents, largest } => {
                self.run(out, |scheduler, cx| scheduler.shapes(cx, n_agents, &largest));
            }
            Event::Agents { agents, gone } => {
                self.run(out, |scheduler, cx| scheduler.agents(cx, &agents, &gone));
            }
            Event::Error { message } => self.refused(message, out),
            Event::Heartbeat => {}
        }
    }

    fn subscribed(&mut self, framework_id: FrameworkId, out: &mut Output) {
        self.keep_id(&framework_id, out);
        let (suppressed, outdated) = match &self.link {
            Link::Subscribing {
                suppressed, outdated, ..
            } => (suppressed.clone(), *outdated),
            Link::Down | Link::Up { .. } => (self.suppressed.clone(), false),
        };
        self.link = Link::Up {
            heard: self.now,
            ping: self.now.after(self.heartbeat_interval),
            reconcile: None,
        };
        if self.ownership.ends {
            return out.calls.push(Call::Teardown);
        }
        self.reconcile_all(out);
        self.ask_for_unknown(out);
        self.kill_again(out);
        if outdated {
            self.tell_info(out);
        } else {
            self.correct_suppression(&suppressed, out);
        }
        self.restate_demand();
        self.run(out, |scheduler, cx| scheduler.subscribed(cx, &framework_id));
    }

    /// Tells what the scheduler asked for between the subscription and its answer, when nothing could be sent.
    fn correct_suppression(&self, told: &BTreeSet<Role>, out: &mut Output) {
        let revived: BTreeSet<Role> = told.difference(&self.suppressed).cloned().collect();
        let suppressed: BTreeSet<Role> = self.suppressed.difference(told).cloned().collect();
        if !revived.is_empty() {
            out.calls.push(Call::Revive { roles: revived });
        }
        if !suppressed.is_empty() {
            out.calls.push(Call::Suppress { roles: suppressed });
        }
    }

    /// A kill that was asked for on an earlier connection may never have arrived. A master that restarted may not
    /// know the task yet and forgets the kill; so it is told once more with the first answer about the task.
    fn kill_again(&self, out: &mut Output) {
        out.calls
            .extend(self.tasks.iter().filter_map(|(id, live)| kill_of(id, live)));
    }

    fn offered(&mut self, offers: Vec<Offer>, out: &mut Output) {
        let offers = self.offers.add(offers);
        if offers.is_empty() {
            return;
        }
        let ids: Vec<_> = offers.iter().map(|offer| offer.id.clone()).collect();
        let mut held = Vec::new();
        self.run_holding(out, &mut held, |scheduler, cx| scheduler.offers(cx, offers));
        let left = self.offers.take_unheld(&ids, &held);
        self.decline(left, Filters::DEFAULT, out);
    }

    fn rescinded(&mut self, offer: &OfferId, out: &mut Output) {
        for offer in self.offers.rescind(offer) {
            self.run(out, |scheduler, cx| scheduler.rescinded(cx, &offer));
        }
    }

    fn updated(&mut self, status: &TaskStatus, out: &mut Output) {
        if !self.keeps_unknown(status) && !self.comes_after_the_end(status) {
            let is_told = !self.is_untold(status);
            self.track(status, out);
            if is_told {
                self.run(out, |scheduler, cx| scheduler.update(cx, status));
            }
        }
        if let (Some(uuid), Some(agent_id)) = (status.uuid, &status.agent_id) {
            out.calls.push(Call::Acknowledge {
                agent_id: agent_id.clone(),
                task_id: status.task_id.clone(),
                uuid,
            });
        }
    }

    /// Whether the master says of a task that it is over, unknown or out of reach, and there is no record of it: then it
    /// ended, and that was told. The answer to an earlier question comes so late, and so does what a master says that does
    /// not know how much was heard before it led. A running task without a record is another matter, and so is an
    /// unreachable one that is to be killed once it is back; the scheduler is not told of that one either.
    fn comes_after_the_end(&self, status: &TaskStatus) -> bool {
        let is_over = status.state.is_terminal() || status.state == TaskState::Unknown;
        let is_away = status.state == TaskState::Unreachable && !self.ownership.kills_unknown();
        let has_record = self.tasks.contains_key(&status.task_id);
        (is_over || is_away) && status.uuid.is_none() && !has_record
    }

    fn operation_updated(&mut self, status: &OperationStatus, out: &mut Output) {
        self.track_operation(status, out);
        self.run(out, |scheduler, cx| scheduler.operation_update(cx, status));
        if let (Some(uuid), Some(agent_id)) = (status.uuid, &status.agent_id) {
            out.calls.push(Call::AcknowledgeOperation {
                agent_id: agent_id.clone(),
                operation_id: status.operation_id.clone(),
                uuid,
            });
        }
    }

    /// Tells the scheduler of launches and operations that never reached the master. Their records were written, so
    /// that a crash in between is found by reconciliation.
    pub(super) fn tell_local(&mut self, out: &mut Output) {
        for local in std::mem::take(&mut self.local) {
            match local {
                Local::Task(status) => self.updated(&status, out),
                Local::Operation(status) => self.operation_updated(&status, out),
                Local::Duplicate(status) => {
                    self.run(out, |scheduler, cx| scheduler.operation_update(cx, &status));
                }
            }
        }
    }

    /// Keeps the live operations true to the status. What the session does not know is none of its own.
    fn track_operation(&mut self, status: &OperationStatus, out: &mut Output) {
        let id = &status.operation_id;
        // An operation nobody knows is as good as ended: whoever wants it asks for it again.
        if status.state.is_terminal() || status.state == OperationState::Unknown {
            if self.operations.remove(id).is_some() {
                out.writes.push(records::delete_operation(id));
            }
            return;
        }
        if let Some(live) = self.operations.get_mut(id) {
            live.answered = status.state != OperationState::Unreachable;
            if !live.answered {
                self.keep_asking();
            }
        }
    }

    /// Keeps the live set true to the update.
    fn track(&mut self, status: &TaskStatus, out: &mut Output) {
        let id = &status.task_id;
        // A task nobody knows is as good as ended: whoever wants it launches it again.
        if status.state.is_terminal() || status.state == TaskState::Unknown {
            if self.tasks.remove(id).is_some() {
                out.writes.push(records::delete_task(id));
            }
            return;
        }
        // Of an unreachable task the last word is still to come.
        let answered = status.state != TaskState::Unreachable;
        if let Some(live) = self.tasks.get_mut(id) {
            if answered && !live.answered {
                out.calls.extend(kill_of(id, live));
            }
            live.answered = answered;
        } else {
            let live = Live {
                agent_id: status.agent_id.clone(),
                kill: self.ownership.kill_of_unknown(),
                answered,
            };
            out.calls.extend(kill_of(id, &live));
            out.writes.push(records::put_task(id, &live));
            self.tasks.insert(id.clone(), live);
        }
        if !answered {
            self.keep_asking();
        }
    }
}

/// The call for the kill that is wanted of a task, if one is.
fn kill_of(id: &TaskId, live: &Live) -> Option<Call> {
    Some(Call::Kill {
        task_id: id.clone(),
        agent_id: live.agent_id.clone(),
        kill_policy: live.kill?,
    })
}

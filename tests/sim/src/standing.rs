//! How a master comes to lead, and knows that it does.
//!
//! `stand -> lease -> elected -> read the term -> begin the next -> load -> lead`. Where there is one master only, it
//! begins with the term. The lead is sure for as long as `store_api::lease` says, by the master's own clock.

use std::time::Duration;

use proffer_store_api::lease::{KEEP_ALIVES, RETRY, certain_for};
use proffer_types::Timestamp;

use crate::election::LeaseId;
use crate::network::Direction;
use crate::registry::Fence;
use crate::sabotage::Sabotage;
use crate::store_link::{Answer, Ask, Asker};
use crate::world::{Happening, World};

/// The first pause after a failed store, doubled by each further failure.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Down,
    /// Between two attempts.
    Waiting,
    Granting,
    Standing,
    ReadingTerm,
    BeginningTerm,
    Loading(Fence),
    Leading,
}

/// What a master knows of its lease.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease {
    pub(crate) id: LeaseId,
    /// Until when it certainly stands, by the master's clock.
    pub(crate) until: Timestamp,
}

impl World {
    /// What a master's clock shows.
    pub(crate) fn master_now(&self, m: usize) -> Timestamp {
        self.masters[m].clock.shows(self.now())
    }

    /// When so much will have passed by a master's clock.
    pub(crate) fn master_in(&self, m: usize, time: Duration) -> Timestamp {
        let clock = self.masters[m].clock;
        clock.when(clock.shows(self.now()).after(time))
    }

    /// Whether a master may act: always, where it is the only one.
    pub(crate) fn is_sure(&self, m: usize) -> bool {
        !self.scenario.elects() || self.has_sure_lease(m)
    }

    fn has_sure_lease(&self, m: usize) -> bool {
        let now = self.master_now(m);
        self.masters[m].lease.is_some_and(|lease| now < lease.until)
    }

    /// Goes on where it leads already, else stands.
    pub(crate) fn master_stands(&mut self, m: usize) {
        if self.is_sure(m) {
            return self.reads_term(m);
        }
        self.masters[m].lease = None;
        self.masters[m].phase = Phase::Granting;
        let time = self.scenario.lease;
        let ask = Ask::Grant { time };
        self.masters[m].granting_since = self.master_now(m);
        let request = self.ask_store(m, ask);
        self.masters[m].waits_for = Some(request);
    }

    pub(crate) fn resign(&mut self, m: usize) {
        if let Some(lease) = self.masters[m].lease.take() {
            self.ask_store(m, Ask::Revoke(lease.id));
        }
    }

    fn reads_term(&mut self, m: usize) {
        self.masters[m].phase = Phase::ReadingTerm;
        let request = self.ask_store(m, Ask::LastTerm);
        self.masters[m].waits_for = Some(request);
    }

    /// Tries again after a while.
    pub(crate) fn master_backs_off(&mut self, m: usize) {
        let master = &mut self.masters[m];
        master.phase = Phase::Waiting;
        master.waits_for = None;
        let pause = master.back_off.max(FIRST_BACKOFF);
        master.back_off = LONGEST_BACKOFF.min(pause * 2);
        let at = self.master_in(m, pause);
        let life = self.masters[m].life;
        self.queue.at(at, Happening::MasterStands { master: m, life });
    }

    pub(crate) fn store_answers(&mut self, asker: Asker, answer: Answer) {
        let m = asker.master;
        if self.masters[m].life != asker.life {
            return;
        }
        if let Answer::Alive { sent, stands } = answer {
            return self.lease_lives(m, sent, stands);
        }
        if self.masters[m].waits_for != Some(asker.request) {
            return;
        }
        self.masters[m].waits_for = None;
        match (self.masters[m].phase, answer) {
            (Phase::Granting, Answer::Granted(id)) => self.lease_granted(m, id),
            (Phase::Standing, Answer::Elected) => self.reads_term(m),
            (Phase::ReadingTerm, Answer::LastTerm(last)) => {
                self.masters[m].phase = Phase::BeginningTerm;
                let request = self.ask_store(m, Ask::BeginTerm(last));
                self.masters[m].waits_for = Some(request);
            }
            (Phase::BeginningTerm, Answer::Begun(Ok(fence))) => {
                self.masters[m].phase = Phase::Loading(fence);
                let request = self.ask_store(m, Ask::Load);
                self.masters[m].waits_for = Some(request);
            }
            (Phase::Loading(fence), Answer::Loaded(registry)) => self.master_leads(m, fence, registry),
            (Phase::Leading, Answer::Committed(result)) => self.master_committed(m, result),
            (Phase::Leading, Answer::Silence) => {
                let detail = "timeout".to_owned();
                let error = proffer_store_api::CommitError::Failed { detail };
                self.master_committed(m, Err(error));
            }
            (Phase::Down | Phase::Waiting, _) => {}
            // Failed, or not answered in time.
            (_, _) => self.master_backs_off(m),
        }
    }

    fn lease_granted(&mut self, m: usize, id: LeaseId) {
        let until = self.masters[m]
            .granting_since
            .after(certain_for(self.scenario.lease));
        self.masters[m].lease = Some(Lease { id, until });
        self.masters[m].phase = Phase::Standing;
        let request = self.ask_store(m, Ask::Stand(id));
        self.masters[m].waits_for = Some(request);
        self.keep_alive(m, id);
        self.doubt_later(m, id, until);
    }

    fn keep_alive(&mut self, m: usize, lease: LeaseId) {
        let sent = self.master_now(m);
        self.ask_store(m, Ask::KeepAlive { lease, sent });
        let time = self.scenario.lease / KEEP_ALIVES;
        let (at, life) = (self.master_in(m, time), self.masters[m].life);
        self.queue.at(
            at,
            Happening::KeepAlive {
                master: m,
                life,
                lease,
            },
        );
    }

    /// A quarter of the lease's time has passed since the last keep-alive was sent.
    pub(crate) fn keep_alive_due(&mut self, m: usize, lease: LeaseId) {
        if self.masters[m].lease.is_some_and(|held| held.id == lease) {
            self.keep_alive(m, lease);
        }
    }

    fn lease_lives(&mut self, m: usize, sent: Timestamp, stands: bool) {
        let time = self.scenario.lease;
        let trusts = self.sabotage == Some(Sabotage::TrustsOldLease);
        let until = sent.after(if trusts { time * 10 } else { certain_for(time) });
        if let Some(lease) = self.masters[m].lease.as_mut().filter(|_| stands) {
            lease.until = lease.until.max(until);
        }
    }

    fn doubt_later(&mut self, m: usize, lease: LeaseId, until: Timestamp) {
        let (at, life) = (self.masters[m].clock.when(until), self.masters[m].life);
        self.queue.at(
            at,
            Happening::LeaseDoubted {
                master: m,
                life,
                lease,
            },
        );
    }

    /// The lease may have come to the end of what is sure of it.
    pub(crate) fn lease_doubted(&mut self, m: usize, id: LeaseId) {
        let Some(lease) = self.masters[m].lease.filter(|lease| lease.id == id) else {
            return;
        };
        if self.has_sure_lease(m) {
            return self.doubt_later(m, id, lease.until);
        }
        match self.masters[m].phase {
            Phase::Leading if self.sabotage == Some(Sabotage::SpeaksThoughDeposed) => {}
            Phase::Standing => {
                self.masters[m].lease = None;
                self.masters[m].phase = Phase::Waiting;
                self.masters[m].waits_for = None;
                let (at, life) = (self.master_in(m, RETRY), self.masters[m].life);
                self.queue.at(at, Happening::MasterStands { master: m, life });
            }
            Phase::Leading => self.master_deposed(m),
            // Found out when it is about to act.
            Phase::Down
            | Phase::Waiting
            | Phase::Granting
            | Phase::ReadingTerm
            | Phase::BeginningTerm
            | Phase::Loading(_) => {}
        }
    }

    /// Who leads, as a master that stands by tells its clients: what the store said last.
    pub(crate) fn named_by(&mut self, m: usize) -> Option<usize> {
        let reaches = |direction| {
            let cut = self.store_cuts.get(&(m, direction));
            cut.is_none_or(|until| *until <= self.now())
        };
        let fresh = reaches(Direction::Up) && reaches(Direction::Down) && !self.dice.chance(200);
        if fresh {
            self.masters[m].believes = self.store.election.leader();
        }
        self.masters[m].believes.filter(|leader| *leader != m)
    }
}

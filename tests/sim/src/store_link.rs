//! Requests of masters to the store, and its answers.
//!
//! One master has its store on its own disk: slow at times, and failing, but there. Several share one over the network:
//! a request that meets a cut is lost, or comes when the cut is over, long after whoever asked gave up on it; the same
//! for answers. So a commit that seems to have failed has taken effect, or has not, or will.

use std::time::Duration;

use proffer_master_core::{Registry, RegistryChange};
use proffer_store_api::{CommitError, Fault};
use proffer_types::Timestamp;

use crate::election::LeaseId;
use crate::facts::Fact;
use crate::network::Direction;
use crate::registry::{Fence, LastTerm};
use crate::world::{Happening, World};

/// How long an answer is waited for, as by the client of etcd.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How late the store looks for leases that ran out, at most.
const LOOKS_FOR_LEASES_MS: u64 = 500;

/// Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request(u64);

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) master: usize,
    pub(crate) life: u32,
    pub(crate) request: Request,
}

#[cfg(test)]
impl Asker {
    pub(crate) fn test(master: usize) -> Self {
        let request = Request(0);
        Self {
            master,
            life: 1,
            request,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Ask {
    Grant {
        time: Duration,
    },
    KeepAlive {
        lease: LeaseId,
        sent: Timestamp,
    },
    Revoke(LeaseId),
    /// Answered when it is won.
    Stand(LeaseId),
    LastTerm,
    BeginTerm(LastTerm),
    Load,
    Commit {
        fence: Fence,
        changes: Vec<RegistryChange>,
    },
}

#[derive(Debug)]
pub(crate) enum Answer {
    Granted(LeaseId),
    /// Of a keep-alive that was sent then, by the asker's clock; whether the lease was still there.
    Alive {
        sent: Timestamp,
        stands: bool,
    },
    Elected,
    LastTerm(LastTerm),
    Begun(Result<Fence, CommitError>),
    Loaded(Registry),
    Committed(Result<(), CommitError>),
    /// Nothing came in time.
    Silence,
}

impl World {
    /// Sends a request. The answer comes to `store_answers`, or silence does.
    pub(crate) fn ask_store(&mut self, m: usize, ask: Ask) -> Request {
        self.n_asks += 1;
        let request = Request(self.n_asks);
        let asker = Asker {
            master: m,
            life: self.masters[m].life,
            request,
        };
        let is_kept = matches!(ask, Ask::Stand(_));
        if self.scenario.elects() && !is_kept {
            let timeout = self.master_in(m, REQUEST_TIMEOUT);
            let answer = Answer::Silence;
            self.queue.at(timeout, Happening::FromStore { asker, answer });
        }
        if let Some(delay) = self.store_delay(m, Direction::Up, is_kept) {
            self.queue.after(delay, Happening::AtStore { asker, ask });
        }
        request
    }

    /// How long something takes on its way; absent when it is lost. What is waited for without a timeout is not: its
    /// connection would break, and the client ask anew.
    fn store_delay(&mut self, m: usize, direction: Direction, is_kept: bool) -> Option<Duration> {
        if !self.scenario.elects() {
            let slow = self.mishap(10);
            return Some(self.dice.millis(0..if slow { 2_000 } else { 4 }));
        }
        let delay = self.dice.millis(0..self.network.max_delay_ms.min(500) + 1);
        let cut = self.store_cuts.get(&(m, direction)).copied();
        match cut.filter(|until| *until > self.now()) {
            None => Some(delay),
            Some(until) => self
                .dice
                .chance(if is_kept { 1_000 } else { 500 })
                .then(|| until.since(self.now()) + delay),
        }
    }

    fn answer_master(&mut self, asker: Asker, answer: Answer) {
        let is_kept = matches!(answer, Answer::Elected);
        if let Some(delay) = self.store_delay(asker.master, Direction::Down, is_kept) {
            self.queue.after(delay, Happening::FromStore { asker, answer });
        }
    }

    pub(crate) fn at_store(&mut self, asker: Asker, ask: Ask) {
        let now = self.store_clock().shows(self.now());
        let answer = match ask {
            Ask::Grant { time } => {
                let lease = self.store.election.grant(now, time);
                self.watch_lease(lease);
                Answer::Granted(lease)
            }
            Ask::KeepAlive { lease, sent } => {
                let stands = self.store.election.keep_alive(now, lease);
                Answer::Alive { sent, stands }
            }
            Ask::Revoke(lease) => {
                self.store.election.revoke(lease);
                return self.elect();
            }
            Ask::Stand(lease) => {
                self.store.election.stand(lease, asker);
                return self.elect();
            }
            Ask::LastTerm => Answer::LastTerm(self.store.last_term()),
            Ask::BeginTerm(last) => {
                self.store_may_fail();
                let before = self.store.last_term();
                let begun = self.store.begin_term(last);
                let after = self.store.last_term();
                if after != before {
                    let (master, term) = (asker.master, after.term);
                    self.observe(&Fact::TermBegun { master, term });
                }
                Answer::Begun(begun)
            }
            Ask::Load => Answer::Loaded(self.store.read()),
            Ask::Commit { fence, changes } => Answer::Committed(self.store_commits(fence, &changes)),
        };
        self.answer_master(asker, answer);
    }

    fn store_may_fail(&mut self) {
        if self.mishap(self.scenario.faults.commit_permille) {
            let before = self.dice.chance(500);
            self.store
                .fail_next(if before { Fault::Before } else { Fault::After });
        }
    }

    fn store_commits(&mut self, fence: Fence, changes: &[RegistryChange]) -> Result<(), CommitError> {
        self.store_may_fail();
        let before = self.store.revision();
        let committed = self.store.commit(fence, changes);
        if self.store.revision() != before {
            let term = fence.term;
            self.observe(&Fact::Stored { term, changes });
        }
        committed
    }

    /// Tells whoever leads now, if it does not know.
    fn elect(&mut self) {
        if let Some(candidate) = self.store.election.elect() {
            self.say(format_args!("master {} is elected", candidate.asker.master));
            self.answer_master(candidate.asker, Answer::Elected);
        }
    }

    /// The store looks whether a lease ran out.
    pub(crate) fn watch_lease(&mut self, lease: LeaseId) {
        let Some(runs_out) = self.store.election.runs_out(lease) else {
            return;
        };
        if runs_out > self.store_clock().shows(self.now()) {
            let late = self.dice.millis(0..LOOKS_FOR_LEASES_MS);
            let at = self.store_clock().when(runs_out).after(late);
            return self.queue.at(at, Happening::LeaseEnds(lease));
        }
        self.say(format_args!("store: {lease:?} has run out"));
        self.store.election.revoke(lease);
        self.elect();
    }
}

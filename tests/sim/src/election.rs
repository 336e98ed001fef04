//! The store's part in an election: leases that run out by its own clock, and a queue of those who would lead.
//!
//! As etcd has it: a lease is granted for a time and lives on with each keep-alive; who stands puts a record under its
//! lease; of the records that are there the oldest leads, and a record goes with its lease. A model: pure, no network.

use std::collections::BTreeMap;
use std::time::Duration;

use proffer_types::Timestamp;

use crate::store_link::Asker;

/// Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LeaseId(pub(crate) u64);

#[derive(Debug, Clone, Copy)]
struct Lease {
    time: Duration,
    runs_out: Timestamp,
}

/// One who stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) lease: LeaseId,
    pub(crate) asker: Asker,
    /// Whether it was told that it leads.
    told: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Election {
    leases: BTreeMap<LeaseId, Lease>,
    /// Oldest first.
    candidates: Vec<Candidate>,
    n_leases: u64,
}

impl Election {
    pub(crate) fn grant(&mut self, now: Timestamp, time: Duration) -> LeaseId {
        self.n_leases += 1;
        let id = LeaseId(self.n_leases);
        let runs_out = now.after(time);
        self.leases.insert(id, Lease { time, runs_out });
        id
    }

    /// False when the lease is gone.
    pub(crate) fn keep_alive(&mut self, now: Timestamp, id: LeaseId) -> bool {
        let Some(lease) = self.leases.get_mut(&id) else {
            return false;
        };
        lease.runs_out = now.after(lease.time);
        true
    }

    pub(crate) fn stand(&mut self, lease: LeaseId, asker: Asker) {
        if self.leases.contains_key(&lease) {
            let told = false;
            self.candidates.push(Candidate { lease, asker, told });
        }
    }

    pub(crate) fn revoke(&mut self, id: LeaseId) {
        self.leases.remove(&id);
        self.candidates.retain(|candidate| candidate.lease != id);
    }

    /// When the lease runs out, if nothing prolongs it.
    pub(crate) fn runs_out(&self, id: LeaseId) -> Option<Timestamp> {
        self.leases.get(&id).map(|lease| lease.runs_out)
    }

    /// The leader, if it does not know yet; it is told now.
    pub(crate) fn elect(&mut self) -> Option<Candidate> {
        let first = self.candidates.first_mut().filter(|first| !first.told)?;
        first.told = true;
        Some(*first)
    }

    /// Who leads, for those who ask.
    pub(crate) fn leader(&self) -> Option<usize> {
        self.candidates.first().map(|first| first.asker.master)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_candidate_leads_and_the_next_one_when_its_lease_is_gone() {
        let time = Duration::from_secs(3);
        let mut election = Election::default();
        let first = election.grant(Timestamp(0), time);
        let second = election.grant(Timestamp(0), time);
        election.stand(first, Asker::test(0));
        election.stand(second, Asker::test(1));
        assert_eq!(election.elect().map(|leader| leader.asker.master), Some(0));
        assert_eq!(election.elect(), None);
        assert!(election.keep_alive(Timestamp(2_000), first));
        assert_eq!(election.runs_out(first), Some(Timestamp(5_000)));
        election.revoke(first);
        assert_eq!(election.leader(), Some(1));
        assert_eq!(election.elect().map(|leader| leader.asker.master), Some(1));
        assert!(!election.keep_alive(Timestamp(2_500), first));
    }
}

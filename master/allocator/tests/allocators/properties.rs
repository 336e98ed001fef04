//! Whatever happens: nothing is promised twice, and nobody is offered what they must not be.

use std::time::Duration;

use proffer_allocator::ClaimId;
use proffer_types::{Resources, Role, Timestamp};
use proptest::prelude::*;

use crate::bench::{Bench, Offered, agent, framework};

const ROLES: [&str; 4] = ["*", "eng", "eng/prod", "ops"];

#[derive(Debug, Clone)]
enum Move {
    Accept { nth: usize, cpus: u64, mem: u64 },
    Decline { nth: usize, refuse: u64 },
    EndTask { nth: usize },
    Suppress { nth: usize },
    Revive { nth: usize },
    SetActive { nth: usize, active: bool },
    SetAgentActive { nth: usize, active: bool },
    RemoveAgent { nth: usize },
    Resize { nth: usize, cpus: u64 },
    Weigh { nth: usize, weight_millis: u64 },
    Wait { millis: u64 },
}

fn a_move() -> impl Strategy<Value = Move> {
    let nth = 0..8_usize;
    prop_oneof![
        4 => (nth.clone(), 0..5000_u64, 0..4_u64 << 30)
            .prop_map(|(nth, cpus, mem)| Move::Accept { nth, cpus, mem }),
        3 => (nth.clone(), 0..20_u64).prop_map(|(nth, refuse)| Move::Decline { nth, refuse }),
        3 => nth.clone().prop_map(|nth| Move::EndTask { nth }),
        1 => nth.clone().prop_map(|nth| Move::Suppress { nth }),
        1 => nth.clone().prop_map(|nth| Move::Revive { nth }),
        1 => (nth.clone(), any::<bool>()).prop_map(|(nth, active)| Move::SetActive { nth, active }),
        1 => (nth.clone(), any::<bool>()).prop_map(|(nth, active)| Move::SetAgentActive { nth, active }),
        1 => nth.clone().prop_map(|nth| Move::RemoveAgent { nth }),
        1 => (nth.clone(), 0..9000_u64).prop_map(|(nth, cpus)| Move::Resize { nth, cpus }),
        1 => (nth, 1..5000_u64).prop_map(|(nth, weight_millis)| Move::Weigh { nth, weight_millis }),
        2 => (0..9000_u64).prop_map(|millis| Move::Wait { millis }),
    ]
}

struct Play {
    bench: Bench,
    offers: Vec<Offered>,
    tasks: Vec<ClaimId>,
}

impl Play {
    fn take_offers_of(&mut self, lost: impl Fn(&Offered) -> bool) {
        let (lost, kept) = std::mem::take(&mut self.offers).into_iter().partition(lost);
        self.offers = kept;
        let lost: Vec<Offered> = lost;
        for offer in lost {
            self.bench.end(&ClaimId::Offer(offer.id));
        }
    }

    fn make(&mut self, step: &Move) {
        let name = |nth: usize| framework(&format!("f{}", nth % ROLES.len()));
        let host = |nth: usize| agent(&format!("a{}", nth % 3));
        let role = |nth: usize| Role::new(ROLES[nth % ROLES.len()]).unwrap();
        let roles = |nth: usize| [role(nth)].into();
        let ledger = &mut self.bench.ledger;
        let change = match *step {
            Move::Accept { nth, cpus, mem } if !self.offers.is_empty() => {
                let offer = self.offers.swap_remove(nth % self.offers.len());
                let has = &offer.grant.resources;
                let task = Resources::of(cpus.min(has.cpu_millis()), mem.min(has.mem_bytes()), 0);
                self.tasks.push(self.bench.accept(&offer, &task));
                return;
            }
            Move::Decline { nth, refuse } if !self.offers.is_empty() => {
                let offer = self.offers.swap_remove(nth % self.offers.len());
                return self.bench.decline(&offer, Duration::from_secs(refuse));
            }
            Move::EndTask { nth } if !self.tasks.is_empty() => {
                let task = self.tasks.swap_remove(nth % self.tasks.len());
                return self.bench.end(&task);
            }
            Move::Accept { .. } | Move::Decline { .. } | Move::EndTask { .. } => return,
            Move::Wait { millis } => {
                self.bench.now = self.bench.now.after(Duration::from_millis(millis));
                return;
            }
            Move::Suppress { nth } => ledger.suppress(&name(nth), &roles(nth)),
            Move::Revive { nth } => ledger.revive(&name(nth), &roles(nth)),
            Move::SetActive { nth, active } => ledger.set_framework_active(&name(nth), active),
            Move::SetAgentActive { nth, active } => ledger.set_agent_active(&host(nth), active),
            Move::RemoveAgent { nth } => {
                let gone = host(nth);
                self.take_offers_of(|offer| offer.grant.agent_id == gone);
                self.bench.ledger.remove_agent(&gone)
            }
            Move::Resize { nth, cpus } => {
                let resized = host(nth);
                self.take_offers_of(|offer| offer.grant.agent_id == resized);
                let total = Resources::of(cpus, 4 << 30, 0);
                self.bench.ledger.set_agent(&resized, &total)
            }
            Move::Weigh { nth, weight_millis } => ledger.set_weight(&role(nth), weight_millis),
        };
        self.bench.observe(change);
    }
}

proptest! {
    #[test]
    fn offers_go_only_where_they_may_and_everything_that_may_be_offered_is(
        allocator in prop_oneof![Just("drf"), Just("fifo")],
        moves in proptest::collection::vec(a_move(), 1..60),
    ) {
        let mut bench = Bench::new(allocator);
        for (nth, role) in ROLES.iter().enumerate() {
            bench.add_framework(&format!("f{nth}"), role);
        }
        for nth in 0..3 {
            bench.add_agent(&format!("a{nth}"), "cpus:8;mem:8GiB");
        }
        let mut play = Play { bench, offers: Vec::new(), tasks: Vec::new() };
        for step in &moves {
            play.make(step);
            let now = play.bench.now;
            // The ledger itself checks over-commit, in `Ledger::check`, after each round.
            for offer in play.bench.round() {
                let grant = &offer.grant;
                let entry = play.bench.ledger.framework(&grant.framework_id).unwrap();
                prop_assert!(entry.wanting().any(|role| *role == grant.role));
                prop_assert!(play.bench.ledger.agent(&grant.agent_id).unwrap().active);
                let filtered = play.bench.ledger.is_filtered(
                    &grant.framework_id, &grant.role, &grant.agent_id, &grant.resources, now,
                );
                prop_assert!(!filtered);
                play.offers.push(offer);
            }
            nothing_is_left_that_somebody_wants(&play.bench, now)?;
        }
    }
}

fn nothing_is_left_that_somebody_wants(bench: &Bench, now: Timestamp) -> Result<(), TestCaseError> {
    let ledger = &bench.ledger;
    for (id, entry) in ledger.agents().filter(|(_, entry)| entry.active) {
        let free = &entry.free;
        if free.cpu_millis() < 10 && free.mem_bytes() < 32 << 20 {
            continue;
        }
        for (name, taker) in ledger.frameworks() {
            for role in taker.wanting() {
                let filtered = ledger.is_filtered(name, role, id, free, now);
                prop_assert!(filtered, "{name} was not offered {free} of {id}");
            }
        }
    }
    Ok(())
}

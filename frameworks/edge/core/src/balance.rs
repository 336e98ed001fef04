//! Which endpoint is next.

use proffer_types::discovery::BalancePolicy;
use rand::{Rng, RngExt as _};

/// What a choice depends on, of one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// At least 1.
    pub weight: u32,
    /// Open connections, sessions or requests.
    pub in_flight: u32,
    /// What it is owed of turns by its weight, as in nginx's smooth weighted round robin.
    owed: i64,
}

impl Member {
    /// One that has nothing open.
    #[must_use]
    pub fn new(weight: u32) -> Self {
        Self {
            weight: weight.max(1),
            in_flight: 0,
            owed: 0,
        }
    }
}

/// The choice among those at `eligible` that `wanted` allows; `None` when it allows none. `turn` is kept between calls.
pub fn choose<S>(
    policy: BalancePolicy,
    slots: &mut [S],
    member: impl Fn(&mut S) -> &mut Member,
    eligible: &[usize],
    wanted: impl Fn(&S) -> bool,
    turn: &mut usize,
    rng: &mut impl Rng,
) -> Option<usize> {
    let n = eligible.len();
    if n == 0 {
        return None;
    }
    let start = match policy {
        BalancePolicy::Random => rng.random_range(0..n),
        BalancePolicy::RoundRobin | BalancePolicy::LeastConnections => *turn % n,
        BalancePolicy::Weighted => 0,
    };
    let mut order = (0..n).map(|step| (start + step) % n);
    match policy {
        BalancePolicy::Random => any(slots, eligible, &wanted, rng, start),
        BalancePolicy::RoundRobin => {
            let place = order.find(|place| wanted(&slots[eligible[*place]]))?;
            *turn = place + 1;
            Some(eligible[place])
        }
        BalancePolicy::LeastConnections => {
            let mut best: Option<(usize, u64, u64)> = None;
            for place in order {
                let slot = &mut slots[eligible[place]];
                if !wanted(slot) {
                    continue;
                }
                let of = member(slot);
                let (open, weight) = (u64::from(of.in_flight) + 1, u64::from(of.weight));
                if best.is_none_or(|(_, least, per)| open * per < least * weight) {
                    best = Some((place, open, weight));
                }
            }
            let (place, ..) = best?;
            *turn = place + 1;
            Some(eligible[place])
        }
        BalancePolicy::Weighted => {
            let mut total = 0;
            let mut best: Option<(usize, i64)> = None;
            for place in order {
                let slot = &mut slots[eligible[place]];
                if !wanted(slot) {
                    continue;
                }
                let of = member(slot);
                of.owed += i64::from(of.weight);
                total += i64::from(of.weight);
                if best.is_none_or(|(_, most)| of.owed > most) {
                    best = Some((eligible[place], of.owed));
                }
            }
            let (index, _) = best?;
            member(&mut slots[index]).owed -= total;
            Some(index)
        }
    }
}

/// Any of those that are wanted, all equally likely.
fn any<S>(
    slots: &[S],
    eligible: &[usize],
    wanted: impl Fn(&S) -> bool,
    rng: &mut impl Rng,
    first: usize,
) -> Option<usize> {
    if wanted(&slots[eligible[first]]) {
        return Some(eligible[first]);
    }
    let n_wanted = eligible.iter().filter(|index| wanted(&slots[**index])).count();
    if n_wanted == 0 {
        return None;
    }
    let chosen = rng.random_range(0..n_wanted);
    let mut left = eligible.iter().filter(|index| wanted(&slots[**index]));
    left.nth(chosen).copied()
}

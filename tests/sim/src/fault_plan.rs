//! What is to go wrong in a run, and when; drawn whole before it begins.
//!
//! Each fault has a seed of its own for whom it hits and for how long: leaving one out changes no other.

use proffer_types::Timestamp;

use crate::dice::Dice;

/// One in so many seeds has no faults at all: what fails there is plainly broken.
const CALM_PERMILLE: u32 = 50;

/// One planned fault.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) at: Timestamp,
    pub(crate) kind: FaultKind,
    pub(crate) seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    StreamBreaks,
    /// An agent or framework reaches no master, or not this one, or is not reached by it.
    ClientCutOff,
    AgentCrashes,
    /// Its containers are gone with it; its disk is not.
    HostReboots,
    MasterCrashes,
    /// As by SIGTERM: it resigns.
    MasterStops,
    /// A process stands still for a while and then goes on as if nothing had been.
    MasterHangs,
    AgentHangs,
    FrameworkCrashes,
    FrameworkHangs,
    /// A master does not reach the store, or is not reached by it.
    StoreCutOff,
    /// The store answers nobody.
    StoreHangs,
    /// Not a fault: an operator wants something.
    OperatorAsks,
}

/// How often each comes, in a hundred.
const KINDS: [(u64, FaultKind); 13] = [
    (24, FaultKind::StreamBreaks),
    (13, FaultKind::ClientCutOff),
    (11, FaultKind::AgentCrashes),
    (3, FaultKind::HostReboots),
    (9, FaultKind::MasterCrashes),
    (3, FaultKind::MasterStops),
    (6, FaultKind::MasterHangs),
    (3, FaultKind::AgentHangs),
    (11, FaultKind::FrameworkCrashes),
    (2, FaultKind::FrameworkHangs),
    (4, FaultKind::StoreCutOff),
    (1, FaultKind::StoreHangs),
    (10, FaultKind::OperatorAsks),
];

#[derive(Debug, Clone)]
pub(crate) struct FaultPlan {
    /// When everything is repaired and nothing more goes wrong.
    pub(crate) until: Timestamp,
    pub(crate) planned: Vec<Fault>,
    pub(crate) max_delay_ms: u64,
    pub(crate) late_permille: u32,
    /// In a thousand commits.
    pub(crate) commit_permille: u32,
    /// In a thousand checkpoints.
    pub(crate) checkpoint_permille: u32,
    /// In a thousand launches.
    pub(crate) launch_permille: u32,
    /// In a thousand steps with effects, the process dies, or hangs, in the middle of them.
    pub(crate) midway_permille: u32,
}

impl FaultPlan {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let calm = dice.chance(CALM_PERMILLE);
        let per = |permille: u32| if calm { 0 } else { permille };
        let until = Timestamp(dice.number(60_000..400_000));
        let mean_ms = dice.number(1_500..30_000);
        Self {
            until,
            planned: if calm {
                Vec::new()
            } else {
                plan(dice, until, mean_ms)
            },
            max_delay_ms: *[0, 5, 50, 2_000].get(dice.index(4)).unwrap_or(&5),
            late_permille: per(300),
            commit_permille: per(50),
            checkpoint_permille: per(20),
            launch_permille: per(30),
            midway_permille: per(5),
        }
    }

    pub(crate) fn without_mishaps(self) -> Self {
        Self {
            late_permille: 0,
            commit_permille: 0,
            checkpoint_permille: 0,
            launch_permille: 0,
            midway_permille: 0,
            ..self
        }
    }
}

fn plan(dice: &mut Dice, until: Timestamp, mean_ms: u64) -> Vec<Fault> {
    let mut planned = Vec::new();
    let mut at = Timestamp(0);
    loop {
        at = at.after(dice.millis(1..2 * mean_ms));
        if at >= until {
            return planned;
        }
        let (kind, seed) = (draw_kind(dice), dice.seed());
        planned.push(Fault { at, kind, seed });
    }
}

fn draw_kind(dice: &mut Dice) -> FaultKind {
    let mut left = dice.number(0..100);
    for (weight, kind) in KINDS {
        if left < weight {
            return kind;
        }
        left -= weight;
    }
    FaultKind::OperatorAsks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_come_to_a_hundred() {
        assert_eq!(KINDS.iter().map(|(weight, _)| weight).sum::<u64>(), 100);
    }
}

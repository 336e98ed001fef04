//! Makes a failing scenario small: leaves out whatever the same rule is broken without.
//!
//! As by delta debugging (Zeller, 2002): halves first, then quarters, down to one by one.

use std::collections::BTreeSet;

use crate::mask::{Case, Mask};
use crate::scenario::Scenario;

/// Runs until it is good: a minute or two of them.
const MAX_RUNS: u32 = 400;

/// Makes it as small as so many runs can. `breaks` says whether a scenario still breaks the same rule.
pub fn shrink(case: &Case, breaks: &mut dyn FnMut(&Case) -> bool) -> Case {
    let (scenario, _) = Scenario::of(case.seed);
    let mut shrinker = Shrinker {
        best: case.clone(),
        n_left: MAX_RUNS,
        breaks,
    };
    // Somebody has to be there for the work to be done.
    let stays = |n: &usize| scenario.agents[*n].leaves.is_none();
    let n_agents = scenario.agents.len();
    let last = (0..n_agents).rfind(stays);
    let agents: Vec<_> = (0..n_agents).filter(|n| Some(*n) != last).collect();
    let n_frameworks = scenario.frameworks.len();
    let jobs = scenario.frameworks.iter().enumerate();
    let jobs: Vec<_> = jobs
        .flat_map(|(of, plan)| (0..plan.n_jobs()).map(move |n| (of, n)))
        .collect();
    // What takes most away comes first; then once more, for less is needed of what is left.
    loop {
        let before = shrinker.best.clone();
        shrinker.try_without(|mask| mask.mishaps = true);
        shrinker.leave_out((0..n_frameworks).collect(), |mask| &mut mask.frameworks);
        shrinker.leave_out((0..scenario.faults.planned.len()).collect(), |mask| {
            &mut mask.faults
        });
        shrinker.leave_out(agents.clone(), |mask| &mut mask.agents);
        shrinker.leave_out(jobs.clone(), |mask| &mut mask.jobs);
        if shrinker.best == before || shrinker.n_left == 0 {
            return shrinker.best;
        }
    }
}

struct Shrinker<'a> {
    best: Case,
    n_left: u32,
    breaks: &'a mut dyn FnMut(&Case) -> bool,
}

impl Shrinker<'_> {
    fn try_without(&mut self, change: impl FnOnce(&mut Mask)) -> bool {
        let mut case = self.best.clone();
        change(&mut case.mask);
        if case == self.best || self.n_left == 0 {
            return false;
        }
        self.n_left -= 1;
        let breaks = (self.breaks)(&case);
        if breaks {
            self.best = case;
        }
        breaks
    }

    fn leave_out<T: Copy + Ord>(&mut self, all: Vec<T>, of: impl Fn(&mut Mask) -> &mut BTreeSet<T>) {
        let mut size = all.len();
        while size > 0 {
            for chunk in all.chunks(size) {
                self.try_without(|mask| of(mask).extend(chunk));
            }
            size /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_failure_needs_is_left() {
        let (scenario, _) = Scenario::of(7);
        let n_faults = scenario.faults.planned.len();
        assert!(n_faults > 4, "{n_faults}");
        let needs = |case: &Case| {
            let mask = &case.mask;
            !mask.faults.contains(&1) && !mask.faults.contains(&3) && !mask.jobs.contains(&(0, 0))
        };
        let small = shrink(&Case::from(7), &mut |case| needs(case));
        assert!(needs(&small) && small.mask.mishaps);
        assert_eq!(small.mask.faults.len(), n_faults - 2);
        assert_eq!(small.mask.agents.len(), scenario.agents.len() - 1);
    }
}

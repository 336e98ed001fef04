//! How many replicas what is measured asks for: the algorithm of Kubernetes' HorizontalPodAutoscaler.
//!
//! <https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/>, "Algorithm details" and "Stabilization
//! window". Values are in thousandths of whatever they are of. Latency and errors are ours: they say that there are too few
//! replicas, but not how many would do, so [`strain`] goes down one by one.

use std::collections::VecDeque;
use std::time::Duration;

use proffer_types::Timestamp;

use super::policy::Autoscaling;

/// What is this near the target, in percent of it, changes nothing.
pub const TOLERANCE_PERCENT: u64 = 10;
/// Latency and errors below this part of their target, in percent, let one replica fewer be tried.
pub const SPARE_PERCENT: u64 = 50;

/// What one metric asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opinion {
    Wants(u32),
    /// No more than there are; where nothing else says how many, one fewer may do.
    Spare,
    Unknown,
}

/// Use of one replica each, by what could be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Use {
    /// The sum over those that were measured.
    pub(super) total_milli: u64,
    pub(super) n_measured: u32,
    /// Available, and not measured.
    pub(super) n_missing: u32,
    /// Not available (yet): nothing they use counts.
    pub(super) n_unready: u32,
}

fn is_near(value: u128, target: u128) -> bool {
    value.abs_diff(target) * 100 <= target * u128::from(TOLERANCE_PERCENT)
}

fn ceil(value: u128, of: u128) -> u32 {
    u32::try_from(value.div_ceil(of.max(1))).unwrap_or(u32::MAX)
}

/// What all replicas have to do together, of which each is to have so much.
pub(super) fn shared(total: u64, target: u64, current: u32) -> Opinion {
    let (total, target) = (u128::from(total), u128::from(target));
    if is_near(total, target * u128::from(current)) {
        return Opinion::Wants(current);
    }
    Opinion::Wants(ceil(total, target))
}

/// What is thought to fall in proportion as replicas are added.
pub(super) fn level(value: u64, target: u64, n_ready: u32, current: u32) -> Opinion {
    let (value, target) = (u128::from(value), u128::from(target));
    match n_ready {
        0 => Opinion::Unknown,
        _ if is_near(value, target) => Opinion::Wants(current),
        _ => Opinion::Wants(ceil(value * u128::from(n_ready), target)),
    }
}

/// What replicas use of what they ask for. Those that could not be measured count as on target where there are too many
/// replicas, and as idle where there are too few, as do those that are not available; none of that turns the direction.
pub(super) fn of_use(of: Use, target: u64, current: u32) -> Opinion {
    if of.n_measured == 0 {
        return Opinion::Unknown;
    }
    let target = u128::from(target);
    let total = u128::from(of.total_milli);
    let wanted = |n: u32| target * u128::from(n);
    let stays = Opinion::Wants(current);
    let n = of.n_measured;
    let is_up = total > wanted(n);
    let counts_unready = is_up && of.n_unready > 0;
    if of.n_missing == 0 && !counts_unready {
        return match is_near(total, wanted(n)) {
            true => stays,
            false => Opinion::Wants(ceil(total, target)),
        };
    }
    let (total, n) = match is_up {
        true => (total, n + of.n_missing + of.n_unready),
        false => (total + wanted(of.n_missing), n + of.n_missing),
    };
    if is_near(total, wanted(n)) || is_up != (total > wanted(n)) {
        return stays;
    }
    let wants = ceil(total, target);
    let turns = if is_up { wants < current } else { wants > current };
    if turns { stays } else { Opinion::Wants(wants) }
}

/// A latency or a rate of errors: above the target in proportion to it, and never fewer; far below it there may be one to spare.
pub(super) fn strain(value: u64, target: u64, n_ready: u32, current: u32) -> Opinion {
    let (wide, target) = (u128::from(value), u128::from(target));
    if wide * 100 < target * u128::from(SPARE_PERCENT) {
        return Opinion::Spare;
    }
    if n_ready == 0 {
        return Opinion::Unknown;
    }
    if wide <= target || is_near(wide, target) {
        return Opinion::Wants(current);
    }
    Opinion::Wants(ceil(wide * u128::from(n_ready), target).max(current))
}

/// What all of them ask for together: the most. Nothing where that would be fewer and one of them is not known.
pub(super) fn most(opinions: &[Opinion], current: u32) -> Option<u32> {
    let wants = opinions.iter().filter_map(|opinion| match opinion {
        Opinion::Wants(n) => Some(*n),
        Opinion::Spare | Opinion::Unknown => None,
    });
    let can_spare = opinions.contains(&Opinion::Spare);
    let most = wants.max().or(can_spare.then(|| current.saturating_sub(1)))?;
    let is_certain = !opinions.contains(&Opinion::Unknown);
    (is_certain || most >= current).then_some(most)
}

/// What was asked for lately, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Recommendations(VecDeque<(Timestamp, u32)>);

impl Recommendations {
    /// Takes what is asked for now, and gives back what is to be done: the least of what was asked for within the window of up,
    /// where that is more than there are; the most within that of down, where it is fewer. At the first of all, that what there
    /// are was asked for until now.
    pub(super) fn add(&mut self, now: Timestamp, wanted: u32, current: u32, policy: &Autoscaling) -> u32 {
        if self.0.is_empty() {
            self.0.push_back((now, current));
        }
        let (up, down) = (policy.up_window(), policy.down_window());
        self.0.retain(|(at, _)| is_within(*at, now, up.max(down)));
        let within = |window| {
            let recent = self.0.iter().filter(move |(at, _)| is_within(*at, now, window));
            recent.map(|(_, wanted)| *wanted).chain([wanted])
        };
        let least = within(up).min().unwrap_or(wanted);
        let most = within(down).max().unwrap_or(wanted);
        self.0.push_back((now, wanted));
        let moderate = current.max(least).min(most);
        let bounded = moderate.clamp(policy.lowest(current), policy.highest(current));
        bounded.clamp(policy.min, policy.max)
    }
}

fn is_within(at: Timestamp, now: Timestamp, window: Duration) -> bool {
    now.since(at) < window
}

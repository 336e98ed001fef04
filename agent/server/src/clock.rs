//! The one place where this crate reads a clock for the core.
//!
//! Never jumps: it counts on from the wall clock at the start of the process by the time since boot, which also passes
//! while the host sleeps. What a checkpoint holds of times is moved by what two agents of one boot disagree about, so
//! that a wall clock that was set meanwhile moves no deadline.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proffer_types::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// Of all ids of boots these bits are kept: enough to tell one from the next.
const BOOT_ID_DIGITS: usize = 16;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    base: Base,
}

/// What the times of one agent count from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Base {
    /// Of the kernel's boot id; 0 where the kernel tells none.
    pub(crate) boot: u64,
    /// When the host was booted, in milliseconds, as this agent has it.
    pub(crate) booted_at_ms: u64,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            base: Base {
                boot: boot(),
                booted_at_ms: millis(wall.saturating_sub(since_boot())),
            },
        }
    }

    /// One of another agent.
    #[cfg(test)]
    pub(crate) fn of(base: Base) -> Self {
        Self { base }
    }

    pub(crate) fn base(&self) -> Base {
        self.base
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.base.booted_at_ms.saturating_add(millis(since_boot())))
    }

    /// How long until `deadline`; zero when it has passed.
    pub(crate) fn until(&self, deadline: Timestamp) -> Duration {
        deadline.since(self.now())
    }
}

impl Base {
    /// A time that counts from this base, counted from another one. Of another boot, or of nobody knows which, it stays.
    pub(crate) fn translate(self, at: Timestamp, to: Self) -> Timestamp {
        if self.boot == 0 || self.boot != to.boot {
            return at;
        }
        let later = to.booted_at_ms.saturating_sub(self.booted_at_ms);
        let earlier = self.booted_at_ms.saturating_sub(to.booted_at_ms);
        Timestamp(at.0.saturating_add(later).saturating_sub(earlier))
    }
}

fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// See random(4).
fn boot() -> u64 {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = id
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(BOOT_ID_DIGITS)
        .collect();
    u64::from_str_radix(&digits, 16).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(boot: u64, booted_at_ms: u64) -> Base {
        Base { boot, booted_at_ms }
    }

    #[test]
    fn a_clock_that_was_set_moves_no_deadline_of_the_same_boot() {
        let at = Timestamp(5_000);
        assert_eq!(base(1, 1_000).translate(at, base(1, 901_000)), Timestamp(905_000));
        assert_eq!(base(1, 901_000).translate(Timestamp(905_000), base(1, 1_000)), at);
        assert_eq!(base(1, 1_000).translate(at, base(2, 901_000)), at, "another boot");
        assert_eq!(base(0, 0).translate(at, base(2, 901_000)), at, "an older agent");
    }

    #[test]
    fn two_clocks_of_one_boot_agree_on_how_long_it_is() {
        let (first, second) = (Clock::start(), Clock::start());
        let deadline = first.now().after(Duration::from_secs(60));
        let translated = first.base().translate(deadline, second.base());
        assert!(second.until(translated) > Duration::from_secs(50));
        assert_ne!(first.base().boot, 0);
    }
}

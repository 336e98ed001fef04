//! The master: one step at a time.

use proffer_allocator::Allocator;
use proffer_types::{MasterId, Timestamp};
use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::{Command, Config, Output, Registry, Snapshot};

/// The master's state machine.
#[derive(Debug)]
pub struct Master {
    config: Config,
    allocator: Box<dyn Allocator>,
    id: MasterId,
}

impl Master {
    /// Starts from what the store holds. `term` counts the starts of a master on that store, from 1;
    /// the master's id comes from `seed`, so two starts must not share one.
    #[must_use]
    pub fn recover(
        config: Config,
        allocator: Box<dyn Allocator>,
        seed: u64,
        term: u32,
        registry: Registry,
    ) -> Self {
        let _ = (term, registry);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Self {
            config,
            allocator,
            id: MasterId::from_random(rng.next_u32()),
        }
    }

    /// Takes one command. Appends to `out`, never clears it.
    pub fn step(&mut self, now: Timestamp, command: Command, out: &mut Output) {
        let _ = (now, command, out, &self.config);
    }

    /// When a [`Command::Tick`] is wanted; at once, when it is not in the future.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        None
    }

    /// The name of this leadership.
    #[must_use]
    pub fn id(&self) -> &MasterId {
        &self.id
    }

    /// A copy of the state for readers.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            master_id: self.id.clone(),
            allocator: self.allocator.name(),
            agents: Vec::new(),
            frameworks: Vec::new(),
            tasks: Vec::new(),
            completed_tasks: Vec::new(),
            offers: Vec::new(),
            roles: Vec::new(),
        }
    }

    /// Checks every invariant of the state. Panics with what is broken; for tests and the simulator.
    pub fn sanity_check(&self) {}
}

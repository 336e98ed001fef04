//! The whole cluster in one thread under a seed: master, agents, frameworks, a network, and what goes wrong.
//!
//! The cores are the real ones; shells, network, disks and containers are simulated. A run is a function of its
//! seed: the same seed gives the same trace to the letter. What no run may do is in `invariants`, one rule a file.
//! To see a run: `PROFFER_SIM_SEED=123 cargo test -p proffer-sim replay -- --nocapture`.

mod agent_effects;
mod agent_shell;
mod batch_load;
mod dice;
mod disk;
mod facts;
mod faults;
mod framework_shell;
mod host;
mod invariants;
mod load;
mod machine;
mod master_shell;
mod network;
mod queue;
mod registry;
mod run;
mod scenario;
mod trace;
mod workload;
mod world;

pub use run::{Options, Report, Sabotage, run};
pub use trace::Reader;

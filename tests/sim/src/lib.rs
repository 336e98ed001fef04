//! The whole cluster in one thread under a seed: master, agents, frameworks, a network, and what goes wrong.
//!
//! The cores are the real ones; shells, network, disks and containers are simulated. A run is a function of its
//! seed: the same seed gives the same trace to the letter. What no run may do is in `invariants`, one rule a file.
//! To run many and to see one: the binary, `proffer-sim`. How: docs/simulator.md.

mod agent_effects;
mod agent_shell;
mod batch_load;
mod clock;
mod dice;
mod disk;
mod election;
mod endless_holds;
mod facts;
mod fault_plan;
mod faults;
mod framework_shell;
mod giant;
mod host;
mod invariants;
mod load;
mod lost_windows;
mod machine;
mod mask;
mod master_shell;
mod network;
mod queue;
mod recurring_plan;
mod registry;
mod run;
mod sabotage;
mod scenario;
mod service_load;
mod service_plan;
mod shrink;
mod spoil;
mod standing;
mod store_link;
mod tenure;
mod trace;
mod upkeep;
mod workload;
mod world;

pub use mask::{Case, Mask};
pub use run::{Options, Report, Run, Violation, attempt, run};
pub use sabotage::Sabotage;
pub use shrink::shrink;
pub use trace::Reader;

//! Container networks: namespaces, bridge, published ports, CNI plugin chains.
//!
//! [`Networks`] is the whole of it. It knows nothing of tasks: a container has an id, wants a [`Mode`] and ports, and
//! gets a network namespace bound to a path. What it does can be undone by whoever finds the records on disk and the
//! names in the kernel, however the process ended.

mod addresses;
mod bridge;
mod cni;
mod config;
mod error;
mod links;
mod name_files;
mod networks;
mod ports;
mod reaper;
mod record;
mod request;
mod rules;
mod shaping;

pub use cni::{CniError, cni_complaint, cni_result};
pub use config::{Config, ParseSubnetError, Subnet, Tag};
pub use error::{AttachError, BridgeError, DetachError, OpenError, RulesError};
pub use name_files::{NameError, hosts, is_unreachable, more_hosts, resolv_conf};
pub use networks::Networks;
pub use request::{Attached, Bandwidth, Dns, MAX_PORTS, Mode, Port, Request, Transport};

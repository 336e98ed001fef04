//! Errors, one enum per operation.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use proffer_linux::NetnsError;
use thiserror::Error;

use crate::cni::CniError;
use crate::config::Subnet;
use crate::request::{MAX_PORTS, Mode, Transport};

/// The agent's networks cannot be managed.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error("cannot use the directory `{}`", path.display())]
    Directory { path: PathBuf, source: io::Error },
    #[error("cannot ask the kernel about interfaces")]
    Netlink { source: io::Error },
    #[error(
        "network `{network_id}` has the address {address}, which is not of the bridge's subnet {subnet}: give the subnet it was made with, or end its tasks first"
    )]
    SubnetChanged {
        network_id: String,
        address: std::net::Ipv4Addr,
        subnet: Subnet,
    },
}

/// A container that got no network. Whatever was done for it has been undone.
#[derive(Debug, Error)]
pub enum AttachError {
    #[error("`{0}` is no id of a network: it must be letters, digits, `-`, `_` or `.`")]
    BadId(String),
    #[error("container `{0}` has a network already")]
    Exists(String),
    #[error("{0} ports, at most {MAX_PORTS} can be published")]
    TooManyPorts(usize),
    #[error("a bandwidth of 0 lets nothing through: leave the limit away, or use the mode none")]
    ZeroBandwidth,
    #[error("bandwidth cannot be limited, nor ports be published, where there is no network")]
    NothingToLimit,
    #[error(
        "the containers of a group share its network, but `{member}` wants another mode or bandwidth than the first"
    )]
    Mismatch { member: String },
    #[error("ports of a CNI network are published with its first container, `{member}` comes later")]
    LatePorts { member: String },
    #[error("{transport} port {port} of the host is published by container `{member}` already")]
    PortTaken {
        port: u16,
        transport: Transport,
        member: String,
    },
    #[error("{transport} port {port} of the host is in use")]
    PortInUse {
        port: u16,
        transport: Transport,
        source: io::Error,
    },
    #[error("the bridge's subnet {0} has no free address")]
    NoAddress(Subnet),
    #[error("cannot remember the network in `{}`", path.display())]
    Record { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Netns(#[from] NetnsError),
    #[error(transparent)]
    Bridge(#[from] BridgeError),
    #[error(transparent)]
    Rules(#[from] RulesError),
    #[error(transparent)]
    Cni(#[from] CniError),
    #[error(
        "this agent is rootless, and can connect no task to {}: ask for the network `host` or `none`, and leave out where ports are in the container", .0.describe()
    )]
    Rootless(Mode),
    #[error("the work on the network was cut off")]
    CutOff,
}

/// Something that could not be done with the agent's bridge.
#[derive(Debug, Error)]
pub enum BridgeError {
    #[error(
        "the host does not forward packets: set the sysctl net.ipv4.ip_forward to 1, or let the agent do it with --set-ip-forward"
    )]
    NotForwarding,
    #[error(
        "the bridge's subnet {subnet} overlaps {address} of interface `{interface}`: choose another with --bridge-subnet"
    )]
    Overlap {
        subnet: Subnet,
        address: String,
        interface: String,
    },
    #[error("cannot {what} `{name}`")]
    Link {
        what: &'static str,
        name: String,
        source: io::Error,
    },
    #[error("cannot set `{}`", path.display())]
    Sysctl { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Rules(#[from] RulesError),
}

/// Packet rules that could not be changed.
#[derive(Debug, Error)]
pub enum RulesError {
    #[error("bridge networks need the program `nft`: install the package nftables")]
    Missing,
    #[error("cannot run `nft`")]
    Run { source: io::Error },
    #[error("`nft` did not end within {} s", after.as_secs())]
    TimedOut { after: Duration },
    #[error("`nft` refuses the rules: {0}")]
    Refused(String),
    #[error("the agent is stopping")]
    Stopping,
}

/// Everything that could not be undone; the rest is gone. Trying again is safe.
#[derive(Debug, Error)]
#[error("cannot undo network `{network_id}`: {}", causes.join("; "))]
pub struct DetachError {
    pub network_id: String,
    pub causes: Vec<String>,
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

//! The service framework and its edge: the proxy beside nginx and haproxy, DNS beside dnsmasq, how soon a service answers and
//! is replaced beside a server that is started by hand, and a reconcile pass beside the textbook's loop.
//!
//! The edge, nginx and haproxy are plain processes that pass on to the same nginx; `wrk` asks all of them, in turn.

mod autoscale;
mod dns;
mod life;
mod proxy;
mod reconcile;
mod servers;

use std::path::Path;

use anyhow::Result;
use proffer_cluster_tests::Cluster;

use crate::report::{Report, Row};

/// Of all rows here.
const BENCH: &str = "service";

/// Not those of a cluster that may be on this machine.
const ADDRESSES: &str = "10.213.78.0/28";

/// Without root, and without the binary.
pub(crate) fn run_pure(report: &mut Report) -> Result<()> {
    reconcile::run(report)
}

/// With one real agent.
pub(crate) fn run(binary: &Path, plot: &Path, report: &mut Report) -> Result<()> {
    let cluster = Cluster::start_of(binary, &[("PROFFER_VIRTUAL_ADDRESSES", ADDRESSES)])?;
    let edge = servers::Edge::new(binary, &cluster)?;
    proxy::run(&cluster, report)?;
    dns::run(&edge, report)?;
    life::run(&cluster, report)?;
    autoscale::run(&cluster, plot, report)
}

fn row(case: impl Into<String>, value: f64, unit: &'static str) -> Row {
    Row::new(BENCH, case, value, unit)
}

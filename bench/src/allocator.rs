//! The allocator beside the textbook algorithm: the shapes of Mesos's own benchmarks, named as there, at their sizes.
//!
//! One thread, no cluster. A figure spans from the change to the last offer, the ledger's claims included, the wire
//! excluded. What each row is: docs/benchmarks.md.

mod changes;
mod decline_offers;
mod measure;
mod multi_framework;
mod ours;
mod quota;
mod shape;
mod slaves;
mod sorter;
mod subject;
mod suppress;
mod textbook;

use anyhow::Result;

use crate::report::Report;
use ours::Ours;
use textbook::Textbook;

pub(crate) fn run(report: &mut Report) -> Result<()> {
    decline_offers::run(report)?;
    quota::run(report)?;
    suppress::run(report)?;
    slaves::run(report)?;
    multi_framework::run(report)?;
    changes::run(report)
}

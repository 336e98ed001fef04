//! The wire: generated messages, and the conversions between them and `proffer-types`.
//!
//! Whatever comes from a peer is checked here, once, and becomes a valid value or a [`ConvertError`]:
//! NaN, negative numbers, bad names and oversized messages stop at this door. Types become messages with
//! `From`, messages become types with `TryFrom`; whole frames of the links have functions of their own.

pub mod agent;
pub mod agent_link;
pub mod change;
pub mod constraint;
pub mod container;
pub mod demand;
pub mod discovery;
pub mod edge_report;
mod error;
pub mod executor;
pub mod frame;
pub mod framework;
mod maintenance;
pub mod offer;
pub mod operation;
pub mod policy;
pub mod quota;
pub mod resources;
pub mod scheduler_link;
mod statistics;
pub mod status;
pub mod task;
pub mod text;

pub use error::ConvertError;

/// The generated messages of package `proffer.v1`.
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/proffer.v1.rs"));
}

/// Lets owned values be converted too, where only the conversion from a reference is written.
macro_rules! from_owned {
    ($($from:ty => $to:ty),*) => {
        $(impl From<$from> for $to {
            fn from(value: $from) -> Self {
                (&value).into()
            }
        })*
    };
}
use from_owned;

//! What an edge knows and decides, without a socket or a clock: the catalog of services, the answers to DNS questions, which
//! endpoint is next, which one gets nothing for a while, what is tried again, and what is counted.

pub mod balance;
pub mod catalog;
pub mod names;
pub mod outlier;
pub mod policy;
pub mod pool;
pub mod retry;
pub mod traffic;

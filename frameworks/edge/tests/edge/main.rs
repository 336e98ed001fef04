//! An edge as a whole, on loopback: told by a real Discovery service, asked by real clients, with real backends.

#![expect(clippy::unwrap_used, reason = "a test ends by panicking")]

mod addresses;
mod dns;
mod http;
mod l4;
mod master;
mod world;

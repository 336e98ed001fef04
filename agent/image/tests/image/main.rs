//! The whole of the library from outside: layers, the store, and a real registry.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends where something it stands on fails"
)]

mod hostile;
mod registry;
mod store;
mod support;
mod unpack;

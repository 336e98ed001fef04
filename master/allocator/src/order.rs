//! The built-in allocators, by name: one engine, four ways to say who is next.

mod drf;
mod fifo;
mod mix;
mod random;
mod siblings;
mod tree;

use std::fmt;

use crate::Allocator;
use crate::engine::Engine;
use drf::Drf;
pub(crate) use fifo::Fifo;
use random::Random;

/// A name no built-in allocator has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownAllocator(String);

impl fmt::Display for UnknownAllocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.0.escape_debug();
        write!(f, "no allocator `{name}`; there are {}", names().join(", "))
    }
}

impl std::error::Error for UnknownAllocator {}

/// The names of the built-in allocators.
#[must_use]
pub fn names() -> [&'static str; 4] {
    ["drf", "random", "fifo", "priority"]
}

/// Makes a built-in allocator. Fails on a name that is none of [`names`].
pub fn by_name(name: &str) -> Result<Box<dyn Allocator>, UnknownAllocator> {
    match name {
        "drf" => Ok(Box::new(Engine::new(Drf::by_share()))),
        "random" => Ok(Box::new(Engine::new(Random::default()))),
        "priority" => Ok(Box::new(Engine::new(Drf::by_priority()))),
        "fifo" => Ok(Box::new(Engine::new(Fifo::default()))),
        unknown => Err(UnknownAllocator(unknown.to_owned())),
    }
}

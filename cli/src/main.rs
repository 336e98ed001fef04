//! The one binary, with the built-in allocators.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// A message is memory asked for on one thread and given back on another: the C library's allocator takes half of what a task costs
/// the master and its framework. RocksDB has the same one, by the names of malloc(3).
#[global_allocator]
static MEMORY: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    proffer::Cli::new().run()
}

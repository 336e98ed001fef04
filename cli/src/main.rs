//! The one binary, with the built-in allocators.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Messages are made on one thread and dropped on another, which the C library's allocator serves worst. RocksDB has the
/// same one, by the names of malloc(3).
#[global_allocator]
static MEMORY: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    proffer::Cli::new().run()
}

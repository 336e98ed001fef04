//! The one program: daemons, clients and dev clusters. A library, so that a binary of a few lines can have allocators
//! of its own; see [`Cli`].
//!
//! stdout carries the answer, stderr everything else; exit codes are 0 done, 1 failed, 2 wrong use.

mod allocators;
mod client;
mod commands;
mod daemon;
mod difference;
mod etcd;
mod failure;
mod graph;
mod kubernetes;
mod logging;
mod output;
mod spec;
mod terminal;
mod views;

use std::env;
use std::process::ExitCode;

use clap::Parser as _;
use proffer_allocator::Allocator;

use crate::allocators::Allocators;
use crate::commands::CommandLine;

/// The program, before it has read its command line.
///
/// ```
/// fn main() -> std::process::ExitCode {
///     proffer::Cli::new().allocator("mine", new).run()
/// }
/// ```
#[derive(Debug, Default)]
pub struct Cli {
    allocators: Allocators,
}

impl Cli {
    /// The program with the built-in allocators.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an allocator that a master can be told to use with `--allocator NAME`; of two with one name the later one
    /// is used. `new` is called once at a master's start, and again whenever it recovers from a failed store.
    #[must_use]
    pub fn allocator(mut self, name: &str, new: fn() -> Box<dyn Allocator>) -> Self {
        self.allocators.add(name, new);
        self
    }

    /// Reads the command line and carries it out. Ends the process itself after `--help` and on a bad command line.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let mut line = CommandLine::parse();
        if let Some((command, file)) = line.command.config_file() {
            line = match daemon::config_file::parse(env::args_os(), command, &file) {
                Ok(line) => line,
                Err(error) => return ExitCode::from(commands::conclude(Err(error))),
            };
        }
        ExitCode::from(line.command.execute(line.log, &self.allocators))
    }
}

//! The one binary: daemons, clients and dev clusters.
//!
//! stdout carries the answer, stderr everything else; exit codes are 0 done, 1 failed, 2 wrong use.

mod client;
mod commands;
mod daemon;
mod failure;
mod logging;
mod output;
mod spec;
mod views;

use std::env;
use std::process::ExitCode;

use clap::Parser as _;

use crate::commands::Cli;

fn main() -> ExitCode {
    let mut cli = Cli::parse();
    if let Some((command, file)) = cli.command.config_file() {
        cli = match daemon::config_file::parse(env::args_os(), command, &file) {
            Ok(cli) => cli,
            Err(error) => return ExitCode::from(commands::conclude(Err(error))),
        };
    }
    ExitCode::from(cli.command.execute(cli.log))
}

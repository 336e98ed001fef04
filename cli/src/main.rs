//! The one binary: daemons, clients and dev clusters.
//!
//! stdout carries the answer, stderr everything else; exit codes are 0 done, 1 failed, 2 wrong use.

mod client;
mod commands;
mod failure;
mod logging;
mod output;
mod spec;
mod views;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let cli = commands::Cli::parse();
    if let Err(problem) = cli.log.start(None) {
        eprintln!("proffer: {problem}");
        return ExitCode::from(2);
    }
    ExitCode::from(cli.command.execute())
}

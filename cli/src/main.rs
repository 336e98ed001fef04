//! The one binary, with the built-in allocators.

use std::process::ExitCode;

fn main() -> ExitCode {
    proffer::Cli::new().run()
}

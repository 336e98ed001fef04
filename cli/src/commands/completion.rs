//! `proffer completion`.

use anyhow::Result;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::CommandLine;
use crate::output::print;

/// Print a completion script for a shell
#[derive(Debug, Args)]
pub(crate) struct CompletionArgs {
    /// For example: `proffer completion bash > /etc/bash_completion.d/proffer`
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn completion(args: &CompletionArgs) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut CommandLine::command(), "proffer", &mut script);
    print(&String::from_utf8_lossy(&script))?;
    Ok(0)
}

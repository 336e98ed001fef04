//! What an agent of an ordinary user does first, and then a program in its place: `rootless-shell PROGRAM [ARGUMENT]..`.
//! The program finds the delegated cgroup in its environment.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result};
use proffer_linux::rootless;
use proffer_privileged_tests::TREE_VARIABLE;

fn main() -> Result<()> {
    let mut arguments = env::args_os().skip(1);
    let program = arguments.next().context("no program is given")?;
    let tree = rootless::delegated()?;
    rootless::enter(&tree, "tests")?;
    let error = Command::new(program)
        .args(arguments)
        .env(TREE_VARIABLE, tree)
        .exec();
    Err(error.into())
}

//! The program that every runtime starts, and the clock it is timed by.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use rustix::time::{ClockId, clock_gettime};

const SOURCE: &str = include_str!("stamp.c");

/// Its name in any directory.
pub(super) const NAME: &str = "stamp";

/// Builds it in a directory.
pub(crate) fn build(dir: &Path) -> Result<PathBuf> {
    let source = dir.join("stamp.c");
    std::fs::write(&source, SOURCE)?;
    let program = dir.join(NAME);
    let built = Command::new("cc")
        .args(["-static", "-O2", "-o"])
        .args([&program, &source])
        .status()
        .context("cc")?;
    ensure!(built.success(), "cc: {built}");
    Ok(program)
}

/// Nanoseconds of the monotonic clock.
pub(super) fn now() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// Milliseconds from one moment to another.
pub(super) fn millis(from: i64, to: i64) -> f64 {
    (to - from) as f64 / 1e6
}

/// Starts a runtime that runs the program: milliseconds until the program ran.
pub(super) fn time(mut command: Command) -> Result<f64> {
    let start = now();
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| command.get_program().to_string_lossy().into_owned())?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}", output.status, said.trim());
    Ok(millis(start, read(&String::from_utf8_lossy(&output.stdout))?))
}

/// What the program said.
pub(super) fn read(text: &str) -> Result<i64> {
    let text = text.trim();
    text.parse().with_context(|| format!("`{text}` is no moment"))
}

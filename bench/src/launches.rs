//! One launch by itself: from the config of a container to its program, beside bubblewrap, crun and runc.
//!
//! All of them start the same small static program, which looks at the clock first thing; a time ends there. Ours is
//! known to end earlier too: when the launch returns, the program has been executed.
//!
//! crun refuses hosts with hybrid cgroups, so everything runs in a mount namespace without the unified hierarchy.

mod guest;
mod inside;
mod oci;
pub(crate) mod ours;
pub(crate) mod stamp;

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, ensure};
pub(crate) use inside::DIR;
use inside::{N_LAYERS, Series};

use crate::report::{Report, Row, median, percentile};

/// Rounds, in each of which everything is launched once.
const ROUNDS: usize = 300;
/// In a guest, where system calls are slow.
const GUEST_ROUNDS: usize = 40;

/// Milliseconds until a program is executed, without a network of its own: median, and 99th percentile.
const AIM_MS: f64 = 1.5;
const AIM_P99_MS: f64 = 5.0;
/// With a network of its own.
const AIM_NETWORK_MS: f64 = 3.0;
/// Of what others take with the same limits.
const AIM_OF_CRUN: f64 = 0.2;
const AIM_OF_RUNC: f64 = 0.1;
/// What an image of many layers may add.
const AIM_IMAGE_MS: f64 = 2.0;

/// Measures, and writes what it found to stdout.
#[expect(clippy::print_stdout, reason = "the process that started this one reads it")]
pub(crate) fn run_inside() -> Result<()> {
    println!(
        "{}",
        serde_json::to_string(&inside::measure(if guest::is_inside() {
            GUEST_ROUNDS
        } else {
            ROUNDS
        })?)?
    );
    Ok(())
}

pub(crate) fn run(report: &mut Report) -> Result<()> {
    let series = measure()?;
    let of = |name: &str| -> Result<Vec<f64>> {
        let found = series.get(name).with_context(|| format!("nothing of `{name}`"))?;
        found.clone().map_err(|error| anyhow!(error))
    };
    let mid = |name: &str| of(name).map(median);
    let p99 = |name: &str| of(name).map(|values| percentile(values, 99));
    let row = |case: &str, value| Row::new("launches", case, value, "ms");

    let free = "no limits, to the exec";
    report.add(
        row(free, mid("free executed")?)
            .aim(AIM_MS)
            .beside("bwrap", mid("bwrap")),
    )?;
    report.add(
        row("no limits, to the exec, p99", p99("free executed")?)
            .aim(AIM_P99_MS)
            .beside("bwrap", p99("bwrap")),
    )?;
    let ran = "no limits, to the program's first moment";
    report.add(row(ran, mid("free ran")?).beside("bwrap", mid("bwrap")))?;
    report.add(row(ran, mid("free ran")?).beside("crun, no cgroups", mid("crun")))?;
    let limited = "with limits, to the program's first moment";
    for (name, series, aim) in [
        ("crun", "limited crun", AIM_OF_CRUN),
        ("runc", "limited runc", AIM_OF_RUNC),
    ] {
        let row = row(limited, mid("limited ran")?).beside(&format!("{name}, the same limits"), mid(series));
        report.add(row.aim_of_ratio(aim))?;
    }
    report.add(row("with limits, to the exec", mid("limited executed")?))?;
    report.add(row("of that, one process joining its cgroups", mid("joins")?))?;
    report.add(row("with limits, destroyed", mid("limited destroyed")?))?;
    let network = row("with a network namespace, to the exec", mid("network executed")?);
    report.add(
        network
            .aim(AIM_NETWORK_MS)
            .beside("ours without", mid("free executed")),
    )?;
    let added = mid("image executed")? - mid("free executed")?;
    let image = row(&format!("what an image of {N_LAYERS} layers adds"), added).aim(AIM_IMAGE_MS);
    report.add(image.beside("ours without an image", mid("free executed")))?;
    run_in_guest(report)
}

/// The same on cgroup v2, in a User-Mode Linux guest: the ratio is what says something there.
fn run_in_guest(report: &mut Report) -> Result<()> {
    let case = "on cgroup v2, with limits, to the program's first moment";
    let row = |value| Row::new("launches", case, value, "ms");
    let output = guest::run("launches-inside", Path::new(DIR));
    let series = output.and_then(|output| {
        let mut lines = output.lines();
        let line = lines.rfind(|line| line.starts_with('{'));
        let line = line.with_context(|| format!("nothing was measured: {output}"))?;
        Ok(serde_json::from_str::<Series>(line)?)
    });
    let mid = |name: &str| -> Result<f64> {
        let series = series.as_ref().map_err(|error| anyhow!("{error:#}"))?;
        let found = series.get(name).with_context(|| format!("nothing of `{name}`"))?;
        found.clone().map(median).map_err(|error| anyhow!(error))
    };
    let (value, crun) = match mid("limited ran") {
        Ok(value) => (value, mid("limited crun")),
        Err(error) => (f64::NAN, Err(error)),
    };
    report.add(row(value).beside("crun in the same guest", crun))
}

/// Measures in a process of its own, whose mounts are its own.
fn measure() -> Result<Series> {
    // Without the unified hierarchy a hybrid host is one of cgroup v1.
    let arrange = "umount /sys/fs/cgroup/unified 2>/dev/null; exec \"$0\" launches-inside";
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", arrange])
        .arg(env::current_exe()?)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("unshare")?;
    ensure!(output.status.success(), "the measuring failed: {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

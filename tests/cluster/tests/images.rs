//! Tasks in images, from the command line to the files they see.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::{Cluster, skipped, text};

/// Programs the image is made of and with.
const TOOLS: [&str; 2] = ["umoci", "busybox"];

fn found(tool: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(tool))
        .find(|path| path.exists())
}

/// Whether a tool is missing; says which.
#[expect(clippy::print_stdout, reason = "the run's summary counts these lines")]
fn lacks_tools() -> bool {
    let missing = TOOLS.into_iter().find(|tool| found(tool).is_none());
    if let Some(tool) = missing {
        println!("skipped: {tool} is not installed");
    }
    missing.is_some()
}

fn umoci(dir: &Path, args: &[&str]) -> Result<()> {
    let output = Command::new("umoci").args(args).current_dir(dir).output()?;
    ensure!(
        output.status.success(),
        "umoci {args:?}: {}",
        text(&output.stderr)
    );
    Ok(())
}

/// A layout with one image of busybox: an entrypoint, a command, a variable, a user of its own.
fn layout(dir: &Path) -> Result<()> {
    let bin = dir.join("root/bin");
    fs::create_dir_all(&bin)?;
    fs::create_dir_all(dir.join("root/etc"))?;
    fs::write(dir.join("root/etc/passwd"), "app:x:1234:1234::/:/bin/sh\n")?;
    fs::copy(found("busybox").context("no busybox")?, bin.join("busybox"))?;
    symlink("busybox", bin.join("sh"))?;
    umoci(dir, &["init", "--layout", "layout"])?;
    umoci(dir, &["new", "--image", "layout:1"])?;
    umoci(dir, &["insert", "--rootless", "--image", "layout:1", "root", "/"])?;
    let config = ["--config.entrypoint", "/bin/sh", "--config.entrypoint", "-c"];
    let more = [
        "--config.cmd",
        "echo from the image",
        "--config.env",
        "GREETING=hello",
        "--config.user",
        "app",
    ];
    umoci(
        dir,
        &[&["config", "--image", "layout:1"][..], &config, &more].concat(),
    )
}

#[test]
fn a_task_runs_in_an_image_as_the_image_says_and_as_the_task_says_over_it() -> Result<()> {
    if skipped() || lacks_tools() {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    layout(dir.path())?;
    let allowed = dir.path().to_str().context("a path that is no text")?;
    let cluster = Cluster::start_with_env(&[("PROFFER_ALLOW_IMAGE_PATH", allowed)])?;
    let image = format!("oci:{allowed}/layout:1");
    let said = cluster.ok(&["run", "--image", &image])?;
    ensure!(said == "from the image\n", "{said:?}");
    let script = "/bin/busybox id -u; echo $GREETING; echo over > /tmp/x && /bin/busybox ls /; exec 2>&1; echo no > /root-file";
    let output = cluster.run(&["run", "--image", &image, "--", script])?;
    let said = text(&output.stdout);
    ensure!(said.starts_with("1234\nhello\nbin\ndev\netc\n"), "{said}");
    ensure!(
        said.contains("Permission denied") && !output.status.success(),
        "{said}"
    );
    let elsewhere = cluster.run(&["run", "--image", "oci:/nowhere:1", "--", "true"])?;
    ensure!(
        text(&elsewhere.stderr).contains("/nowhere"),
        "{}",
        text(&elsewhere.stderr)
    );
    Ok(())
}

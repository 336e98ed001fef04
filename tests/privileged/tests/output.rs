//! A container's output on the kernel at hand: what is kept, what is lost, and that it holds nobody up.
//!
//! Run on this host, and by the last test once more in a guest with cgroup v2.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use proffer_container::{ContainerConfig, Logs};
use proffer_linux::output::older_files;
use proffer_privileged_tests::{Host, eventually, guest, on_host};

fn config(host: &Host, name: &str, script: &str, max_bytes: u64, files: u32) -> ContainerConfig {
    let mut config = host.config(name, &["sh", "-c", script]);
    config.logs = Logs { max_bytes, files };
    config
}

/// What is kept of a stream, and the offset at which it starts.
fn kept(stdout: &Path) -> Result<(u64, String)> {
    let mut text = String::new();
    let mut start = None;
    for older in older_files(stdout)? {
        let content = fs::read_to_string(&older.path)?;
        let starts = older.end - content.len() as u64;
        let follows = start.is_none_or(|start| start + text.len() as u64 == starts);
        ensure!(follows, "a hole before {}", older.path.display());
        start.get_or_insert(starts);
        text += &content;
    }
    text += &fs::read_to_string(stdout)?;
    Ok((start.unwrap_or(0), text))
}

fn numbers(to: u32) -> String {
    (1..=to).map(|n| format!("{n}\n")).collect()
}

#[test]
fn of_long_output_the_last_files_are_kept_without_a_hole() -> Result<()> {
    on_host(|host| {
        for (files, n_older) in [(1, 1), (3, 2)] {
            let config = config(host, "rotate", "seq 1 5000; exit 3", 4096, files);
            let container = host.launch(&config)?;
            eventually("the end", || {
                Ok(host.containerizer.exit_record(&config.files.exit)?)
            })?;
            let (start, text) = kept(&config.files.stdout)?;
            let whole = numbers(5000);
            ensure!(
                whole.get(usize::try_from(start)?..) == Some(text.as_str()),
                "from {start}"
            );
            let older = older_files(&config.files.stdout)?;
            ensure!(older.len() == n_older, "{older:?}");
            for older in older {
                let expected = if files == 1 { 0 } else { 4096 };
                ensure!(fs::metadata(&older.path)?.len() == expected, "{older:?}");
            }
            host.finish(&container)?;
        }
        Ok(())
    })
}

#[test]
fn a_container_that_is_started_again_goes_on_where_its_output_ended() -> Result<()> {
    on_host(|host| {
        let config = config(host, "again", "seq 1 1500", 4096, 9);
        for round in 1..=2 {
            host.launch(&config)?;
            eventually("the end", || {
                Ok(host.containerizer.exit_record(&config.files.exit)?)
            })?;
            host.containerizer.destroy(&config.container_id)?;
            let (start, text) = kept(&config.files.stdout)?;
            ensure!(start == 0 && text == numbers(1500).repeat(round), "round {round}");
        }
        Ok(())
    })
}

#[test]
fn what_the_first_process_wrote_is_kept_and_who_keeps_the_pipe_open_is_not_waited_for() -> Result<()> {
    on_host(|host| {
        let ended = host.run("sleep 1000 & head -c 65536 /dev/zero | tr '\\0' x; exit 5")?;
        ensure!(ended.stdout.len() == 65536, "{} bytes", ended.stdout.len());
        ended.expect_code(5)?;
        // Nor for one that never stops writing.
        host.run("yes & exit 6")?.expect_code(6)?;
        Ok(())
    })
}

#[test]
fn a_full_disk_costs_output_and_neither_the_task_nor_its_exit_record() -> Result<()> {
    on_host(|host| {
        let config = config(
            host,
            "full",
            "head -c 1000000 /dev/zero; echo done >&2; exit 4",
            1 << 20,
            2,
        );
        let full = host.dir.path().join("full-disk");
        fs::create_dir(&full)?;
        let _mounted = Mounted::tmpfs(&full, "256k")?;
        let mut config = config;
        config.files.stdout = full.join("stdout");
        config.files.stderr = full.join("stderr");
        host.launch(&config)?;
        let record = eventually("the end", || {
            Ok(host.containerizer.exit_record(&config.files.exit)?)
        })?;
        host.containerizer.destroy(&config.container_id)?;
        ensure!(record.exit == proffer_types::TaskExit::Code(4), "{record:?}");
        let size = fs::metadata(&config.files.stdout)?.len();
        ensure!((1..1_000_000).contains(&size), "{size} bytes");
        Ok(())
    })
}

#[test]
fn no_line_is_lost_or_doubled_when_the_agent_is_killed() -> Result<()> {
    on_host(|host| {
        let script = "echo up; i=0; while [ $i -lt 3000 ]; do i=$((i + 1)); echo $i; done";
        let dir = host.dir.path().join("survivor");
        let mut agent = Command::new(env!("CARGO_BIN_EXE_doomed-agent"))
            .arg(&host.config.cgroup_root)
            .arg(&dir)
            .args(["sh", "-c", script])
            .stdout(Stdio::null())
            .spawn()?;
        eventually("output", || {
            Ok(fs::metadata(dir.join("stdout"))
                .ok()
                .filter(|file| file.len() > 0))
        })?;
        agent.kill()?;
        agent.wait()?;
        let exit = dir.join("exit");
        eventually("the end", || Ok(host.containerizer.exit_record(&exit)?))?;
        let (start, text) = kept(&dir.join("stdout"))?;
        ensure!(start == 0 && text == format!("up\n{}", numbers(3000)));
        for id in host.containerizer.list()? {
            host.containerizer.destroy(&id)?;
        }
        Ok(())
    })
}

/// A file system that goes with the test.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn tmpfs(target: &'a Path, size: &str) -> Result<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(target)
            .status()
            .context("mount")?;
        ensure!(mounted.success());
        Ok(Self(target))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn the_same_holds_in_a_guest_with_cgroup_v2() -> Result<()> {
    guest::run_tests(
        &std::env::current_exe()?,
        "the_same_holds_in_a_guest_with_cgroup_v2",
        Path::new(env!("CARGO_TARGET_TMPDIR")),
    )
}

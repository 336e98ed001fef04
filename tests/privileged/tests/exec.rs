//! Commands executed in running containers, on the kernel at hand: they are confined as the task is, and end with it.
//!
//! Run on this host, and by the last test once more in a guest with cgroup v2.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use proffer_container::{ContainerId, IdMap, User};
use proffer_linux::{Containerizer, Exec, ExecError, ExecIo, ExecRequest, WindowSize};
use proffer_privileged_tests::{Container, Host, eventually, guest, on_host, task_leaf};
use proffer_types::TaskExit;

const SIGTERM: u8 = 15;
const SIGKILL: i32 = 9;

/// Longer than any command here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a process can tell of how it is confined.
const SHOW: &str = "for ns in cgroup ipc mnt net pid time user uts; do readlink /proc/self/ns/$ns; done; \
    grep -E '^(Uid|Gid|Groups|Cap...|NoNewPrivs|Seccomp):' /proc/self/status; \
    cat /proc/self/cgroup /proc/self/oom_score_adj /proc/self/limits; pwd; umask; hostname; echo $HOME $GREETING";

fn request(argv: &[&str]) -> ExecRequest {
    ExecRequest {
        argv: argv.iter().map(|&text| text.to_owned()).collect(),
        ..ExecRequest::default()
    }
}

fn shell(script: &str) -> ExecRequest {
    request(&["sh", "-c", script])
}

/// All that comes until its end; the other end does not block.
fn read_all(from: OwnedFd) -> Result<String> {
    let mut file = File::from(from);
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    let deadline = Instant::now() + PATIENCE;
    loop {
        match file.read(&mut chunk) {
            Ok(0) => break,
            Ok(n_read) => bytes.extend(&chunk[..n_read]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                ensure!(Instant::now() < deadline, "no end of {bytes:?}");
                std::thread::sleep(Duration::from_millis(2));
            }
            // A terminal that nobody has open any more.
            Err(_) => break,
        }
    }
    Ok(String::from_utf8(bytes)?)
}

fn exit(exec: &Exec) -> Result<TaskExit> {
    exec.wait(PATIENCE)?.context("it does not end")
}

/// Executes a command to its end: how it ended, its stdout and its stderr.
fn run(host: &Host, id: &ContainerId, request: ExecRequest) -> Result<(TaskExit, String, String)> {
    let mut exec = host.containerizer.exec(id, request)?;
    let Some(ExecIo::Pipes { stdout, stderr, .. }) = exec.take_io() else {
        bail!("no pipes");
    };
    Ok((exit(&exec)?, read_all(stdout)?, read_all(stderr)?))
}

/// A container that shows how it is confined, and waits.
fn waiting(host: &Host, change: impl FnOnce(&mut proffer_container::ContainerConfig)) -> Result<Container> {
    let mut config = host.config(
        "waiting",
        &["sh", "-c", &format!("{SHOW}; echo up; exec sleep 1000")],
    );
    config.spec.env.insert("GREETING".into(), "hello".into());
    change(&mut config);
    let container = host.launch(&config)?;
    host.wait_output(&container, "up\n")?;
    Ok(container)
}

fn processes(host: &Host) -> usize {
    let mut pids = std::collections::BTreeSet::new();
    for root in host.cgroups() {
        let all =
            std::fs::read_to_string(task_leaf(&root, "waiting").join("cgroup.procs")).unwrap_or_default();
        pids.extend(all.lines().map(str::to_owned));
    }
    pids.len()
}

#[test]
fn a_command_is_confined_as_the_task_is() -> Result<()> {
    on_host(|host| {
        let map = IdMap {
            first: 1_879_048_192,
            count: 65_536,
        };
        for (id_map, uid) in [(None, 0), (Some(map), 0), (Some(map), 1000)] {
            let container = waiting(host, |config| {
                config.id_map = id_map;
                config.user.uid = uid;
                config.user.gid = uid;
            })?;
            let shown = std::fs::read_to_string(container.dir.join("stdout"))?;
            let (exit, stdout, stderr) = run(host, &container.id, shell(SHOW))?;
            ensure!(exit == TaskExit::Code(0), "{exit:?} {stderr}");
            ensure!(format!("{stdout}up\n") == shown, "{stdout}\nis not\n{shown}");
            host.containerizer.destroy(&container.id)?;
            std::fs::remove_dir_all(&container.dir)?;
        }
        Ok(())
    })
}

#[test]
fn a_command_has_its_own_exit_environment_directory_and_user() -> Result<()> {
    on_host(|host| {
        let container = waiting(host, |_| {})?;
        let run = |request| run(host, &container.id, request);
        ensure!(run(shell("exit 7"))?.0 == TaskExit::Code(7));
        ensure!(run(shell("kill -9 $$"))?.0 == TaskExit::Signal(SIGKILL));
        let (_, stdout, stderr) = run(ExecRequest {
            env: vec![("GREETING".into(), "bye".into())],
            working_directory: Some("/".into()),
            user: Some(User {
                uid: 7,
                gid: 8,
                groups: vec![],
            }),
            ..shell("echo $GREETING; pwd; id -u; id -g; grep CapEff /proc/self/status; echo oops >&2; cat")
        })?;
        ensure!(stdout == "bye\n/\n7\n8\nCapEff:\t0000000000000000\n", "{stdout}");
        ensure!(stderr == "oops\n", "{stderr}");
        let missing = host
            .containerizer
            .exec(&container.id, request(&["no-such-program"]));
        ensure!(
            matches!(missing, Err(ExecError::Command { is_missing: true, .. })),
            "{missing:?}"
        );
        let directory = ExecRequest {
            working_directory: Some("/no/such".into()),
            ..shell("true")
        };
        let missing = host.containerizer.exec(&container.id, directory);
        ensure!(matches!(missing, Err(ExecError::Directory { .. })), "{missing:?}");
        host.containerizer.destroy(&container.id)?;
        let gone = host.containerizer.exec(&container.id, shell("true"));
        ensure!(matches!(gone, Err(ExecError::Gone)), "{gone:?}");
        Ok(())
    })
}

#[test]
fn a_command_reads_what_it_is_sent_and_gets_signals() -> Result<()> {
    on_host(|host| {
        let container = waiting(host, |_| {})?;
        let mut exec = host.containerizer.exec(
            &container.id,
            ExecRequest {
                stdin: true,
                ..shell("trap 'exit 6' TERM; wc -c; echo end; while :; do sleep 0.01; done")
            },
        )?;
        // The shell may tell of the sleep that the signal ended.
        let Some(ExecIo::Pipes {
            stdin,
            stdout,
            stderr: _stderr,
        }) = exec.take_io()
        else {
            bail!("no pipes");
        };
        let mut stdin = File::from(stdin.context("no stdin")?);
        stdin.write_all(b"12345")?;
        drop(stdin);
        let mut stdout = File::from(stdout);
        let mut text = String::new();
        eventually("the end of input", || {
            let _ = stdout.read_to_string(&mut text);
            Ok(text.contains("end").then_some(()))
        })?;
        ensure!(text == "5\nend\n", "{text}");
        exec.signal(SIGTERM)?;
        ensure!(exit(&exec)? == TaskExit::Code(6));
        host.containerizer.destroy(&container.id)?;
        Ok(())
    })
}

#[test]
fn a_command_counts_towards_the_limits_of_the_container() -> Result<()> {
    on_host(|host| {
        let container = waiting(host, |config| config.spec.pids_limit = Some(4))?;
        let (_, _, stderr) = run(
            host,
            &container.id,
            shell("sleep 9 & sleep 9 & sleep 9 & sleep 9"),
        )?;
        ensure!(stderr.contains("fork"), "{stderr}");
        host.containerizer.destroy(&container.id)?;
        let container = waiting(host, |_| {})?;
        let (exit, ..) = run(host, &container.id, request(&["tail", "/dev/zero"]))?;
        ensure!(exit == TaskExit::Signal(SIGKILL), "{exit:?}");
        host.containerizer.destroy(&container.id)?;
        Ok(())
    })
}

#[test]
fn a_command_nobody_waits_for_is_killed_and_leaves_nothing() -> Result<()> {
    on_host(|host| {
        let container = waiting(host, |_| {})?;
        let before = processes(host);
        let exec = host
            .containerizer
            .exec(&container.id, shell("trap '' HUP; sleep 1000; true"))?;
        eventually("the command", || Ok((processes(host) > before).then_some(())))?;
        drop(exec);
        eventually("its end", || Ok((processes(host) == before).then_some(())))?;
        // Nor one whose container ends.
        let exec = host
            .containerizer
            .exec(&container.id, shell("sleep 1000; true"))?;
        host.containerizer.signal(&container.id, SIGKILL)?;
        let _ = exec.wait(PATIENCE);
        host.containerizer.destroy(&container.id)?;
        Ok(())
    })
}

#[test]
fn a_later_agent_executes_commands_as_confined_as_the_first_one() -> Result<()> {
    on_host(|host| {
        let container = waiting(host, |_| {})?;
        let next = Containerizer::new(&host.config)?;
        let launched = &container.launched;
        next.adopt(&container.id, launched.pid, launched.start_time)?;
        let mut exec = next.exec(&container.id, shell(SHOW))?;
        let Some(ExecIo::Pipes { stdout, .. }) = exec.take_io() else {
            bail!("no pipes");
        };
        ensure!(exit(&exec)? == TaskExit::Code(0));
        let shown = std::fs::read_to_string(container.dir.join("stdout"))?;
        ensure!(format!("{}up\n", read_all(stdout)?) == shown);
        host.containerizer.destroy(&container.id)?;
        Ok(())
    })
}

#[test]
fn a_terminal_has_a_size_echoes_and_turns_characters_into_signals() -> Result<()> {
    on_host(|host| {
        let container = waiting(host, |_| {})?;
        let mut exec = host.containerizer.exec(
            &container.id,
            ExecRequest {
                terminal: Some(WindowSize {
                    rows: 33,
                    columns: 101,
                }),
                ..shell(
                    "trap 'stty size; echo resized' WINCH; trap 'echo interrupted; exit 4' INT; tty; stty size; \
                     echo ready > /dev/tty; while :; do sleep 0.01; done",
                )
            },
        )?;
        let Some(ExecIo::Terminal(master)) = exec.take_io() else {
            bail!("no terminal");
        };
        let mut master = File::from(master);
        let mut text = String::new();
        let mut until = |master: &mut File, what: &str| {
            eventually(what, || {
                let mut chunk = [0; 4096];
                if let Ok(n_read) = master.read(&mut chunk) {
                    text += &String::from_utf8_lossy(&chunk[..n_read]);
                }
                Ok(text.contains(what).then(|| text.clone()))
            })
        };
        let shown = until(&mut master, "ready\r\n")?;
        ensure!(
            shown.contains("/dev/pts/") && shown.contains("33 101\r\n"),
            "{shown}"
        );
        exec.resize(WindowSize {
            rows: 50,
            columns: 20,
        })?;
        let shown = until(&mut master, "resized")?;
        ensure!(shown.contains("50 20\r\n"), "{shown}");
        master.write_all(b"\x03")?;
        until(&mut master, "^C")?;
        until(&mut master, "interrupted")?;
        ensure!(exit(&exec)? == TaskExit::Code(4));
        host.containerizer.destroy(&container.id)?;
        Ok(())
    })
}

#[test]
fn the_same_holds_in_a_guest_with_cgroup_v2() -> Result<()> {
    guest::run_tests(
        &std::env::current_exe()?,
        "the_same_holds_in_a_guest_with_cgroup_v2",
        Path::new(env!("CARGO_TARGET_TMPDIR")),
    )
}

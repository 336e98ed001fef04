//! Being in a running task: `proffer exec`, `proffer attach` and a `proffer run` that takes input, with and without a
//! terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use proffer_cluster_tests::{Cluster, skipped, text, wait_for};
use rustix::fs::{Mode, OFlags, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};

/// How long anything here may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a task that goes on, and returns its id.
fn start(cluster: &Cluster, args: &[&str]) -> Result<(Child, String)> {
    let child = cluster
        .command(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut id = None;
    let runs = wait_for(PATIENCE, || {
        let tasks = cluster.json(&["tasks"]).unwrap_or_default();
        let running = tasks.as_array().into_iter().flatten();
        let mut running = running.filter(|task| task["state"] == "running");
        id = running.find_map(|task| task["task_id"].as_str().map(str::to_owned));
        id.is_some()
    });
    ensure!(runs, "{}", cluster.ok(&["tasks", "--all"])?);
    Ok((child, id.context("no id")?))
}

/// A terminal with a program at it.
struct Terminal {
    master: File,
    slave: OwnedFd,
    child: Child,
    shown: String,
}

impl Terminal {
    /// Starts a command with the terminal as the controlling one of its session.
    fn start(cluster: &Cluster, args: &[&str]) -> Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(&name, flags, Mode::empty())?;
        fcntl_setfl(&master, OFlags::RDWR | OFlags::NONBLOCK)?;
        tcsetwinsize(&master, size(30, 90))?;
        let proffer = cluster.command(args);
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(proffer.get_program());
        command.args(proffer.get_args()).env("TERM", "dumb");
        for (name, value) in proffer.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        let end = || -> Result<Stdio> { Ok(Stdio::from(slave.try_clone()?)) };
        let child = command.stdin(end()?).stdout(end()?).stderr(end()?).spawn()?;
        Ok(Self {
            master: File::from(master),
            slave,
            child,
            shown: String::new(),
        })
    }

    fn type_in(&mut self, keys: &str) -> Result<()> {
        Ok(self.master.write_all(keys.as_bytes())?)
    }

    /// Waits until the screen shows a text after what was seen before.
    fn expect(&mut self, what: &str) -> Result<()> {
        let (master, shown) = (&mut self.master, &mut self.shown);
        let came = wait_for(PATIENCE, || {
            let mut chunk = [0; 4096];
            while let Ok(n_read @ 1..) = master.read(&mut chunk) {
                *shown += &text(&chunk[..n_read]);
            }
            shown.contains(what)
        });
        ensure!(came, "no {what:?} in {shown:?}");
        let seen = self.shown.find(what).unwrap_or(0) + what.len();
        self.shown.drain(..seen);
        Ok(())
    }

    fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        Ok(tcsetwinsize(&self.master, size(rows, columns))?)
    }

    /// Waits for the program's end; the terminal must be as it was.
    fn end(mut self, before: &str) -> Result<Option<i32>> {
        let mut code = None;
        let ended = wait_for(PATIENCE, || {
            let mut chunk = [0; 4096];
            while matches!(self.master.read(&mut chunk), Ok(1..)) {}
            code = self.child.try_wait().ok().flatten();
            code.is_some()
        });
        ensure!(ended, "it does not end");
        ensure!(modes(&self.slave)? == before, "the terminal was left raw");
        Ok(code.and_then(|code| code.code()))
    }
}

fn size(rows: u16, columns: u16) -> Winsize {
    Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

fn modes(terminal: &OwnedFd) -> Result<String> {
    let modes = tcgetattr(terminal)?;
    Ok(format!(
        "{:?} {:?} {:?}",
        modes.input_modes, modes.output_modes, modes.local_modes
    ))
}

#[test]
fn exec_passes_output_input_and_exit_codes_and_survives_no_agent() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    let (mut run, task) = start(&cluster, &["run", "-e", "WHO=task", "--", "sleep", "1000"])?;

    let done = cluster.run(&[
        "exec",
        "-e",
        "MORE=1",
        &task,
        "--",
        "sh",
        "-c",
        "echo $WHO $MORE; echo e >&2; exit 5",
    ])?;
    assert_eq!(done.status.code(), Some(5), "{}", text(&done.stderr));
    assert_eq!(
        (text(&done.stdout), text(&done.stderr)),
        ("task 1\n".to_owned(), "e\n".to_owned())
    );

    let killed = cluster.run(&["exec", &task, "--", "sh", "-c", "kill -KILL $$"])?;
    assert_eq!(killed.status.code(), Some(137), "{}", text(&killed.stderr));
    // As the container's own files know them.
    for (who, ids) in [
        ("nobody", "65534 65534\n"),
        ("root:7", "0 7\n"),
        ("7:nogroup", "7 65534\n"),
    ] {
        let as_user = [
            "exec",
            "-u",
            who,
            &task,
            "--",
            "sh",
            "-c",
            "echo $(id -u) $(id -g)",
        ];
        assert_eq!(cluster.ok(&as_user)?, ids, "{who}");
    }
    let nobody = cluster.run(&["exec", "-u", "no-such-user", &task, "--", "true"])?;
    assert!(
        text(&nobody.stderr).contains("`no-such-user`"),
        "{}",
        text(&nobody.stderr)
    );
    let missing = cluster.run(&["exec", &task, "--", "no-such-command-anywhere"])?;
    assert_eq!(missing.status.code(), Some(127), "{}", text(&missing.stderr));
    let unknown = cluster.run(&["exec", "no-such-task", "--", "true"])?;
    assert_eq!(unknown.status.code(), Some(1), "{}", text(&unknown.stderr));

    // More than any pipe holds, both ways.
    let input: String = (1..=60_000).map(|n| format!("{n}\n")).collect();
    let echoed = cluster.run_with_input(&["exec", "-i", &task, "--", "cat"], &input)?;
    assert_eq!(echoed.status.code(), Some(0), "{}", text(&echoed.stderr));
    assert_eq!(text(&echoed.stdout), input);

    // A command whose agent is killed is killed too, and whoever waits for it is told.
    let marker = "1234.5";
    let mut waiting = cluster
        .command(&["exec", &task, "--", "sleep", marker])
        .stderr(Stdio::piped())
        .spawn()?;
    let sleeps = || {
        let found = Command::new("pgrep")
            .args(["-f", &format!("^sleep {marker}")])
            .output();
        found.is_ok_and(|found| !found.stdout.is_empty())
    };
    assert!(wait_for(PATIENCE, sleeps));
    cluster.kill_9("agent-1")?;
    assert!(wait_for(PATIENCE, || !sleeps()));
    assert_eq!(waiting.wait()?.code(), Some(1));

    // The next agent executes commands in the task that went on.
    let again = wait_for(PATIENCE, || {
        let again = cluster.run(&["exec", &task, "--", "echo", "again"]);
        again.is_ok_and(|again| text(&again.stdout) == "again\n")
    });
    assert!(again);
    cluster.ok(&["kill", &task])?;
    run.wait()?;
    Ok(())
}

#[test]
fn exec_with_a_terminal_is_like_a_shell_here() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    let (mut run, task) = start(&cluster, &["run", "--", "sleep", "1000"])?;

    let script = "stty size; echo kind $TERM; read x; echo got $x; while read y && [ $y = size ]; do stty size; done; \
        trap 'echo int' INT; echo armed; while read z; do echo more $z; done; exit 9";
    let mut terminal = Terminal::start(&cluster, &["exec", "-it", &task, "--", "bash", "-c", script])?;
    let before = modes_of_a_fresh_terminal()?;
    terminal.expect("30 90\r\n")?;
    terminal.expect("kind dumb\r\n")?;
    terminal.type_in("one\r")?;
    terminal.expect("got one\r\n")?;
    terminal.resize(40, 100)?;
    // The new size travels beside what is typed.
    let resized = wait_for(PATIENCE, || {
        terminal.type_in("size\r").is_ok() && terminal.expect_soon("40 100\r\n")
    });
    ensure!(resized, "{:?}", terminal.shown);
    terminal.type_in("arm\r")?;
    terminal.expect("armed\r\n")?;
    terminal.type_in("\x03")?;
    terminal.expect("int\r\n")?;
    terminal.type_in("\x04")?;
    assert_eq!(terminal.end(&before)?, Some(9));
    cluster.ok(&["kill", &task])?;
    run.wait()?;
    Ok(())
}

fn modes_of_a_fresh_terminal() -> Result<String> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let slave = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?;
    modes(&slave)
}

#[test]
fn several_attach_to_one_task_and_leave_it_running() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    let script = "while read x; do echo task got $x; [ $x = end ] && exit 6; done";
    let (mut run, task) = start(&cluster, &["run", "-t", "--", "bash", "-c", script])?;
    let before = modes_of_a_fresh_terminal()?;

    let mut first = Terminal::start(&cluster, &["attach", &task])?;
    let mut second = Terminal::start(&cluster, &["attach", &task])?;
    // Each sees only what comes after it, so both are there once both have seen an answer.
    let mut n_typed = 0;
    for terminal in [&mut first, &mut second] {
        let saw = wait_for(PATIENCE, || {
            n_typed += 1;
            terminal.type_in(&format!("hello{n_typed}\r")).is_ok()
                && terminal.expect_soon(&format!("task got hello{n_typed}"))
        });
        assert!(saw);
    }
    first.type_in("both\r")?;
    first.expect("task got both")?;
    second.expect("task got both")?;
    first.type_in("\x10\x11")?;
    assert_eq!(first.end(&before)?, Some(0));

    // What is typed after the agent was killed arrives through the next one.
    cluster.kill_9("agent-1")?;
    let mut n_typed = 0;
    let arrives = wait_for(PATIENCE, || {
        n_typed += 1;
        second.type_in(&format!("again{n_typed}\r")).is_ok() && second.expect_soon("task got again")
    });
    assert!(arrives);
    second.type_in("end\r")?;
    assert_eq!(second.end(&before)?, Some(6));
    assert_eq!(run.wait()?.code(), Some(6));
    Ok(())
}

impl Terminal {
    /// As [`Self::expect`], without the patience.
    fn expect_soon(&mut self, what: &str) -> bool {
        let mut chunk = [0; 4096];
        wait_for(Duration::from_secs(2), || {
            while let Ok(n_read @ 1..) = self.master.read(&mut chunk) {
                self.shown += &text(&chunk[..n_read]);
            }
            self.shown.contains(what)
        })
    }
}

#[test]
fn run_takes_input_from_a_pipe_and_from_a_terminal() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    let counted = cluster.run_with_input(&["run", "-i", "--", "wc", "-l"], "one\ntwo\n")?;
    assert_eq!(counted.status.code(), Some(0), "{}", text(&counted.stderr));
    assert_eq!(text(&counted.stdout), "2\n");

    let before = modes_of_a_fresh_terminal()?;
    let script = "tty; read x; stty size; echo got $x; exit 8";
    let mut terminal = Terminal::start(&cluster, &["run", "-it", "--", "bash", "-c", script])?;
    terminal.expect("/dev/pts/")?;
    terminal.type_in("hello\r")?;
    terminal.expect("30 90\r\n")?;
    terminal.expect("got hello\r\n")?;
    assert_eq!(terminal.end(&before)?, Some(8));
    Ok(())
}

#[test]
fn logs_are_followed_across_rotation_and_their_last_lines_are_found() -> Result<()> {
    if skipped() {
        return Ok(());
    }
    let cluster = Cluster::start()?;
    // Rotated twice at the default of 10 MiB a file.
    let script =
        "i=0; while [ $i -lt 24 ]; do i=$((i + 1)); seq -f %099.0f 1 10000; done; echo last; sleep 1000";
    let (mut run, task) = start(&cluster, &["run", "--cpus", "1", "--", "sh", "-c", script])?;
    let followed = cluster
        .command(&["logs", "--follow", &task])
        .stdout(Stdio::piped())
        .spawn()?;
    let tail = || cluster.ok(&["logs", "--tail", "2", &task]).unwrap_or_default();
    assert!(wait_for(PATIENCE, || tail().ends_with("10000\nlast\n")));
    assert_eq!(tail().lines().count(), 2);
    cluster.ok(&["kill", &task])?;
    let followed = followed.wait_with_output()?;
    let stdout = text(&followed.stdout);
    assert_eq!(stdout.len(), 24 * 10_000 * 100 + 5);
    let numbers = stdout
        .lines()
        .take(240_000)
        .map(|line| line.parse::<u32>().unwrap_or(0));
    assert!(numbers.eq((0..24).flat_map(|_| 1..=10_000)));
    run.wait()?;
    Ok(())
}

//! What a container is confined to, and what is known of it afterwards, on the kernel at hand.
//!
//! Run on this host, and by the last test once more in a guest with cgroup v2.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context, Result, ensure};
use proffer_container::Version;
use proffer_linux::{Adoption, Containerizer, LaunchError, SignalError};
use proffer_privileged_tests::{
    Host, MEM_BYTES, entries, eventually, guest, is_alive, on_host, status_line, task_leaf,
};
use proffer_types::{Resources, TaskExit};

const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

#[test]
fn a_task_ends_with_the_code_and_the_output_of_its_command() -> Result<()> {
    on_host(|host| {
        let ended = host.run("echo out; echo err >&2; exit 7")?.expect_code(7)?;
        ensure!((ended.stdout.as_str(), ended.stderr.as_str()) == ("out\n", "err\n"));
        ensure!(
            ended.usage.cpu_time_us > 0 && ended.usage.mem_peak_bytes > 0,
            "{:?}",
            ended.usage
        );
        ensure!(ended.record.wall_time_us > 0);
        Ok(())
    })
}

#[test]
fn a_task_runs_in_its_sandbox_with_an_environment_of_its_own() -> Result<()> {
    on_host(|host| {
        let mut config = host.config("env", &["env"]);
        config.spec.env.insert("GREETING".into(), "hello".into());
        let ended = host.run_config(&config)?.expect_code(0)?;
        let sandbox = proffer_container::SANDBOX;
        let mut lines = ended.stdout.lines().collect::<Vec<_>>();
        lines.sort_unstable();
        let expected = [
            "GREETING=hello".to_owned(),
            format!("HOME={sandbox}"),
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            format!("PROFFER_SANDBOX={sandbox}"),
            format!("PWD={sandbox}"),
        ];
        ensure!(lines == expected, "{lines:?}");
        let ended = host.run("pwd")?.expect_code(0)?;
        ensure!(ended.stdout.trim() == sandbox);
        Ok(())
    })
}

#[test]
fn a_task_has_namespaces_of_its_own() -> Result<()> {
    on_host(|host| {
        let kinds = ["pid", "mnt", "uts", "ipc", "cgroup", "net"];
        let script = "for n in pid mnt uts ipc cgroup net; do readlink /proc/self/ns/$n; done; hostname; cat /proc/1/comm";
        let mut config = host.config("namespaces", &["sh", "-c", script]);
        config.hostname = Some("a-name.of-its-own".into());
        let ended = host.run_config(&config)?.expect_code(0)?;
        let lines = ended.stdout.lines().collect::<Vec<_>>();
        for (kind, inside) in kinds.iter().zip(&lines) {
            let outside = fs::read_link(format!("/proc/self/ns/{kind}"))?;
            let is_shared = outside.as_os_str() == *inside;
            ensure!(
                is_shared == (*kind == "net"),
                "{kind}: {inside} inside, {outside:?} outside"
            );
        }
        ensure!(lines[6..] == ["a-name.of-its-own", "proffer-init"], "{lines:?}");
        Ok(())
    })
}

#[test]
fn a_containers_mounts_are_not_seen_on_the_host() -> Result<()> {
    on_host(|host| {
        let targets = ["/proc", "/dev/shm", "/sys/fs/cgroup"];
        let mounts = || -> Result<Vec<String>> {
            let all = fs::read_to_string("/proc/self/mounts")?;
            let ours = |line: &&str| {
                line.split(' ')
                    .nth(1)
                    .is_some_and(|target| targets.contains(&target))
            };
            Ok(all.lines().filter(ours).map(str::to_owned).collect())
        };
        let before = mounts()?;
        let container = host.launch(&host.config("mounts", &["sleep", "100"]))?;
        ensure!(mounts()? == before);
        host.containerizer.destroy(&container.id)?;
        Ok(())
    })
}

#[test]
fn a_task_that_outgrows_its_memory_is_killed_and_the_kill_counted() -> Result<()> {
    on_host(|host| {
        // Reads a line that never ends.
        let ended = host.run_config(&host.config("hog", &["tail", "/dev/zero"]))?;
        ensure!(
            ended.record.exit == TaskExit::Signal(SIGKILL),
            "{:?}",
            ended.record
        );
        ensure!(ended.usage.oom_kills >= 1, "{:?}", ended.usage);
        let peak = ended.usage.mem_peak_bytes;
        ensure!((MEM_BYTES / 2..=MEM_BYTES).contains(&peak), "{peak}");
        Ok(())
    })
}

#[test]
fn a_task_that_forks_past_its_pids_limit_is_refused_and_the_refusal_counted() -> Result<()> {
    on_host(|host| {
        let forks = "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 100 & done; echo all up";
        let mut config = host.config("forks", &["sh", "-c", forks]);
        config.spec.pids_limit = Some(5);
        let ended = host.run_config(&config)?;
        ensure!(
            ended.record.exit != TaskExit::Code(0) && ended.stdout.is_empty(),
            "{ended:?}"
        );
        ensure!(ended.usage.pids_refused >= 1, "{:?}", ended.usage);
        Ok(())
    })
}

#[test]
fn a_task_that_spins_is_held_to_its_cpus() -> Result<()> {
    on_host(|host| {
        let mut config = host.config("spin", &["timeout", "1", "sh", "-c", "while :; do :; done"]);
        config.resources = Resources::of(200, MEM_BYTES, 0);
        let ended = host.run_config(&config)?.expect_code(124)?;
        // Parts of a thousand; unlimited it would be near 1000, and a guest's clock is coarse.
        let used = ended.usage.cpu_time_us * 1000 / ended.record.wall_time_us;
        ensure!((20..=450).contains(&used), "{used}, {ended:?}");
        Ok(())
    })
}

#[test]
fn a_task_has_few_capabilities_and_can_gain_none() -> Result<()> {
    on_host(|host| {
        let ended = host.run("cat /proc/self/status")?.expect_code(0)?;
        ensure!(status_line(&ended.stdout, "NoNewPrivs")? == "1");
        for set in ["CapPrm", "CapEff", "CapBnd"] {
            ensure!(
                status_line(&ended.stdout, set)? == "00000000a00425fb",
                "{}",
                ended.stdout
            );
        }
        for set in ["CapInh", "CapAmb"] {
            ensure!(
                status_line(&ended.stdout, set)? == "0000000000000000",
                "{}",
                ended.stdout
            );
        }
        for set in ["SigBlk", "SigIgn"] {
            ensure!(
                status_line(&ended.stdout, set)? == "0000000000000000",
                "{}",
                ended.stdout
            );
        }
        Ok(())
    })
}

#[test]
fn a_task_cannot_reach_into_init() -> Result<()> {
    on_host(|host| {
        let attempts = [
            "readlink /proc/1/fd/4",
            "echo forged >/proc/1/fd/4",
            "readlink /proc/1/exe",
            "cat /proc/1/environ",
            "head -c 1 /proc/1/mem",
            "cat /proc/1/maps",
        ];
        for attempt in attempts {
            let ended = host.run(attempt)?;
            ensure!(
                ended.record.exit != TaskExit::Code(0),
                "`{attempt}` worked: {ended:?}"
            );
            ensure!(ended.stdout.is_empty(), "`{attempt}` showed {}", ended.stdout);
        }
        // Nor kill it, nor does it have a descriptor of init's.
        let ended = host
            .run("kill -9 1; ls /proc/self/fd | wc -l; exit 3")?
            .expect_code(3)?;
        ensure!(ended.stdout.trim() == "4", "{}", ended.stdout);
        Ok(())
    })
}

#[test]
fn a_task_cannot_raise_its_own_limits() -> Result<()> {
    on_host(|host| {
        let ended = host.run("find /sys/fs/cgroup -name pids.max -o -name cgroup.procs -o -name tasks")?;
        let shown = ended.stdout.lines().collect::<Vec<_>>();
        for file in &shown {
            let ended = host.run(&format!("echo 1 >{file}"))?;
            ensure!(ended.record.exit != TaskExit::Code(0), "{file} can be written");
        }
        match host.containerizer.host_facts().version {
            Version::V1 => ensure!(shown.is_empty(), "{shown:?}"),
            Version::V2 => {
                let ended = host.run("cat /sys/fs/cgroup/memory.max")?.expect_code(0)?;
                ensure!(ended.stdout.trim() == MEM_BYTES.to_string(), "{}", ended.stdout);
            }
        }
        Ok(())
    })
}

#[test]
fn sigterm_reaches_the_payload_and_its_handler_decides() -> Result<()> {
    on_host(|host| {
        let script = "trap 'exit 9' TERM; echo up; while :; do sleep 0.01; done";
        let container = host.launch(&host.config("polite", &["sh", "-c", script]))?;
        host.wait_output(&container, "up")?;
        host.containerizer.signal(&container.id, SIGTERM)?;
        host.finish(&container)?.expect_code(9)?;

        let container = host.launch(&host.config("plain", &["sleep", "100"]))?;
        host.containerizer.signal(&container.id, SIGTERM)?;
        ensure!(host.finish(&container)?.record.exit == TaskExit::Signal(SIGTERM));
        let late = host.containerizer.signal(&container.id, SIGTERM);
        ensure!(matches!(late, Err(SignalError::Gone(_))), "{late:?}");
        Ok(())
    })
}

#[test]
fn sigkill_ends_every_process_of_a_task_and_is_recorded() -> Result<()> {
    on_host(|host| {
        let script = "trap '' TERM INT; setsid sleep 100 & echo up; while :; do sleep 0.01; done";
        let container = host.launch(&host.config("stubborn", &["sh", "-c", script]))?;
        host.wait_output(&container, "up")?;
        host.containerizer.signal(&container.id, SIGTERM)?;
        host.containerizer.signal(&container.id, SIGKILL)?;
        let ended = host.finish(&container)?;
        ensure!(
            ended.record.exit == TaskExit::Signal(SIGKILL),
            "{:?}",
            ended.record
        );
        Ok(())
    })
}

#[test]
fn what_a_task_leaves_running_ends_with_it() -> Result<()> {
    on_host(|host| {
        let container = host.launch(&host.config("stray", &["sh", "-c", "setsid sleep 100 & exit 0"]))?;
        let pid = container.launched.pid;
        eventually("pid 1 to end", || Ok((!is_alive(pid)).then_some(())))?;
        let leaves = host.cgroups().into_iter().map(|root| task_leaf(&root, "stray"));
        let leaves = leaves.filter(|leaf| leaf.exists()).collect::<Vec<_>>();
        ensure!(!leaves.is_empty());
        for leaf in leaves {
            let procs = fs::read_to_string(leaf.join("cgroup.procs"))?;
            ensure!(procs.is_empty(), "{procs}");
        }
        host.finish(&container)?.expect_code(0)?;
        Ok(())
    })
}

#[test]
fn destroying_a_running_container_leaves_nothing_and_can_be_repeated() -> Result<()> {
    on_host(|host| {
        let container = host.launch(&host.config("running", &["sleep", "100"]))?;
        ensure!(host.containerizer.list()? == std::slice::from_ref(&container.id));
        host.containerizer.destroy(&container.id)?;
        ensure!(!Path::new(&format!("/proc/{}", container.launched.pid)).exists());
        for root in host.cgroups() {
            ensure!(!root.join("running").exists());
        }
        host.containerizer.destroy(&container.id)?;
        Ok(())
    })
}

#[test]
fn a_command_that_is_not_there_is_a_launch_error_that_leaves_nothing() -> Result<()> {
    on_host(|host| {
        for (name, command, why) in [
            (
                "missing",
                "no-such-command",
                "cannot execute `no-such-command`: not found on PATH",
            ),
            (
                "path",
                "/no/such",
                "cannot execute `/no/such`: no such file, or its interpreter is missing",
            ),
            (
                "file",
                "/etc/passwd",
                "cannot execute `/etc/passwd`: permission denied",
            ),
        ] {
            let plan = host.plan(&host.config(name, &[command]))?;
            let error = host
                .containerizer
                .launch(&plan)
                .err()
                .context("it was launched")?;
            ensure!(
                matches!(error, LaunchError::Command { .. }) && error.to_string() == why,
                "{error}"
            );
        }
        let mut config = host.config("directory", &["true"]);
        config.spec.working_directory = Some("/no/such".into());
        let error = host
            .containerizer
            .launch(&host.plan(&config)?)
            .err()
            .context("it was launched")?;
        let why = "cannot execute `true`: its working directory `/no/such`: no such file or directory";
        ensure!(error.to_string() == why, "{error}");
        ensure!(host.containerizer.list()?.is_empty());
        ensure!(
            entries(host.dir.path())?.is_empty(),
            "{:?}",
            entries(host.dir.path())?
        );
        Ok(())
    })
}

#[test]
fn a_container_id_is_not_launched_twice() -> Result<()> {
    on_host(|host| {
        let config = host.config("twin", &["sleep", "100"]);
        let container = host.launch(&config)?;
        let again = host.containerizer.launch(&host.plan(&config)?);
        ensure!(matches!(again, Err(LaunchError::Exists(_))), "{again:?}");
        ensure!(is_alive(container.launched.pid));
        host.containerizer.destroy(&container.id)?;
        Ok(())
    })
}

#[test]
fn containers_launched_at_once_do_not_mix() -> Result<()> {
    on_host(|host| {
        thread::scope(|scope| {
            let runs = [0, 1, 2, 3, 4, 5].map(|code: i32| {
                let script = format!("echo {code}; exit {code}");
                let config = host.config(&format!("n{code}"), &["sh", "-c", &script]);
                (code, scope.spawn(move || host.run_config(&config)))
            });
            for (code, run) in runs {
                let ended = run.join().expect("no panic")?.expect_code(code)?;
                ensure!(ended.stdout == format!("{code}\n"));
            }
            Ok(())
        })
    })
}

/// Starts an agent that launches a script, and kills it when the script is up. Returns what the agent had to say: the
/// container's pid and start time.
fn orphan(host: &Host, script: &str) -> Result<(u32, u64)> {
    let dir = host.dir.path().join("survivor");
    let mut agent = Command::new(env!("CARGO_BIN_EXE_doomed-agent"))
        .arg(&host.config.cgroup_root)
        .arg(&dir)
        .args(["sh", "-c", script])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(agent.stdout.take().context("no stdout")?).read_line(&mut line)?;
    agent.kill()?;
    agent.wait()?;
    let (pid, start_time) = line.trim().split_once(' ').context("the agent failed")?;
    Ok((pid.parse()?, start_time.parse()?))
}

#[test]
fn a_task_outlives_its_agent_and_the_next_agent_takes_it_back() -> Result<()> {
    on_host(|host| {
        let (pid, start_time) = orphan(host, "trap 'exit 6' TERM; echo up; while :; do sleep 0.01; done")?;
        ensure!(is_alive(pid));
        let id = proffer_container::ContainerId::new("survivor")?;
        let next = Containerizer::new(&host.config)?;
        ensure!(
            matches!(next.adopt(&id, pid, start_time + 1)?, Adoption::Gone),
            "another process was adopted"
        );
        ensure!(matches!(
            next.adopt(&id, pid, start_time)?,
            Adoption::Adopted { .. }
        ));
        let dir = host.dir.path().join("survivor");
        eventually("up", || {
            Ok(fs::read_to_string(dir.join("stdout"))?
                .contains("up")
                .then_some(()))
        })?;
        next.signal(&id, SIGTERM)?;
        let record = eventually("an exit record", || Ok(next.exit_record(&dir.join("exit"))?))?;
        ensure!(record.exit == TaskExit::Code(6), "{record:?}");
        next.destroy(&id)?;
        Ok(())
    })
}

#[test]
fn a_task_that_ended_while_no_agent_watched_has_left_its_exit_status() -> Result<()> {
    on_host(|host| {
        let (pid, start_time) = orphan(host, "while ! [ -e /tmp/go ]; do sleep 0.01; done; exit 5")?;
        let go = host.dir.path().join("survivor/tmp/go");
        fs::write(&go, "")?;
        eventually("the task to end", || Ok((!is_alive(pid)).then_some(())))?;
        let next = Containerizer::new(&host.config)?;
        let id = proffer_container::ContainerId::new("survivor")?;
        let _ = next.adopt(&id, pid, start_time)?;
        let record = next.exit_record(&host.dir.path().join("survivor/exit"))?;
        ensure!(record.context("no record")?.exit == TaskExit::Code(5));
        next.destroy(&id)?;
        Ok(())
    })
}

#[test]
fn a_container_whose_pid_was_never_written_down_is_found_by_its_groups() -> Result<()> {
    on_host(|host| {
        let (pid, start_time) = orphan(host, "while :; do sleep 0.01; done")?;
        let id = proffer_container::ContainerId::new("survivor")?;
        let next = Containerizer::new(&host.config)?;
        let found = next.find(&id)?.context("not found")?;
        ensure!((found.pid, found.start_time) == (pid, start_time), "{found:?}");
        next.destroy(&id)?;
        ensure!(next.find(&id)?.is_none(), "a destroyed container was found");
        Ok(())
    })
}

#[test]
fn an_orphan_that_nobody_adopts_can_be_found_and_destroyed() -> Result<()> {
    on_host(|host| {
        let (pid, _) = orphan(host, "while :; do sleep 0.01; done")?;
        let next = Containerizer::new(&host.config)?;
        for id in next.list()? {
            next.destroy(&id)?;
        }
        ensure!(!is_alive(pid));
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

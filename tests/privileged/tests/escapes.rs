//! The ways out of a container that are known, each tried from inside and shown to be refused: by root of the task and
//! by another user, with the default seccomp filter and, since no wall should stand alone, without it.
//!
//! Run on this host, and by the last test once more in a guest with cgroup v2.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use proffer_container::seccomp::default_filter;
use proffer_container::{ContainerConfig, IdMap, ImageRoot, MountSource, Root, User, VolumeMount};
use proffer_linux::LaunchError;
use proffer_privileged_tests::rootless::{self, PLACE};
use proffer_privileged_tests::{Host, guest, on_host};
use proffer_types::container::Propagation;

const IDS: IdMap = IdMap {
    first: 1_879_048_192,
    count: 65536,
};

/// Tries what is said in the lines that follow it: a name, and an expression. Prints the name and what came of it.
const ATTEMPTS: &str = r#"
import ctypes, errno, os, platform, stat, sys
libc = ctypes.CDLL(None, use_errno=True)
NR = {"mount": 165, "umount2": 166, "pivot_root": 155, "ptrace": 101, "unshare": 272, "setns": 308, "add_key": 248,
      "keyctl": 250, "init_module": 175, "bpf": 321, "perf_event_open": 298, "open_by_handle_at": 304,
      "io_uring_setup": 425, "userfaultfd": 323, "kexec_load": 246, "reboot": 169, "settimeofday": 164,
      "swapon": 167, "acct": 163, "fsopen": 430, "clone": 56, "iopl": 172, "syslog": 103}
def call(name, *args):
    args = [a.encode() if isinstance(a, str) else a for a in args]
    result = libc.syscall(ctypes.c_long(NR[name]), *args)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    if name == "clone" and result == 0:
        os._exit(0)
    return result
def write(path, text):
    fd = os.open(path, os.O_WRONLY)
    os.write(fd, text.encode())
def device():
    os.mknod("/tmp/disk", stat.S_IFBLK | 0o666, os.makedev(DISK >> 8, DISK & 255))
    os.open("/tmp/disk", os.O_RDONLY)
def memory():
    os.mknod("/tmp/mem", stat.S_IFCHR | 0o666, os.makedev(1, 1))
    os.open("/tmp/mem", os.O_RDONLY)
def chroot():
    os.mkdir("/tmp/jail")
    there = os.open("/", os.O_RDONLY)
    os.chroot("/tmp/jail")
    os.fchdir(there)
    for _ in range(64):
        os.chdir("..")
    os.chroot(".")
    os.listdir(HIDDEN)
def cgroups():
    for root, _, files in os.walk("/sys/fs/cgroup"):
        for file in files:
            try:
                os.open(os.path.join(root, file), os.O_WRONLY)
                return
            except OSError as error:
                last = error
    raise locals().get("last") or OSError(errno.ENOENT, "no cgroup is seen")
def release_agent():
    call("mount", "cgroup", "/tmp", "cgroup", 0, "memory")
def unmask():
    call("unshare", 0x10000000 | 0x20000)
    call("umount2", "/proc/sys", 2)
def inherit():
    for fd in range(3, 64):
        try:
            os.fstat(fd)
            return os.readlink("/proc/self/fd/%d" % fd)
        except OSError:
            pass
    raise OSError(errno.EBADF, "nothing is left open")
HIDDEN, DISK, HOST_PID = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for line in sys.stdin.read().splitlines():
    name, expression = line.split(": ", 1)
    child = os.fork()
    if child == 0:
        try:
            print(name, "DONE", eval(expression), flush=True)
        except OSError as error:
            print(name, errno.errorcode.get(error.errno, error.errno), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"#;

/// What must be refused however a task is confined.
const WALLS: &str = r#"mount over /proc: call("mount", "none", "/proc", "tmpfs", 0, 0)
remount the root: call("mount", 0, "/", 0, 4096 | 32, 0)
unmount a mask: call("umount2", "/proc/kcore", 2)
unmount a mask in new namespaces: unmask()
new mount api: call("fsopen", "tmpfs", 0)
pivot: call("pivot_root", "/tmp", "/tmp")
write to the host's files: os.open("/etc/escaped", os.O_CREAT | os.O_WRONLY)
core pattern: write("/proc/sys/kernel/core_pattern", "|/tmp/x")
sysctl: write("/proc/sys/vm/swappiness", "1")
modprobe path: write("/proc/sys/kernel/modprobe", "/tmp/x")
sysrq: write("/proc/sysrq-trigger", "h")
uevent helper: write("/sys/kernel/uevent_helper", "/tmp/x")
write to sysfs: write("/sys/kernel/mm/ksm/run", "0")
read kernel memory: os.read(os.open("/proc/kcore", os.O_RDONLY), 1).hex() or os.open("/none", 0)
disk: device()
memory device: memory()
host's devices: os.listdir("/dev/block")
cgroup release agent: release_agent()
cgroup limits: cgroups()
trace pid 1: call("ptrace", 0x4206, 1, 0, 0)
namespaces of pid 1: os.open("/proc/1/ns/mnt", os.O_RDONLY)
join namespaces: call("setns", os.open("/proc/self/ns/pid", os.O_RDONLY), 0)
root of pid 1: os.listdir("/proc/1/root")
executable of pid 1: os.open("/proc/1/exe", os.O_RDONLY)
overwrite pid 1: os.open("/proc/1/exe", os.O_WRONLY)
memory of pid 1: os.open("/proc/1/mem", os.O_RDWR)
descriptors of pid 1: os.listdir("/proc/1/fd")
kill pid 1: os.kill(1, 9)
stop pid 1: os.kill(1, 40)
a process of the host: os.kill(HOST_PID, 0)
inherited descriptors: inherit()
the agent's data: os.listdir(HIDDEN)
another sandbox: os.listdir(HIDDEN + "/other")
secrets of the host: os.open("/etc/shadow", os.O_RDONLY)
modules: call("init_module", 0, 0, 0)
bpf: call("bpf", 0, 0, 0)
file handles: call("open_by_handle_at", -100, 0, 0)
kexec: call("kexec_load", 0, 0, 0, 0)
reboot: call("reboot", 0xfee1dead, 672274793, 0x1234567, 0)
clock: call("settimeofday", 0, 0) or os.open("/none", 0)
swap: call("swapon", "/tmp/x", 0)
accounting: call("acct", "/tmp/x")
io ports: call("iopl", 3)
chroot: chroot()"#;

/// What only the filter refuses.
const FILTERED: &str = r#"
user namespace: call("unshare", 0x10000000)
user and mount namespaces: call("unshare", 0x10000000 | 0x20000)
user namespace by clone: call("clone", 0x10000000 | 17, 0, 0, 0, 0)
keys: call("add_key", "user", "x", "y", 1, -3)
keyring: call("keyctl", 0, -3, 1)
perf: call("perf_event_open", 0, 0, -1, -1, 0)
io_uring: call("io_uring_setup", 1, 0)
userfaultfd: call("userfaultfd", 0)"#;

/// A kernel that has it as a module has it after `modprobe overlay`.
fn has_overlay() -> bool {
    let has = fs::read_to_string("/proc/filesystems").is_ok_and(|all| all.contains("overlay"));
    if !has {
        proffer_privileged_tests::say("skipped: this kernel has no overlayfs, or did not load it");
    }
    has
}

fn has_python() -> bool {
    let ran = Command::new("python3").arg("-V").output();
    let has = ran.is_ok_and(|ran| ran.status.success());
    if !has {
        proffer_privileged_tests::say("skipped: no python3 to try system calls with");
    }
    has
}

/// The ids of tasks: some that nobody has or, without root, those that there are.
fn ids(host: &Host) -> IdMap {
    host.containerizer.host_facts().rootless.unwrap_or(IDS)
}

/// A container as the agent confines those of tasks.
fn confined(host: &Host, name: &str, command: &[&str], user: u32) -> Result<ContainerConfig> {
    let mut config = host.config(name, command);
    config.id_map = Some(ids(host));
    config.seccomp = default_filter()?;
    config.user = User {
        uid: user,
        gid: user,
        groups: Vec::new(),
    };
    config.root = Root::Host {
        hidden: vec![hidden(host)],
    };
    Ok(config)
}

/// Where an agent would keep what is its own; not below `/tmp`, where a container sees nothing of the host anyway.
fn hidden(host: &Host) -> PathBuf {
    if host.containerizer.host_facts().rootless.is_some() {
        return host.dir.path().join("hidden");
    }
    let name = host.dir.path().file_name().unwrap_or_default();
    Path::new("/var/lib").join(name).with_extension("escapes")
}

/// Runs the attempts and returns those that came to something.
fn done(host: &Host, config: &mut ContainerConfig, attempts: &str) -> Result<Vec<String>> {
    let disk = fs::metadata("/").map(|found| std::os::unix::fs::MetadataExt::dev(&found))?;
    let hidden = hidden(host);
    fs::create_dir_all(hidden.join("other"))?;
    let script = format!("python3 -c \"$0\" \"$@\" <<'END'\n{attempts}\nEND");
    let pid = std::process::id();
    let arguments = [
        ATTEMPTS,
        &hidden.display().to_string(),
        &disk.to_string(),
        &pid.to_string(),
    ];
    config.command = ["sh", "-c", &script]
        .into_iter()
        .chain(arguments)
        .map(str::to_owned)
        .collect();
    let ended = host.run_config(config);
    fs::remove_dir_all(&hidden)?;
    let ended = ended?.expect_code(0)?;
    let lines = ended.stdout.lines().collect::<Vec<_>>();
    let tried = attempts.lines().filter(|line| !line.is_empty()).count();
    ensure!(
        lines.len() == tried,
        "{tried} were tried:\n{}\n{}",
        ended.stdout,
        ended.stderr
    );
    let done = lines.iter().filter(|line| line.contains(" DONE"));
    Ok(done.map(|line| (*line).to_owned()).collect())
}

#[test]
fn every_known_way_out_is_refused_to_root_of_the_task_and_to_a_user() -> Result<()> {
    if !has_python() {
        return Ok(());
    }
    on_host(|host| {
        for user in [0, 1000] {
            let mut config = confined(host, "escape", &[], user)?;
            let done = done(host, &mut config, &format!("{WALLS}{FILTERED}"))?;
            ensure!(done.is_empty(), "user {user}: {done:#?}");
        }
        Ok(())
    })
}

#[test]
fn without_the_filter_the_other_walls_still_stand() -> Result<()> {
    if !has_python() {
        return Ok(());
    }
    on_host(|host| {
        for user in [0, 1000] {
            let mut config = confined(host, "unfiltered", &[], user)?;
            config.seccomp = Vec::new();
            let done = done(host, &mut config, WALLS)?;
            ensure!(done.is_empty(), "user {user}: {done:#?}");
        }
        Ok(())
    })
}

#[test]
fn root_of_a_task_is_nobody_outside() -> Result<()> {
    on_host(|host| {
        let script = "id -u; cat /proc/self/uid_map; touch mine; stat -c %u mine /; grep -E 'Seccomp:|NoNewPrivs' /proc/self/status";
        let config = confined(host, "nobody", &["sh", "-c", script], 0)?;
        let container = host.launch(&config)?;
        let owner = {
            let path = config.files.sandbox.join("mine");
            proffer_privileged_tests::eventually("the file", || Ok(fs::metadata(&path).ok()))?
        };
        let IdMap { first, count } = ids(host);
        ensure!(std::os::unix::fs::MetadataExt::uid(&owner) == first);
        let ended = host.finish(&container)?.expect_code(0)?;
        let words = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(
            words == format!("0 0 {first} {count} 0 65534 NoNewPrivs: 1 Seccomp: 2"),
            "{words}"
        );
        Ok(())
    })
}

#[test]
fn a_task_never_holds_a_program_of_the_agents_that_it_could_change() -> Result<()> {
    on_host(|host| {
        // CVE-2019-5736: the task has itself executed as what starts it.
        let again = confined(host, "again", &["/proc/self/exe"], 0)?;
        match host.launch(&again) {
            // What runs then is a sealed copy in memory, without a program to run.
            Ok(container) => drop(host.finish(&container)?.expect_code(127)?),
            Err(error) => ensure!(
                matches!(
                    error.downcast_ref(),
                    Some(LaunchError::Command { .. } | LaunchError::InitDied { .. })
                ),
                "{error}"
            ),
        }
        let script = "readlink /proc/self/exe; readlink /proc/1/exe; (echo x >/proc/1/exe) 2>/dev/null && echo written";
        let ended = host.run_config(&confined(host, "exe", &["sh", "-c", script], 0)?)?;
        ensure!(
            !ended.stdout.contains("proffer") && !ended.stdout.contains("written"),
            "{}",
            ended.stdout
        );
        Ok(())
    })
}

/// An image that means harm: links out of it in every place that something is mounted on or made in.
fn hostile_image(host: &Host) -> Result<ImageRoot> {
    let dir = host.dir.path().join("image");
    let (base, top) = (dir.join("layers/base"), dir.join("layers/top"));
    for made in ["usr", "etc", "work"] {
        fs::create_dir_all(base.join(made))?;
    }
    fs::create_dir_all(&top)?;
    for (link, target) in [
        ("bin", "usr/bin"),
        ("lib", "usr/lib"),
        ("lib64", "usr/lib64"),
        ("absolute", "/etc/absolute"),
        ("climbing", "../../../../../../etc/climbing"),
        ("magic", "/proc/self/cwd/magic"),
        ("tmp", "../../../../var/lib"),
    ] {
        std::os::unix::fs::symlink(target, top.join(link))?;
    }
    for name in ["upper", "overlay", "root"] {
        fs::create_dir_all(dir.join(name))?;
    }
    Ok(ImageRoot {
        lower: vec![top, base],
        upper: Some((dir.join("upper"), dir.join("overlay"))),
        mount_point: dir.join("root"),
    })
}

fn volume(source: MountSource, path: &str) -> VolumeMount {
    VolumeMount {
        source,
        container_path: path.into(),
        read_only: false,
    }
}

fn bind(path: impl Into<PathBuf>) -> MountSource {
    MountSource::Bind {
        path: path.into(),
        propagation: Propagation::Private,
    }
}

/// Memory under the test's files: overlayfs takes no directories of a guest's hostfs.
fn image_config(host: &Host, name: &str, script: &str) -> Result<ContainerConfig> {
    let mut config = confined(host, name, &["sh", "-c", script], 0)?;
    // Files of a tmpfs cannot have other ids before Linux 6.3, as in the guest.
    config.id_map = host.containerizer.host_facts().rootless;
    config.root = Root::Image(hostile_image(host)?);
    config.mounts = vec![VolumeMount {
        read_only: true,
        ..volume(bind("/usr"), "/usr")
    }];
    Ok(config)
}

#[test]
fn a_link_of_an_image_leads_no_mount_out_of_it() -> Result<()> {
    if !has_overlay() {
        return Ok(());
    }
    on_host(|host| {
        let script = "for d in /absolute /climbing; do echo $d $(cat $d/secret); done; ls -d /etc/absolute /etc/climbing; \
                      cat /overlay-work/dir/key; ls /dev/null /proc/self/stat /sys/fs/cgroup >/dev/null && pwd; touch /var/lib/x && echo wrote";
        let mut config = image_config(host, "links", script)?;
        let secret = || MountSource::File {
            content: b"s".to_vec(),
        };
        config.mounts.extend([
            volume(secret(), "/absolute/secret"),
            volume(secret(), "/climbing/secret"),
            volume(secret(), "/overlay-work/dir/key"),
        ]);
        let ended = host.run_config(&config)?.expect_code(0);
        for outside in ["/etc/absolute", "/etc/climbing", "/var/lib/x"] {
            ensure!(!Path::new(outside).exists(), "{outside} is on the host");
        }
        let ended = ended?;
        let expected = "/absolute s\n/climbing s\n/etc/absolute\n/etc/climbing\ns/\nwrote\n";
        ensure!(ended.stdout == expected, "{}{}", ended.stdout, ended.stderr);
        fs::remove_dir_all(host.dir.path().join("image"))?;
        Ok(())
    })
}

#[test]
fn an_images_files_have_the_ids_of_the_container() -> Result<()> {
    if !has_overlay() {
        return Ok(());
    }
    on_host(|host| {
        let script = "stat -c %u /etc; touch /etc/mine && stat -c %u /etc/mine";
        let mut config = image_config(host, "ids", script)?;
        config.id_map = Some(ids(host));
        if let Some(ids) = host.containerizer.host_facts().rootless {
            // As layers are unpacked where mounts cannot map ids.
            let etc = host.dir.path().join("image/layers/base/etc");
            std::os::unix::fs::chown(etc, Some(ids.first), Some(ids.first))?;
        }
        let ended = match host.launch(&config) {
            // A guest's hostfs, and older kernels' tmpfs.
            Err(error) if error.to_string().contains("does their file system map ids?") => {
                return Ok(fs::remove_dir_all(host.dir.path().join("image"))?);
            }
            launched => host.finish(&launched?)?.expect_code(0)?,
        };
        ensure!(ended.stdout == "0\n0\n", "{}", ended.stdout);
        let made = fs::metadata(host.dir.path().join("image/upper/etc/mine"))?;
        ensure!(std::os::unix::fs::MetadataExt::uid(&made) == ids(host).first);
        fs::remove_dir_all(host.dir.path().join("image"))?;
        Ok(())
    })
}

#[test]
fn a_volume_with_a_link_in_its_path_is_not_mounted() -> Result<()> {
    on_host(|host| {
        let link = host.dir.path().join("link");
        std::os::unix::fs::symlink("/etc", &link)?;
        for source in [link.clone(), link.join("apt")] {
            let mut config = confined(host, "swapped", &["true"], 0)?;
            config.mounts = vec![volume(bind(source), "/tmp/here")];
            let error = host.launch(&config).err().context("it was launched")?;
            ensure!(error.to_string().contains("symbolic link"), "{error}");
        }
        Ok(())
    })
}

#[test]
fn a_secret_is_in_memory_and_its_users_alone() -> Result<()> {
    on_host(|host| {
        let script = "stat -c '%a %u' /tmp/key; stat -f -c %T /tmp/key; cat /tmp/key; (echo x >/tmp/key) 2>/dev/null || echo kept";
        let mut config = confined(host, "secret", &["sh", "-c", script], 1000)?;
        let content = b"hush\n".to_vec();
        config.mounts = vec![volume(MountSource::File { content }, "/tmp/key")];
        let ended = host.run_config(&config)?.expect_code(0)?;
        ensure!(
            ended.stdout == "400 1000\nramfs\nhush\nkept\n",
            "{}",
            ended.stdout
        );
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

/// The agent is an ordinary user's, in a guest, and what stands between a task and that user is tried.
#[test]
fn the_same_holds_for_an_agent_without_root() -> Result<()> {
    const NAME: &str = "the_same_holds_for_an_agent_without_root";
    if let Some(why) = rootless::lacks() {
        proffer_privileged_tests::skip(&why);
        return Ok(());
    }
    let test = std::env::current_exe()?;
    let programs = test.ancestors().nth(2).context("no directory of programs")?;
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let script = dir.path().join("as-user");
    fs::write(
        &script,
        format!(
            "#!/bin/sh\n{}echo 0 >{}/cgroup.procs\ncd {PLACE}\nTMPDIR={PLACE}/home exec {} {PLACE}/bin/rootless-shell {PLACE}/bin/{} --skip in_a_guest \"$@\"\n",
            rootless::prelude(programs),
            rootless::TREE,
            rootless::as_user(),
            test.strip_prefix(programs)?.display(),
        ),
    )?;
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    guest::run_tests(&script, NAME, dir.path())
}

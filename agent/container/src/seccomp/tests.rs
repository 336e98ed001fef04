//! Filters run as the kernel runs them.

use seccompiler::TargetArch;

use super::*;

const X86_64: u32 = 0xc000_003e;
const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0x8000_0000;

const fn errno(errno: u32) -> u32 {
    0x0005_0000 | errno
}

/// Runs a classic BPF program on a system call; see Documentation/networking/filter.rst.
fn run(filter: &[u8], architecture: u32, number: u32, arguments: &[u64]) -> u32 {
    let mut data = [0_u32; 16];
    (data[0], data[1]) = (number, architecture);
    for (place, argument) in arguments.iter().enumerate() {
        data[4 + 2 * place] = (argument & 0xffff_ffff) as u32;
        data[5 + 2 * place] = (argument >> 32) as u32;
    }
    let (instructions, _) = filter.as_chunks::<8>();
    let (mut at, mut value) = (0, 0);
    loop {
        let [a, b, jt, jf, rest @ ..] = instructions[at];
        let k = u32::from_ne_bytes(rest);
        let is_true = match u16::from_ne_bytes([a, b]) {
            0x20 => {
                value = data[k as usize / 4];
                None
            }
            0x05 => {
                at += k as usize;
                None
            }
            0x06 => return k,
            0x54 => {
                value &= k;
                None
            }
            0x15 => Some(value == k),
            0x25 => Some(value > k),
            0x35 => Some(value >= k),
            code => panic!("code {code:#x} at {at}"),
        };
        at += 1 + is_true.map_or(0, |is_true| usize::from(if is_true { jt } else { jf }));
    }
}

fn call(filter: &[u8], name: &str, arguments: &[u64]) -> u32 {
    let number = calls::number(name, TargetArch::x86_64).unwrap();
    run(filter, X86_64, number, arguments)
}

fn default() -> Vec<u8> {
    default::policy(TargetArch::x86_64).unwrap().compile().unwrap()
}

#[test]
fn a_task_may_do_what_programs_do_and_not_what_hosts_do() {
    let filter = default();
    for name in [
        "read",
        "execve",
        "ptrace",
        "chroot",
        "futex",
        "mseal",
        "openat2",
        "setuid",
        "pidfd_open",
    ] {
        assert_eq!(call(&filter, name, &[]), ALLOW, "{name}");
    }
    for name in [
        "mount",
        "keyctl",
        "bpf",
        "unshare",
        "setns",
        "io_uring_setup",
        "open_by_handle_at",
        "finit_module",
    ] {
        assert_eq!(call(&filter, name, &[]), errno(EPERM), "{name}");
    }
    assert_eq!(call(&filter, "clone3", &[]), errno(ENOSYS));
}

#[test]
fn no_namespace_comes_by_clone_and_no_other_personality() {
    let filter = default();
    let thread = 0x003d_0f00;
    assert_eq!(call(&filter, "clone", &[thread]), ALLOW);
    for flag in [0x0002_0000, 0x0200_0000, 0x1000_0000, 0x4000_0000] {
        assert_eq!(
            call(&filter, "clone", &[flag | thread]),
            errno(EPERM),
            "{flag:#x}"
        );
    }
    assert_eq!(call(&filter, "personality", &[0xffff_ffff]), ALLOW);
    assert_eq!(call(&filter, "personality", &[0x0040_0000]), errno(EPERM));
    assert_eq!(call(&filter, "socket", &[2]), ALLOW);
    assert_eq!(call(&filter, "socket", &[40]), errno(EPERM));
}

#[test]
fn numbers_of_another_architecture_and_of_calls_to_come_lead_nowhere() {
    let filter = default();
    assert_eq!(run(&filter, 0x4000_0003, 1, &[]), KILL);
    for number in [463, 0x4000_0001, u32::MAX] {
        assert_eq!(run(&filter, X86_64, number, &[]), errno(ENOSYS), "{number:#x}");
    }
}

#[test]
fn any_call_is_decided_in_a_few_steps() {
    // Installing a filter makes the kernel run it for every number.
    assert!(default().len() / 8 < 300, "{}", default().len() / 8);
}

#[test]
fn a_profile_means_what_it_says() {
    let filter = profile_filter(
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [
                {"names": ["read", "write", "of_another_architecture"], "action": "SCMP_ACT_ALLOW"},
                {"names": ["reboot"], "action": "SCMP_ACT_KILL_PROCESS"},
                {"names": ["kill"], "action": "SCMP_ACT_ALLOW",
                 "args": [{"index": 1, "value": 15, "op": "SCMP_CMP_EQ"}]}]}"#,
    )
    .unwrap();
    assert_eq!(call(&filter, "write", &[]), ALLOW);
    assert_eq!(call(&filter, "open", &[]), errno(38));
    assert_eq!(call(&filter, "reboot", &[]), KILL);
    assert_eq!(call(&filter, "kill", &[1, 15]), ALLOW);
    assert_eq!(call(&filter, "kill", &[1, 9]), errno(38));
}

#[test]
fn a_profile_that_is_not_understood_is_refused() {
    let refusals = [
        "{}",
        r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#,
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": []}"#,
        r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["reed"], "action": "SCMP_ACT_ERRNO"}]}"#,
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}}]}"#,
        r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]},
            {"names": ["write"], "action": "SCMP_ACT_LOG", "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}]}]}"#,
    ]
    .map(|json| format!("{}\n", profile_filter(json).unwrap_err()));
    expect_test::expect![[r#"
        not a seccomp profile: missing field `defaultAction` at line 1 column 2
        `action` of seccomp profiles cannot be honoured: SCMP_ACT_NOTIFY
        not a seccomp profile: unknown field `flags`, expected one of `defaultAction`, `defaultErrnoRet`, `architectures`, `archMap`, `syscalls` at line 1 column 43
        unknown system call `reed`: it cannot be denied
        `includes` of seccomp profiles cannot be honoured: {"caps":["CAP_SYS_ADMIN"]}
        the rules with arguments have more than one action: `Allow` and `Log`
    "#]]
    .assert_eq(&refusals.concat());
}

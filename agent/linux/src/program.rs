//! A plan's init and payload steps as the program proffer-init runs.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nix::libc;
use nix::mount::MsFlags;
use proffer_container::{
    BindMount, FileRole, InitStep, LaunchPlan, Leaf, Mount, Namespace, PayloadStep, PrepareStep, StdioKind,
};
use proffer_init::program::{Join, Op, Stdio, Writer};

/// Writes the program; `join` tells how a process gets into a leaf, `ends` where the older files of stdout and stderr
/// end.
pub(crate) fn write(
    plan: &LaunchPlan,
    join: impl Fn(Leaf) -> (Join, Vec<PathBuf>),
    ends: &[Vec<u64>; 2],
) -> Vec<u8> {
    let mut writer = Writer::default();
    for step in &plan.init {
        init_step(step, &join, &mut writer);
        if let InitStep::Stdio { .. } = step {
            for (role, ends) in [FileRole::Stdout, FileRole::Stderr].into_iter().zip(ends) {
                writer.text(name(plan, role)).numbers(ends);
            }
        }
    }
    for step in &plan.payload {
        payload_step(step, &join, &mut writer);
    }
    writer.0
}

fn init_step(step: &InitStep, join: &impl Fn(Leaf) -> (Join, Vec<PathBuf>), writer: &mut Writer) {
    match step {
        InitStep::Enter { leaf, namespaces } => {
            writer.op(Op::EnterInit).number(flags(namespaces));
            enter(join(*leaf), writer);
        }
        InitStep::SetHostname(name) => {
            writer.op(Op::SetHostname).text(name);
        }
        InitStep::MakeMountsPrivate => {
            writer.op(Op::MakeMountsPrivate);
        }
        InitStep::Mount(step) => mount(step, writer),
        InitStep::BindMount(BindMount { source, target }) => {
            writer
                .op(Op::BindMount)
                .text(source.as_os_str().as_bytes())
                .text(target.as_os_str().as_bytes());
        }
        InitStep::ForbidDumping => {
            writer.op(Op::ForbidDumping);
        }
        InitStep::Stdio { kind, owner, logs } => {
            let flags = match kind {
                StdioKind::Output => 0,
                StdioKind::InputAndOutput => Stdio::STDIN,
                StdioKind::Terminal => Stdio::TERMINAL,
            };
            writer.op(Op::Stdio).number(flags);
            writer.number(owner.0.into()).number(owner.1.into());
            writer.number(logs.max_bytes).number(logs.files.into());
        }
    }
}

fn payload_step(step: &PayloadStep, join: &impl Fn(Leaf) -> (Join, Vec<PathBuf>), writer: &mut Writer) {
    match step {
        PayloadStep::Enter { leaf } => {
            writer.op(Op::EnterPayload);
            enter(join(*leaf), writer);
        }
        PayloadStep::Unshare(namespaces) => {
            writer.op(Op::Unshare).number(flags(namespaces));
        }
        PayloadStep::Mount(step) => mount(step, writer),
        PayloadStep::ChangeDirectory(path) => {
            writer.op(Op::ChangeDirectory).text(path.as_os_str().as_bytes());
        }
        PayloadStep::OomScoreAdj(score) => {
            writer.op(Op::OomScoreAdj).number(u64::from(*score));
        }
        PayloadStep::KeepCapabilities(kept) => {
            let mask = kept
                .iter()
                .fold(0, |mask, capability| mask | 1 << *capability as u8);
            writer.op(Op::KeepCapabilities).number(mask);
        }
        PayloadStep::NoNewPrivileges => {
            writer.op(Op::NoNewPrivileges);
        }
        PayloadStep::Execute { argv, env } => {
            writer.op(Op::Execute).list(argv).list(env);
        }
    }
}

/// The name of a file of output in its directory.
fn name(plan: &LaunchPlan, role: FileRole) -> &[u8] {
    let name = plan.prepare.iter().find_map(|step| {
        let PrepareStep::OpenFile { role: of, path } = step else {
            return None;
        };
        path.file_name().filter(|_| *of == role)
    });
    name.unwrap_or_default().as_bytes()
}

fn enter((join, paths): (Join, Vec<PathBuf>), writer: &mut Writer) {
    let paths = paths
        .iter()
        .map(|path| path.as_os_str().as_bytes())
        .collect::<Vec<_>>();
    writer.join(join).list(&paths);
}

fn mount(mount: &Mount, writer: &mut Writer) {
    let mut flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    flags.set(MsFlags::MS_RDONLY, mount.read_only);
    writer
        .op(Op::Mount)
        .text(mount.filesystem)
        .text(mount.target.as_os_str().as_bytes())
        .number(flags.bits())
        .text(mount.options);
}

fn flags(namespaces: &[Namespace]) -> u64 {
    let flag = |namespace: &Namespace| match namespace {
        Namespace::Pid => libc::CLONE_NEWPID,
        Namespace::Mount => libc::CLONE_NEWNS,
        Namespace::Uts => libc::CLONE_NEWUTS,
        Namespace::Ipc => libc::CLONE_NEWIPC,
        Namespace::Cgroup => libc::CLONE_NEWCGROUP,
    };
    let all = namespaces
        .iter()
        .fold(0, |flags, namespace| flags | flag(namespace));
    u64::from(all.cast_unsigned())
}

//! A plan's init and payload steps as the program proffer-init runs.

mod root;

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nix::libc;
use proffer_container::{
    FileRole, InitStep, LaunchPlan, Namespace, PayloadStep, PrepareStep, StdioKind, User,
};
use proffer_init::program::{Join, Op, Stdio, Writer};
use proffer_types::container::{Capability, Rlimit};

use crate::spawn::OpenCgroup;
use crate::template::Template;

/// Writes the program's file; `cgroup` is the payload's, which is open for init, `ends` where the older files of stdout and
/// stderr end.
pub(crate) fn write(plan: &LaunchPlan, cgroup: &OpenCgroup, ends: &[Vec<u64>; 2]) -> Vec<u8> {
    let mut writer = Writer::default();
    for step in &plan.init {
        init_step(step, cgroup, &mut writer);
        if let InitStep::Stdio { .. } = step {
            for (role, ends) in [FileRole::Stdout, FileRole::Stderr].into_iter().zip(ends) {
                writer.text(name(plan, role)).numbers(ends);
            }
        }
    }
    for step in &plan.payload {
        payload_step(step, &mut writer);
    }
    proffer_init::program::file(&Template::of(plan).to_bytes(), &writer.0)
}

fn init_step(step: &InitStep, cgroup: &OpenCgroup, writer: &mut Writer) {
    match step {
        // That is how init is started.
        InitStep::Enter { .. } => {}
        InitStep::SetHostname(name) => {
            writer.op(Op::SetHostname).text(name);
        }
        InitStep::Join { namespace, path } => {
            let flag = flags(std::slice::from_ref(namespace));
            writer
                .op(Op::JoinNamespace)
                .text(path.as_os_str().as_bytes())
                .number(flag);
        }
        InitStep::LoopbackUp => {
            writer.op(Op::LoopbackUp);
        }
        InitStep::Unshare(namespace) => {
            writer
                .op(Op::Unshare)
                .number(flags(std::slice::from_ref(namespace)));
        }
        InitStep::MakeMountsPrivate => {
            writer.op(Op::MakeMountsPrivate);
        }
        InitStep::OpenCgroup(_) => {
            let OpenCgroup { join, files } = cgroup;
            writer.op(Op::OpenCgroup).join(*join).number(files.len() as u64);
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
        InitStep::Root(step) => root::step(step, writer),
    }
}

pub(crate) fn payload_step(step: &PayloadStep, writer: &mut Writer) {
    match step {
        PayloadStep::Enter => {
            writer.op(Op::EnterPayload);
        }
        PayloadStep::Unshare(namespaces) => {
            writer.op(Op::Unshare).number(flags(namespaces));
        }
        PayloadStep::Mount(step) => root::mount(step, writer),
        PayloadStep::ChangeDirectory(path) => {
            writer.op(Op::ChangeDirectory).text(path.as_os_str().as_bytes());
        }
        PayloadStep::OomScoreAdj(score) => {
            writer.op(Op::OomScoreAdj).number(u64::from(*score));
        }
        PayloadStep::LimitResource(Rlimit { kind, soft, hard }) => {
            // The kernel's infinity.
            let bound = |value: &Option<u64>| value.unwrap_or(u64::MAX);
            writer
                .op(Op::LimitResource)
                .number(*kind as u64)
                .number(bound(soft))
                .number(bound(hard));
        }
        PayloadStep::EnterUserNamespace => {
            writer.op(Op::EnterUserNamespace);
        }
        PayloadStep::BoundCapabilities(kept) => {
            writer.op(Op::BoundCapabilities).number(mask(kept));
        }
        PayloadStep::BecomeUser(User { uid, gid, groups }) => {
            let groups = groups.iter().copied().map(u64::from).collect::<Vec<_>>();
            writer
                .op(Op::BecomeUser)
                .number(u64::from(*uid))
                .number(u64::from(*gid))
                .numbers(&groups);
        }
        PayloadStep::KeepCapabilities { permitted, ambient } => {
            writer
                .op(Op::KeepCapabilities)
                .number(mask(permitted))
                .number(mask(ambient));
        }
        PayloadStep::FilterCalls(filter) => {
            writer.op(Op::FilterCalls).bytes(filter);
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

pub(crate) fn enter((join, paths): (Join, Vec<PathBuf>), writer: &mut Writer) {
    let paths = paths
        .iter()
        .map(|path| path.as_os_str().as_bytes())
        .collect::<Vec<_>>();
    writer.join(join).list(&paths);
}

pub(crate) fn mask(capabilities: &[Capability]) -> u64 {
    let bit = |mask, capability: &Capability| mask | 1 << *capability as u8;
    capabilities.iter().fold(0, bit)
}

pub(crate) fn flags(namespaces: &[Namespace]) -> u64 {
    let flag = |namespace: &Namespace| match namespace {
        Namespace::Pid => libc::CLONE_NEWPID,
        Namespace::Mount => libc::CLONE_NEWNS,
        Namespace::Uts => libc::CLONE_NEWUTS,
        Namespace::Ipc => libc::CLONE_NEWIPC,
        Namespace::Cgroup => libc::CLONE_NEWCGROUP,
        Namespace::Net => libc::CLONE_NEWNET,
        Namespace::Time => libc::CLONE_NEWTIME,
    };
    let all = namespaces
        .iter()
        .fold(0, |flags, namespace| flags | flag(namespace));
    u64::from(all.cast_unsigned())
}

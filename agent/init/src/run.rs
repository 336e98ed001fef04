//! The interpreter: one instruction after the other, until the command is executed or a step fails.

use alloc::vec::Vec;
use core::ffi::CStr;

use proffer_init::program::{Op, Reader};
use proffer_init::{fd, report};

use crate::root::Root;
use crate::stdio::Stdio;
use crate::supervise::supervise;
use crate::sys::cgroup::Cgroup;
use crate::sys::{self, DAMAGED, Outcome, io, mount, namespace, privileges, process, signal, terminal};
use crate::watch::watch;

/// What steps leave for later ones.
#[derive(Debug, Default)]
struct State {
    root: Root,
    cgroup: Option<Cgroup>,
    stdio: Option<Stdio>,
}

/// Runs a program; ends the process.
pub(crate) fn run(program: &'static [u8]) -> ! {
    let mut reader = Reader(program);
    let mut state = State::default();
    loop {
        let op = reader.byte().and_then(Op::from_code);
        let outcome = match op {
            Some(op) => step(op, &mut reader, &mut state),
            None => Err(DAMAGED),
        };
        if let Err(failure) = outcome {
            sys::fail(op, failure);
        }
    }
}

fn step(op: Op, operands: &mut Reader<'static>, state: &mut State) -> Outcome<'static> {
    let root = &mut state.root;
    match op {
        Op::SetHostname => namespace::set_hostname(text(operands)?),
        Op::MakeMountsPrivate => mount::make_mounts_private(),
        Op::Mount => root.mount(operands),
        Op::OpenTree => root.open_tree(operands),
        Op::Attach => root.attach_tree(operands),
        Op::SealRoot => root.seal(operands),
        Op::MountRoot => root.mount_root(operands),
        Op::MountLayers => root.mount_layers(operands),
        Op::Show => root.show(operands),
        Op::Pivot => root.pivot(),
        Op::Cover => root.cover(operands),
        Op::ReadOnly => root.read_only(operands),
        Op::MakeDirectory => root.make_directory(operands),
        Op::MakeNode => root.make_node(operands),
        Op::MakeLink => root.make_link(operands),
        Op::MakeFile => root.make_file(operands),
        Op::WriteFile => sys::write_file(text(operands)?, text(operands)?.to_bytes()),
        Op::JoinNamespace => {
            let (path, flag) = (text(operands)?, number(operands)?);
            namespace::join(path, i32::try_from(flag).map_err(|_| DAMAGED)?)
        }
        Op::LoopbackUp => namespace::loopback_up(),
        Op::ForbidDumping => privileges::set(libc::PR_SET_DUMPABLE, 0),
        Op::Stdio => {
            state.stdio = Some(Stdio::new(operands)?);
            Ok(())
        }
        Op::OpenCgroup => {
            let join = operands.join().ok_or(DAMAGED)?;
            state.cgroup = Some(Cgroup::taken(join, number(operands)?)?);
            Ok(())
        }
        Op::EnterPayload => enter_payload(state.cgroup.take(), state.stdio.as_mut().ok_or(DAMAGED)?),
        Op::Unshare => namespace::unshare(number(operands)?),
        Op::ChangeDirectory => process::change_directory(text(operands)?),
        Op::OomScoreAdj => privileges::set_oom_score_adj(number(operands)?),
        Op::EnterUserNamespace => namespace::enter(fd::USER_NAMESPACE, libc::CLONE_NEWUSER),
        Op::LimitResource => limit_resource(operands),
        Op::BoundCapabilities => privileges::bound_capabilities(number(operands)?),
        Op::BecomeUser => become_user(operands),
        Op::KeepCapabilities => privileges::keep_capabilities(number(operands)?, number(operands)?),
        Op::FilterCalls => privileges::filter_calls(operands.bytes().ok_or(DAMAGED)?),
        Op::NoNewPrivileges => privileges::set(libc::PR_SET_NO_NEW_PRIVS, 1),
        Op::EnterContainer => enter_container(operands),
        Op::JoinNamespaces => join_namespaces(operands),
        Op::OpenTerminal => open_terminal(operands),
        Op::Execute => execute(operands),
    }
}

/// Goes on in the payload's process; pid 1 stays here.
fn enter_payload(cgroup: Option<Cgroup>, stdio: &mut Stdio) -> Outcome<'static> {
    let started_us = sys::now_us();
    let pid = cgroup.ok_or(DAMAGED)?.start(0)?;
    if pid != 0 {
        // The payload's copy is the last: the end of its report is the agent's sign of success.
        sys::close(fd::REPORT);
        stdio.keep();
        supervise(pid, started_us, stdio);
    }
    process::become_payload();
    stdio.take()
}

/// Goes on in a process of a running container; this one watches over it.
fn enter_container(operands: &mut Reader<'static>) -> Outcome<'static> {
    let signals = signal::open()?;
    let cgroup = open_cgroup(operands)?;
    namespace::join_process(fd::CONTAINER, libc::CLONE_NEWPID as u64)?;
    let pid = cgroup.start(0)?;
    if pid != 0 {
        for descriptor in [0, 1, 2, fd::REPORT] {
            sys::close(descriptor);
        }
        watch(pid, signals);
    }
    process::become_payload();
    Ok(())
}

/// Joins the namespaces that are pid 1's, and then those that the payload may have left for its own.
fn join_namespaces(operands: &mut Reader<'static>) -> Outcome<'static> {
    for pidfd in [fd::CONTAINER, fd::PAYLOAD] {
        match number(operands)? {
            0 => {}
            flags => namespace::join_process(pidfd, flags)?,
        }
    }
    Ok(())
}

fn open_terminal(operands: &mut Reader<'static>) -> Outcome<'static> {
    let size = |number: u64| u16::try_from(number).map_err(|_| DAMAGED);
    let (rows, columns) = (size(number(operands)?)?, size(number(operands)?)?);
    let (master, slave) = terminal::open()?;
    terminal::resize(master, rows, columns);
    terminal::hand_over(master)?;
    (0..3).try_for_each(|place| io::place(slave, place))?;
    terminal::control(slave)
}

fn open_cgroup(operands: &mut Reader<'static>) -> Outcome<'static, Cgroup> {
    let join = operands.join().ok_or(DAMAGED)?;
    Cgroup::open(join, &texts(operands)?)
}

fn limit_resource(operands: &mut Reader<'static>) -> Outcome<'static> {
    let kind = u32::try_from(number(operands)?).map_err(|_| DAMAGED)?;
    privileges::limit_resource(kind, number(operands)?, number(operands)?)
}

fn become_user(operands: &mut Reader<'static>) -> Outcome<'static> {
    let id = |operands: &mut Reader<'static>| u32::try_from(number(operands)?).map_err(|_| DAMAGED);
    let (uid, gid) = (id(operands)?, id(operands)?);
    let n_groups = operands.length().ok_or(DAMAGED)?;
    let groups = (0..n_groups)
        .map(|_| id(operands))
        .collect::<Result<Vec<_>, _>>()?;
    privileges::become_user(uid, gid, &groups)
}

fn execute(operands: &mut Reader<'static>) -> Outcome<'static> {
    let argv = texts(operands)?;
    let env = texts(operands)?;
    let program = *argv.first().ok_or(DAMAGED)?;
    // The agent may have died meanwhile; the command is executed all the same.
    signal::ignore_pipe(true);
    sys::report(&[report::EXECUTES]);
    signal::ignore_pipe(false);
    let mut pointers = argv.iter().map(|text| text.as_ptr()).collect::<Vec<_>>();
    pointers.push(core::ptr::null());
    Err(process::execute(&pointers, &env, program))
}

fn texts(operands: &mut Reader<'static>) -> Outcome<'static, Vec<&'static CStr>> {
    let n_texts = operands.length().ok_or(DAMAGED)?;
    (0..n_texts).map(|_| text(operands)).collect()
}

pub(crate) fn text(operands: &mut Reader<'static>) -> Outcome<'static, &'static CStr> {
    operands.text().ok_or(DAMAGED)
}

pub(crate) fn number(operands: &mut Reader<'static>) -> Outcome<'static, u64> {
    operands.number().ok_or(DAMAGED)
}

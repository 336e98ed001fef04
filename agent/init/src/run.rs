//! The interpreter: one instruction after the other, until the command is executed or a step fails.

use std::ffi::CStr;

use proffer_init::program::{Join, Op, Reader};
use proffer_init::{fd, report};

use crate::stdio::Stdio;
use crate::supervise::supervise;
use crate::sys::{self, DAMAGED, Outcome, cgroup, mount, namespace, privileges, process};

/// Runs a program; ends the process.
pub(crate) fn run(program: &'static [u8]) -> ! {
    let mut reader = Reader(program);
    let mut stdio = None;
    loop {
        let op = reader.byte().and_then(Op::from_code);
        let outcome = match op {
            Some(op) => step(op, &mut reader, &mut stdio),
            None => Err(DAMAGED),
        };
        if let Err(failure) = outcome {
            sys::fail(op, failure);
        }
    }
}

fn step(op: Op, operands: &mut Reader<'static>, stdio: &mut Option<Stdio>) -> Outcome<'static> {
    match op {
        Op::EnterInit => enter_init(operands),
        Op::SetHostname => namespace::set_hostname(text(operands)?),
        Op::MakeMountsPrivate => mount::make_mounts_private(),
        Op::Mount => {
            let (filesystem, target) = (text(operands)?, text(operands)?);
            mount::mount(filesystem, target, number(operands)?, text(operands)?)
        }
        Op::BindMount => mount::bind_mount(text(operands)?, text(operands)?),
        Op::ForbidDumping => privileges::set(libc::PR_SET_DUMPABLE, 0),
        Op::Stdio => {
            *stdio = Some(Stdio::new(operands)?);
            Ok(())
        }
        Op::EnterPayload => enter_payload(operands, stdio.as_mut().ok_or(DAMAGED)?),
        Op::Unshare => namespace::unshare(number(operands)?),
        Op::ChangeDirectory => process::change_directory(text(operands)?),
        Op::OomScoreAdj => privileges::set_oom_score_adj(number(operands)?),
        Op::KeepCapabilities => privileges::keep_capabilities(number(operands)?),
        Op::NoNewPrivileges => privileges::set(libc::PR_SET_NO_NEW_PRIVS, 1),
        Op::Execute => execute(operands),
    }
}

/// Goes on in pid 1 of the container. It is the agent's own child (`CLONE_PARENT`), so that the agent can reap it.
fn enter_init(operands: &mut Reader<'static>) -> Outcome<'static> {
    let flags = number(operands)? | libc::CLONE_PARENT as u64;
    let pid = start_process(flags, operands)?;
    if pid != 0 {
        let mut message = [report::PID, 0, 0, 0, 0];
        message[1..].copy_from_slice(&pid.to_le_bytes());
        sys::report(&message);
        sys::exit(0);
    }
    Ok(())
}

/// Goes on in the payload's process; pid 1 stays here.
fn enter_payload(operands: &mut Reader<'static>, stdio: &mut Stdio) -> Outcome<'static> {
    let started_us = sys::now_us();
    let pid = start_process(0, operands)?;
    if pid != 0 {
        // The payload's copy is the last: the end of its report is the agent's sign of success.
        sys::close(fd::REPORT);
        stdio.keep();
        supervise(pid, started_us, stdio);
    }
    process::become_payload();
    stdio.take()
}

/// Forks into a cgroup. Both processes return; 0 in the child.
fn start_process(flags: u64, operands: &mut Reader<'static>) -> Outcome<'static, i32> {
    let join = operands.join().ok_or(DAMAGED)?;
    let n_paths = operands.length().ok_or(DAMAGED)?;
    match join {
        Join::Born => {
            let mut directory = None;
            for _ in 0..n_paths {
                directory = Some(text(operands)?);
            }
            let directory = directory.ok_or(DAMAGED)?;
            process::clone(flags, Some(directory)).map_err(|failure| failure.on(directory))
        }
        Join::Write => {
            let pid = process::clone(flags, None)?;
            for _ in 0..n_paths {
                let tasks = text(operands)?;
                if pid == 0 {
                    cgroup::join_cgroup(tasks)?;
                }
            }
            Ok(pid)
        }
    }
}

fn execute(operands: &mut Reader<'static>) -> Outcome<'static> {
    let (program, argv) = pointers(operands)?;
    let (_, env) = pointers(operands)?;
    Err(process::execute(&argv, &env, program.ok_or(DAMAGED)?))
}

/// A list of texts as the kernel wants it, and its first.
fn pointers(
    operands: &mut Reader<'static>,
) -> Outcome<'static, (Option<&'static CStr>, Vec<*const libc::c_char>)> {
    let n_texts = operands.length().ok_or(DAMAGED)?;
    let mut first = None;
    let mut pointers = Vec::new();
    for _ in 0..n_texts {
        let text = text(operands)?;
        first = first.or(Some(text));
        pointers.push(text.as_ptr());
    }
    pointers.push(std::ptr::null());
    Ok((first, pointers))
}

fn text(operands: &mut Reader<'static>) -> Outcome<'static, &'static CStr> {
    operands.text().ok_or(DAMAGED)
}

fn number(operands: &mut Reader<'static>) -> Outcome<'static, u64> {
    operands.number().ok_or(DAMAGED)
}

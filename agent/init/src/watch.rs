//! The process that stays beside a command executed in a running container: outside of its pid namespace and its
//! limits, as the command's parent.
//!
//! It ends with the command. The command ends with the container, and with the agent's interest in it: hung up on first,
//! then killed. What the command started in sessions of its own goes on until the container ends.

use proffer_init::{control, fd};

use crate::sys::{self, io, process, signal};

/// From SIGHUP to SIGKILL: for a shell to save its history, and for nobody to wait for.
const HANGUP_GRACE_MS: i32 = 1000;

/// Watches over a command, the leader of its group, until it has ended.
pub(crate) fn watch(command: i32, signals: i32) -> ! {
    let mut control = Some(fd::CONTROL);
    loop {
        let mut polled = [
            io::polled(Some(signals), libc::POLLIN),
            io::polled(control, libc::POLLIN),
        ];
        let timeout_ms = if control.is_none() { HANGUP_GRACE_MS } else { -1 };
        io::poll(&mut polled, timeout_ms);
        let [signalled, told] = polled.map(|polled| polled.revents != 0);
        if signalled {
            while signal::next(signals).is_some() {}
            reap_all(command);
        } else if control.is_none() {
            send(command, libc::SIGKILL);
        }
        if told && !obey(command) {
            send(command, libc::SIGHUP);
            control = None;
        }
    }
}

/// Does what the agent says; `false` once it will say no more.
fn obey(command: i32) -> bool {
    let mut packet = [0; 8];
    match io::read(fd::CONTROL, &mut packet) {
        Ok(0) => false,
        Ok(n_read) => {
            if let [control::SIGNAL, number] = packet[..n_read] {
                send(command, number.into());
            }
            true
        }
        Err(errno) => matches!(errno, libc::EAGAIN | libc::EINTR),
    }
}

/// Signals the command's group, or the command while it has none yet.
fn send(command: i32, number: i32) {
    if !process::kill(-command, number) {
        process::kill(command, number);
    }
}

fn reap_all(command: i32) {
    while let Some((pid, wait_status)) = process::reap() {
        if pid == command {
            let mut packet = [control::EXITED, 0, 0, 0, 0];
            packet[1..].copy_from_slice(&wait_status.to_le_bytes());
            // An agent that is gone does not want to know.
            let _ = io::write(fd::CONTROL, &packet);
            sys::exit(0);
        }
    }
}

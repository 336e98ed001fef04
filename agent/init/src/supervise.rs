//! Pid 1 at work: forwards signals, moves output and input, reaps, and when the payload's first process ends, leaves
//! the exit record.
//!
//! Its end is the container's: the kernel kills every process left in the pid namespace. By then all the first process
//! wrote is in its files.

use proffer_init::SIGNAL_KILL_ALL;
use proffer_init::record::Record;

use crate::input::N_POLLED;
use crate::stdio::Stdio;
use crate::sys::{self, io, process, signal};

/// The signals that are passed on to the payload's process group.
const FORWARDED: [i32; 5] = [
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGUSR1,
    libc::SIGUSR2,
];

/// Signals, stdout and stderr come before what input needs.
const N_OWN: usize = 3;

/// Supervises the payload whose first process, and leader of its group, is `payload`.
pub(crate) fn supervise(payload: i32, started_us: u64, stdio: &mut Stdio) -> ! {
    loop {
        let mut polled = [io::polled(None, 0); N_OWN + N_POLLED];
        polled[0] = io::polled(Some(stdio.signals), libc::POLLIN);
        for (polled, stream) in polled[1..].iter_mut().zip(&stdio.streams) {
            let source = stream.as_ref().and_then(|stream| stream.source());
            *polled = io::polled(source, libc::POLLIN);
        }
        let mut n_polled = N_OWN;
        if let Some(input) = &stdio.input {
            polled[N_OWN..].copy_from_slice(&input.polled());
            n_polled += N_POLLED;
        }
        io::poll(&mut polled[..n_polled], -1);
        if polled[0].revents != 0 {
            handle_signals(payload, started_us, stdio);
        }
        for (polled, stream) in polled[1..].iter().zip(&mut stdio.streams) {
            if let Some(stream) = stream.as_mut().filter(|_| polled.revents != 0) {
                stream.copy();
            }
        }
        if let Some(input) = &mut stdio.input {
            input.handle(&polled[N_OWN..]);
        }
    }
}

fn handle_signals(payload: i32, started_us: u64, stdio: &mut Stdio) {
    while let Some(number) = signal::next(stdio.signals) {
        match number {
            libc::SIGCHLD => reap_all(payload, started_us, stdio),
            SIGNAL_KILL_ALL => {
                process::kill(-1, libc::SIGKILL);
            }
            number if FORWARDED.contains(&number) => {
                process::kill(-payload, number);
            }
            _ => {}
        }
    }
}

/// Reaps every child that has ended; ends itself with the payload.
fn reap_all(payload: i32, started_us: u64, stdio: &mut Stdio) {
    while let Some((pid, wait_status)) = process::reap() {
        if pid == payload {
            let wall_time_us = sys::now_us().saturating_sub(started_us);
            stdio.drain();
            let record = Record {
                wait_status,
                wall_time_us,
            };
            sys::write_record(&record.to_bytes());
            sys::exit(0);
        }
    }
}

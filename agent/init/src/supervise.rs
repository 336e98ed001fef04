//! Pid 1 at work: forwards signals, reaps, and when the payload's first process ends, leaves the exit record.
//!
//! Its end is the container's: the kernel kills every process left in the pid namespace.

use proffer_init::SIGNAL_KILL_ALL;
use proffer_init::record::Record;

use crate::sys::{self, process, signal};

/// The signals that are passed on to the payload's process group.
const FORWARDED: [i32; 5] = [
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGHUP,
    libc::SIGUSR1,
    libc::SIGUSR2,
];

/// Supervises the payload whose first process, and leader of its group, is `payload`.
pub(crate) fn supervise(payload: i32, started_us: u64) -> ! {
    loop {
        match signal::wait_signal() {
            libc::SIGCHLD => reap_all(payload, started_us),
            SIGNAL_KILL_ALL => process::kill(-1, libc::SIGKILL),
            signal if FORWARDED.contains(&signal) => process::kill(-payload, signal),
            _ => {}
        }
    }
}

/// Reaps every child that has ended; ends itself with the payload.
fn reap_all(payload: i32, started_us: u64) {
    while let Some((pid, wait_status)) = process::reap() {
        if pid == payload {
            let wall_time_us = sys::now_us().saturating_sub(started_us);
            let record = Record {
                wait_status,
                wall_time_us,
            };
            sys::write_record(&record.to_bytes());
            sys::exit(0);
        }
    }
}

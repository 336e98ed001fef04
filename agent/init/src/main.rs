//! Pid 1 of each container: sets it up, reaps, forwards signals, writes the exit status.
//!
//! One program runs through two processes. The agent starts the first in its namespaces, as pid 1; `EnterPayload` leaves
//! that behind, to supervise, and goes on in the payload's process, which ends the program by executing the command. No
//! thread, and no allocation once the payload is there.
//!
//!     agent --clone--> pid 1 --EnterPayload--> payload --Execute--> the command
//!                      (supervises)
//!
//! What is shipped is built with the feature `bare`, without standard and C library.
#![cfg_attr(feature = "bare", no_std, no_main)]
#![expect(unsafe_code, reason = "this program is system calls")]

extern crate alloc;

#[cfg(feature = "bare")]
mod bare;
mod input;
mod output;
mod root;
mod rotate;
mod run;
mod stdio;
mod supervise;
mod sys;
mod watch;

#[cfg(not(feature = "bare"))]
fn main() {
    start()
}

fn start() -> ! {
    sys::start();
    match sys::map_program() {
        Ok(program) => run::run(program),
        Err(failure) => sys::fail(None, failure),
    }
}

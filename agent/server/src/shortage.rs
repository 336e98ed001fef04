//! What fails because the host or this process has too little of something, for now. It says nothing of what was asked
//! for: a container that cannot be looked at runs, and a file that cannot be opened is whole.

use std::error::Error;
use std::io;

use rustix::io::Errno;

/// Descriptors, memory, processes.
const ERRORS: [Errno; 5] = [
    Errno::MFILE,
    Errno::NFILE,
    Errno::NOMEM,
    Errno::AGAIN,
    Errno::NOBUFS,
];

/// Whether an error is one of too little.
pub(crate) fn is(error: &io::Error) -> bool {
    let number = error.raw_os_error();
    ERRORS
        .into_iter()
        .any(|errno| Some(errno.raw_os_error()) == number)
}

/// Whether an error, or what caused it, is one of too little.
pub(crate) fn caused(error: &(dyn Error + 'static)) -> bool {
    let own = error.downcast_ref::<io::Error>().is_some_and(is);
    own || error.source().is_some_and(caused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] io::Error);

    #[test]
    fn a_shortage_is_told_from_what_is_wrong_for_good() {
        let of = |errno: Errno| Outer(errno.into());
        assert!(caused(&of(Errno::MFILE)));
        assert!(caused(&of(Errno::NOMEM)));
        assert!(!caused(&of(Errno::NOENT)));
        assert!(!caused(&of(Errno::NOSPC)), "a full disk is told at once");
    }
}

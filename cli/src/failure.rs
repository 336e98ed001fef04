//! How a command ends badly: the sentence on stderr and the exit code.
//!
//! Exit codes are promises: 0 done, 1 failed, 2 wrong use; `run` gives the task's own.

use std::io;

use thiserror::Error;
use tonic::{Code, Status};

use crate::spec::SpecError;

/// The user asked for something that cannot be; exit code 2.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct WrongUse(pub(crate) String);

/// Whoever read our output is gone; nothing is said, and the exit code is that of SIGPIPE.
#[derive(Debug, Error)]
#[error("output is closed")]
pub(crate) struct OutputClosed;

/// 128 + SIGPIPE.
pub(crate) const SIGPIPE_EXIT: u8 = 141;

/// Turns an error on our own output into a failure.
pub(crate) fn output_error(error: io::Error) -> anyhow::Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return OutputClosed.into();
    }
    anyhow::Error::new(error).context("cannot write output")
}

/// Turns what a server answered into a sentence with a hint.
pub(crate) fn refused(status: &Status) -> anyhow::Error {
    let message = status.message();
    match status.code() {
        Code::InvalidArgument => WrongUse(message.to_owned()).into(),
        Code::Unimplemented => anyhow::anyhow!(
            "the server does not know this call ({message}); is it the same version as this program?"
        ),
        Code::Unavailable if is_transport(status) => {
            anyhow::anyhow!(
                "lost contact: {}; is the cluster still running?",
                root_cause(status)
            )
        }
        Code::Unavailable => {
            anyhow::anyhow!("{message}; try again in a moment, or look at `proffer frameworks`")
        }
        Code::DeadlineExceeded => anyhow::anyhow!("no answer in time ({message})"),
        Code::ResourceExhausted | Code::OutOfRange => anyhow::anyhow!("too large: {message}"),
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Internal
        | Code::DataLoss
        | Code::Unauthenticated => match message {
            "" => anyhow::anyhow!("the server answered {:?} without a word", status.code()),
            message => anyhow::anyhow!("{message}"),
        },
    }
}

/// Whether the connection failed, rather than the server refusing.
pub(crate) fn is_transport(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

/// Whether the same call may well succeed later.
pub(crate) fn is_transient(status: &Status) -> bool {
    is_transport(status)
        || matches!(
            status.code(),
            Code::Unavailable | Code::DeadlineExceeded | Code::Aborted | Code::Cancelled
        )
}

/// The innermost cause, which is the one a person knows: `connection refused`.
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    match cause.downcast_ref::<io::Error>().map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        Some(_) | None => match cause.downcast_ref::<Status>() {
            Some(status) => status.message().to_owned(),
            None => cause.to_string(),
        },
    }
}

/// The exit code for a failure, and whether it is worth a sentence.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<OutputClosed>() {
        SIGPIPE_EXIT
    } else if error.is::<WrongUse>() || error.is::<SpecError>() {
        2
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_use_and_failure_have_their_own_exit_codes() {
        let invalid = refused(&Status::invalid_argument("`after` has a cycle: a, b"));
        assert_eq!(
            (exit_code(&invalid), invalid.to_string().as_str()),
            (2, "`after` has a cycle: a, b")
        );
        let missing = refused(&Status::not_found("no job `x`"));
        assert_eq!(
            (exit_code(&missing), missing.to_string().as_str()),
            (1, "no job `x`")
        );
        let closed = output_error(io::ErrorKind::BrokenPipe.into());
        assert_eq!(exit_code(&closed), SIGPIPE_EXIT);
    }
}

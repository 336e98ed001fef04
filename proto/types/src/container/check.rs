//! Checks: is the task alive, can it take work.

use std::time::Duration;

/// Between two checks where the spec does not say.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);
/// How long one check may take where the spec does not say.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// Failures in a row that count, where the spec does not say.
pub const DEFAULT_FAILURES: u32 = 3;

/// A check the agent runs again and again while the task runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub kind: CheckKind,
    /// From the task's start to the first check.
    pub delay: Duration,
    /// From the end of one check to the start of the next. Not zero.
    pub interval: Duration,
    /// A check that takes longer has failed. Not zero.
    pub timeout: Duration,
    /// After the task's start, failures do not count until the first success.
    pub grace: Duration,
    /// So many failures in a row, at least 1, make the task unhealthy or not ready.
    pub failures: u32,
}

/// How a task is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckKind {
    /// Run in the container, as the task's user; succeeds with exit code 0. Not empty.
    Command(Vec<String>),
    /// GET; succeeds with a status from 200 to 399. A redirect is not followed.
    Http {
        port: PortRef,
        /// Begins with `/`.
        path: String,
        /// Over TLS. Any certificate will do: it is not what is asked about.
        tls: bool,
    },
    /// Succeeds when it connects.
    Tcp { port: PortRef },
    /// The standard `grpc.health.v1.Health/Check`; succeeds with SERVING.
    Grpc {
        port: PortRef,
        /// Empty asks for the server as a whole.
        service: String,
    },
}

impl CheckKind {
    /// The port that is asked, of those that ask one.
    #[must_use]
    pub fn port(&self) -> Option<&PortRef> {
        match self {
            Self::Command(_) => None,
            Self::Http { port, .. } | Self::Tcp { port } | Self::Grpc { port, .. } => Some(port),
        }
    }
}

/// A port of the task's network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortRef {
    Number(u16),
    /// The name of one of the task's port mappings.
    Name(String),
}

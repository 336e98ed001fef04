//! Identifiers: who mints them, and what a valid one looks like.
//!
//! | id | minted by | form |
//! |---|---|---|
//! | `MasterId` | master, at each start | 8 hex digits |
//! | `AgentId` | master, at first registration | `<master>-a<n>` |
//! | `FrameworkId` | master, at first subscription | `<master>-f<n>` |
//! | `OfferId` | master | `<master>-o<n>` |
//! | `TaskId`, `OperationId`, `VolumeId`, `ExecutorId` | framework | free |
//! | `GroupId` | master | `<master>-g<n>` |
//!
//! Text ids become directory names, so they are checked once, here: 1 to 255 bytes, no slash or
//! backslash, no control character, not `.` or `..`.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// The longest text id, in bytes (`NAME_MAX`).
pub const MAX_ID_BYTES: usize = 255;

/// A text that cannot be an id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseIdError {
    #[error("{kind} is empty")]
    Empty { kind: &'static str },
    #[error("{kind} has {len} bytes, at most {MAX_ID_BYTES} are allowed")]
    TooLong { kind: &'static str, len: usize },
    #[error("{kind} `{id}` must not contain `{found}`")]
    Forbidden {
        kind: &'static str,
        id: String,
        found: String,
    },
    #[error("{kind} must not be `{id}`")]
    Dots { kind: &'static str, id: String },
}

fn check(kind: &'static str, id: &str) -> Result<(), ParseIdError> {
    if id.is_empty() {
        return Err(ParseIdError::Empty { kind });
    }
    if id.len() > MAX_ID_BYTES {
        return Err(ParseIdError::TooLong { kind, len: id.len() });
    }
    if let Some(found) = id.chars().find(|c| matches!(c, '/' | '\\') || c.is_control()) {
        return Err(ParseIdError::Forbidden {
            kind,
            id: id.escape_debug().to_string(),
            found: found.escape_debug().to_string(),
        });
    }
    if id == "." || id == ".." {
        return Err(ParseIdError::Dots {
            kind,
            id: id.to_owned(),
        });
    }
    Ok(())
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and wraps a text. Fails when it cannot be an id (see the module).
            pub fn new(id: impl AsRef<str>) -> Result<Self, ParseIdError> {
                check($kind, id.as_ref())?;
                Ok(Self(id.as_ref().into()))
            }

            /// Returns the id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = ParseIdError;
            fn from_str(id: &str) -> Result<Self, ParseIdError> {
                Self::new(id)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id!(
    /// One leadership of a master: a new one at each start.
    MasterId,
    "master id"
);
text_id!(
    /// An agent, for as long as its data directory lives.
    AgentId,
    "agent id"
);
text_id!(
    /// A framework, across restarts and failovers of its scheduler.
    FrameworkId,
    "framework id"
);
text_id!(
    /// One offer; never used twice.
    OfferId,
    "offer id"
);
text_id!(
    /// A task, chosen by its framework and unique among the framework's tasks that are not terminal.
    TaskId,
    "task id"
);
text_id!(
    /// An executor, chosen by its framework and unique among the framework's executors of one agent.
    ExecutorId,
    "executor id"
);
text_id!(
    /// An offer operation, chosen by its framework and unique among those that are not acknowledged.
    OperationId,
    "operation id"
);
text_id!(
    /// A persistent volume, chosen by the framework that creates it and unique on its agent.
    VolumeId,
    "volume id"
);
text_id!(
    /// Tasks of one agent that live and die together; minted by the master.
    GroupId,
    "group id"
);

/// What the ids of tasks must not begin with that are launched: see [`TaskId::of_executor`].
const EXECUTOR_PREFIX: &str = "executor:";

impl TaskId {
    /// The name that an executor's own files and output have among those of its framework's tasks.
    #[must_use]
    pub fn of_executor(id: &ExecutorId) -> Self {
        Self(format!("{EXECUTOR_PREFIX}{id}").into())
    }

    /// Whether it is the name of an executor, which no task can have.
    #[must_use]
    pub fn is_of_executor(&self) -> bool {
        self.0.starts_with(EXECUTOR_PREFIX)
    }
}

impl MasterId {
    /// Names a leadership from a random number, as 8 hex digits.
    #[must_use]
    pub fn from_random(random: u32) -> Self {
        Self(format!("{random:08x}").into())
    }

    /// Names the `n`th agent first admitted under this leadership.
    #[must_use]
    pub fn agent(&self, n: u64) -> AgentId {
        AgentId(format!("{self}-a{n}").into())
    }

    /// Names the `n`th framework first subscribed under this leadership.
    #[must_use]
    pub fn framework(&self, n: u64) -> FrameworkId {
        FrameworkId(format!("{self}-f{n}").into())
    }

    /// Names the `n`th offer made under this leadership.
    #[must_use]
    pub fn offer(&self, n: u64) -> OfferId {
        OfferId(format!("{self}-o{n}").into())
    }

    /// Names the group launched after `n` tasks of this leadership.
    #[must_use]
    pub fn group(&self, n: u64) -> GroupId {
        GroupId(format!("{self}-g{n}").into())
    }
}

/// One registration of an agent. Greater means later; 0 is never minted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Session(pub u64);

/// Marks one status update; present when, and only when, the update must be acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatusUuid(pub [u8; 16]);

impl fmt::Display for StatusUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StatusUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_could_escape_its_directory_is_refused() {
        for bad in ["", ".", "..", "a/b", "a\\b", "a\0b", "a\nb", &"x".repeat(256)] {
            assert!(TaskId::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(TaskId::new("web.0_a-b").unwrap().as_str(), "web.0_a-b");
    }

    #[test]
    fn a_refused_id_names_the_offending_character() {
        let error = TaskId::new("a/b").unwrap_err();
        assert_eq!(error.to_string(), "task id `a/b` must not contain `/`");
    }
}

//! Roles: who resources are shared between. A path such as `eng/prod`; `*` is the default role.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// The longest role, in bytes, over all of its parts.
pub const MAX_ROLE_BYTES: usize = 255;

/// A text that cannot be a role.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("role `{role}` {why}")]
pub struct ParseRoleError {
    role: String,
    why: &'static str,
}

/// A role path. Parts are separated by `/`; no part is empty, `.`, `..` or `*`, starts with `-`, or
/// holds white space or control characters (the rules of Mesos).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Role(Arc<str>);

impl Role {
    /// Checks and wraps a path; `*` is the default role.
    pub fn new(role: impl AsRef<str>) -> Result<Self, ParseRoleError> {
        let role = role.as_ref();
        let refuse = |why| {
            Err(ParseRoleError {
                role: role.escape_debug().to_string(),
                why,
            })
        };
        if role == "*" {
            return Ok(Self(role.into()));
        }
        if role.len() > MAX_ROLE_BYTES {
            return refuse("is longer than 255 bytes");
        }
        for part in role.split('/') {
            if part.is_empty() {
                return refuse("has an empty part");
            }
            if matches!(part, "." | ".." | "*") {
                return refuse("has a part that is `.`, `..` or `*`");
            }
            if part.starts_with('-') {
                return refuse("has a part that starts with `-`");
            }
            if part
                .chars()
                .any(|c| c.is_whitespace() || c.is_control() || c == '\\')
            {
                return refuse("holds white space, a backslash or a control character");
            }
        }
        Ok(Self(role.into()))
    }

    /// Returns the path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts from the top down; `*` is a top-level role of its own.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The role above, if this one is not at the top.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(up, _)| Self(up.into()))
    }
}

impl Default for Role {
    fn default() -> Self {
        Self("*".into())
    }
}

impl std::str::FromStr for Role {
    type Err = ParseRoleError;
    fn from_str(role: &str) -> Result<Self, ParseRoleError> {
        Self::new(role)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_a_clean_path() {
        for bad in ["", "/", "a/", "/a", "a//b", "a/*", "a/..", "-a", "a b", "a\tb"] {
            assert!(Role::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(
            Role::new("eng/prod").unwrap().parent(),
            Some(Role::new("eng").unwrap())
        );
        assert_eq!(Role::default().parent(), None);
    }
}

//! What is wrong with a message, and where in it.
//!
//! Errors are built at the bottom and gain the names of the fields above on their way up, so that a user
//! reads `tasks[0].resources.cpus: NaN is not a quantity`.

use std::fmt::Display;

use thiserror::Error;

/// How much of an offending value an error quotes, in characters: enough to recognise it, too little to
/// flood a log.
const QUOTED_CHARS: usize = 80;

/// A message that cannot become a valid value. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{path}: {problem}")]
pub struct ConvertError {
    path: String,
    problem: String,
}

impl ConvertError {
    /// Says what is wrong with one field.
    pub fn new(field: &str, problem: impl Display) -> Self {
        Self {
            path: field.to_owned(),
            problem: problem.to_string(),
        }
    }

    /// A field that must be set is not.
    pub(crate) fn missing(field: &str) -> Self {
        Self::new(field, "is missing")
    }

    /// An enum number this version does not know, or the zero that says nothing.
    pub(crate) fn unknown_number(field: &str, number: i32) -> Self {
        Self::new(field, format_args!("{number} is not a known value"))
    }

    /// The path of the offending field, such as `tasks[0].resources.cpus`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The same error seen from the message above, where the field is `parent`.
    #[must_use]
    pub fn under(self, parent: impl Display) -> Self {
        Self {
            path: format!("{parent}.{}", self.path),
            problem: self.problem,
        }
    }
}

/// Puts the parent's field name in front of an error's path.
pub(crate) trait At<T> {
    fn at(self, parent: &str) -> Result<T, ConvertError>;
    fn at_item(self, parent: &str, index: usize) -> Result<T, ConvertError>;
}

impl<T> At<T> for Result<T, ConvertError> {
    fn at(self, parent: &str) -> Result<T, ConvertError> {
        self.map_err(|error| error.under(parent))
    }

    fn at_item(self, parent: &str, index: usize) -> Result<T, ConvertError> {
        self.map_err(|error| error.under(format_args!("{parent}[{index}]")))
    }
}

/// Quotes a value from a peer: escaped, and cut when long.
pub(crate) fn quoted(value: &str) -> String {
    let mut chars = value.chars();
    let head: String = chars.by_ref().take(QUOTED_CHARS).collect();
    let more = if chars.next().is_some() { ".." } else { "" };
    format!("`{}{more}`", head.escape_debug())
}

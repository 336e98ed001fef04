//! Texts that name things: paths, and what an agent keeps under a name.

use crate::error::{ConvertError, quoted};

/// The longest path, in bytes: `PATH_MAX` without its NUL.
pub const MAX_PATH_BYTES: usize = 4095;
/// The longest name of a thing of the agent's, in bytes: `NAME_MAX`, as it may be a file.
pub const MAX_OBJECT_NAME_BYTES: usize = 255;

fn refuse<T>(field: &str, value: &str, why: &str) -> Result<T, ConvertError> {
    Err(ConvertError::new(field, format_args!("{} {why}", quoted(value))))
}

/// A name under which the agent keeps something: it can be a file's name, and hidden from no listing.
pub(super) fn object(field: &str, name: &str) -> Result<(), ConvertError> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > MAX_OBJECT_NAME_BYTES {
        return refuse(field, name, "must have 1 to 255 bytes");
    }
    match name.chars().all(good) && !name.starts_with('.') {
        true => Ok(()),
        false => refuse(
            field,
            name,
            "must be letters, digits, `.`, `_` and `-`, and not begin with `.`",
        ),
    }
}

/// A path that begins with `/` and means the same however it is joined to a root.
pub(super) fn absolute(field: &str, path: &str) -> Result<(), ConvertError> {
    match path.starts_with('/') {
        true => plain(field, path),
        false => refuse(field, path, "is not an absolute path"),
    }
}

/// A path that stays below wherever it is joined to, as far as a text can tell.
pub(super) fn relative(field: &str, path: &str) -> Result<(), ConvertError> {
    match path.is_empty() || path.starts_with('/') {
        true => refuse(field, path, "is not a relative path"),
        false => plain(field, path),
    }
}

fn plain(field: &str, path: &str) -> Result<(), ConvertError> {
    if path.len() > MAX_PATH_BYTES {
        return refuse(field, path, "is longer than 4095 bytes");
    }
    if path.chars().any(char::is_control) {
        return refuse(field, path, "holds a control character");
    }
    if path.split('/').any(|part| part.len() > MAX_OBJECT_NAME_BYTES) {
        return refuse(field, path, "has a part that is longer than 255 bytes");
    }
    match path.split('/').any(|part| matches!(part, "." | "..")) {
        true => refuse(field, path, "has a part that is `.` or `..`"),
        false => Ok(()),
    }
}

/// The path with nothing between its parts but one `/`: equal for equal places.
pub(super) fn normal(path: &str) -> String {
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty()).collect();
    parts.join("/")
}

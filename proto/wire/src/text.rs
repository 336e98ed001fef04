//! Checks of single fields: ids, roles, free text, addresses, maps, times.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use proffer_types::{Role, StatusUuid};

use crate::ConvertError;
use crate::error::quoted;

/// The longest name of a task, framework, host, attribute and the like, in bytes: one line of a table.
pub const MAX_NAME_BYTES: usize = 255;
/// The most labels on one task or framework; they are for people and small tools, not a database.
pub const MAX_LABELS: usize = 64;
/// All keys and values of a set of labels together, in bytes. The master keeps labels in memory.
pub const MAX_LABELS_BYTES: usize = 64 << 10;
/// The most roles of one framework.
pub const MAX_ROLES: usize = 64;
/// The longest message for a person, in bytes; longer ones are cut, never refused, because a status
/// update must get through.
pub const MAX_MESSAGE_BYTES: usize = 4 << 10;

/// Parses an id, role or other checked text.
pub(crate) fn parse<T>(field: &str, value: &str) -> Result<T, ConvertError>
where
    T: FromStr,
    T::Err: Display,
{
    value.parse().map_err(|error| {
        let problem: String = format!("{error}");
        match problem.char_indices().nth(400) {
            Some((cut, _)) => ConvertError::new(field, format_args!("{}..", &problem[..cut])),
            None => ConvertError::new(field, problem),
        }
    })
}

/// Parses an id that may be absent, which the wire writes as the empty string.
pub(crate) fn parse_optional<T>(field: &str, value: &str) -> Result<Option<T>, ConvertError>
where
    T: FromStr,
    T::Err: Display,
{
    match value {
        "" => Ok(None),
        value => parse(field, value).map(Some),
    }
}

/// Parses whose queue, quota or reservation is meant: the default role, where none is named.
pub fn role(role: &str) -> Result<Role, ConvertError> {
    parse_optional("role", role).map(Option::unwrap_or_default)
}

/// Parses every item of a repeated text field.
pub(crate) fn parse_all<T>(field: &str, values: &[String]) -> Result<Vec<T>, ConvertError>
where
    T: FromStr,
    T::Err: Display,
{
    let item = |(index, value): (usize, &String)| parse(&format!("{field}[{index}]"), value);
    values.iter().enumerate().map(item).collect()
}

/// Parses a set of roles; may be empty. At most [`MAX_ROLES`].
pub(crate) fn parse_roles(field: &str, values: &[String]) -> Result<BTreeSet<Role>, ConvertError> {
    at_most(field, values.len(), MAX_ROLES, "roles")?;
    Ok(parse_all(field, values)?.into_iter().collect())
}

/// A short text for people: no control characters, at most [`MAX_NAME_BYTES`]; may be empty.
pub(crate) fn name(field: &str, value: String) -> Result<String, ConvertError> {
    if value.len() > MAX_NAME_BYTES {
        let len = value.len();
        let problem = format!("has {len} bytes, at most {MAX_NAME_BYTES} are allowed");
        return Err(ConvertError::new(field, problem));
    }
    if value.chars().any(char::is_control) {
        let problem = format!("{} holds a control character", quoted(&value));
        return Err(ConvertError::new(field, problem));
    }
    Ok(value)
}

/// A message for people, cut to [`MAX_MESSAGE_BYTES`].
pub(crate) fn message(mut value: String) -> String {
    if value.len() > MAX_MESSAGE_BYTES {
        value.truncate(value.floor_char_boundary(MAX_MESSAGE_BYTES));
    }
    value
}

/// `host:port`, where others can reach the sender.
pub(crate) fn address(field: &str, value: String) -> Result<String, ConvertError> {
    let good = value.len() <= MAX_NAME_BYTES
        && value.rsplit_once(':').is_some_and(|(host, port)| {
            let host_ok =
                |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
            !host.is_empty() && host.chars().all(host_ok) && port.parse::<u16>().is_ok_and(|port| port > 0)
        });
    match good {
        true => Ok(value),
        false => Err(ConvertError::new(
            field,
            format_args!("{} is not a `host:port`", quoted(&value)),
        )),
    }
}

/// Checks the number and size of labels: at most [`MAX_LABELS`], of [`MAX_LABELS_BYTES`] together.
pub fn labels(
    field: &str,
    labels: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, ConvertError> {
    at_most(field, labels.len(), MAX_LABELS, "labels")?;
    at_most(field, map_bytes(&labels), MAX_LABELS_BYTES, "bytes of labels")?;
    Ok(labels)
}

/// All keys and values together, in bytes.
#[must_use]
pub fn map_bytes(map: &BTreeMap<String, String>) -> usize {
    map.iter().map(|(key, value)| key.len() + value.len()).sum()
}

/// Refuses a count above its limit.
pub fn at_most(field: &str, n: usize, limit: usize, of_what: &str) -> Result<(), ConvertError> {
    if n > limit {
        let problem = format!("{n} {of_what}, at most {limit} are allowed");
        return Err(ConvertError::new(field, problem));
    }
    Ok(())
}

/// A uuid that must be there.
pub(crate) fn uuid(field: &str, bytes: &[u8]) -> Result<StatusUuid, ConvertError> {
    bytes
        .try_into()
        .map(StatusUuid)
        .map_err(|_| ConvertError::new(field, format_args!("has {} bytes, not 16", bytes.len())))
}

/// A uuid that may be absent, which the wire writes as no bytes.
pub(crate) fn optional_uuid(field: &str, bytes: &[u8]) -> Result<Option<StatusUuid>, ConvertError> {
    match bytes {
        [] => Ok(None),
        bytes => uuid(field, bytes).map(Some),
    }
}

/// An id that may be absent, as the wire writes it.
pub(crate) fn optional_text<T: Display>(id: Option<&T>) -> String {
    id.map(ToString::to_string).unwrap_or_default()
}

/// A time that may be absent, which is zero on the wire.
pub(crate) fn some_millis(millis: u64) -> Option<Duration> {
    (millis > 0).then(|| Duration::from_millis(millis))
}

/// Whole milliseconds, rounded up so that a short time does not become none.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

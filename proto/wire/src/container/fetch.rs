//! Files a task wants in its sandbox.

use std::collections::BTreeSet;

use proffer_types::container::Fetch;

use super::names;
use crate::error::{At as _, ConvertError, quoted};
use crate::text::at_most;
use crate::v1;

/// The most files of one task: an archive holds more.
pub const MAX_FETCHES: usize = 64;
/// The longest URI, in bytes: what servers take at least (RFC 9110, 4.1, asks for 8000), signed ones among them.
pub const MAX_URI_BYTES: usize = 8000;
/// The longest `data:` URI, in bytes: the file is in it, and is sent with each launch.
pub const MAX_DATA_URI_BYTES: usize = 64 << 10;

pub(super) fn all(messages: Vec<v1::Fetch>) -> Result<Vec<Fetch>, ConvertError> {
    at_most("fetch", messages.len(), MAX_FETCHES, "files")?;
    let mut destinations = BTreeSet::new();
    let mut one = |message: v1::Fetch| {
        let fetch = Fetch::try_from(message)?;
        let file = fetch.file_name().filter(|_| !fetch.extract).map(names::normal);
        match file.is_none_or(|file| destinations.insert(file)) {
            true => Ok(fetch),
            false => Err(ConvertError::new("destination", "is that of another file too")),
        }
    };
    let messages = messages.into_iter().enumerate();
    messages
        .map(|(index, message)| one(message).at_item("fetch", index))
        .collect()
}

impl TryFrom<v1::Fetch> for Fetch {
    type Error = ConvertError;

    fn try_from(message: v1::Fetch) -> Result<Self, ConvertError> {
        check_uri(&message.uri)?;
        check_sha256(&message.sha256)?;
        if !message.destination.is_empty() {
            names::relative("destination", &message.destination)?;
        }
        if message.executable && message.extract {
            let problem = "an archive that is extracted is not executable itself";
            return Err(ConvertError::new("executable", problem));
        }
        let or_none = |text: String| (!text.is_empty()).then_some(text);
        let fetch = Self {
            uri: message.uri,
            sha256: or_none(message.sha256),
            destination: or_none(message.destination),
            executable: message.executable,
            extract: message.extract,
            cache: message.cache,
        };
        match fetch.file_name() {
            Some(name) => names::relative("destination", name)?,
            None if fetch.extract => {}
            None => {
                let problem = "is missing, and the path of the URI has no name at its end";
                return Err(ConvertError::new("destination", problem));
            }
        }
        Ok(fetch)
    }
}

/// Quotes nothing: a URI may hold a password.
fn check_uri(uri: &str) -> Result<(), ConvertError> {
    let most = match uri.starts_with("data:") {
        true => MAX_DATA_URI_BYTES,
        false => MAX_URI_BYTES,
    };
    at_most("uri", uri.len(), most, "bytes")?;
    let refuse = |why: &str| Err(ConvertError::new("uri", why));
    if !uri.chars().all(|c| c.is_ascii_graphic()) {
        return refuse("holds something that is not printable ASCII");
    }
    if let Some(rest) = uri.strip_prefix("data:") {
        return match rest.contains(',') {
            true => Ok(()),
            false => refuse("has no comma before its data"),
        };
    }
    let Some((scheme, rest)) = uri.split_once("://") else {
        return refuse("has no scheme like `https://`");
    };
    match scheme {
        "http" | "https" if rest.is_empty() || rest.starts_with(['/', '?', '#']) => refuse("names no host"),
        "http" | "https" => Ok(()),
        "file" => names::absolute("uri", rest),
        _ => refuse("is neither `http://` nor `https://` nor `file://` nor `data:`"),
    }
}

fn check_sha256(digest: &str) -> Result<(), ConvertError> {
    let is_digit = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    match digest.is_empty() || (digest.len() == 64 && digest.chars().all(is_digit)) {
        true => Ok(()),
        false => {
            let problem = format!("{} is not 64 hex digits in lower case", quoted(digest));
            Err(ConvertError::new("sha256", problem))
        }
    }
}

impl From<&Fetch> for v1::Fetch {
    fn from(fetch: &Fetch) -> Self {
        Self {
            uri: fetch.uri.clone(),
            sha256: fetch.sha256.clone().unwrap_or_default(),
            destination: fetch.destination.clone().unwrap_or_default(),
            executable: fetch.executable,
            extract: fetch.extract,
            cache: fetch.cache,
        }
    }
}

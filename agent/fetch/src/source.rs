//! What a URI names, and how it is shown: without user, password and query, which may be secrets.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;

use crate::FetchError;

/// How a URI is shown that holds the file itself.
const DATA: &str = "data:";

/// Where a file comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    Http(Url),
    /// Absolute.
    Local(PathBuf),
    /// The file itself (RFC 2397).
    Data(Vec<u8>),
}

impl Source {
    pub(crate) fn parse(uri: &str) -> Result<Self, FetchError> {
        let refuse = |why| FetchError::Uri {
            uri: hidden(uri),
            why,
        };
        if let Some(data) = uri.strip_prefix("data:") {
            let content = content(data).ok_or_else(|| FetchError::Uri {
                uri: DATA.to_owned(),
                why: "its data is not encoded as it says",
            });
            return content.map(Self::Data);
        }
        let url = Url::parse(uri).map_err(|_| refuse("it is no URI"))?;
        match url.scheme() {
            "http" | "https" if url.has_host() => Ok(Self::Http(url)),
            "file" => match url.to_file_path() {
                Ok(path) => Ok(Self::Local(path)),
                Err(()) => Err(refuse("it names no file of this host")),
            },
            _ => Err(refuse("only http, https, file and data are known")),
        }
    }

    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Http(url) => shown(url),
            Self::Local(path) => format!("file://{}", path.display()),
            Self::Data(_) => DATA.to_owned(),
        }
    }

    /// The last part of its path; none for a directory's.
    pub(crate) fn file_name(&self) -> Option<String> {
        match self {
            Self::Http(url) => {
                let last = url.path_segments()?.next_back()?;
                let decoded = String::from_utf8(percent_decoded(last)?).ok()?;
                (!decoded.is_empty()).then_some(decoded)
            }
            Self::Local(path) => Some(path.file_name()?.to_str()?.to_owned()),
            Self::Data(_) => None,
        }
    }
}

pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Fail only for URLs that cannot have these parts.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

/// What may be shown of a text that is no URL: it may hold a password all the same.
fn hidden(uri: &str) -> String {
    let end = uri.find(['@', '?']).unwrap_or(uri.len());
    uri[..end].escape_debug().to_string()
}

/// What follows `data:`, decoded; its media type means nothing to a file.
fn content(data: &str) -> Option<Vec<u8>> {
    let (kind, data) = data.split_once(',')?;
    let data = percent_decoded(data)?;
    match kind.ends_with(";base64") {
        true => STANDARD.decode(data).ok(),
        false => Some(data),
    }
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_be_in_the_uri_itself() {
        let of = |uri: &str| match Source::parse(uri) {
            Ok(Source::Data(content)) => Ok(content),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        };
        assert_eq!(of("data:,a%20b"), Ok(b"a b".to_vec()));
        assert_eq!(of("data:text/plain;base64,AP9h"), Ok(vec![0, 255, b'a']));
        assert_eq!(of("data:;base64,"), Ok(Vec::new()));
        for bad in ["data:", "data:;base64", "data:;base64,secret!", "data:,%4"] {
            let shown = "`data:` cannot be fetched: its data is not encoded as it says";
            assert_eq!(of(bad), Err(shown.to_owned()), "{bad}");
        }
    }

    #[test]
    fn a_source_is_shown_without_what_may_be_secret() {
        let source = Source::parse("https://me:pass@host:8443/a/b%20c.tar?token=secret#x").unwrap();
        assert_eq!(source.shown(), "https://host:8443/a/b%20c.tar");
        assert_eq!(source.file_name().as_deref(), Some("b c.tar"));
        for bad in [
            "ftp://me:pass@h/x",
            "me:pass@h",
            "https://",
            "file://other/x",
            "/etc/passwd",
            "",
        ] {
            let error = Source::parse(bad).unwrap_err().to_string();
            assert!(!error.contains("@"), "{error}");
        }
    }
}

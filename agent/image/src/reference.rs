//! What a task writes to name an image, taken apart.

use std::fmt;
use std::path::PathBuf;

use oci_spec::distribution::Reference;
use thiserror::Error;

use crate::digest::{Digest, ParseDigestError};

/// The longest reference, in bytes: a path, and a tag.
const MAX_REFERENCE_BYTES: usize = 4096 + 129;
/// The longest tag; see the distribution specification.
const MAX_TAG_BYTES: usize = 128;

/// Where an image is, and which one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageReference {
    /// In a registry.
    Registry {
        registry: String,
        repository: String,
        which: Which,
    },
    /// In an OCI layout directory of this host, as `oci:/path[:tag]`.
    Layout { path: PathBuf, tag: Option<String> },
    /// In a tar file with such a directory, as `oci-archive:/path[:tag]`.
    Archive { path: PathBuf, tag: Option<String> },
}

/// Which image of a repository. A digest is stronger than a tag beside it, which then only is there to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    Tag(String),
    Digest(Digest),
}

/// A text that names no image.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseReferenceError {
    #[error("image reference `{reference}`: {reason}")]
    Malformed { reference: String, reason: String },
    #[error("image reference `{reference}`: {source}")]
    Digest {
        reference: String,
        source: ParseDigestError,
    },
    #[error("an image reference must not be longer than {MAX_REFERENCE_BYTES} bytes")]
    TooLong,
}

impl ImageReference {
    /// Takes a reference apart; see [`proffer_types::container::ImageSpec`] for the forms.
    pub fn parse(text: &str) -> Result<Self, ParseReferenceError> {
        let malformed = |reason: &str| ParseReferenceError::Malformed {
            reference: text.escape_debug().to_string(),
            reason: reason.to_owned(),
        };
        if text.len() > MAX_REFERENCE_BYTES {
            return Err(ParseReferenceError::TooLong);
        }
        if let Some(rest) = text.strip_prefix("oci:") {
            let (path, tag) = local(rest).map_err(malformed)?;
            return Ok(Self::Layout { path, tag });
        }
        if let Some(rest) = text.strip_prefix("oci-archive:") {
            let (path, tag) = local(rest).map_err(malformed)?;
            return Ok(Self::Archive { path, tag });
        }
        let parsed: Reference = text.parse().map_err(|error| malformed(&format!("{error}")))?;
        // One that begins with what could be a host without a dot is taken for it and split off otherwise.
        if parsed.repository().contains(|c: char| c.is_ascii_uppercase()) {
            return Err(malformed("a repository's name is in lower case"));
        }
        let which = match parsed.digest() {
            Some(digest) => Which::Digest(digest.parse().map_err(|source| ParseReferenceError::Digest {
                reference: text.to_owned(),
                source,
            })?),
            None => Which::Tag(parsed.tag().unwrap_or("latest").to_owned()),
        };
        Ok(Self::Registry {
            registry: parsed.registry().to_owned(),
            repository: parsed.repository().to_owned(),
            which,
        })
    }
}

/// Splits `/path[:tag]`; a colon before the last slash belongs to the path.
fn local(text: &str) -> Result<(PathBuf, Option<String>), &'static str> {
    let base = text.rfind('/').ok_or("its path must be absolute")?;
    let (path, tag) = match text[base..].find(':') {
        Some(colon) => (&text[..base + colon], Some(&text[base + colon + 1..])),
        None => (text, None),
    };
    if !path.starts_with('/') || path.contains('\0') {
        return Err("its path must be absolute");
    }
    match tag {
        Some(tag) if !is_tag(tag) => Err("its tag is none"),
        Some(_) | None => Ok((path.into(), tag.map(str::to_owned))),
    }
}

fn is_tag(tag: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    (1..=MAX_TAG_BYTES).contains(&tag.len()) && !tag.starts_with(['.', '-']) && tag.chars().all(good)
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// One spelling for all that name the same image.
impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, path, tag) = match self {
            Self::Registry {
                registry,
                repository,
                which: Which::Tag(tag),
            } => {
                return write!(f, "{registry}/{repository}:{tag}");
            }
            Self::Registry {
                registry,
                repository,
                which: Which::Digest(digest),
            } => {
                return write!(f, "{registry}/{repository}@{digest}");
            }
            Self::Layout { path, tag } => ("oci", path, tag),
            Self::Archive { path, tag } => ("oci-archive", path, tag),
        };
        write!(f, "{scheme}:{}", path.display())?;
        tag.as_ref().map_or(Ok(()), |tag| write!(f, ":{tag}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_as_docker_writes_them() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (text, canonical) in [
            ("busybox", "docker.io/library/busybox:latest".to_owned()),
            ("me/app:1.2", "docker.io/me/app:1.2".to_owned()),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest".to_owned()),
            (&format!("r.io/app:1@{digest}"), format!("r.io/app@{digest}")),
            ("oci:/a:b/c:1", "oci:/a:b/c:1".to_owned()),
            ("oci:/a/b", "oci:/a/b".to_owned()),
            ("oci-archive:/a/b.tar:x", "oci-archive:/a/b.tar:x".to_owned()),
        ] {
            assert_eq!(
                ImageReference::parse(text).map(|one| one.to_string()),
                Ok(canonical)
            );
        }
    }

    #[test]
    fn what_names_no_image_is_refused() {
        let sha512 = format!("a@sha512:{}", "0".repeat(128));
        let long = "a".repeat(5000);
        for bad in [
            "",
            "UPPER",
            "UPPER/app",
            "a b",
            "a/../b",
            "a:b:c",
            "oci:relative",
            "oci:/a:",
            "oci:/a:b c",
            "oci:/a\0b",
            &sha512,
            &long,
        ] {
            assert!(ImageReference::parse(bad).is_err(), "{bad}");
        }
    }
}

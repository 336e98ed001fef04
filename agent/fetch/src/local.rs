//! `file://`: files of the agent's host, where its operator allows them.

use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::{FetchError, Limits, digest, within};

/// Opens a plain file below one of the allowed paths.
pub(crate) fn open(path: &Path, allowed: &[PathBuf], limits: Limits) -> Result<File, FetchError> {
    let uri = || format!("file://{}", path.display());
    // Whether it is there is nobody's business where it is not allowed.
    let real = within::allowed(path, allowed).ok().flatten();
    let real = real.ok_or_else(|| FetchError::NotAllowed { uri: uri() })?;
    let refuse = |source| FetchError::Local { uri: uri(), source };
    let file = File::from(within::open_plain(&real, OFlags::RDONLY).map_err(refuse)?);
    let metadata = file.metadata().map_err(refuse)?;
    if !metadata.is_file() {
        return Err(refuse(std::io::Error::other("it is no plain file")));
    }
    if metadata.len() > limits.max_bytes {
        return Err(FetchError::TooLarge {
            uri: uri(),
            max_bytes: limits.max_bytes,
        });
    }
    Ok(file)
}

/// A copy of what others may write to, or what is no file yet, if its content is what was asked for.
pub(crate) fn verified(
    mut from: impl Read,
    part: &Path,
    uri: &str,
    sha256: Option<&str>,
) -> Result<File, FetchError> {
    let mut copy = || -> io::Result<(File, String)> {
        let mut options = File::options();
        let mut copy = options.read(true).write(true).create_new(true).open(part)?;
        std::fs::remove_file(part)?;
        let sha256 = digest::copy(&mut from, &mut copy)?;
        copy.rewind()?;
        Ok((copy, sha256))
    };
    let (copy, found) = copy().map_err(|source| FetchError::Local {
        uri: uri.to_owned(),
        source,
    })?;
    match sha256.filter(|sha256| *sha256 != found) {
        None => Ok(copy),
        Some(expected) => Err(FetchError::Digest {
            uri: uri.to_owned(),
            expected: expected.to_owned(),
            found,
        }),
    }
}

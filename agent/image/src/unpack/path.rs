//! Paths of an archive, taken apart before anything is opened.

use thiserror::Error;

use crate::limits::MAX_PATH_BYTES;

/// The kernel's NAME_MAX.
const MAX_NAME_BYTES: usize = 255;
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Why a path may not be in a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PathError {
    #[error("it is absolute")]
    Absolute,
    #[error("it holds `..`")]
    Parent,
    #[error("it holds a NUL byte")]
    Nul,
    #[error("it is longer than {MAX_PATH_BYTES} bytes, or a name in it longer than {MAX_NAME_BYTES}")]
    TooLong,
    #[error("it is a whiteout of nothing")]
    Whiteout,
    #[error("it is empty")]
    Empty,
}

/// What a path of a layer is for. Paths are relative, of plain names between single slashes; the empty one is the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Path(Vec<u8>),
    /// The path is gone from the layers below.
    Whiteout(Vec<u8>),
    /// Nothing of this directory is seen of the layers below.
    Opaque(Vec<u8>),
    /// Another of AUFS's own files, which mean nothing here.
    Ignored,
}

/// Reads the path of an entry.
pub(crate) fn target(path: &[u8]) -> Result<Target, PathError> {
    let path = normal(path)?;
    let (parent, name) = split(&path);
    if let Some(at) = path
        .split(|byte| *byte == b'/')
        .position(|name| name.starts_with(b".wh..wh."))
    {
        let is_last = path.split(|byte| *byte == b'/').count() == at + 1;
        return Ok(if is_last && name == OPAQUE {
            Target::Opaque(parent.to_vec())
        } else {
            Target::Ignored
        });
    }
    if parent
        .split(|byte| *byte == b'/')
        .any(|name| name.starts_with(WHITEOUT))
    {
        return Err(PathError::Whiteout);
    }
    match name.strip_prefix(WHITEOUT) {
        Some(b"" | b"." | b"..") => Err(PathError::Whiteout),
        Some(gone) => Ok(Target::Whiteout(join(parent, gone))),
        None => Ok(Target::Path(path)),
    }
}

/// Brings a path into its plain form; the root is empty.
pub(crate) fn normal(path: &[u8]) -> Result<Vec<u8>, PathError> {
    if path.is_empty() {
        return Err(PathError::Empty);
    }
    if path.contains(&0) {
        return Err(PathError::Nul);
    }
    // Some builders name the root itself so; it stays within the tree.
    if path.starts_with(b"/") && path != b"/" {
        return Err(PathError::Absolute);
    }
    let mut plain = Vec::new();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => continue,
            b".." => return Err(PathError::Parent),
            name if name.len() > MAX_NAME_BYTES => return Err(PathError::TooLong),
            name => plain = join(&plain, name),
        }
    }
    if plain.len() > MAX_PATH_BYTES {
        Err(PathError::TooLong)
    } else {
        Ok(plain)
    }
}

/// The directory a path is in, and its name there.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

pub(crate) fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = parent.to_vec();
    if !parent.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_come_in_many_spellings() {
        for (text, plain) in [
            ("./", ""),
            ("/", ""),
            (".", ""),
            ("./a//b/./c/", "a/b/c"),
            ("...", "..."),
        ] {
            assert_eq!(target(text.as_bytes()), Ok(Target::Path(plain.into())), "{text}");
        }
    }

    #[test]
    fn a_path_out_of_the_tree_is_refused() {
        use PathError::{Absolute, Empty, Nul, Parent, TooLong, Whiteout};
        let long_name = "a".repeat(256);
        let long_path = "abc/".repeat(1200);
        for (text, error) in [
            ("/etc/passwd", Absolute),
            ("//", Absolute),
            ("..", Parent),
            ("a/../../b", Parent),
            ("a/..", Parent),
            ("a\0b", Nul),
            ("", Empty),
            (&long_name, TooLong),
            (&long_path, TooLong),
            (".wh.", Whiteout),
            (".wh...", Whiteout),
            (".wh..", Whiteout),
            (".wh.a/b", Whiteout),
        ] {
            assert_eq!(target(text.as_bytes()), Err(error), "{text:?}");
        }
    }

    #[test]
    fn whiteouts_name_what_is_gone() {
        assert_eq!(target(b"a/.wh.b"), Ok(Target::Whiteout(b"a/b".to_vec())));
        assert_eq!(target(b".wh..wh..opq"), Ok(Target::Opaque(b"".to_vec())));
        assert_eq!(target(b"a/.wh..wh..opq"), Ok(Target::Opaque(b"a".to_vec())));
        assert_eq!(target(b"a/.wh..wh.plnk/1"), Ok(Target::Ignored));
    }
}

//! Unpacks one layer into an empty directory, as overlayfs takes it.
//!
//! A layer is hostile until both digests of it are right, and after that it is still somebody's. Invariant: a layer that is
//! refused, or whose unpacking is stopped, has changed nothing outside its directory, which the caller removes.

mod headers;
mod path;
mod pax;
mod tree;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::bufread::MultiGzDecoder;
use thiserror::Error;

use crate::digest::{Digest, Hashing};
use crate::limits::{Limits, MAX_PATH_BYTES, RATIO_FREE_BYTES};
use headers::{Archive, Entry, Kind, TarError};
pub use path::PathError;
use path::{Target, normal, target};
use tree::Tree;
pub use tree::{LayerForm, WriteError};

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

/// What a layer should be: what the manifest and the configuration say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    pub compression: Compression,
    /// Of the layer as it is stored.
    pub digest: Digest,
    pub size: u64,
    /// Of the layer without its compression.
    pub diff_id: Digest,
}

/// A layer that was unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// Bytes of all its files.
    pub bytes: u64,
    /// Directories that it goes through and does not list, `/` between names, the root empty. They should look as in the
    /// layers below.
    pub implicit: Vec<Vec<u8>>,
    /// Whether nothing of any layer below is seen. Overlayfs has no such mark for a root.
    pub hides_below: bool,
}

/// Why a layer is refused.
#[derive(Debug, Error)]
pub enum UnpackError {
    #[error("the layer's path `{path}` is refused: {reason}")]
    Path { path: String, reason: PathError },
    #[error("the layer's `{path}` links to `{link}`, which is refused: {reason}")]
    Link {
        path: String,
        link: String,
        reason: PathError,
    },
    #[error("the layer's `{path}` is a device; devices are not taken from images")]
    Device { path: String },
    #[error("the layer's `{path}` cannot be written: {source}")]
    Write { path: String, source: WriteError },
    #[error("the layer unpacks to more than {limit} bytes")]
    TooManyBytes { limit: u64 },
    #[error("the layer has more than {limit} entries")]
    TooManyEntries { limit: u64 },
    #[error("the layer unpacks to more than {limit} times its {size} bytes: it is taken for a bomb")]
    Bomb { size: u64, limit: u64 },
    #[error("the layer has {found} bytes in place of {expected}")]
    Size { expected: u64, found: u64 },
    #[error("the layer has the digest {found} in place of {expected}")]
    Digest { expected: Digest, found: Digest },
    #[error("the layer without its compression has the digest {found} in place of {expected}")]
    DiffId { expected: Digest, found: Digest },
    #[error("the layer is no tar archive that can be taken: {0}")]
    Tar(String),
    #[error("the unpacking was stopped")]
    Stopped,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Read and written at once.
const BUFFER_BYTES: usize = 128 << 10;
/// The largest window of a zstd frame, as a power of two: what decoders accept without being asked to (128 MiB).
const ZSTD_WINDOW_LOG: u32 = 27;

/// Unpacks `stored` into `root`, an empty directory, and verifies it. `stop` is looked at before every read. Blocks.
pub fn unpack(
    stored: &mut dyn Read,
    root: &Path,
    expected: &Expected,
    limits: &Limits,
    form: LayerForm,
    stop: &AtomicBool,
) -> Result<Unpacked, UnpackError> {
    // One byte more than there should be, so that it shows.
    let mut stored = Hashing::new(stored.take(expected.size.saturating_add(1)));
    let unpacked = content(&mut stored, expected, limits, stop).and_then(|content| {
        let mut content = Hashing::new(content);
        let unpacked = Unpacking::new(root, form, limits)?.run(&mut content)?;
        Ok((unpacked, content.finish().0))
    });
    if let Ok(_) | Err(UnpackError::Tar(_)) = &unpacked {
        // A damaged layer fails where it is read; that it is not the one it should be is the better reason.
        verify(stored, expected)?;
    }
    let (unpacked, diff_id) = unpacked?;
    match diff_id == expected.diff_id {
        true => Ok(unpacked),
        false => Err(UnpackError::DiffId {
            expected: expected.diff_id,
            found: diff_id,
        }),
    }
}

fn verify(mut stored: Hashing<impl Read>, expected: &Expected) -> Result<(), UnpackError> {
    io::copy(&mut stored, &mut io::sink())?;
    let (found, size) = stored.finish();
    if size != expected.size {
        return Err(UnpackError::Size {
            expected: expected.size,
            found: size,
        });
    }
    match found == expected.digest {
        true => Ok(()),
        false => Err(UnpackError::Digest {
            expected: expected.digest,
            found,
        }),
    }
}

fn content<'a>(
    stored: impl Read + 'a,
    expected: &Expected,
    limits: &Limits,
    stop: &'a AtomicBool,
) -> Result<Guarded<'a>, UnpackError> {
    let stored = BufReader::with_capacity(BUFFER_BYTES, stored);
    let inner: Box<dyn Read + 'a> = match expected.compression {
        Compression::None => Box::new(stored),
        Compression::Gzip => Box::new(MultiGzDecoder::new(stored)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(stored)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    };
    Ok(Guarded {
        inner,
        unpacked: 0,
        size: expected.size,
        limits: *limits,
        stop,
    })
}

/// What comes out of the decoder, as long as it stays within the limits and nobody wants it to stop.
struct Guarded<'a> {
    inner: Box<dyn Read + 'a>,
    unpacked: u64,
    size: u64,
    limits: Limits,
    stop: &'a AtomicBool,
}

impl Guarded<'_> {
    fn check(&self) -> Result<(), UnpackError> {
        let Limits {
            layer_bytes, ratio, ..
        } = self.limits;
        if self.stop.load(Ordering::Relaxed) {
            Err(UnpackError::Stopped)
        } else if self.unpacked > layer_bytes {
            Err(UnpackError::TooManyBytes { limit: layer_bytes })
        } else if self.unpacked > RATIO_FREE_BYTES && self.unpacked > self.size.saturating_mul(ratio) {
            Err(UnpackError::Bomb {
                size: self.size,
                limit: ratio,
            })
        } else {
            Ok(())
        }
    }
}

impl Read for Guarded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.unpacked += read as u64;
        self.check().map_err(io::Error::other)?;
        Ok(read)
    }
}

/// What went wrong while reading: a limit says so itself, anything else is the archive's fault.
fn unreadable(error: TarError) -> UnpackError {
    let TarError::Read(error) = error else {
        return UnpackError::Tar(error.to_string());
    };
    let refused = error.downcast::<UnpackError>();
    refused.unwrap_or_else(|error| UnpackError::Tar(error.to_string()))
}

/// One layer on its way to the disk.
struct Unpacking<'a> {
    tree: Tree,
    limits: &'a Limits,
    bytes: u64,
    entries: u64,
    buffer: Vec<u8>,
}

impl<'a> Unpacking<'a> {
    fn new(root: &Path, form: LayerForm, limits: &'a Limits) -> Result<Self, UnpackError> {
        let tree = Tree::new(root, form).map_err(|source| failed(b"", source))?;
        Ok(Self {
            tree,
            limits,
            bytes: 0,
            entries: 0,
            buffer: vec![0; BUFFER_BYTES],
        })
    }

    fn run(mut self, content: &mut impl Read) -> Result<Unpacked, UnpackError> {
        let mut archive = Archive::new(content);
        while let Some(entry) = archive.next().map_err(unreadable)? {
            self.entries += 1;
            if self.entries > self.limits.layer_entries {
                return Err(UnpackError::TooManyEntries {
                    limit: self.limits.layer_entries,
                });
            }
            self.entry(&entry, &mut archive)?;
        }
        // What follows the archive's end is part of the layer's digest.
        io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(|error| unreadable(error.into()))?;
        let (implicit, hides_below) = self.tree.finish().map_err(|source| failed(b"", source))?;
        Ok(Unpacked {
            bytes: self.bytes,
            implicit,
            hides_below,
        })
    }

    fn entry(&mut self, entry: &Entry, archive: &mut Archive<impl Read>) -> Result<(), UnpackError> {
        let refused = |reason| UnpackError::Path {
            path: shown(&entry.path),
            reason,
        };
        let written = match target(&entry.path).map_err(refused)? {
            Target::Ignored => Ok(()),
            Target::Whiteout(path) => self.tree.whiteout(path),
            Target::Opaque(path) => self.tree.opaque(path),
            Target::Path(path) => match entry.kind {
                Kind::Device => {
                    return Err(UnpackError::Device {
                        path: shown(&entry.path),
                    });
                }
                Kind::File => return self.file(&path, entry, archive),
                Kind::Directory => self.tree.directory(&path, entry),
                Kind::Fifo => self.tree.fifo(&path, entry),
                Kind::Symlink => self.tree.symlink(&path, entry),
                Kind::HardLink => {
                    let refused = |reason| UnpackError::Link {
                        path: shown(&entry.path),
                        link: shown(&entry.link),
                        reason,
                    };
                    self.tree.hard_link(&path, &normal(&entry.link).map_err(refused)?)
                }
            },
        };
        written.map_err(|source| failed(&entry.path, source))
    }

    fn file(
        &mut self,
        path: &[u8],
        entry: &Entry,
        archive: &mut Archive<impl Read>,
    ) -> Result<(), UnpackError> {
        self.bytes = self.bytes.saturating_add(entry.size);
        if self.bytes > self.limits.layer_bytes {
            return Err(UnpackError::TooManyBytes {
                limit: self.limits.layer_bytes,
            });
        }
        let buffer = &mut self.buffer;
        self.tree
            .file(path, entry, |file| fill(file, entry, archive, buffer))
            .map_err(|error| match error {
                FillError::Read(error) => unreadable(error.into()),
                FillError::Write(source) => failed(&entry.path, source),
            })
    }
}

enum FillError {
    Read(io::Error),
    Write(WriteError),
}

impl From<WriteError> for FillError {
    fn from(error: WriteError) -> Self {
        Self::Write(error)
    }
}

/// Writes an entry's data where it belongs, with holes where it has none.
fn fill(
    file: &File,
    entry: &Entry,
    archive: &mut Archive<impl Read>,
    buffer: &mut [u8],
) -> Result<(), FillError> {
    let write = |error: io::Error| FillError::Write(error.into());
    let whole = [(0, entry.size)];
    for &(offset, length) in entry.pieces.as_deref().unwrap_or(&whole) {
        let (mut at, end) = (offset, offset + length);
        while at < end {
            let most = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
            let read = archive
                .data()
                .read(&mut buffer[..most])
                .map_err(FillError::Read)?;
            file.write_all_at(&buffer[..read], at).map_err(write)?;
            at += read as u64;
        }
    }
    if entry.pieces.is_some() {
        file.set_len(entry.size).map_err(write)?;
    }
    Ok(())
}

fn failed(path: &[u8], source: WriteError) -> UnpackError {
    UnpackError::Write {
        path: shown(path),
        source,
    }
}

/// A file of an archive, as it lies there.
pub(crate) struct Scanned {
    /// Absent of what is no plain file.
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) size: u64,
    /// Bytes from here to the next entry.
    pub(crate) stored: u64,
}

/// Reads one entry's headers; the stream is at its data then. `None` at the end.
pub(crate) fn scan(stream: &mut impl Read) -> Result<Option<Scanned>, String> {
    let mut archive = Archive::new(stream);
    let Some(entry) = archive.next().map_err(|error| error.to_string())? else {
        return Ok(None);
    };
    let is_plain = entry.kind == Kind::File && entry.pieces.is_none();
    let path = is_plain.then(|| normal(&entry.path).ok()).flatten();
    Ok(Some(Scanned {
        path,
        size: entry.size,
        stored: archive.left(),
    }))
}

/// A path fit for an error message.
fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(&path[..path.len().min(MAX_PATH_BYTES)])
        .escape_debug()
        .to_string()
}

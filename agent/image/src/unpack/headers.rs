//! Reads a tar stream entry by entry: ustar, GNU long names and sparse files, pax (POSIX.1-2001) and its sparse forms.
//!
//! Field parsing is `tar`'s. Its own iterator reads a whole extended header into memory, however large it says it is, and
//! splits pax records at line ends, which binary attributes contain; so the walk over the stream is ours. Invariant: what
//! one entry makes us remember is bounded.

use std::io::{self, Read};

use tar::{EntryType, GnuExtSparseHeader, Header};
use thiserror::Error;

use super::pax::{Pax, PaxError};
use crate::limits::{MAX_SPARSE_PIECES, MAX_TAR_HEADER_BYTES};

pub(crate) const BLOCK: u64 = 512;

/// Offset and length of each piece of a sparse file, in order.
type Pieces = Vec<(u64, u64)>;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Symlink,
    HardLink,
    Fifo,
    /// A character or block device.
    Device,
}

/// One entry of an archive, its extended headers applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    /// Where a link points; empty for others.
    pub(crate) link: Vec<u8>,
    /// Permission bits with set-user-id, set-group-id and sticky.
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    /// Seconds and nanoseconds since 1970.
    pub(crate) mtime: (i64, u32),
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Bytes of the file as it will read.
    pub(crate) size: u64,
    /// Where its data goes. Absent means from the start to the end.
    pub(crate) pieces: Option<Pieces>,
}

/// Why a stream is no tar archive we take.
#[derive(Debug, Error)]
pub(crate) enum TarError {
    #[error(transparent)]
    Read(#[from] io::Error),
    #[error("a header's checksum is wrong")]
    Checksum,
    #[error("a header's {field} is no number")]
    Number { field: &'static str },
    #[error("an extended header has {bytes} bytes; at most {MAX_TAR_HEADER_BYTES} are taken")]
    HeaderTooLarge { bytes: u64 },
    #[error("a long name stands alone")]
    Stray,
    #[error("entry type `{}` is not known", char::from(*.0).escape_default())]
    UnknownType(u8),
    #[error("the pieces of a sparse file do not fit it")]
    Sparse,
    #[error(transparent)]
    Pax(#[from] PaxError),
}

/// A tar stream. Between two calls of [`Archive::next`], [`Archive::data`] is the data of the entry before.
pub(crate) struct Archive<R> {
    reader: R,
    /// Data of the current entry that was not read, and the padding behind it.
    data: u64,
    padding: u64,
}

impl<R: Read> Archive<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self {
            reader,
            data: 0,
            padding: 0,
        }
    }

    /// The stream behind the archive's end, for those who need all of it.
    pub(crate) fn into_inner(self) -> R {
        self.reader
    }

    /// Goes to the next entry; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, TarError> {
        let mut pax = Pax::default();
        let mut is_extended = false;
        loop {
            self.skip()?;
            let Some(header) = self.header()? else {
                return if is_extended {
                    Err(TarError::Stray)
                } else {
                    Ok(None)
                };
            };
            let size = header
                .entry_size()
                .map_err(|_| TarError::Number { field: "size" })?;
            self.expect(size);
            // See tar(5): extended headers of pax, then GNU's long names and links.
            match header.entry_type().as_byte() {
                b'x' => pax.extend(&self.extension(size)?)?,
                b'g' => Pax::default().extend_global(&self.extension(size)?)?,
                b'L' => pax.path = Some(cut_at_nul(self.extension(size)?)),
                b'K' => pax.link = Some(cut_at_nul(self.extension(size)?)),
                entry_type => return self.entry(&header, entry_type, pax).map(Some),
            }
            is_extended = true;
        }
    }

    /// The current entry's data that was not read yet.
    pub(crate) fn data(&mut self) -> Data<'_, R> {
        Data(self)
    }

    /// Bytes from here to the next entry.
    pub(crate) fn left(&self) -> u64 {
        self.data.saturating_add(self.padding)
    }

    fn expect(&mut self, size: u64) {
        self.data = size;
        self.padding = size.next_multiple_of(BLOCK).saturating_sub(size);
    }

    fn skip(&mut self) -> Result<(), TarError> {
        let (data, padding) = (self.data, self.padding);
        (self.data, self.padding) = (0, 0);
        let skipped = io::copy(&mut (&mut self.reader).take(data), &mut io::sink())?;
        if skipped < data {
            return Err(truncated());
        }
        // Some writers leave out what follows the last file: umoci, for one.
        io::copy(&mut (&mut self.reader).take(padding), &mut io::sink())?;
        Ok(())
    }

    /// The next header; `None` at a block of zeros, or where the stream ends between two entries.
    fn header(&mut self) -> Result<Option<Header>, TarError> {
        let mut header = Header::new_old();
        let block = header.as_mut_bytes();
        let mut filled = 0;
        while filled < block.len() {
            match self.reader.read(&mut block[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(truncated()),
                read => filled += read,
            }
        }
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        // The checksum is taken with its own field (8 bytes at 148) as blanks.
        let sum: u32 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| match at {
                148..156 => u32::from(b' '),
                _ => u32::from(*byte),
            })
            .sum();
        match header.cksum() {
            Ok(said) if said == sum => Ok(Some(header)),
            Ok(_) | Err(_) => Err(TarError::Checksum),
        }
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        if size > MAX_TAR_HEADER_BYTES {
            return Err(TarError::HeaderTooLarge { bytes: size });
        }
        let mut bytes = Vec::new();
        self.data().read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < size {
            Err(truncated())
        } else {
            Ok(bytes)
        }
    }

    fn entry(&mut self, header: &Header, entry_type: u8, pax: Pax) -> Result<Entry, TarError> {
        let kind = match entry_type {
            // Plain, contiguous, and sparse in GNU's old form.
            b'0' | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' | b'4' => Kind::Device,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => return Err(TarError::UnknownType(other)),
        };
        if let Some(size) = pax.size {
            self.expect(size);
        }
        let path = pax
            .path
            .clone()
            .unwrap_or_else(|| header.path_bytes().into_owned());
        // Before there was a type for them, directories were files whose name ends with a slash.
        let is_old = kind == Kind::File && path.ends_with(b"/");
        let kind = if is_old { Kind::Directory } else { kind };
        let (size, pieces) = if kind == Kind::File {
            self.layout(header, &pax)?
        } else {
            // Some writers give a link its file's size; only files have data.
            self.expect(0);
            (0, None)
        };
        let number = |pax: Option<u64>, said: io::Result<u64>, field| match pax {
            Some(value) => Ok(value),
            None => said.map_err(|_| TarError::Number { field }),
        };
        Ok(Entry {
            kind,
            link: pax
                .link
                .unwrap_or_else(|| header.link_name_bytes().unwrap_or_default().into_owned()),
            mode: header.mode().map_err(|_| TarError::Number { field: "mode" })? & 0o7777,
            uid: number(pax.uid, header.uid(), "uid")?,
            gid: number(pax.gid, header.gid(), "gid")?,
            mtime: match pax.mtime {
                Some(mtime) => mtime,
                // GNU's binary numbers are two's complement: before 1970 they are negative.
                None => (
                    header
                        .mtime()
                        .map_err(|_| TarError::Number { field: "mtime" })?
                        .cast_signed(),
                    0,
                ),
            },
            xattrs: pax.xattrs,
            path,
            size,
            pieces,
        })
    }

    /// The size of a file as it will read, and where its data belongs.
    fn layout(&mut self, header: &Header, pax: &Pax) -> Result<(u64, Option<Pieces>), TarError> {
        let (size, pieces) = if header.entry_type() == EntryType::GNUSparse {
            self.gnu_sparse(header)?
        } else if pax.sparse_in_data {
            (pax.real_size.ok_or(TarError::Sparse)?, self.sparse_in_data()?)
        } else if let Some(real_size) = pax.real_size {
            (real_size, pax.sparse_map()?)
        } else {
            return Ok((self.data, None));
        };
        let mut end = 0;
        let mut stored: u64 = 0;
        for &(offset, length) in &pieces {
            let next = offset.checked_add(length).ok_or(TarError::Sparse)?;
            if offset < end || next > size {
                return Err(TarError::Sparse);
            }
            end = next;
            stored += length;
        }
        if stored == self.data {
            Ok((size, Some(pieces)))
        } else {
            Err(TarError::Sparse)
        }
    }

    /// The old GNU form: a map in the header, and in blocks behind it.
    fn gnu_sparse(&mut self, header: &Header) -> Result<(u64, Pieces), TarError> {
        let gnu = header.as_gnu().ok_or(TarError::Sparse)?;
        let size = gnu.real_size().map_err(|_| TarError::Sparse)?;
        let mut pieces = Vec::new();
        let mut add = |piece: &tar::GnuSparseHeader| match (piece.is_empty(), piece.offset(), piece.length())
        {
            (true, ..) => Ok(()),
            (false, Ok(offset), Ok(length)) if pieces.len() < MAX_SPARSE_PIECES => {
                pieces.push((offset, length));
                Ok(())
            }
            (false, ..) => Err(TarError::Sparse),
        };
        gnu.sparse.iter().try_for_each(&mut add)?;
        let mut more = gnu.is_extended();
        while more {
            let mut block = GnuExtSparseHeader::new();
            self.reader.read_exact(block.as_mut_bytes())?;
            block.sparse().iter().try_for_each(&mut add)?;
            more = block.is_extended();
        }
        Ok((size, pieces))
    }

    /// The pax form 1.0: a map of decimal lines before the data, filled up to a block.
    fn sparse_in_data(&mut self) -> Result<Pieces, TarError> {
        let mut read = 0;
        let count = self.decimal_line(&mut read)?;
        if count > MAX_SPARSE_PIECES as u64 {
            return Err(TarError::Sparse);
        }
        let mut pieces = Vec::new();
        for _ in 0..count {
            pieces.push((self.decimal_line(&mut read)?, self.decimal_line(&mut read)?));
        }
        let filler = read.next_multiple_of(BLOCK) - read;
        let skipped = io::copy(&mut self.data().take(filler), &mut io::sink())?;
        if skipped < filler {
            Err(truncated())
        } else {
            Ok(pieces)
        }
    }

    fn decimal_line(&mut self, read: &mut u64) -> Result<u64, TarError> {
        let mut number: u64 = 0;
        loop {
            let mut byte = [0];
            self.data().read_exact(&mut byte)?;
            *read += 1;
            match byte[0] {
                b'\n' => return Ok(number),
                digit @ b'0'..=b'9' => {
                    let next = number
                        .checked_mul(10)
                        .and_then(|n| n.checked_add(u64::from(digit - b'0')));
                    number = next.ok_or(TarError::Sparse)?;
                }
                _ => return Err(TarError::Sparse),
            }
        }
    }
}

/// The unread data of an entry.
pub(crate) struct Data<'a, R>(&'a mut Archive<R>);

impl<R: Read> Read for Data<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.0.data)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let read = self.0.reader.read(&mut buffer[..most])?;
        if read == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.0.data -= read as u64;
        Ok(read)
    }
}

fn cut_at_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
    bytes
}

fn truncated() -> TarError {
    TarError::Read(io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the archive is cut short",
    ))
}

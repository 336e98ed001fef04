//! The records of a pax extended header: `LENGTH KEY=VALUE\n`, where a value may hold any byte.

use thiserror::Error;

use crate::limits::MAX_SPARSE_PIECES;

/// What an extended header says of the entry behind it.
#[derive(Debug, Default)]
pub(crate) struct Pax {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<u64>,
    pub(crate) gid: Option<u64>,
    pub(crate) mtime: Option<(i64, u32)>,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Of a sparse file: how large it reads.
    pub(crate) real_size: Option<u64>,
    /// Whether its map stands before its data (form 1.0).
    pub(crate) sparse_in_data: bool,
    /// Offsets and lengths in turn (forms 0.0 and 0.1).
    map: Vec<u64>,
}

/// Why an extended header is none.
#[derive(Debug, Error)]
pub(crate) enum PaxError {
    #[error("a pax header is malformed")]
    Malformed,
    #[error("a pax header's `{key}` is malformed")]
    Value { key: String },
    #[error("a global pax header sets `{key}` for every file")]
    Global { key: String },
}

impl Pax {
    /// Applies the records of one header; a later one is stronger.
    pub(crate) fn extend(&mut self, bytes: &[u8]) -> Result<(), PaxError> {
        for record in records(bytes) {
            let (key, value) = record?;
            self.apply(key, value)?;
        }
        Ok(())
    }

    /// Takes a global header when it says nothing of the files, as the one git writes does.
    pub(crate) fn extend_global(&mut self, bytes: &[u8]) -> Result<(), PaxError> {
        for record in records(bytes) {
            let (key, value) = record?;
            if self.apply(key, value)? {
                return Err(PaxError::Global { key: shown(key) });
            }
        }
        Ok(())
    }

    /// Returns whether the key means something to us.
    fn apply(&mut self, key: &[u8], value: &[u8]) -> Result<bool, PaxError> {
        let malformed = || PaxError::Value { key: shown(key) };
        let number = || parse::<u64>(value).ok_or_else(malformed);
        match key {
            // A sparse file's own path field holds a made-up one.
            b"path" | b"GNU.sparse.name" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(number()?),
            b"uid" => self.uid = Some(number()?),
            b"gid" => self.gid = Some(number()?),
            b"mtime" => self.mtime = Some(time(value).ok_or_else(malformed)?),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.real_size = Some(number()?),
            b"GNU.sparse.major" => self.sparse_in_data = number()? == 1,
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => {
                self.add_to_map(number()?).ok_or_else(malformed)?
            }
            b"GNU.sparse.map" => {
                for part in value.split(|byte| *byte == b',') {
                    parse(part)
                        .and_then(|part| self.add_to_map(part))
                        .ok_or_else(malformed)?;
                }
            }
            _ => match key.strip_prefix(b"SCHILY.xattr.".as_slice()) {
                Some(name) => self.xattrs.push((name.to_vec(), value.to_vec())),
                None => return Ok(false),
            },
        }
        Ok(true)
    }

    fn add_to_map(&mut self, number: u64) -> Option<()> {
        (self.map.len() < 2 * MAX_SPARSE_PIECES).then(|| self.map.push(number))
    }

    /// The map of the forms 0.0 and 0.1: offset and length of each piece.
    pub(crate) fn sparse_map(&self) -> Result<Vec<(u64, u64)>, PaxError> {
        match self.map.len() % 2 {
            0 => Ok(self.map.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()),
            _ => Err(PaxError::Value {
                key: "GNU.sparse.map".to_owned(),
            }),
        }
    }
}

fn shown(key: &[u8]) -> String {
    String::from_utf8_lossy(&key[..key.len().min(64)])
        .escape_debug()
        .to_string()
}

fn parse<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn records(mut bytes: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8]), PaxError>> {
    std::iter::from_fn(move || {
        // Some writers fill the header up with NULs.
        if bytes.iter().all(|byte| *byte == 0) {
            return None;
        }
        let record = record(bytes);
        bytes = record.as_ref().map_or(&[], |(_, rest)| rest);
        Some(record.map(|(pair, _)| pair).ok_or(PaxError::Malformed))
    })
}

type Pair<'a> = (&'a [u8], &'a [u8]);

fn record(bytes: &[u8]) -> Option<(Pair<'_>, &[u8])> {
    let blank = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length: usize = parse(&bytes[..blank])?;
    let line = bytes.get(blank + 1..length)?.strip_suffix(b"\n")?;
    let equals = line.iter().position(|byte| *byte == b'=').filter(|at| *at > 0)?;
    Some(((&line[..equals], &line[equals + 1..]), &bytes[length..]))
}

/// Decimal seconds, with a fraction perhaps.
fn time(value: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let nanos: u32 = format!("{:0<9}", fraction.get(..9).unwrap_or(fraction))
        .parse()
        .ok()?;
    match whole.starts_with('-') && nanos > 0 {
        true => Some((seconds.checked_sub(1)?, 1_000_000_000 - nanos)),
        false => Some((seconds, nanos)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Pax, PaxError> {
        let mut pax = Pax::default();
        pax.extend(bytes).map(|()| pax)
    }

    #[test]
    fn a_value_may_hold_line_ends_and_equal_signs() {
        let pax = read(b"30 SCHILY.xattr.user.a=x\ny=\nz\n9 path=b\n").unwrap();
        assert_eq!(pax.xattrs, [(b"user.a".to_vec(), b"x\ny=\nz".to_vec())]);
        assert_eq!(pax.path.as_deref(), Some(b"b".as_slice()));
    }

    #[test]
    fn times_have_fractions_and_go_below_1970() {
        assert_eq!(time(b"1.5"), Some((1, 500_000_000)));
        assert_eq!(time(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time(b"12.0000000019"), Some((12, 1)));
        assert_eq!(time(b"1.x"), None);
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        for bad in [
            &b"99 path=b\n"[..],
            b"3 path=b\n",
            b"0 a=b\n",
            b"9 path=b ",
            b"x",
            b"7 =abc\n",
            b"8 size=\n",
        ] {
            assert!(read(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn a_global_header_may_only_comment() {
        assert!(Pax::default().extend_global(b"13 comment=x\n").is_ok());
        assert!(Pax::default().extend_global(b"9 path=b\n").is_err());
    }
}

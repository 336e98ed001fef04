//! What is remembered of each network, so that it can be undone after a crash: one file a network.
//!
//! A record is on disk before anything it speaks of is done, and until all of it is undone. It is a line with the CRC-32
//! of the rest, in hexadecimal digits, and JSON; earlier agents wrote the JSON alone.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::cni::Chain;
use crate::request::{Bandwidth, Members, Mode, is_id};

/// Changes with the meaning of the fields.
const VERSION: u32 = 1;

/// The largest record that is read: a CNI chain's configuration and result, each of which is bounded too.
const MAX_RECORD_BYTES: u64 = 8 << 20;

/// One network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    version: u32,
    pub(crate) network_id: String,
    pub(crate) namespace: PathBuf,
    pub(crate) mode: Mode,
    pub(crate) bandwidth: Bandwidth,
    pub(crate) members: Members,
    /// On the bridge.
    pub(crate) address: Option<Ipv4Addr>,
    /// The chain of plugins as it was when it made the network, and with what result.
    pub(crate) chain: Option<Chain>,
}

impl Record {
    pub(crate) fn new(network_id: String, namespace: PathBuf, mode: Mode, bandwidth: Bandwidth) -> Self {
        Self {
            version: VERSION,
            network_id,
            namespace,
            mode,
            bandwidth,
            members: Members::new(),
            address: None,
            chain: None,
        }
    }
}

/// What an earlier agent left.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) records: Vec<Record>,
    /// Networks whose records cannot be read; they are removed once whatever is left of the networks is.
    pub(crate) damaged: Vec<String>,
}

/// The directory of records.
#[derive(Debug)]
pub(crate) struct Records {
    dir: PathBuf,
}

impl Records {
    /// Creates the directory when missing, and reads what is there.
    pub(crate) fn open(dir: PathBuf) -> io::Result<(Self, Found)> {
        fs::create_dir_all(&dir)?;
        let mut found = Found::default();
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            match (read(&path), network_id(&path)) {
                (Ok(record), _) => found.records.push(record),
                (Err(error), Some(id)) => {
                    warn!(path = %path.display(), %error, "the record of a network is damaged: its containers lose it");
                    found.damaged.push(id.to_owned());
                }
                // It was never in force.
                (Err(_), None) => remove(&path)?,
            }
        }
        Ok((Self { dir }, found))
    }

    pub(crate) fn path(&self, network_id: &str) -> PathBuf {
        self.dir.join(format!("{network_id}.json"))
    }

    /// Writes a record in place of the one before. What the kernel forgets at a power loss need not outlive it; what
    /// plugins keep on disk must.
    pub(crate) fn write(&self, record: &Record) -> io::Result<()> {
        let new = self.dir.join(format!("{}.new", record.network_id));
        let mut file = File::create(&new)?;
        let json = serde_json::to_vec(record)?;
        file.write_all(format!("{:08x}\n", crc32fast::hash(&json)).as_bytes())?;
        file.write_all(&json)?;
        if record.chain.is_some() {
            file.sync_all()?;
        }
        fs::rename(&new, self.path(&record.network_id))?;
        if record.chain.is_some() {
            File::open(&self.dir)?.sync_all()?;
        }
        Ok(())
    }

    pub(crate) fn remove(&self, network_id: &str) -> io::Result<()> {
        remove(&self.path(network_id))
    }
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::remove_file(path) {
        // As damage can make it.
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => fs::remove_dir_all(path),
        removed => removed,
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Whose network a file is the record of.
fn network_id(path: &Path) -> Option<&str> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".json").filter(|id| is_id(id))
}

fn read(path: &Path) -> io::Result<Record> {
    let mut text = Vec::new();
    File::open(path)?.take(MAX_RECORD_BYTES).read_to_end(&mut text)?;
    let record: Record = serde_json::from_slice(checked(&text)?)?;
    if record.version != VERSION || network_id(path) != Some(&record.network_id) {
        return Err(io::Error::other(
            "it is of another version, or of another network",
        ));
    }
    Ok(record)
}

/// The JSON, if its checksum fits.
fn checked(text: &[u8]) -> io::Result<&[u8]> {
    if text.starts_with(b"{") {
        return Ok(text);
    }
    let (line, json) = text.split_at_checked(9).unwrap_or((text, b""));
    match format!("{:08x}\n", crc32fast::hash(json)).as_bytes() == line {
        true => Ok(json),
        false => Err(io::Error::other("its checksum does not fit its content")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_flipped_bit_of_a_record_goes_unseen_and_an_earlier_agents_is_read() {
        let json = br#"{"address":"10.88.0.7"}"#;
        let whole = [format!("{:08x}\n", crc32fast::hash(json)).as_bytes(), json].concat();
        assert_eq!(checked(&whole).unwrap(), json);
        assert_eq!(checked(json).unwrap(), json);
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            // What begins like an earlier agent's is no JSON then.
            assert!(
                damaged.starts_with(b"{") || checked(&damaged).is_err(),
                "bit {bit}"
            );
        }
        for length in 0..whole.len() {
            assert!(checked(&whole[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_record_is_read_back_and_a_damaged_one_is_named_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (records, found) = Records::open(dir.path().join("networks")).unwrap();
        assert_eq!(found.records, []);
        let mut record = Record::new(
            "c1".to_owned(),
            "/x/netns".into(),
            Mode::Bridge,
            Bandwidth::default(),
        );
        record.members.insert("c1".to_owned(), Vec::new());
        record.address = Some(Ipv4Addr::new(10, 88, 0, 7));
        records.write(&record).unwrap();
        fs::copy(records.path("c1"), records.path("c2")).unwrap();
        fs::write(records.path("c3"), "{").unwrap();
        fs::create_dir(records.path("c4")).unwrap();
        fs::write(dir.path().join("networks/c1.new"), "half").unwrap();

        let (records, found) = Records::open(dir.path().join("networks")).unwrap();
        assert_eq!(found.records, [record]);
        let damaged: BTreeSet<String> = found.damaged.into_iter().collect();
        assert_eq!(damaged, BTreeSet::from(["c2", "c3", "c4"].map(str::to_owned)));
        assert_eq!(fs::read_dir(dir.path().join("networks")).unwrap().count(), 4);
        for id in ["c1", "c2", "c3", "c4", "c1"] {
            records.remove(id).unwrap();
        }
        assert_eq!(fs::read_dir(dir.path().join("networks")).unwrap().count(), 0);
    }
}

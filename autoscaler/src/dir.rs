//! The data directory: one autoscaler's, with what has to outlive it, and the output of the provider.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use proffer_autoscaler_core::Memory;

use crate::error::AutoscalerError;

/// A data directory in use.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// Nobody else uses it while this is open.
    _lock: File,
    /// As it was written last.
    written: Memory,
}

impl DataDir {
    /// Takes the directory for this process, and reads what an earlier one wrote.
    pub(crate) fn open(path: &Path) -> Result<Self, AutoscalerError> {
        let failed = |source| AutoscalerError::Dir {
            path: path.to_owned(),
            source,
        };
        fs::create_dir_all(path.join("machines")).map_err(failed)?;
        let lock = File::create(path.join("lock")).map_err(failed)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => AutoscalerError::InUse(path.to_owned()),
            TryLockError::Error(source) => failed(source),
        })?;
        let file = path.join("machines.json");
        let written = match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| AutoscalerError::Damaged { path: file, source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Memory::default(),
            Err(error) => return Err(failed(error)),
        };
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
            written,
        })
    }

    pub(crate) fn memory(&self) -> &Memory {
        &self.written
    }

    /// Where the provider's runs for a machine leave what they print, and who they are.
    pub(crate) fn machines(&self) -> PathBuf {
        self.path.join("machines")
    }

    /// Writes down what has changed; it is on the disk when this returns.
    pub(crate) fn write(&mut self, memory: &Memory) -> io::Result<()> {
        if self.written == *memory {
            return Ok(());
        }
        let (file, new) = (
            self.path.join("machines.json"),
            self.path.join("machines.json.new"),
        );
        let mut opened = File::create(&new)?;
        serde_json::to_writer_pretty(&mut opened, memory)?;
        opened.write_all(b"\n")?;
        opened.sync_all()?;
        fs::rename(new, file)?;
        File::open(&self.path)?.sync_all()?;
        self.written = memory.clone();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proffer_autoscaler_core::{Machine, Phase};

    use super::*;

    #[test]
    fn what_was_written_is_read_by_the_next_and_by_nobody_beside() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = DataDir::open(dir.path()).unwrap();
        let machine = Machine {
            shape: "small".to_owned(),
            phase: Phase::Draining,
            since_ms: 7,
            agent: Some("a1".to_owned()),
        };
        let memory = Memory {
            machines: [("small-1".to_owned(), machine)].into(),
        };
        first.write(&memory).unwrap();
        assert!(matches!(
            DataDir::open(dir.path()),
            Err(AutoscalerError::InUse(_))
        ));
        drop(first);
        assert_eq!(DataDir::open(dir.path()).unwrap().memory(), &memory);
        fs::write(dir.path().join("machines.json"), "{").unwrap();
        assert!(matches!(
            DataDir::open(dir.path()),
            Err(AutoscalerError::Damaged { .. })
        ));
    }
}

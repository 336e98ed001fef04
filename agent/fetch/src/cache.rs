//! Files kept for other tasks: one directory an entry, written beside its place and renamed into it.
//!
//! An entry is found by its URI and digest, so that it never stands for other content than was asked for; one without a
//! digest is asked for again at its source. Readers hold the file open, so one that is removed meanwhile is still whole.
//! What was written before the last crash is verified when it is first used.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Seek as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use reqwest::Url;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tracing::{debug, warn};

use crate::digest::{self, hex};
use crate::http::{Client, Download, Validators};
use crate::{FetchError, Progress};

/// What is written about an entry, beside its content.
#[derive(Debug, Serialize, Deserialize)]
struct Meta {
    sha256: String,
    validators: Validators,
}

#[derive(Debug)]
pub(crate) struct Cache {
    dir: PathBuf,
    max_bytes: u64,
    shared: Mutex<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Held by whoever fetches an entry; the others wait and then find it.
    fetching: BTreeMap<String, Arc<tokio::sync::Mutex<()>>>,
    /// Entries whose content is known to be what their digest says.
    verified: BTreeSet<String>,
    n_parts: u64,
}

impl Cache {
    pub(crate) fn open(dir: &Path, max_bytes: u64) -> Result<Self, FetchError> {
        let cache = Self {
            dir: dir.to_owned(),
            max_bytes,
            shared: Mutex::default(),
        };
        let parts = cache.parts();
        match fs::remove_dir_all(&parts) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(FetchError::disk(&parts)(error));
            }
            Ok(()) | Err(_) => {}
        }
        for dir in [parts, cache.entries()] {
            fs::create_dir_all(&dir).map_err(FetchError::disk(&dir))?;
        }
        cache.evict();
        Ok(cache)
    }

    /// The content of an entry, at its start; fetched where it is missing or no longer what the source has.
    pub(crate) async fn get(
        self: &Arc<Self>,
        client: &Client,
        url: &Url,
        sha256: Option<&str>,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<File, FetchError> {
        let key = key(url, sha256);
        let turn = Arc::clone(self.shared().fetching.entry(key.clone()).or_default());
        let result = {
            let _turn = turn.lock().await;
            self.get_or_fetch(&key, client, url, sha256, progress).await
        };
        drop(turn);
        let mut shared = self.shared();
        if shared
            .fetching
            .get(&key)
            .is_some_and(|turn| Arc::strong_count(turn) == 1)
        {
            shared.fetching.remove(&key);
        }
        result
    }

    async fn get_or_fetch(
        self: &Arc<Self>,
        key: &str,
        client: &Client,
        url: &Url,
        sha256: Option<&str>,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<File, FetchError> {
        let (cache, of) = (Arc::clone(self), key.to_owned());
        // May read all of it.
        let found = tokio::task::spawn_blocking(move || cache.find(&of)).await;
        let found = found.ok().flatten();
        if sha256.is_some()
            && let Some((file, _)) = found
        {
            return Ok(file);
        }
        let known = found.as_ref().map(|(_, meta)| &meta.validators);
        let known = known.filter(|known| **known != Validators::default());
        let part = Part::new(self);
        let to = part.0.join("content");
        fs::create_dir(&part.0).map_err(FetchError::disk(&part.0))?;
        let download = client.download(url, known, &to, sha256, progress).await?;
        match (&download.file, found) {
            (None, Some((file, _))) => Ok(file),
            (None, None) => Err(FetchError::unexpected(url)),
            (Some(_), _) => self.put(key, &part, download, url),
        }
    }

    /// An entry that is whole; one that is not is removed.
    fn find(&self, key: &str) -> Option<(File, Meta)> {
        let dir = self.entries().join(key);
        let meta = fs::read(dir.join("meta")).ok()?;
        let meta: Meta = serde_json::from_slice(&meta)
            .inspect_err(|error| warn!(path = %dir.display(), %error, "a fetched file is damaged"))
            .ok()?;
        let mut file = File::open(dir.join("content")).ok()?;
        if !self.shared().verified.contains(key) {
            let found = digest::copy(&mut file, &mut io::sink()).ok()?;
            if found != meta.sha256 {
                warn!(path = %dir.display(), "a fetched file is damaged, it is fetched again");
                let _ = fs::remove_dir_all(&dir);
                return None;
            }
            file.rewind().ok()?;
            self.shared().verified.insert(key.to_owned());
        }
        // When it was used last decides on what is removed.
        let _ = File::open(&dir).and_then(|dir| dir.set_modified(SystemTime::now()));
        Some((file, meta))
    }

    fn put(&self, key: &str, part: &Part, download: Download, url: &Url) -> Result<File, FetchError> {
        let Download {
            file,
            validators,
            sha256,
        } = download;
        let file = file.ok_or_else(|| FetchError::unexpected(url))?;
        let meta = Meta { sha256, validators };
        let dir = self.entries().join(key);
        let written = serde_json::to_vec(&meta)
            .map_err(io::Error::other)
            .and_then(|meta| fs::write(part.0.join("meta"), meta))
            .and_then(|()| self.replace(&part.0, &dir));
        written.map_err(FetchError::disk(&dir))?;
        self.shared().verified.insert(key.to_owned());
        self.evict();
        Ok(file)
    }

    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        let old = self.next_part();
        match fs::rename(to, &old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        fs::rename(from, to)?;
        match fs::remove_dir_all(old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Removes entries, those used least lately first, until the rest fits.
    fn evict(&self) {
        let entries = fs::read_dir(self.entries()).into_iter().flatten().flatten();
        let mut entries: Vec<(SystemTime, u64, fs::DirEntry)> = entries
            .filter_map(|entry| {
                let used = entry.metadata().ok()?.modified().ok()?;
                let size = fs::metadata(entry.path().join("content")).map_or(0, |content| content.len());
                Some((used, size, entry))
            })
            .collect();
        entries.sort_by_key(|(used, ..)| *used);
        let mut total: u64 = entries.iter().map(|(_, size, _)| size).sum();
        for (_, size, entry) in entries {
            if total <= self.max_bytes {
                return;
            }
            debug!(path = %entry.path().display(), "removing a fetched file");
            if let Err(error) = fs::remove_dir_all(entry.path()) {
                warn!(path = %entry.path().display(), %error, "cannot remove a fetched file");
            }
            total -= size;
        }
    }

    fn entries(&self) -> PathBuf {
        self.dir.join("entries")
    }

    fn parts(&self) -> PathBuf {
        self.dir.join("parts")
    }

    fn next_part(&self) -> PathBuf {
        let mut shared = self.shared();
        shared.n_parts += 1;
        self.parts().join(shared.n_parts.to_string())
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        // Every change is one call on a collection, so a thread that panicked left it whole.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A directory for a download under way, removed with it unless it became an entry.
struct Part(PathBuf);

impl Part {
    fn new(cache: &Cache) -> Self {
        Self(cache.next_part())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn key(url: &Url, sha256: Option<&str>) -> String {
    let text = format!("{url}\n{}", sha256.unwrap_or_default());
    hex(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(cache: &Cache, name: &str, n_bytes: usize, used: u64) {
        let dir = cache.entries().join(name);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("content"), vec![0; n_bytes]).unwrap();
        let used = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(used);
        File::open(&dir).unwrap().set_modified(used).unwrap();
    }

    #[test]
    fn what_was_used_least_lately_goes_when_there_is_too_much() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), 250).unwrap();
        entry(&cache, "old", 100, 1);
        entry(&cache, "new", 100, 3);
        entry(&cache, "middle", 100, 2);
        drop(cache);
        let cache = Cache::open(dir.path(), 250).unwrap();
        let mut left: Vec<_> = fs::read_dir(cache.entries())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["middle", "new"]);
    }
}

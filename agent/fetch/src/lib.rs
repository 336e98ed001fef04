//! Files for a task from elsewhere: fetched, verified, unpacked, cached.
//!
//! Whatever a server sends and whatever an archive holds, nothing is written outside the directory it is meant for, no
//! link is followed on the way there, and time, bytes and files are bounded.

mod cache;
mod digest;
mod error;
mod http;
mod limits;
mod local;
mod place;
mod source;
mod unpack;
pub mod within;

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;

use proffer_types::container::Fetch;
use tokio_util::task::TaskTracker;

pub use error::FetchError;
pub use limits::Limits;
pub use within::Owner;

use cache::Cache;
use http::Client;
use place::Cancel;
use source::Source;

/// A file under way, in the scratch directory.
const PART: &str = "fetch.part";

/// What an operator tells a fetcher.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where files are kept for other tasks; the fetcher's own.
    pub cache_dir: PathBuf,
    /// The most the kept files may take, in bytes; those used least lately go first.
    pub cache_bytes: u64,
    /// Files and directories of this host that `file://` may read.
    pub allowed_paths: Vec<PathBuf>,
    pub limits: Limits,
}

/// Where fetched files go.
#[derive(Debug, Clone)]
pub struct Target {
    /// The task's own directory: nothing is written outside it.
    pub sandbox: PathBuf,
    /// A directory for files under way, on the same file system, and removed by the caller whatever happens.
    pub scratch: PathBuf,
    /// User and group that files are given to; absent means those of this process.
    pub owner: Option<Owner>,
    /// Follows what goes on for a moment when a fetch is dropped.
    pub work: TaskTracker,
}

/// How far one download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes so far.
    pub n_bytes: u64,
    /// Bytes in all, where the server says so.
    pub size: Option<u64>,
}

/// Fetches files for the tasks of one agent.
#[derive(Debug, Clone)]
pub struct Fetcher {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: Config,
    client: Client,
    cache: Arc<Cache>,
}

impl Fetcher {
    /// Opens the cache, and removes what downloads that were cut short left in it.
    pub fn open(config: Config) -> Result<Self, FetchError> {
        let cache = Arc::new(Cache::open(&config.cache_dir, config.cache_bytes)?);
        let client = Client::new(config.limits);
        Ok(Self {
            inner: Arc::new(Inner {
                config,
                client,
                cache,
            }),
        })
    }

    /// Fetches one file, or unpacks one archive, into a sandbox. Dropped before it is done, it leaves a part of it.
    pub async fn fetch(
        &self,
        what: &Fetch,
        target: &Target,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<(), FetchError> {
        let source = Source::parse(&what.uri)?;
        let plan = place::Plan::new(what, &source, target, self.inner.config.limits)?;
        let file = self.obtain(what, &source, target, progress).await?;
        let (cancel, cancelled) = Cancel::new();
        let place = move || plan.place(file, &cancelled);
        let placed = target.work.spawn_blocking(place).await;
        drop(cancel);
        placed.unwrap_or_else(|error| Err(FetchError::unfinished(&source, &error)))
    }

    /// The file as it is at its source, verified.
    async fn obtain(
        &self,
        what: &Fetch,
        source: &Source,
        target: &Target,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<File, FetchError> {
        let Inner {
            config,
            client,
            cache,
        } = &*self.inner;
        let sha256 = what.sha256.as_deref();
        let part = target.scratch.join(PART);
        match source {
            Source::Http(url) if what.cache => cache.get(client, url, sha256, progress).await,
            Source::Http(url) => {
                let download = client.download(url, None, &part, sha256, progress).await?;
                // It has a name no longer than it must; what is open stays.
                fs::remove_file(&part).map_err(FetchError::disk(&part))?;
                download.file.ok_or_else(|| FetchError::unexpected(url))
            }
            Source::Data(content) => {
                let (content, uri, sha256) = (content.clone(), source.shown(), what.sha256.clone());
                let write = move || local::verified(&content[..], &part, &uri, sha256.as_deref());
                let written = target.work.spawn_blocking(write).await;
                written.unwrap_or_else(|error| Err(FetchError::unfinished(source, &error)))
            }
            Source::Local(path) => {
                let file = local::open(path, &config.allowed_paths, config.limits)?;
                let Some(sha256) = what.sha256.clone() else {
                    return Ok(file);
                };
                let uri = source.shown();
                let verify = move || local::verified(file, &part, &uri, Some(&sha256));
                let verified = target.work.spawn_blocking(verify).await;
                verified.unwrap_or_else(|error| Err(FetchError::unfinished(source, &error)))
            }
        }
    }
}

#[cfg(test)]
mod tests;

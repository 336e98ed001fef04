//! Downloads a blob into a file, and goes on where it ended: after a broken connection, a failed try, a restart.
//!
//! Invariant: a finished download has the right size and digest. What is there of an unfinished one is only the beginning
//! that the registry sent; whether it is right shows at the end.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use reqwest::header::CONTENT_RANGE;
use reqwest::{Response, StatusCode};
use tokio::io::{AsyncSeekExt, AsyncWriteExt, BufWriter};

use super::{Backoff, Endpoint, RegistryError, Repository, one_of, transport};
use crate::digest::{Digest, Hasher};

/// Written at once: less would mean a trip to another thread for each piece of the network's.
const WRITE_BYTES: usize = 512 << 10;
/// Tries in all, however far each got: a registry that sends one byte a time is given up.
const MAX_TRIES_IN_ALL: u32 = 50;

/// A blob on its way.
struct Download<'a> {
    digest: Digest,
    size: u64,
    file: BufWriter<tokio::fs::File>,
    /// Bytes in the file, and their digest.
    have: u64,
    hasher: Hasher,
    /// Whether some of `have` came from an earlier connection.
    is_resumed: bool,
    told: &'a (dyn Fn(u64) + Send + Sync),
}

impl Repository<'_> {
    /// Downloads a blob to `path`, where a beginning of it may be. `told` hears how many bytes there are.
    pub(crate) async fn download(
        &self,
        digest: Digest,
        size: u64,
        path: &Path,
        told: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), RegistryError> {
        let mut failures = Vec::new();
        for endpoint in &self.endpoints {
            let mut download = Download::open(digest, size, path, told).await?;
            match self.download_from(endpoint, &mut download).await {
                Ok(()) => return Ok(()),
                Err(error) => failures.push(error),
            }
        }
        Err(one_of(failures))
    }

    async fn download_from(
        &self,
        endpoint: &Endpoint,
        download: &mut Download<'_>,
    ) -> Result<(), RegistryError> {
        let mut backoff = Backoff::default();
        for _ in 0..MAX_TRIES_IN_ALL {
            let before = download.have;
            match self.download_once(endpoint, download).await {
                // A beginning that is not the blob's: the whole of it may be right.
                Err(RegistryError::Digest { .. }) if download.is_resumed => download.restart().await?,
                Err(error) if error.is_transient() => {
                    if download.have > before {
                        backoff = Backoff::default();
                    }
                    if !backoff.may_try_again() {
                        return Err(error);
                    }
                    backoff.wait(&error).await;
                    download.is_resumed = true;
                }
                done => return done,
            }
        }
        let url = endpoint.base.to_string();
        Err(RegistryError::Short {
            url,
            expected: download.size,
            found: download.have,
        })
    }

    async fn download_once(
        &self,
        endpoint: &Endpoint,
        download: &mut Download<'_>,
    ) -> Result<(), RegistryError> {
        if download.have < download.size {
            let response = match self
                .get(
                    endpoint,
                    &format!("blobs/{}", download.digest),
                    Some(download.have),
                )
                .await
            {
                Err(RegistryError::Status {
                    status: StatusCode::RANGE_NOT_SATISFIABLE,
                    ..
                }) if download.have > 0 => {
                    download.restart().await?;
                    self.get(endpoint, &format!("blobs/{}", download.digest), None)
                        .await?
                }
                answered => answered?,
            };
            download.receive(response).await?;
        }
        let found = download.hasher.clone().finish();
        match found == download.digest {
            true => Ok(()),
            false => Err(RegistryError::Digest {
                url: endpoint.base.to_string(),
                expected: download.digest,
                found,
            }),
        }
    }
}

impl<'a> Download<'a> {
    async fn open(
        digest: Digest,
        size: u64,
        path: &Path,
        told: &'a (dyn Fn(u64) + Send + Sync),
    ) -> Result<Self, RegistryError> {
        let path = path.to_owned();
        let opened = tokio::task::spawn_blocking(move || beginning(&path, size)).await;
        let (file, have, hasher) = opened.map_err(std::io::Error::other)??;
        told(have);
        let file = BufWriter::with_capacity(WRITE_BYTES, tokio::fs::File::from_std(file));
        Ok(Self {
            digest,
            size,
            file,
            have,
            hasher,
            is_resumed: have > 0,
            told,
        })
    }

    /// Throws away what is there.
    async fn restart(&mut self) -> Result<(), RegistryError> {
        self.file.flush().await?;
        self.file.seek(SeekFrom::Start(0)).await?;
        self.file.get_ref().set_len(0).await?;
        (self.have, self.hasher, self.is_resumed) = (0, Hasher::default(), false);
        Ok(())
    }

    async fn receive(&mut self, response: Response) -> Result<(), RegistryError> {
        if self.have > 0 && !goes_on_at(&response, self.have) {
            self.restart().await?;
        }
        let received = self.receive_all(response).await;
        // Also of a broken connection: it is where the next one goes on.
        self.file.flush().await?;
        received
    }

    async fn receive_all(&mut self, mut response: Response) -> Result<(), RegistryError> {
        let url = response.url().clone();
        while let Some(chunk) = response.chunk().await.map_err(|error| transport(&url, &error))? {
            if self.have + chunk.len() as u64 > self.size {
                return Err(RegistryError::TooLarge {
                    url: url.to_string(),
                    limit: self.size,
                });
            }
            self.file.write_all(&chunk).await?;
            self.hasher.update(&chunk);
            self.have += chunk.len() as u64;
            (self.told)(self.have);
        }
        match self.have == self.size {
            true => Ok(()),
            false => Err(RegistryError::Short {
                url: url.to_string(),
                expected: self.size,
                found: self.have,
            }),
        }
    }
}

/// Whether an answer starts at the byte that was asked for; a server without ranges sends everything.
fn goes_on_at(response: &Response, offset: u64) -> bool {
    let range = response
        .headers()
        .get(CONTENT_RANGE)
        .and_then(|value| value.to_str().ok());
    let start = range
        .and_then(|range| range.strip_prefix("bytes "))
        .and_then(|range| range.split('-').next());
    response.status() == StatusCode::PARTIAL_CONTENT
        && start.and_then(|start| start.parse().ok()) == Some(offset)
}

/// Opens a file and digests what is there of a blob. Blocks.
fn beginning(path: &Path, size: u64) -> std::io::Result<(File, u64, Hasher)> {
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    if file.metadata()?.len() > size {
        file.set_len(0)?;
    }
    let mut hasher = Hasher::default();
    let mut have = 0;
    let mut buffer = vec![0; WRITE_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => {
                hasher.update(&buffer[..read]);
                have += read as u64;
            }
        }
    }
    file.seek(SeekFrom::Start(have))?;
    Ok((file, have, hasher))
}

//! Downloads over HTTP: tried again, continued where they stopped, verified while they come in.
//!
//! Only what fits the first answer is put together: a later one must be of the same entity, by its strong validator
//! (RFC 9110, section 13.1.5), else the file is begun anew.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::header::{
    CONTENT_RANGE, ETAG, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE,
};
use reqwest::{Response, StatusCode, Url};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tracing::debug;

use crate::digest::hex;
use crate::source::shown;
use crate::{FetchError, Limits, Progress};

/// How often a download is begun or continued before it counts as failed.
const ATTEMPTS: u32 = 5;

/// The wait before the second attempt; doubles: in all some 7 s, over which servers are restarted and links come back.
const RETRY: Duration = Duration::from_millis(500);

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a server may send nothing, before its answer and within it.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Redirects that are followed (as curl's and Go's defaults allow at least).
const MAX_REDIRECTS: usize = 10;

/// What tells whether a file is still the same at its source.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Validators {
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
}

impl Validators {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name| Some(headers.get(name)?.to_str().ok()?.to_owned());
        Self {
            etag: text(ETAG),
            last_modified: text(LAST_MODIFIED),
        }
    }

    /// What a part may be continued by: a weak tag stands for different bytes.
    fn strong(&self) -> Option<&str> {
        let etag = self.etag.as_deref().filter(|etag| !etag.starts_with("W/"));
        etag.or(self.last_modified.as_deref())
    }
}

/// What a download came to.
#[derive(Debug)]
pub(crate) struct Download {
    /// At its start; absent when the server said that what we have is still right.
    pub(crate) file: Option<File>,
    pub(crate) validators: Validators,
    /// 64 hex digits.
    pub(crate) sha256: String,
}

#[derive(Debug)]
pub(crate) struct Client {
    client: OnceLock<Result<reqwest::Client, String>>,
    limits: Limits,
    /// [`STALL_TIMEOUT`] and [`RETRY`], but for tests.
    pub(crate) stall: Duration,
    pub(crate) retry: Duration,
}

/// Why an attempt ended.
enum Failure {
    /// Another one may do better.
    Again(FetchError),
    Final(FetchError),
}

/// One download over its attempts.
struct Part<'a> {
    url: &'a Url,
    file: File,
    hash: Sha256,
    n_bytes: u64,
    validators: Validators,
    max_bytes: u64,
    stall: Duration,
    progress: &'a (dyn Fn(Progress) + Sync),
}

impl Client {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            client: OnceLock::new(),
            limits,
            stall: STALL_TIMEOUT,
            retry: RETRY,
        }
    }

    /// Made when it is first needed: it reads the host's certificates.
    fn client(&self, url: &Url) -> Result<&reqwest::Client, FetchError> {
        let client = self.client.get_or_init(|| build().map_err(|error| chain(&error)));
        client.as_ref().map_err(|why| FetchError::Transfer {
            uri: shown(url),
            why: why.clone(),
        })
    }

    /// Downloads to a new file, unless the server says that what `known` stands for is still right.
    pub(crate) async fn download(
        &self,
        url: &Url,
        known: Option<&Validators>,
        to: &Path,
        sha256: Option<&str>,
        progress: &(dyn Fn(Progress) + Sync),
    ) -> Result<Download, FetchError> {
        let client = self.client(url)?;
        let mut part = Part {
            url,
            file: create(to)?,
            hash: Sha256::new(),
            n_bytes: 0,
            validators: Validators::default(),
            max_bytes: self.limits.max_bytes,
            stall: self.stall,
            progress,
        };
        let mut wait = self.retry;
        let mut attempt = 1;
        let is_new = loop {
            match part.attempt(client, known).await {
                Ok(is_new) => break is_new,
                Err(Failure::Again(error)) if attempt < ATTEMPTS => {
                    debug!(%error, attempt, "a download is tried again");
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                    attempt += 1;
                }
                Err(Failure::Again(error) | Failure::Final(error)) => return Err(error),
            }
        };
        part.finish(is_new, sha256, to)
    }
}

fn build() -> reqwest::Result<reqwest::Client> {
    // Fails when it is there already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let redirects = reqwest::redirect::Policy::custom(|attempt| {
        let was_https = attempt.previous().iter().any(|url| url.scheme() == "https");
        if attempt.previous().len() > MAX_REDIRECTS {
            attempt.error("it redirects too often")
        } else if was_https && attempt.url().scheme() != "https" {
            attempt.error("it redirects from https to http")
        } else {
            attempt.follow()
        }
    });
    reqwest::Client::builder()
        .user_agent(concat!("proffer/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(redirects)
        .build()
}

fn create(to: &Path) -> Result<File, FetchError> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(true);
    options.open(to).map_err(FetchError::disk(to))
}

impl Part<'_> {
    /// Begins, or continues. Answers whether there is anything new.
    async fn attempt(
        &mut self,
        client: &reqwest::Client,
        known: Option<&Validators>,
    ) -> Result<bool, Failure> {
        let mut request = client.get(self.url.clone());
        let mut continues = false;
        if self.n_bytes > 0
            && let Some(validator) = self.validators.strong()
        {
            continues = true;
            request = request
                .header(RANGE, format!("bytes={}-", self.n_bytes))
                .header(IF_RANGE, validator);
        } else if let Some(known) = known {
            if let Some(etag) = &known.etag {
                request = request.header(IF_NONE_MATCH, etag);
            } else if let Some(date) = &known.last_modified {
                request = request.header(IF_MODIFIED_SINCE, date);
            }
        }
        let answer = tokio::time::timeout(self.stall, request.send()).await;
        let response = answer
            .map_err(|_| self.stalled())?
            .map_err(|error| self.lost(&error))?;
        match response.status() {
            StatusCode::NOT_MODIFIED if known.is_some() && !continues => return Ok(false),
            StatusCode::PARTIAL_CONTENT if continues && self.is_continued_by(&response) => {}
            StatusCode::OK => self.begin(&response)?,
            status => return Err(self.refused(status)),
        }
        self.receive(response).await?;
        Ok(true)
    }

    fn is_continued_by(&self, response: &Response) -> bool {
        let range = response.headers().get(CONTENT_RANGE);
        let start = format!("bytes {}-", self.n_bytes);
        range.is_some_and(|range| range.as_bytes().starts_with(start.as_bytes()))
    }

    fn begin(&mut self, response: &Response) -> Result<(), Failure> {
        self.validators = Validators::of(response.headers());
        self.hash = Sha256::new();
        self.n_bytes = 0;
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        emptied.map_err(|error| self.not_written(error))
    }

    async fn receive(&mut self, mut response: Response) -> Result<(), Failure> {
        let size = response
            .content_length()
            .map(|rest| rest.saturating_add(self.n_bytes));
        if size.is_some_and(|size| size > self.max_bytes) {
            return Err(self.too_large());
        }
        loop {
            let chunk = tokio::time::timeout(self.stall, response.chunk()).await;
            let chunk = chunk
                .map_err(|_| self.stalled())?
                .map_err(|error| self.lost(&error))?;
            let Some(chunk) = chunk else {
                return match size {
                    Some(size) if self.n_bytes < size => Err(self.cut_short()),
                    Some(_) | None => Ok(()),
                };
            };
            self.n_bytes += chunk.len() as u64;
            if self.n_bytes > self.max_bytes {
                return Err(self.too_large());
            }
            // A write to the page cache of a chunk of some KiB: not worth a thread.
            self.file
                .write_all(&chunk)
                .map_err(|error| self.not_written(error))?;
            self.hash.update(&chunk);
            (self.progress)(Progress {
                n_bytes: self.n_bytes,
                size,
            });
        }
    }

    fn finish(mut self, is_new: bool, sha256: Option<&str>, to: &Path) -> Result<Download, FetchError> {
        let found = hex(&self.hash.finalize());
        if let Some(expected) = sha256
            && is_new
            && expected != found
        {
            return Err(FetchError::Digest {
                uri: shown(self.url),
                expected: expected.to_owned(),
                found,
            });
        }
        self.file.rewind().map_err(FetchError::disk(to))?;
        Ok(Download {
            file: is_new.then_some(self.file),
            validators: self.validators,
            sha256: found,
        })
    }

    fn refused(&self, status: StatusCode) -> Failure {
        let error = FetchError::Status {
            uri: shown(self.url),
            status: status.as_u16(),
        };
        let passes = status.is_server_error()
            || matches!(
                status,
                StatusCode::REQUEST_TIMEOUT
                    | StatusCode::TOO_MANY_REQUESTS
                    | StatusCode::PARTIAL_CONTENT
                    | StatusCode::RANGE_NOT_SATISFIABLE
            );
        match passes {
            true => Failure::Again(error),
            false => Failure::Final(error),
        }
    }

    fn lost(&self, error: &reqwest::Error) -> Failure {
        let transfer = FetchError::Transfer {
            uri: shown(self.url),
            why: chain(error),
        };
        match error.is_redirect() || error.is_builder() {
            true => Failure::Final(transfer),
            false => Failure::Again(transfer),
        }
    }

    fn cut_short(&self) -> Failure {
        Failure::Again(FetchError::Transfer {
            uri: shown(self.url),
            why: "it was cut short".to_owned(),
        })
    }

    fn stalled(&self) -> Failure {
        Failure::Again(FetchError::Stalled {
            uri: shown(self.url),
            seconds: self.stall.as_secs(),
        })
    }

    fn too_large(&self) -> Failure {
        Failure::Final(FetchError::TooLarge {
            uri: shown(self.url),
            max_bytes: self.max_bytes,
        })
    }

    fn not_written(&self, error: io::Error) -> Failure {
        Failure::Final(FetchError::Transfer {
            uri: shown(self.url),
            why: format!("cannot write it: {error}"),
        })
    }
}

/// An error of the client and its causes, without the URL, which may hold secrets.
fn chain(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if !text.is_empty() {
            text += ": ";
        }
        text += &cause.to_string();
        source = cause.source();
    }
    match text.is_empty() {
        true => "the request failed".to_owned(),
        false => text,
    }
}

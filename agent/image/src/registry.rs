//! Speaks the OCI distribution protocol to registries and their mirrors.
//!
//! A registry is named by whoever writes a task, so what it sends is hostile: every body has a bound, no header or redirect
//! takes a login to another host or from TLS to plain HTTP.

mod credentials;
mod download;
mod token;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RANGE, WWW_AUTHENTICATE};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Response, StatusCode, Url};
use thiserror::Error;

use crate::config::Registries;
use crate::digest::Digest;
use crate::limits::MAX_MANIFEST_BYTES;
use crate::manifest::{INDEX_TYPES, MANIFEST_TYPES};
use crate::reference::Which;
pub use credentials::CredentialsError;
use credentials::Logins;
use token::{Token, TokenKey};

/// A host that does not answer a connection by then is tried again, or the next one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A body that pauses for so long is taken for broken.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// What is looked at of an error's body, in bytes.
const MAX_ERROR_BYTES: usize = 8 << 10;
/// Blobs are often stored elsewhere, one or two redirects away.
const MAX_REDIRECTS: usize = 5;
/// Tries of one request while nothing comes.
const MAX_TRIES: u32 = 5;
/// Between the first two tries; doubles up to [`MAX_BACKOFF`].
const FIRST_BACKOFF: Duration = Duration::from_millis(250);
const MAX_BACKOFF: Duration = Duration::from_secs(8);

/// Why a registry does not give what it is asked for.
#[derive(Debug, Error)]
pub enum RegistryError {
    #[error("{url}: {message}")]
    Transport { url: String, message: String },
    #[error("{url}: {status}{}{message}", if .message.is_empty() { "" } else { ": " })]
    Status {
        url: String,
        status: StatusCode,
        message: String,
    },
    #[error("{url}: it wants a login, and the agent has none for it")]
    NoLogin { url: String },
    #[error("{url}: the login is refused{}{message}", if .message.is_empty() { "" } else { ": " })]
    Refused { url: String, message: String },
    #[error("{url}: it answered {what} that cannot be used")]
    Answer { url: String, what: &'static str },
    #[error("{url}: it sent more than {limit} bytes")]
    TooLarge { url: String, limit: u64 },
    #[error("{url}: it sent {found} in place of {expected}")]
    Digest {
        url: String,
        expected: Digest,
        found: Digest,
    },
    #[error("{url}: {found} of {expected} bytes came")]
    Short { url: String, expected: u64, found: u64 },
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error("cannot keep what was fetched: {0}")]
    Io(#[from] std::io::Error),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Everywhere(Vec<RegistryError>),
}

impl RegistryError {
    /// Whether asking again may help.
    fn is_transient(&self) -> bool {
        match self {
            Self::Transport { .. } | Self::Short { .. } => true,
            Self::Status { status, .. } => {
                status.is_server_error()
                    || matches!(
                        *status,
                        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
                    )
            }
            Self::NoLogin { .. }
            | Self::Refused { .. }
            | Self::Answer { .. }
            | Self::TooLarge { .. }
            | Self::Digest { .. }
            | Self::Credentials(_)
            | Self::Io(_)
            | Self::Everywhere(_) => false,
        }
    }
}

/// Why a client cannot be made.
#[derive(Debug, Error)]
pub enum ClientError {
    #[error("registry certificates {path}: {reason}")]
    Certificates { path: String, reason: String },
    #[error("cannot set up HTTP: {0}")]
    Http(String),
}

/// One place where the images of a registry are.
#[derive(Debug, Clone)]
struct Endpoint {
    /// Ends with a slash.
    base: Url,
    /// Under which its login is found.
    name: String,
}

/// Speaks to all registries.
pub(crate) struct Client {
    http: reqwest::Client,
    config: Registries,
    tokens: Mutex<BTreeMap<TokenKey, Token>>,
}

/// One repository of a registry, with the logins of the moment.
pub(crate) struct Repository<'a> {
    client: &'a Client,
    endpoints: Vec<Endpoint>,
    name: String,
    logins: Logins,
}

impl Client {
    pub(crate) fn new(config: Registries) -> Result<Self, ClientError> {
        // Another part of the process may have chosen it before; there is one provider in the whole graph.
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("proffer/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .redirect(Policy::custom(|attempt| {
                let was_safe = attempt.previous().iter().any(|url| url.scheme() == "https");
                if attempt.previous().len() > MAX_REDIRECTS {
                    attempt.error("too many redirects")
                } else if was_safe && attempt.url().scheme() != "https" {
                    attempt.error("a redirect from https to plain http")
                } else {
                    attempt.follow()
                }
            }));
        if let Some(path) = &config.ca_file {
            let wrong = |reason: String| ClientError::Certificates {
                path: path.display().to_string(),
                reason,
            };
            let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| wrong(chain(&error)))?;
            if certificates.is_empty() {
                return Err(wrong("it holds no certificate".to_owned()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let http = builder
            .build()
            .map_err(|error| ClientError::Http(chain(&error)))?;
        Ok(Self {
            http,
            config,
            tokens: Mutex::default(),
        })
    }

    /// Turns to one repository. Reads the file of logins: blocks for a moment.
    pub(crate) fn repository(&self, registry: &str, name: &str) -> Result<Repository<'_>, RegistryError> {
        let logins = self
            .config
            .auth_file
            .as_deref()
            .map(Logins::read)
            .transpose()?
            .unwrap_or_default();
        let mirrors = self
            .config
            .mirrors
            .iter()
            .filter(|mirror| mirror.registry == registry);
        let mut endpoints: Vec<_> = mirrors.map(|mirror| Endpoint::at(mirror.url.clone())).collect();
        let host = if registry == "docker.io" {
            "registry-1.docker.io"
        } else {
            registry
        };
        let is_plain = self.config.plain_http.iter().any(|plain| {
            plain == registry || registry.rsplit_once(':').is_some_and(|(host, _)| plain == host)
        });
        let scheme = if is_plain { "http" } else { "https" };
        let base: Url = format!("{scheme}://{host}/")
            .parse()
            .map_err(|_| RegistryError::Answer {
                url: registry.to_owned(),
                what: "a name",
            })?;
        endpoints.push(Endpoint {
            name: registry.to_owned(),
            ..Endpoint::at(base)
        });
        Ok(Repository {
            client: self,
            endpoints,
            name: name.to_owned(),
            logins,
        })
    }
}

impl Endpoint {
    fn at(mut base: Url) -> Self {
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let host = base.host_str().unwrap_or_default();
        let name = base
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Self { base, name }
    }
}

impl Repository<'_> {
    /// Fetches a manifest or index, from wherever it is to be had: its bytes, digest and media type.
    pub(crate) async fn manifest(&self, which: &Which) -> Result<(Vec<u8>, Digest, String), RegistryError> {
        let mut failures = Vec::new();
        for endpoint in &self.endpoints {
            match self.retrying(|| self.manifest_once(endpoint, which)).await {
                Ok(found) => return Ok(found),
                Err(error) => failures.push(error),
            }
        }
        Err(one_of(failures))
    }

    async fn manifest_once(
        &self,
        endpoint: &Endpoint,
        which: &Which,
    ) -> Result<(Vec<u8>, Digest, String), RegistryError> {
        let response = self.get(endpoint, &format!("manifests/{which}"), None).await?;
        let url = response.url().to_string();
        let media_type = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let media_type = media_type
            .and_then(|text| text.split(';').next())
            .unwrap_or_default()
            .trim()
            .to_owned();
        let bytes = body(response, MAX_MANIFEST_BYTES).await?;
        let found = Digest::of(&bytes);
        match which {
            Which::Digest(expected) if *expected != found => Err(RegistryError::Digest {
                url,
                expected: *expected,
                found,
            }),
            Which::Digest(_) | Which::Tag(_) => Ok((bytes, found, media_type)),
        }
    }

    /// Fetches a small blob into memory; its size is `size`.
    pub(crate) async fn small_blob(&self, digest: Digest, size: u64) -> Result<Vec<u8>, RegistryError> {
        let mut failures = Vec::new();
        for endpoint in &self.endpoints {
            match self
                .retrying(|| self.small_blob_once(endpoint, digest, size))
                .await
            {
                Ok(found) => return Ok(found),
                Err(error) => failures.push(error),
            }
        }
        Err(one_of(failures))
    }

    async fn small_blob_once(
        &self,
        endpoint: &Endpoint,
        expected: Digest,
        size: u64,
    ) -> Result<Vec<u8>, RegistryError> {
        let response = self.get(endpoint, &format!("blobs/{expected}"), None).await?;
        let url = response.url().to_string();
        let bytes = body(response, size).await?;
        let found = Digest::of(&bytes);
        if (bytes.len() as u64) < size {
            return Err(RegistryError::Short {
                url,
                expected: size,
                found: bytes.len() as u64,
            });
        }
        if found == expected {
            Ok(bytes)
        } else {
            Err(RegistryError::Digest { url, expected, found })
        }
    }

    async fn retrying<T, F: Future<Output = Result<T, RegistryError>>>(
        &self,
        once: impl Fn() -> F,
    ) -> Result<T, RegistryError> {
        let mut backoff = Backoff::default();
        loop {
            match once().await {
                Err(error) if error.is_transient() && backoff.may_try_again() => backoff.wait(&error).await,
                done => return done,
            }
        }
    }

    /// Asks for something of this repository, with its bytes from `offset` on.
    async fn get(
        &self,
        endpoint: &Endpoint,
        what: &str,
        offset: Option<u64>,
    ) -> Result<Response, RegistryError> {
        let url = endpoint.base.join(&format!("v2/{}/{what}", self.name));
        let url = url.map_err(|_| RegistryError::Answer {
            url: endpoint.base.to_string(),
            what: "a name",
        })?;
        let mut authorization = self.cached_token(endpoint);
        let mut is_second = false;
        loop {
            let mut request = self.client.http.get(url.clone());
            for accepted in MANIFEST_TYPES.iter().chain(&INDEX_TYPES) {
                request = request.header(ACCEPT, *accepted);
            }
            if let Some(offset) = offset.filter(|offset| *offset > 0) {
                request = request.header(RANGE, format!("bytes={offset}-"));
            }
            if let Some(value) = &authorization {
                request = request.header(AUTHORIZATION, value.clone());
            }
            let response = request.send().await.map_err(|error| transport(&url, &error))?;
            match response.status() {
                status if status.is_success() => return Ok(response),
                StatusCode::UNAUTHORIZED if !is_second => {
                    is_second = true;
                    authorization = Some(self.authorize(endpoint, &response).await?);
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    return Err(RegistryError::Refused {
                        url: url.to_string(),
                        message: message(response).await,
                    });
                }
                status => {
                    let message = message(response).await;
                    return Err(RegistryError::Status {
                        url: url.to_string(),
                        status,
                        message,
                    });
                }
            }
        }
    }
}

/// Tries of one thing.
#[derive(Default)]
struct Backoff {
    failures: u32,
}

impl Backoff {
    fn may_try_again(&self) -> bool {
        self.failures + 1 < MAX_TRIES
    }

    async fn wait(&mut self, error: &RegistryError) {
        let pause = (FIRST_BACKOFF * 2_u32.pow(self.failures)).min(MAX_BACKOFF);
        self.failures += 1;
        tracing::info!(%error, ?pause, "registry is asked again");
        tokio::time::sleep(pause).await;
    }
}

fn one_of(mut failures: Vec<RegistryError>) -> RegistryError {
    match failures.len() {
        1 => failures.remove(0),
        _ => RegistryError::Everywhere(failures),
    }
}

/// Reads all of a body that must not be larger than `limit`.
async fn body(mut response: Response, limit: u64) -> Result<Vec<u8>, RegistryError> {
    let url = response.url().clone();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| transport(&url, &error))? {
        if (bytes.len() + chunk.len()) as u64 > limit {
            return Err(RegistryError::TooLarge {
                url: url.to_string(),
                limit,
            });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// What a registry says of an error: the first of its messages, or nothing.
async fn message(response: Response) -> String {
    #[derive(serde::Deserialize)]
    struct Errors {
        errors: Vec<Message>,
    }
    #[derive(serde::Deserialize)]
    struct Message {
        #[serde(default)]
        message: String,
    }
    let bytes = body(response, MAX_ERROR_BYTES as u64).await.unwrap_or_default();
    let errors: Option<Errors> = serde_json::from_slice(&bytes).ok();
    let message = errors
        .and_then(|errors| errors.errors.into_iter().next())
        .map(|one| one.message);
    message
        .unwrap_or_default()
        .chars()
        .take(256)
        .collect::<String>()
        .escape_debug()
        .to_string()
}

fn transport(url: &Url, error: &reqwest::Error) -> RegistryError {
    RegistryError::Transport {
        url: url.to_string(),
        message: chain(error),
    }
}

/// An error with its causes, each once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let one = error.to_string();
        if !text.ends_with(&one) {
            text = if text.is_empty() {
                one
            } else {
                format!("{text}: {one}")
            };
        }
        next = error.source();
    }
    text
}

/// A header that is not shown in logs.
fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn challenges(response: &Response) -> Vec<String> {
    let headers = response.headers().get_all(WWW_AUTHENTICATE).iter();
    headers
        .filter_map(|value| value.to_str().ok())
        .map(str::to_owned)
        .collect()
}

//! Where an image comes from, and the way from its reference to what its layers must be.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use thiserror::Error;

use crate::config::Config;
use crate::digest::Digest;
use crate::limits::{MAX_INDEX_DEPTH, MAX_MANIFEST_BYTES};
use crate::local::{Layout, LayoutError};
use crate::manifest::{Blob, Document, ImageConfig, ManifestError, check_blobs, choose, read_config};
use crate::reference::{ImageReference, Which};
use crate::registry::{Client, RegistryError, Repository};
use crate::unpack::Expected;

/// Why an image cannot be had.
#[derive(Debug, Error)]
pub enum SourceError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("{what} has the digest {found} in place of {expected}")]
    Digest {
        what: &'static str,
        expected: Digest,
        found: Digest,
    },
    #[error("an index points to an index, and so on")]
    TooDeep,
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Where one image comes from.
pub(crate) enum Source<'a> {
    Registry(Repository<'a>, Which),
    Local(Arc<Layout>, Option<String>),
}

/// What an image is made of.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// The digest of its manifest.
    pub(crate) id: Digest,
    /// The lowest first; as many as there are blobs.
    pub(crate) layers: Vec<Expected>,
    pub(crate) blobs: Vec<Blob>,
    pub(crate) config: ImageConfig,
}

impl<'a> Source<'a> {
    pub(crate) async fn open(
        reference: &ImageReference,
        config: &Config,
        client: &'a Client,
    ) -> Result<Self, SourceError> {
        let allowed = config.local.clone();
        Ok(match reference.clone() {
            ImageReference::Registry {
                registry,
                repository,
                which,
            } => Self::Registry(client.repository(&registry, &repository)?, which),
            ImageReference::Layout { path, tag } => Self::Local(
                Arc::new(blocking(move || Layout::directory(&path, &allowed)).await?),
                tag,
            ),
            ImageReference::Archive { path, tag } => Self::Local(
                Arc::new(blocking(move || Layout::archive(&path, &allowed)).await?),
                tag,
            ),
        })
    }

    /// Finds the image for this host, and verifies everything up to its layers.
    pub(crate) async fn resolve(&self, config: &Config) -> Result<Resolved, SourceError> {
        let (mut bytes, mut id, mut media_type) = match self {
            Self::Registry(repository, which) => repository.manifest(which).await?,
            Self::Local(layout, tag) => {
                let (layout, tag) = (layout.clone(), tag.clone());
                let blob = blocking(move || layout.find(tag.as_deref())).await?;
                (self.document(&blob).await?, blob.digest, blob.media_type)
            }
        };
        for _ in 0..MAX_INDEX_DEPTH {
            match Document::read(&bytes, &media_type)? {
                Document::Index(manifests) => {
                    let next = Blob::read(choose(&manifests)?)?;
                    bytes = self.document(&next).await?;
                    (id, media_type) = (next.digest, next.media_type);
                }
                Document::Image {
                    config: described,
                    layers,
                } => {
                    check_blobs(&described, &layers, &config.limits)?;
                    let bytes = self.small(&described, "the configuration").await?;
                    let (expected, config) = read_config(&bytes, &layers)?;
                    return Ok(Resolved {
                        id,
                        layers: expected,
                        blobs: layers,
                        config,
                    });
                }
            }
        }
        Err(SourceError::TooDeep)
    }

    /// A manifest or index that another points to.
    async fn document(&self, blob: &Blob) -> Result<Vec<u8>, SourceError> {
        if blob.size > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge.into());
        }
        match self {
            Self::Registry(repository, _) => Ok(repository.manifest(&Which::Digest(blob.digest)).await?.0),
            Self::Local(..) => self.small(blob, "a manifest").await,
        }
    }

    /// A blob small enough for memory: its size was checked.
    async fn small(&self, blob: &Blob, what: &'static str) -> Result<Vec<u8>, SourceError> {
        match self {
            Self::Registry(repository, _) => Ok(repository.small_blob(blob.digest, blob.size).await?),
            Self::Local(layout, _) => {
                let (layout, wanted) = (layout.clone(), blob.clone());
                let bytes = blocking(move || {
                    let mut bytes = Vec::new();
                    layout
                        .blob(&wanted)?
                        .take(wanted.size + 1)
                        .read_to_end(&mut bytes)?;
                    Ok::<_, SourceError>(bytes)
                });
                let bytes = bytes.await?;
                let found = Digest::of(&bytes);
                match found == blob.digest {
                    true => Ok(bytes),
                    false => Err(SourceError::Digest {
                        what,
                        expected: blob.digest,
                        found,
                    }),
                }
            }
        }
    }

    /// Brings a layer to where it can be read; `path` is room for a download, which the caller removes.
    pub(crate) async fn layer(
        &self,
        blob: &Blob,
        path: &Path,
        told: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Box<dyn Read + Send>, SourceError> {
        match self {
            Self::Registry(repository, _) => {
                repository.download(blob.digest, blob.size, path, told).await?;
                Ok(Box::new(std::fs::File::open(path)?))
            }
            Self::Local(layout, _) => {
                let (layout, wanted) = (layout.clone(), blob.clone());
                let reader = blocking(move || layout.blob(&wanted)).await?;
                told(blob.size);
                Ok(reader)
            }
        }
    }
}

/// Does something that blocks elsewhere.
pub(crate) async fn blocking<T, E, F>(work: F) -> Result<T, E>
where
    T: Send + 'static,
    E: From<std::io::Error> + Send + 'static,
    F: FnOnce() -> Result<T, E> + Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| E::from(std::io::Error::other(error)))?
}

impl From<std::io::Error> for LayoutError {
    fn from(error: std::io::Error) -> Self {
        Self::Io {
            path: "a layout".to_owned(),
            error,
        }
    }
}

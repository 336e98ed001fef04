//! The images of one agent.
//!
//! Invariant: an image that is listed is whole: every layer was verified, unpacked and put in place before. What a container
//! uses is pinned in a file of its name, so that after any crash it is known from the disk what may go.

mod assemble;
mod collect;
mod disk;
mod progress;
mod pull;
mod state;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

use proffer_types::container::{ImageSpec, PullPolicy};
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::digest::Digest;
use crate::manifest::ImageConfig;
use crate::reference::{ImageReference, ParseReferenceError};
use crate::registry::{Client, ClientError};
use crate::source::{SourceError, blocking};
use crate::unpack::UnpackError;
pub use collect::Collected;
use collect::Thoroughness;
use disk::Disk;
pub use progress::Progress;
use pull::Flight;
use state::{Known, State};

/// Downloads at once, of all pulls: more would only share the same line.
const MAX_DOWNLOADS: usize = 6;
/// Layers that are unpacked at once, each a thread that decompresses and digests.
const MAX_UNPACKS: usize = 3;
/// The longest name of a pin, in bytes: a container id's.
const MAX_HOLDER_BYTES: usize = 128;

/// An image that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The digest of its manifest.
    pub id: Digest,
    /// Directories, the topmost first; never empty. They must not be written to.
    pub layers: Vec<PathBuf>,
    pub config: ImageConfig,
}

/// What a list says of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub id: Digest,
    /// References that mean it; sorted. Empty when a tag has moved on.
    pub names: Vec<String>,
    pub layers: usize,
    /// Unpacked. Layers are shared, so all images together may take less.
    pub bytes: u64,
    pub last_used: SystemTime,
    /// Containers that use it.
    pub containers: usize,
}

/// Why an image is not to be had.
#[derive(Debug, Error)]
pub enum PullError {
    #[error(transparent)]
    Reference(#[from] ParseReferenceError),
    #[error("image `{0}` is not here, and may not be pulled")]
    Absent(String),
    #[error("image `{name}`: {source}")]
    Source { name: String, source: Box<SourceError> },
    #[error("image `{name}`, layer {layer}: {source}")]
    Layer {
        name: String,
        layer: Digest,
        source: Box<UnpackError>,
    },
    #[error("image `{name}` unpacks to more than {limit} bytes")]
    TooLarge { name: String, limit: u64 },
    #[error("image `{0}` changed while it was pulled")]
    Unsettled(String),
    #[error("`{0}` cannot be the name of a container")]
    Holder(String),
    #[error("image store: {0}")]
    Io(#[from] io::Error),
}

/// Why a store cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error("image store {path}: {error}")]
    Io { path: String, error: io::Error },
    #[error(
        "image store {path}: its layers were unpacked for an agent with other ids, or with root: empty the directory, or start the agent as it was"
    )]
    Form { path: String },
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// The images of one agent; clones are the same store.
#[derive(Clone)]
pub struct ImageStore(Arc<Inner>);

struct Inner {
    disk: Disk,
    config: Config,
    client: Client,
    state: Mutex<State>,
    /// Pulls on their way, by name.
    flights: Mutex<BTreeMap<String, Flight>>,
    /// Blobs on their way.
    blobs: Mutex<BTreeMap<Digest, Weak<tokio::sync::Mutex<()>>>>,
    downloads: Semaphore,
    unpacks: Semaphore,
    /// Held while layers are made to fit each other.
    assembling: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for ImageStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ImageStore").field(&self.0.disk.root()).finish()
    }
}

impl ImageStore {
    /// Opens a store, which no other process may have open. What a crash left is removed. Blocks.
    pub fn open(dir: &Path, config: Config) -> Result<Self, OpenError> {
        let io = |error| OpenError::Io {
            path: dir.display().to_string(),
            error,
        };
        let disk = Disk::open(dir).map_err(io)?;
        let state = State::load(&disk).map_err(io)?;
        if state.layers.values().any(|layer| layer.file.form != config.form) {
            let path = dir.display().to_string();
            return Err(OpenError::Form { path });
        }
        let client = Client::new(config.registries.clone())?;
        Ok(Self(Arc::new(Inner {
            disk,
            config,
            client,
            state: Mutex::new(state),
            flights: Mutex::default(),
            blobs: Mutex::default(),
            downloads: Semaphore::new(MAX_DOWNLOADS),
            unpacks: Semaphore::new(MAX_UNPACKS),
            assembling: tokio::sync::Mutex::default(),
        })))
    }

    /// Gets an image, pinned for `holder` until it is released; without one it may be collected again at any time.
    /// `told` hears how far it is. Those who want the same image at once share one pull, and what becomes of it. Dropping
    /// the future of the last of them stops it.
    pub async fn pull(
        &self,
        spec: &ImageSpec,
        holder: Option<&str>,
        told: &(dyn Fn(Progress) + Send + Sync),
    ) -> Result<Image, Arc<PullError>> {
        let reference = ImageReference::parse(&spec.reference).map_err(|error| Arc::new(error.into()))?;
        let name = reference.to_string();
        if spec.pull != PullPolicy::Always
            && let Some(image) = self.0.present(&name, holder)?
        {
            return Ok(image);
        }
        if spec.pull == PullPolicy::Never {
            return Err(Arc::new(PullError::Absent(name)));
        }
        // What is held until here cannot be collected before it is pinned.
        let held = pull::join(&self.0, reference, &name, told).await?;
        let image = self.0.present_by_id(&held.id, holder)?;
        image.ok_or_else(|| Arc::new(PullError::Unsettled(name)))
    }

    /// Lets go of all images a container uses. Nothing happens when there are none.
    pub fn release(&self, holder: &str) -> Result<(), PullError> {
        let path = self.0.disk.path("pins", checked(holder)?);
        let mut state = self.0.state();
        disk::remove_tree(&path)?;
        state.pins.remove(holder);
        state.unread.remove(holder);
        Ok(())
    }

    /// Everyone for whom something is pinned.
    #[must_use]
    pub fn holders(&self) -> Vec<String> {
        self.0.state().pins.keys().cloned().collect()
    }

    /// All images, by id.
    #[must_use]
    pub fn list(&self) -> Vec<Listed> {
        let state = self.0.state();
        let listed = |known: &Known| {
            let named = state.names.iter().filter(|(_, id)| **id == known.file.id);
            Listed {
                id: known.file.id,
                names: named.map(|(name, _)| name.clone()).collect(),
                layers: known.file.layers.len(),
                bytes: state.bytes(&known.file),
                last_used: known.last_used,
                containers: state.holders(&known.file.id),
            }
        };
        state.images.values().map(listed).collect()
    }

    /// Removes what is due by age and space.
    pub async fn collect(&self, now: SystemTime) -> io::Result<Collected> {
        let inner = self.0.clone();
        blocking(move || inner.collect(Thoroughness::Due, now)).await
    }

    /// Removes every image that no container uses.
    pub async fn prune(&self, now: SystemTime) -> io::Result<Collected> {
        let inner = self.0.clone();
        blocking(move || inner.collect(Thoroughness::All, now)).await
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn present(&self, name: &str, holder: Option<&str>) -> Result<Option<Image>, PullError> {
        let id = self.state().names.get(name).copied();
        id.map_or(Ok(None), |id| self.present_by_id(&id, holder))
    }

    /// Pins and returns an image. One small file is written: no reader waits for it.
    fn present_by_id(&self, id: &Digest, holder: Option<&str>) -> Result<Option<Image>, PullError> {
        let mut state = self.state();
        if !state.images.contains_key(id) {
            return Ok(None);
        }
        if let Some(holder) = holder {
            self.pin(&mut state, checked(holder)?, *id)?;
        }
        let now = SystemTime::now();
        let file = self.image_path(id);
        let Some(known) = state.images.get_mut(id) else {
            return Ok(None);
        };
        known.last_used = now;
        let numbers: Vec<u64> = known.file.layers.iter().map(|(number, _)| *number).collect();
        let config = known.file.config.clone();
        // Only collection reads it, and after a restart: where it cannot be kept, the image is older than it is.
        if let Err(error) = std::fs::File::open(&file).and_then(|file| file.set_modified(now)) {
            tracing::debug!(image = %id, %error, "cannot keep when an image was used");
        }
        let layers = state
            .stack(&numbers)
            .into_iter()
            .map(|number| self.disk.files(number))
            .collect();
        Ok(Some(Image {
            id: *id,
            layers,
            config,
        }))
    }

    fn pin(&self, state: &mut State, holder: &str, id: Digest) -> io::Result<()> {
        let mut pinned = state.pins.get(holder).cloned().unwrap_or_default();
        if pinned.insert(id) {
            let lines: String = pinned.iter().map(|id| format!("{id}\n")).collect();
            self.disk
                .write(&self.disk.path("pins", holder), lines.as_bytes())?;
            state.pins.insert(holder.to_owned(), pinned);
        }
        Ok(())
    }

    fn image_path(&self, id: &Digest) -> PathBuf {
        self.disk.path("images", &format!("{}.json", id.hex()))
    }

    fn is_downloading(&self, blob: &str) -> bool {
        let blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        blobs
            .iter()
            .any(|(digest, lock)| digest.hex() == blob && lock.strong_count() > 0)
    }
}

/// References hold slashes and may be longer than a file's name.
fn name_path(disk: &Disk, name: &str) -> PathBuf {
    disk.path("names", &format!("{}.json", Digest::of(name.as_bytes()).hex()))
}

/// A holder's name is a file's name.
fn checked(holder: &str) -> Result<&str, PullError> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match (1..=MAX_HOLDER_BYTES).contains(&holder.len())
        && !holder.starts_with('.')
        && holder.chars().all(good)
    {
        true => Ok(holder),
        false => Err(PullError::Holder(holder.escape_debug().to_string())),
    }
}

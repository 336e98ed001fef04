//! One pull: shared by all who want the same image, its layers fetched side by side.

use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::SystemTime;

use futures::future::{BoxFuture, FutureExt, Shared, WeakShared};
use futures::stream::{StreamExt, TryStreamExt};
use tokio::sync::watch;

use super::assemble::adopt;
use super::disk::{FORMAT, ImageFile, LayerFile, NameFile, Staged, boot_id, remove_tree};
use super::progress::{Progress, Tracker};
use super::state::{Known, Layer};
use super::{Inner, PullError, name_path};
use crate::digest::Digest;
use crate::manifest::Blob;
use crate::reference::ImageReference;
use crate::source::SourceError;
use crate::source::{Resolved, Source, blocking};
use crate::unpack::{Expected, unpack};

/// Layers of one image that are fetched side by side.
const MAX_LAYERS_AT_ONCE: usize = 4;
/// How often a layer is fetched again because another image took the one that was there as its own.
const MAX_ASSEMBLIES: usize = 3;

type Outcome = Result<Arc<Pulled>, Arc<PullError>>;
type Pull = BoxFuture<'static, Outcome>;

/// A pull that others may join as long as somebody waits for it.
pub(super) struct Flight {
    pull: WeakShared<Pull>,
    progress: watch::Receiver<Progress>,
}

/// An image that was pulled, and stays as long as this does.
pub(super) struct Pulled {
    pub(super) id: Digest,
    _layers: Vec<Held>,
}

/// A layer that is not collected as long as this lives.
struct Held {
    inner: Arc<Inner>,
    number: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(layer) = self.inner.state().layers.get_mut(&self.number) {
            layer.held = layer.held.saturating_sub(1);
        }
    }
}

/// Tells a thread that unpacks to stop when nobody waits for it any more.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A layer that is wanted.
#[derive(Clone)]
struct Want {
    /// Its place in the image, from below.
    at: usize,
    blob: Blob,
    expected: Expected,
    chain: Digest,
}

/// Waits for the pull of a name, which is started when there is none.
pub(super) async fn join(
    inner: &Arc<Inner>,
    reference: ImageReference,
    name: &str,
    told: &(dyn Fn(Progress) + Send + Sync),
) -> Outcome {
    let (pull, mut progress) = flight(inner, reference, name);
    let mut pull = std::pin::pin!(pull);
    loop {
        tokio::select! {
            biased;
            outcome = &mut pull => return outcome,
            Ok(()) = progress.changed() => {
                let now = *progress.borrow_and_update();
                told(now);
            }
        }
    }
}

fn flight(
    inner: &Arc<Inner>,
    reference: ImageReference,
    name: &str,
) -> (Shared<Pull>, watch::Receiver<Progress>) {
    let mut flights = inner.flights.lock().unwrap_or_else(PoisonError::into_inner);
    flights.retain(|_, flight| flight.pull.upgrade().is_some_and(|pull| pull.peek().is_none()));
    if let Some(flight) = flights.get(name)
        && let Some(pull) = flight.pull.upgrade()
    {
        return (pull, flight.progress.clone());
    }
    let (sender, progress) = watch::channel(Progress::default());
    let (own, wanted) = (inner.clone(), name.to_owned());
    let pull = async move {
        run(own, reference, wanted, Tracker::new(sender))
            .await
            .map_err(Arc::new)
    };
    let pull = pull.boxed().shared();
    if let Some(weak) = pull.downgrade() {
        flights.insert(
            name.to_owned(),
            Flight {
                pull: weak,
                progress: progress.clone(),
            },
        );
    }
    (pull, progress)
}

async fn run(
    inner: Arc<Inner>,
    reference: ImageReference,
    name: String,
    tracker: Tracker,
) -> Result<Arc<Pulled>, PullError> {
    let failed = |source: SourceError| PullError::Source {
        name: name.clone(),
        source: Box::new(source),
    };
    let source = Source::open(&reference, &inner.config, &inner.client)
        .await
        .map_err(failed)?;
    let resolved = source.resolve(&inner.config).await.map_err(failed)?;
    if let Some(pulled) = known(&inner, resolved.id) {
        inner.name(&name, resolved.id)?;
        return Ok(Arc::new(pulled));
    }
    let wants = wants(&resolved);
    tracker.start(wants.iter().map(|want| want.blob.size));
    let pulling = Pulling {
        inner: &inner,
        source: &source,
        name: &name,
        tracker: &tracker,
    };
    for _ in 0..MAX_ASSEMBLIES {
        let layers = pulling.layers(&wants).await?;
        if pulling.assemble(&wants, &layers).await? {
            inner.add_image(&resolved, &layers)?;
            inner.name(&name, resolved.id)?;
            sync(&inner, layers.iter().map(|layer| layer.number).collect());
            return Ok(Arc::new(Pulled {
                id: resolved.id,
                _layers: layers,
            }));
        }
    }
    Err(PullError::Unsettled(name))
}

fn wants(resolved: &Resolved) -> Vec<Want> {
    let mut below = None;
    let want = |(at, (blob, expected)): (usize, (&Blob, &Expected))| {
        let chain = Digest::chain(below, expected.diff_id);
        below = Some(chain);
        Want {
            at,
            blob: blob.clone(),
            expected: *expected,
            chain,
        }
    };
    resolved
        .blobs
        .iter()
        .zip(&resolved.layers)
        .enumerate()
        .map(want)
        .collect()
}

/// An image that is here already, under whatever name.
fn known(inner: &Arc<Inner>, id: Digest) -> Option<Pulled> {
    let mut state = inner.state();
    let numbers: Vec<u64> = state
        .images
        .get(&id)?
        .file
        .layers
        .iter()
        .map(|(number, _)| *number)
        .collect();
    for number in &numbers {
        state.layers.get_mut(number)?.held += 1;
    }
    let held = |number| Held {
        inner: inner.clone(),
        number,
    };
    Some(Pulled {
        id,
        _layers: numbers.into_iter().map(held).collect(),
    })
}

/// What the layers of one pull have in common.
struct Pulling<'a> {
    inner: &'a Arc<Inner>,
    source: &'a Source<'a>,
    name: &'a str,
    tracker: &'a Tracker,
}

impl Pulling<'_> {
    /// Gets all layers, the lowest first.
    async fn layers(&self, wants: &[Want]) -> Result<Vec<Held>, PullError> {
        let bytes = AtomicU64::new(0);
        let limit = self.inner.config.limits.image_bytes;
        let fetch = async |want: Want| {
            let held = self.layer(&want).await?;
            self.tracker.done(want.at);
            let own = self
                .inner
                .state()
                .layers
                .get(&held.number)
                .map_or(0, |layer| layer.file.bytes);
            match bytes.fetch_add(own, Ordering::Relaxed).saturating_add(own) > limit {
                true => Err(PullError::TooLarge {
                    name: self.name.to_owned(),
                    limit,
                }),
                false => Ok(held),
            }
        };
        // Boxed: the compiler does not see otherwise that all of this may move between threads.
        let fetches: Vec<BoxFuture<'_, _>> = wants.iter().map(|want| fetch(want.clone()).boxed()).collect();
        futures::stream::iter(fetches)
            .buffered(MAX_LAYERS_AT_ONCE)
            .try_collect()
            .await
    }

    async fn layer(&self, want: &Want) -> Result<Held, PullError> {
        if let Some(held) = self.inner.hold(want) {
            return Ok(held);
        }
        // Whoever wants the same blob waits here, and finds the layer.
        let lock = self.inner.blob_lock(want.blob.digest);
        let _only = lock.lock().await;
        if let Some(held) = self.inner.hold(want) {
            return Ok(held);
        }
        let path = self.inner.disk.path("blobs", &want.blob.digest.hex());
        let stored = {
            let _permit = self.inner.downloads.acquire().await;
            let told = |bytes| self.tracker.have(want.at, bytes);
            let fetched = self.source.layer(&want.blob, &path, &told).await;
            fetched.map_err(|source: SourceError| PullError::Source {
                name: self.name.to_owned(),
                source: Box::new(source),
            })?
        };
        let _permit = self.inner.unpacks.acquire().await;
        let unpacked = self.unpack(stored, want).await;
        remove_tree(&path)?;
        unpacked
    }

    async fn unpack(&self, mut stored: Box<dyn Read + Send>, want: &Want) -> Result<Held, PullError> {
        let stop = StopOnDrop(Arc::default());
        let (inner, stopped, want, name) = (
            self.inner.clone(),
            stop.0.clone(),
            want.clone(),
            self.name.to_owned(),
        );
        blocking(move || {
            let staged = Staged::new(&inner.disk)?;
            let files = staged.path().join("fs");
            let limits = &inner.config.limits;
            let unpacked = unpack(
                &mut stored,
                &files,
                &want.expected,
                limits,
                inner.config.form,
                &stopped,
            );
            let unpacked = unpacked.map_err(|source| PullError::Layer {
                name,
                layer: want.blob.digest,
                source: Box::new(source),
            })?;
            let file = LayerFile {
                format: FORMAT,
                diff_id: want.expected.diff_id,
                chain: None,
                implicit: unpacked.implicit,
                hides_below: unpacked.hides_below,
                bytes: unpacked.bytes,
                boot_id: boot_id(),
                form: inner.config.form,
            };
            inner.add_layer(staged, file)
        })
        .await
    }

    /// Makes the layers fit each other. Returns whether all could be had for this chain.
    async fn assemble(&self, wants: &[Want], layers: &[Held]) -> Result<bool, PullError> {
        let _only = self.inner.assembling.lock().await;
        let numbers: Vec<u64> = layers.iter().map(|layer| layer.number).collect();
        for (at, want) in wants.iter().enumerate() {
            let (file, below) = {
                let state = self.inner.state();
                let Some(layer) = state.layers.get(&numbers[at]) else {
                    return Ok(false);
                };
                (layer.file.clone(), state.stack(&numbers[..at]))
            };
            if file.implicit.is_empty() || file.chain == Some(want.chain) {
                continue;
            }
            if file.chain.is_some() {
                return Ok(false);
            }
            let below: Vec<PathBuf> = below
                .into_iter()
                .map(|number| self.inner.disk.files(number))
                .collect();
            let (inner, number, chain) = (self.inner.clone(), numbers[at], want.chain);
            blocking(move || {
                adopt(
                    &inner.disk.files(number),
                    &file.implicit,
                    &below,
                    inner.config.form,
                )?;
                let file = LayerFile {
                    chain: Some(chain),
                    ..file
                };
                inner
                    .disk
                    .write_json(&inner.disk.layer(number).join("layer.json"), &file)?;
                if let Some(layer) = inner.state().layers.get_mut(&number) {
                    layer.file = file;
                }
                Ok::<_, PullError>(())
            })
            .await?;
        }
        Ok(true)
    }
}

impl Inner {
    fn hold(self: &Arc<Self>, want: &Want) -> Option<Held> {
        let mut state = self.state();
        let number = state.usable(want.expected.diff_id, want.chain)?;
        state.layers.get_mut(&number)?.held += 1;
        Some(Held {
            inner: self.clone(),
            number,
        })
    }

    fn blob_lock(&self, blob: Digest) -> Arc<tokio::sync::Mutex<()>> {
        let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        blobs.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = blobs.get(&blob).and_then(std::sync::Weak::upgrade) {
            return lock;
        }
        let lock = Arc::default();
        blobs.insert(blob, Arc::downgrade(&lock));
        lock
    }

    fn add_layer(self: &Arc<Self>, staged: Staged, file: LayerFile) -> Result<Held, PullError> {
        self.disk.write_json(&staged.path().join("layer.json"), &file)?;
        let mut state = self.state();
        let number = state.next_layer;
        staged.become_layer(&self.disk.layer(number))?;
        state.next_layer += 1;
        state.layers.insert(
            number,
            Layer {
                file,
                held: 1,
                since: SystemTime::now(),
            },
        );
        Ok(Held {
            inner: self.clone(),
            number,
        })
    }

    fn add_image(&self, resolved: &Resolved, layers: &[Held]) -> Result<(), PullError> {
        let diff_ids = resolved.layers.iter().map(|layer| layer.diff_id);
        let file = ImageFile {
            format: FORMAT,
            id: resolved.id,
            layers: layers.iter().map(|layer| layer.number).zip(diff_ids).collect(),
            config: resolved.config.clone(),
        };
        let mut state = self.state();
        self.disk.write_json(&self.image_path(&file.id), &file)?;
        state.images.insert(
            file.id,
            Known {
                file,
                last_used: SystemTime::now(),
            },
        );
        Ok(())
    }

    fn name(&self, name: &str, id: Digest) -> Result<(), PullError> {
        let mut state = self.state();
        if state.names.get(name) != Some(&id) {
            let file = NameFile {
                format: FORMAT,
                name: name.to_owned(),
                id,
            };
            self.disk.write_json(&name_path(&self.disk, name), &file)?;
            state.names.insert(name.to_owned(), id);
        }
        Ok(())
    }
}

/// Brings new layers to the disk for good, while they are used already. Power lost before that costs another pull.
fn sync(inner: &Arc<Inner>, layers: Vec<u64>) {
    let inner = inner.clone();
    tokio::task::spawn_blocking(move || {
        let unsynced: Vec<PathBuf> = layers
            .iter()
            .map(|number| inner.disk.layer(*number).join("synced"))
            .filter(|mark| !mark.exists())
            .collect();
        if unsynced.is_empty() {
            return;
        }
        let synced = std::fs::File::open(inner.disk.root())
            .and_then(|root| Ok(rustix::fs::syncfs(root)?))
            .and_then(|()| {
                unsynced
                    .iter()
                    .try_for_each(|mark| std::fs::File::create(mark).map(drop))
            });
        if let Err(error) = synced {
            tracing::warn!(%error, "cannot sync the layers of an image");
        }
    });
}

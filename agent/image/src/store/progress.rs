//! How far a pull is.

use std::fmt;
use std::sync::Mutex;

use tokio::sync::watch;

/// How far a pull is. Before the manifest is there, all is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    pub layers: usize,
    /// Unpacked, or there already.
    pub layers_done: usize,
    /// Bytes to download, as they are stored.
    pub bytes: u64,
    pub bytes_done: u64,
}

/// `3 of 5 layers, 40 of 120 MiB`.
impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let Self {
            layers,
            layers_done,
            bytes,
            bytes_done,
        } = *self;
        write!(
            f,
            "{layers_done} of {layers} layers, {} of {} MiB",
            mib(bytes_done),
            mib(bytes)
        )
    }
}

/// Adds up what the layers of one pull report.
pub(crate) struct Tracker {
    /// Size and bytes here of each layer.
    layers: Mutex<Vec<(u64, u64)>>,
    told: watch::Sender<Progress>,
}

impl Tracker {
    pub(crate) fn new(told: watch::Sender<Progress>) -> Self {
        Self {
            layers: Mutex::default(),
            told,
        }
    }

    pub(crate) fn start(&self, sizes: impl Iterator<Item = u64>) {
        let layers: Vec<_> = sizes.map(|size| (size, 0)).collect();
        let bytes = layers.iter().map(|(size, _)| size).sum();
        self.told.send_replace(Progress {
            layers: layers.len(),
            bytes,
            ..Progress::default()
        });
        if let Ok(mut own) = self.layers.lock() {
            *own = layers;
        }
    }

    pub(crate) fn have(&self, layer: usize, bytes: u64) {
        let Ok(mut layers) = self.layers.lock() else {
            return;
        };
        if let Some((_, have)) = layers.get_mut(layer) {
            *have = bytes;
        }
        let sum = layers.iter().map(|(_, have)| have).sum();
        self.told.send_modify(|progress| progress.bytes_done = sum);
    }

    pub(crate) fn done(&self, layer: usize) {
        let size = self
            .layers
            .lock()
            .ok()
            .and_then(|layers| layers.get(layer).map(|(size, _)| *size));
        self.have(layer, size.unwrap_or_default());
        self.told.send_modify(|progress| progress.layers_done += 1);
    }
}

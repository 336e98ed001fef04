//! What the store has, in memory: read once at start, so that looking an image up costs no file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use super::disk::{Disk, FORMAT, ImageFile, LayerFile, NameFile, boot_id, read_json, remove_tree};
use crate::digest::Digest;

/// A layer that is there.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) file: LayerFile,
    /// Pulls that count on it.
    pub(crate) held: usize,
    /// When it came.
    pub(crate) since: SystemTime,
}

/// An image that is there.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) file: ImageFile,
    pub(crate) last_used: SystemTime,
}

/// Everything that is there.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) images: BTreeMap<Digest, Known>,
    pub(crate) names: BTreeMap<String, Digest>,
    pub(crate) layers: BTreeMap<u64, Layer>,
    pub(crate) pins: BTreeMap<String, BTreeSet<Digest>>,
    /// Containers whose pins cannot be read: they may use anything.
    pub(crate) unread: BTreeSet<String>,
    pub(crate) next_layer: u64,
}

impl State {
    /// Reads the directory; what is not whole is removed, or left as it is while a container uses an image, which it
    /// may be a part of: then a later start removes it.
    pub(crate) fn load(disk: &Disk) -> io::Result<Self> {
        let mut state = Self::default();
        state.load_pins(disk)?;
        state.load_layers(disk)?;
        state.load_images(disk)?;
        for file in disk.list("names")? {
            let path = disk.path("names", &file);
            match read_json::<NameFile>(&path) {
                Some((name, _)) if name.format == FORMAT && state.images.contains_key(&name.id) => {
                    state.names.insert(name.name, name.id);
                }
                Some(_) | None => {
                    tracing::warn!(path = %path.display(), "a name that leads nowhere is removed");
                    remove_tree(&path)?;
                }
            }
        }
        Ok(state)
    }

    fn load_pins(&mut self, disk: &Disk) -> io::Result<()> {
        for holder in disk.list("pins")? {
            let path = disk.path("pins", &holder);
            let pinned = fs::read_to_string(&path).map_err(|error| error.to_string());
            let pinned = pinned.and_then(|text| {
                let digests = text
                    .lines()
                    .map(|line| line.parse().map_err(|_| "it is damaged".to_owned()));
                digests.collect::<Result<BTreeSet<Digest>, String>>()
            });
            match pinned {
                Ok(pinned) if !pinned.is_empty() => {
                    self.pins.insert(holder, pinned);
                }
                pinned => {
                    let error = pinned.err().unwrap_or_else(|| "it is empty".to_owned());
                    tracing::warn!(path = %path.display(), error, "cannot read what a container uses; no image goes before it does");
                    self.pins.insert(holder.clone(), BTreeSet::new());
                    self.unread.insert(holder);
                }
            }
        }
        Ok(())
    }

    /// Removes what is not whole, unless a container may use it.
    fn drop_damaged(&self, disk: &Disk, path: &Path) -> io::Result<()> {
        if self.pins.is_empty() {
            tracing::warn!(path = %path.display(), "what is not whole is removed");
            return remove_tree(&disk.take(path)?);
        }
        tracing::warn!(path = %path.display(), "what is not whole stays until a start without containers that use images");
        Ok(())
    }

    /// Whether something of what containers use is not known.
    pub(crate) fn is_uncertain(&self) -> bool {
        let mut pinned = self.pins.values().flatten();
        !self.unread.is_empty() || pinned.any(|id| !self.images.contains_key(id))
    }

    fn load_layers(&mut self, disk: &Disk) -> io::Result<()> {
        let boot_id = boot_id();
        for name in disk.list("layers")? {
            let path = disk.path("layers", &name);
            let number: Option<u64> = name.parse().ok();
            // Taken numbers are not used again, whatever becomes of them.
            self.next_layer = self.next_layer.max(number.map_or(0, |number| number + 1));
            let file = read_json::<LayerFile>(&path.join("layer.json"));
            let is_whole = |file: &LayerFile| {
                file.format == FORMAT && (file.boot_id == boot_id || path.join("synced").exists())
            };
            match (number, file.filter(|(file, _)| is_whole(file))) {
                (Some(number), Some((file, since))) => {
                    self.layers.insert(number, Layer { file, held: 0, since });
                }
                (_, _) => self.drop_damaged(disk, &path)?,
            }
        }
        Ok(())
    }

    fn load_images(&mut self, disk: &Disk) -> io::Result<()> {
        for file in disk.list("images")? {
            let path = disk.path("images", &file);
            let has = |(number, diff_id): &(u64, Digest)| {
                self.layers
                    .get(number)
                    .is_some_and(|layer| layer.file.diff_id == *diff_id)
            };
            match read_json::<ImageFile>(&path) {
                Some((file, last_used)) if file.format == FORMAT && file.layers.iter().all(has) => {
                    self.images.insert(file.id, Known { file, last_used });
                }
                Some(_) | None => self.drop_damaged(disk, &path)?,
            }
        }
        Ok(())
    }

    /// A layer that may stand in `chain`: one whose unlisted directories look right there, or can be made to.
    pub(crate) fn usable(&self, diff_id: Digest, chain: Digest) -> Option<u64> {
        let fits = |layer: &Layer| {
            let file = &layer.file;
            file.diff_id == diff_id
                && (file.implicit.is_empty() || file.chain.is_none_or(|claimed| claimed == chain))
        };
        self.layers
            .iter()
            .find(|(_, layer)| fits(layer))
            .map(|(number, _)| *number)
    }

    /// Layers as overlayfs takes them, the topmost first: what hides everything below it is the last.
    pub(crate) fn stack(&self, lowest_first: &[u64]) -> Vec<u64> {
        let mut stack = Vec::new();
        for number in lowest_first.iter().rev() {
            stack.push(*number);
            if self
                .layers
                .get(number)
                .is_some_and(|layer| layer.file.hides_below)
            {
                break;
            }
        }
        stack
    }

    /// Bytes of an image's layers.
    pub(crate) fn bytes(&self, image: &ImageFile) -> u64 {
        image
            .layers
            .iter()
            .filter_map(|(number, _)| self.layers.get(number))
            .map(|layer| layer.file.bytes)
            .sum()
    }

    /// Containers that use an image.
    pub(crate) fn holders(&self, id: &Digest) -> usize {
        self.pins.values().filter(|pinned| pinned.contains(id)).count()
    }

    /// Whether an image may not go: a container uses it, or a pull counts on one of its layers.
    pub(crate) fn is_used(&self, image: &ImageFile) -> bool {
        let is_held =
            |(number, _): &(u64, Digest)| self.layers.get(number).is_some_and(|layer| layer.held > 0);
        self.is_uncertain() || self.holders(&image.id) > 0 || image.layers.iter().any(is_held)
    }
}

//! Removes what nobody uses: by age, by space, or all of it.
//!
//! Invariant: an image goes before its layers, and neither while a container or a pull uses it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::Inner;
use super::disk::{Disk, remove_tree};
use super::state::State;
use crate::config::{Collection, Watermark};
use crate::digest::Digest;

/// Layers and downloads that belong to no image are kept for so long: the pull they are of may be tried again.
const ORPHAN_AGE: Duration = Duration::from_secs(3600);

/// What a collection removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    pub images: usize,
    pub layers: usize,
    /// Of the layers, unpacked.
    pub bytes: u64,
}

/// How thorough a collection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thoroughness {
    /// By age and space, as the operator said.
    Due,
    /// Everything that is not used.
    All,
}

impl Inner {
    /// Removes what may go. Blocks: for as long as it takes to remove the files.
    pub(super) fn collect(&self, how: Thoroughness, now: SystemTime) -> io::Result<Collected> {
        let mut collected = Collected::default();
        let gone = {
            let mut state = self.state();
            if state.is_uncertain() {
                return Ok(collected);
            }
            for id in self.victims(&state, how, now)? {
                remove_image(&self.disk, &mut state, id)?;
                collected.images += 1;
            }
            let keep = if how == Thoroughness::All {
                Duration::ZERO
            } else {
                ORPHAN_AGE
            };
            remove_layers(
                &self.disk,
                &mut state,
                collected.images > 0,
                keep,
                now,
                &mut collected,
            )?
        };
        for path in gone {
            remove_tree(&path)?;
        }
        self.remove_blobs(how, now)?;
        Ok(collected)
    }

    /// Images to be removed, those used longest ago first.
    fn victims(&self, state: &State, how: Thoroughness, now: SystemTime) -> io::Result<Vec<Digest>> {
        let unused = state.images.values().filter(|image| !state.is_used(&image.file));
        let mut unused: Vec<_> = unused.map(|image| (image.last_used, image.file.id)).collect();
        unused.sort();
        if how == Thoroughness::All {
            return Ok(unused.into_iter().map(|(_, id)| id).collect());
        }
        let Collection { age, high, low } = self.config.collection;
        let is_old = |used: &SystemTime| now.duration_since(*used).is_ok_and(|since| since > age);
        let used = self.used(state)?;
        let mut wanted = if used.exceeds(high) { used.above(low) } else { 0 };
        let mut remaining: BTreeSet<Digest> = state.images.keys().copied().collect();
        let mut victims = Vec::new();
        for (last_used, id) in unused {
            if !is_old(&last_used) && wanted == 0 {
                continue;
            }
            remaining.remove(&id);
            wanted = wanted.saturating_sub(only_of(state, id, &remaining));
            victims.push(id);
        }
        Ok(victims)
    }

    fn used(&self, state: &State) -> io::Result<Used> {
        let stat = rustix::fs::statvfs(self.disk.root())?;
        let capacity = stat.f_blocks.saturating_mul(stat.f_frsize);
        Ok(Used {
            images: state.layers.values().map(|layer| layer.file.bytes).sum(),
            capacity,
            disk: capacity.saturating_sub(stat.f_bavail.saturating_mul(stat.f_frsize)),
        })
    }

    fn remove_blobs(&self, how: Thoroughness, now: SystemTime) -> io::Result<()> {
        for name in self.disk.list("blobs")? {
            let path = self.disk.path("blobs", &name);
            let Ok(modified) = fs::metadata(&path).and_then(|found| found.modified()) else {
                continue;
            };
            let is_old = now.duration_since(modified).is_ok_and(|since| since > ORPHAN_AGE);
            if (is_old || how == Thoroughness::All) && !self.is_downloading(&name) {
                remove_tree(&path)?;
            }
        }
        Ok(())
    }
}

/// Bytes in use.
struct Used {
    images: u64,
    disk: u64,
    capacity: u64,
}

impl Used {
    fn exceeds(&self, mark: Watermark) -> bool {
        self.above(mark) > 0
    }

    fn above(&self, mark: Watermark) -> u64 {
        match mark {
            Watermark::Bytes(bytes) => self.images.saturating_sub(bytes),
            Watermark::Percent(percent) => self.disk.saturating_sub(self.capacity / 100 * u64::from(percent)),
        }
    }
}

/// Bytes of layers that only this image has.
fn only_of(state: &State, id: Digest, others: &BTreeSet<Digest>) -> u64 {
    let Some(image) = state.images.get(&id) else {
        return 0;
    };
    let shared: BTreeSet<u64> = others
        .iter()
        .filter_map(|other| state.images.get(other))
        .flat_map(|other| other.file.layers.iter().map(|(number, _)| *number))
        .collect();
    let own = image
        .file
        .layers
        .iter()
        .filter(|(number, _)| !shared.contains(number));
    own.filter_map(|(number, _)| state.layers.get(number))
        .map(|layer| layer.file.bytes)
        .sum()
}

fn remove_image(disk: &Disk, state: &mut State, id: Digest) -> io::Result<()> {
    remove_tree(&disk.path("images", &format!("{}.json", id.hex())))?;
    state.images.remove(&id);
    let names: Vec<_> = state
        .names
        .iter()
        .filter(|(_, named)| **named == id)
        .map(|(name, _)| name.clone())
        .collect();
    for name in names {
        remove_tree(&super::name_path(disk, &name))?;
        state.names.remove(&name);
    }
    Ok(())
}

/// Takes layers without an image out of sight; returns what has to be removed.
fn remove_layers(
    disk: &Disk,
    state: &mut State,
    is_freed: bool,
    keep: Duration,
    now: SystemTime,
    collected: &mut Collected,
) -> io::Result<Vec<PathBuf>> {
    let wanted: BTreeSet<u64> = state
        .images
        .values()
        .flat_map(|image| image.file.layers.iter().map(|(number, _)| *number))
        .collect();
    let is_old = |since: SystemTime| keep.is_zero() || now.duration_since(since).is_ok_and(|age| age > keep);
    let orphans = state.layers.iter().filter(|(number, layer)| {
        // When an image just went, its layers are what is to be freed.
        layer.held == 0 && !wanted.contains(number) && (is_freed || is_old(layer.since))
    });
    let orphans: Vec<u64> = orphans.map(|(number, _)| *number).collect();
    let mut gone = Vec::new();
    for number in orphans {
        gone.push(disk.take(&disk.layer(number))?);
        if let Some(layer) = state.layers.remove(&number) {
            collected.layers += 1;
            collected.bytes += layer.file.bytes;
        }
    }
    Ok(gone)
}

//! What a registry gives out: manifests, configurations, layers. Whatever they say, nothing is written outside the
//! directory that a layer is unpacked in.

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use proffer_image::{
    Compression, Digest, Document, Expected, LayerForm, Limits, MAX_LAYERS, check_blobs, choose, read_config,
    unpack,
};
use serde_json::json;
use tar::{Builder, EntryType, Header};

use crate::{joined, pieces};

const MANIFEST: u8 = 0;
const INDEX: u8 = 1;
const CONFIG: u8 = 2;
const LAYER: u8 = 3;

const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";

/// Small, so that they are reached.
const LIMITS: Limits = Limits {
    layer_bytes: 1 << 20,
    image_bytes: 1 << 20,
    layer_entries: 64,
    ratio: 200,
};

const TAR_BLOCK: usize = 512;
/// Where a tar header has its checksum, and where its magic number.
const CHECKSUM: std::ops::Range<usize> = 148..156;
const MAGIC: std::ops::Range<usize> = 257..262;

pub(crate) fn run(input: &[u8]) {
    // Of the manifest before the configuration.
    let mut blobs = Vec::new();
    for (kind, piece) in pieces(input) {
        match kind {
            MANIFEST => {
                let Ok(Document::Image { config, layers }) = Document::read(piece, MANIFEST_TYPE) else {
                    continue;
                };
                if check_blobs(&config, &layers, &LIMITS).is_ok() {
                    assert!(layers.len() <= MAX_LAYERS);
                    assert!(layers.iter().all(|layer| layer.size <= LIMITS.layer_bytes));
                    blobs = layers;
                }
            }
            INDEX => {
                if let Ok(Document::Index(manifests)) = Document::read(piece, INDEX_TYPE) {
                    let chosen = choose(&manifests).ok();
                    assert!(chosen.is_none_or(|chosen| manifests.contains(chosen)));
                }
            }
            CONFIG => {
                if let Ok((expected, config)) = read_config(piece, &blobs) {
                    assert_eq!(expected.len(), blobs.len());
                    let dir = config.working_dir.as_deref().unwrap_or("/");
                    assert!(Path::new(dir).is_absolute() && !dir.contains('\0'));
                }
            }
            _ => drop(layer(piece)),
        }
    }
}

/// Unpacks a layer beside a file that has to stay as it is; says whether the layer was taken.
fn layer(piece: &[u8]) -> bool {
    let mut content = piece.to_vec();
    set_checksums(&mut content);
    let dir = tempfile::tempdir().expect("there is a place for temporary files");
    let (root, beside) = (dir.path().join("root"), dir.path().join("beside"));
    fs::create_dir(&root).expect("it is a new directory");
    fs::write(&beside, "as it was").expect("it is a new directory");
    let form = match rustix::process::geteuid().is_root() {
        true => LayerForm::Root,
        false => LayerForm::User,
    };
    let digest = Digest::of(&content);
    let expected = Expected {
        compression: Compression::None,
        digest,
        size: content.len() as u64,
        diff_id: digest,
    };
    let unpacked = unpack(
        &mut content.as_slice(),
        &root,
        &expected,
        &LIMITS,
        form,
        &AtomicBool::new(false),
    );
    if let Ok(unpacked) = &unpacked {
        assert!(unpacked.bytes <= LIMITS.layer_bytes);
    }
    let entries = fs::read_dir(dir.path()).expect("it is there").count();
    let text = fs::read_to_string(&beside).unwrap_or_default();
    assert_eq!((entries, text.as_str()), (2, "as it was"));
    unpacked.is_ok()
}

/// Without it hardly a changed header gets further than its checksum.
fn set_checksums(content: &mut [u8]) {
    for header in content.chunks_exact_mut(TAR_BLOCK) {
        if &header[MAGIC] != b"ustar" {
            continue;
        }
        header[CHECKSUM].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[CHECKSUM].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

/// A layer with an entry of each kind.
fn archive() -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    let mut add = |kind: EntryType, path: &str, link: &str, data: &[u8]| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_uid(u64::from(rustix::process::geteuid().as_raw()));
        header.set_gid(u64::from(rustix::process::getegid().as_raw()));
        header.set_mtime(0);
        header.set_size(data.len() as u64);
        let is_link = !link.is_empty();
        let added = match is_link {
            true => archive.append_link(&mut header, path, link),
            false => archive.append_data(&mut header, path, data),
        };
        added.expect("it is written to memory");
    };
    add(EntryType::Directory, "dir/", "", b"");
    add(EntryType::Regular, "dir/file", "", b"content");
    add(EntryType::Symlink, "dir/up", "../../beside", b"");
    add(EntryType::Link, "dir/same", "dir/file", b"");
    add(EntryType::Fifo, "dir/fifo", "", b"");
    add(EntryType::Regular, "dir/.wh.gone", "", b"");
    add(EntryType::Regular, "dir/.wh..wh..opq", "", b"");
    add(EntryType::XHeader, "pax", "", b"19 path=dir/longer\n");
    add(EntryType::Regular, &"long/".repeat(30), "", b"");
    archive.into_inner().expect("it is written to memory")
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let digest = Digest::of(b"layer").to_string();
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let blob = |media_type: &str| json!({"mediaType": media_type, "digest": digest, "size": 5});
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": blob(CONFIG_TYPE), "layers": [blob(LAYER_TYPE)],
    });
    let mut of_platform = blob(MANIFEST_TYPE);
    of_platform["platform"] = json!({"os": "linux", "architecture": architecture});
    let index = json!({
        "schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [blob(MANIFEST_TYPE), of_platform],
    });
    let config = json!({
        "architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest]},
        "config": {"Env": ["A=b"], "Cmd": ["sh"], "WorkingDir": "/srv", "User": "1000:1000"},
    });
    let bytes = |value: serde_json::Value| value.to_string().into_bytes();
    vec![
        joined(&[(MANIFEST, bytes(manifest)), (CONFIG, bytes(config))]),
        joined(&[(INDEX, bytes(index))]),
        joined(&[(LAYER, archive())]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_of_an_image_that_is_taken() {
        let seeds = seeds();
        let documents = pieces(&seeds[0]);
        let Ok(Document::Image { config, layers }) = Document::read(documents[0].1, MANIFEST_TYPE) else {
            panic!("the manifest is refused");
        };
        check_blobs(&config, &layers, &LIMITS).unwrap();
        read_config(documents[1].1, &layers).unwrap();
        let Ok(Document::Index(manifests)) = Document::read(pieces(&seeds[1])[0].1, INDEX_TYPE) else {
            panic!("the index is refused");
        };
        choose(&manifests).unwrap();
        assert!(layer(&archive()));
    }
}

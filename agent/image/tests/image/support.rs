//! Layers and layouts made by hand, so that they can be wrong in any way.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use flate2::Compression as Level;
use flate2::write::GzEncoder;
use proffer_image::{
    Compression, Config, Digest, Expected, LayerForm, Limits, UnpackError, Unpacked, unpack,
};
use serde_json::{Value, json};
use tar::{EntryType, Header};

/// What this user may write: the tests run with and without root.
pub(crate) fn form() -> LayerForm {
    match rustix::process::geteuid().is_root() {
        true => LayerForm::Root,
        false => LayerForm::User,
    }
}

/// A tar archive, header by header.
#[derive(Default)]
pub(crate) struct Tar(pub(crate) Vec<u8>);

impl Tar {
    /// Adds an entry whose name and link are written as they are.
    pub(crate) fn entry(mut self, kind: EntryType, path: &str, link: &str, data: &[u8], mode: u32) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        for (field, text) in [(0, path), (157, link)] {
            header.as_mut_bytes()[field..field + text.len()].copy_from_slice(text.as_bytes());
        }
        header.set_mode(mode);
        header.set_uid(u64::from(rustix::process::geteuid().as_raw()));
        header.set_gid(u64::from(rustix::process::getegid().as_raw()));
        header.set_mtime(1_000_000_000);
        header.set_size(data.len() as u64);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.data(data)
    }

    pub(crate) fn data(mut self, data: &[u8]) -> Self {
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn file(self, path: &str, data: &[u8]) -> Self {
        self.entry(EntryType::Regular, path, "", data, 0o644)
    }

    pub(crate) fn directory(self, path: &str, mode: u32) -> Self {
        self.entry(EntryType::Directory, path, "", b"", mode)
    }

    pub(crate) fn symlink(self, path: &str, link: &str) -> Self {
        self.entry(EntryType::Symlink, path, link, b"", 0o777)
    }

    pub(crate) fn hard_link(self, path: &str, link: &str) -> Self {
        self.entry(EntryType::Link, path, link, b"", 0o644)
    }

    /// Adds a pax header for the next entry.
    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (rest..)
                .find(|length| rest + length.to_string().len() == *length)
                .unwrap();
            data.extend_from_slice(format!("{length} {key}=").as_bytes());
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        self.entry(EntryType::XHeader, "pax", "", &data, 0o644)
    }

    /// The whole archive.
    pub(crate) fn done(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

pub(crate) fn compress(content: &[u8], how: Compression) -> Vec<u8> {
    match how {
        Compression::None => content.to_vec(),
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Zstd => zstd::encode_all(content, 1).unwrap(),
    }
}

/// What a manifest would truly say of a layer.
pub(crate) fn expected(content: &[u8], stored: &[u8], compression: Compression) -> Expected {
    Expected {
        compression,
        digest: Digest::of(stored),
        size: stored.len() as u64,
        diff_id: Digest::of(content),
    }
}

/// Unpacks an archive that is what it is said to be.
pub(crate) fn unpack_to(
    dir: &Path,
    content: &[u8],
    how: Compression,
    limits: &Limits,
) -> Result<Unpacked, UnpackError> {
    let stored = compress(content, how);
    let expected = expected(content, &stored, how);
    unpack(
        &mut stored.as_slice(),
        dir,
        &expected,
        limits,
        form(),
        &AtomicBool::new(false),
    )
}

/// An OCI layout directory that is being made.
pub(crate) struct Layout {
    pub(crate) path: PathBuf,
    manifests: Vec<Value>,
}

/// The architecture of this host, as images name it.
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

impl Layout {
    pub(crate) fn new(path: &Path) -> Self {
        fs::create_dir_all(path.join("blobs/sha256")).unwrap();
        fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Self {
            path: path.to_owned(),
            manifests: Vec::new(),
        }
    }

    pub(crate) fn blob(&self, media_type: &str, content: &[u8]) -> Value {
        let digest = Digest::of(content);
        fs::write(self.path.join("blobs/sha256").join(digest.hex()), content).unwrap();
        json!({"mediaType": media_type, "digest": digest.to_string(), "size": content.len()})
    }

    pub(crate) fn json(&self, media_type: &str, content: &Value) -> Value {
        self.blob(media_type, &serde_json::to_vec(content).unwrap())
    }

    /// A manifest of layers, gzipped; with the image's configuration as `config` has it.
    pub(crate) fn manifest(&self, layers: &[Vec<u8>], config: &Value) -> Value {
        let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
        let stored = layers.iter().map(|layer| {
            self.blob(
                "application/vnd.oci.image.layer.v1.tar+gzip",
                &compress(layer, Compression::Gzip),
            )
        });
        let stored: Vec<_> = stored.collect();
        self.manifest_of(&stored, &diff_ids, config)
    }

    pub(crate) fn manifest_of(&self, layers: &[Value], diff_ids: &[String], config: &Value) -> Value {
        let config = self.json(
            "application/vnd.oci.image.config.v1+json",
            &json!({
                "architecture": architecture(), "os": "linux", "config": config,
                "rootfs": {"type": "layers", "diff_ids": diff_ids},
            }),
        );
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        self.json(
            media_type,
            &json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers}),
        )
    }

    /// Names a manifest or index, and writes the layout's own index.
    pub(crate) fn tag(&mut self, mut descriptor: Value, tag: &str) {
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
        self.manifests.push(descriptor);
        let index = json!({"schemaVersion": 2, "manifests": self.manifests});
        fs::write(self.path.join("index.json"), serde_json::to_vec(&index).unwrap()).unwrap();
    }

    pub(crate) fn reference(&self, tag: &str) -> String {
        format!("oci:{}:{tag}", self.path.display())
    }
}

/// A config that takes layouts from below `local`.
pub(crate) fn config(local: &Path) -> Config {
    Config {
        form: form(),
        local: vec![local.to_owned()],
        ..Config::default()
    }
}

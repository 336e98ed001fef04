//! Reads manifests, indexes and configurations: hostile JSON, of bounded size.

use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, Platform};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::digest::{Digest, ParseDigestError};
use crate::limits::{Limits, MAX_CONFIG_BYTES, MAX_LAYERS, MAX_MANIFEST_BYTES};
use crate::unpack::{Compression, Expected};

pub(crate) const MANIFEST_TYPES: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
pub(crate) const INDEX_TYPES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];
const CONFIG_TYPES: [&str; 2] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
];

/// What an image says of the tasks that run in it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImageConfig {
    pub entrypoint: Vec<String>,
    pub cmd: Vec<String>,
    /// In the image's order; a later one of the same name is stronger.
    pub env: Vec<(String, String)>,
    /// Absolute.
    pub working_dir: Option<String>,
    /// `user[:group]`; see [`crate::resolve_user`].
    pub user: Option<String>,
}

/// Something of the image that is stored elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    pub media_type: String,
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
}

/// A manifest of either kind.
#[derive(Debug)]
pub enum Document {
    Index(Vec<Descriptor>),
    Image { config: Blob, layers: Vec<Blob> },
}

/// Why what describes an image is refused.
#[derive(Debug, Error)]
pub enum ManifestError {
    #[error("the manifest is larger than {MAX_MANIFEST_BYTES} bytes")]
    TooLarge,
    #[error("the image's configuration has {0} bytes; at most {MAX_CONFIG_BYTES} are taken")]
    ConfigTooLarge(u64),
    #[error("media type `{0}` is not one of an image")]
    MediaType(String),
    #[error("the manifest says it is `{inside}`, but was given out as `{outside}`")]
    Ambiguous { inside: String, outside: String },
    #[error("the manifest is one of an image and an index at once")]
    Both,
    #[error("the manifest is malformed: {0}")]
    Malformed(String),
    #[error("the image's configuration is malformed: {0}")]
    Config(String),
    #[error(transparent)]
    Digest(#[from] ParseDigestError),
    #[error("the image has {0} layers; at most {MAX_LAYERS} are taken")]
    TooManyLayers(usize),
    #[error("the image has no layers")]
    NoLayers,
    #[error("the image has {layers} layers, but its configuration speaks of {diff_ids}")]
    LayerCount { layers: usize, diff_ids: usize },
    #[error("the image is for {found}, this host is {wanted}")]
    Platform { wanted: String, found: String },
    #[error("the image is not to be had for {wanted}, only for {}", .found.join(", "))]
    NoPlatform { wanted: String, found: Vec<String> },
    #[error("a layer has {size} bytes; at most {limit} are taken")]
    LayerTooLarge { size: u64, limit: u64 },
}

/// The few fields that tell what a document is; a document must not be two things (CVE-2021-41190).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind {
    schema_version: u32,
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
    config: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// Reads a manifest that was given out as `media_type`.
    pub fn read(bytes: &[u8], media_type: &str) -> Result<Self, ManifestError> {
        let malformed = |error: serde_json::Error| ManifestError::Malformed(error.to_string());
        let kind: Kind = serde_json::from_slice(bytes).map_err(malformed)?;
        if let Some(inside) = kind.media_type.filter(|inside| inside != media_type) {
            return Err(ManifestError::Ambiguous {
                inside: shown(&inside),
                outside: shown(media_type),
            });
        }
        if kind.schema_version != 2 {
            return Err(ManifestError::Malformed(format!(
                "schema version {}",
                kind.schema_version
            )));
        }
        let is_image = kind.config.is_some() || kind.layers.is_some();
        if is_image && kind.manifests.is_some() {
            return Err(ManifestError::Both);
        }
        if INDEX_TYPES.contains(&media_type) {
            let index: ImageIndex = serde_json::from_slice(bytes).map_err(malformed)?;
            return Ok(Self::Index(index.manifests().clone()));
        }
        if !MANIFEST_TYPES.contains(&media_type) {
            return Err(ManifestError::MediaType(shown(media_type)));
        }
        let image: ImageManifest = serde_json::from_slice(bytes).map_err(malformed)?;
        Ok(Self::Image {
            config: Blob::read(image.config())?,
            layers: image.layers().iter().map(Blob::read).collect::<Result<_, _>>()?,
        })
    }
}

impl Blob {
    pub(crate) fn read(descriptor: &Descriptor) -> Result<Self, ManifestError> {
        Ok(Self {
            media_type: descriptor.media_type().to_string(),
            digest: descriptor.digest().to_string().parse()?,
            size: descriptor.size(),
        })
    }

    fn compression(&self) -> Result<Compression, ManifestError> {
        match self.media_type.as_str() {
            "application/vnd.oci.image.layer.v1.tar" | "application/vnd.docker.image.rootfs.diff.tar" => {
                Ok(Compression::None)
            }
            "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Ok(Compression::Gzip),
            "application/vnd.oci.image.layer.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Ok(Compression::Zstd),
            other => Err(ManifestError::MediaType(shown(other))),
        }
    }
}

/// Checks what can be checked before the configuration is fetched.
pub fn check_blobs(config: &Blob, layers: &[Blob], limits: &Limits) -> Result<(), ManifestError> {
    if !CONFIG_TYPES.contains(&config.media_type.as_str()) {
        return Err(ManifestError::MediaType(shown(&config.media_type)));
    }
    if config.size > MAX_CONFIG_BYTES {
        return Err(ManifestError::ConfigTooLarge(config.size));
    }
    match layers.len() {
        0 => return Err(ManifestError::NoLayers),
        count if count > MAX_LAYERS => return Err(ManifestError::TooManyLayers(count)),
        _ => {}
    }
    for layer in layers {
        layer.compression()?;
        if layer.size > limits.layer_bytes {
            return Err(ManifestError::LayerTooLarge {
                size: layer.size,
                limit: limits.layer_bytes,
            });
        }
    }
    Ok(())
}

/// Reads an image's configuration: what each layer must unpack to, the lowest first, and what tasks are told.
pub fn read_config(bytes: &[u8], layers: &[Blob]) -> Result<(Vec<Expected>, ImageConfig), ManifestError> {
    let config: ImageConfiguration =
        serde_json::from_slice(bytes).map_err(|error| ManifestError::Config(error.to_string()))?;
    let found = format!("{}/{}", config.os(), config.architecture());
    if found != host_platform() {
        return Err(ManifestError::Platform {
            wanted: host_platform(),
            found: shown(&found),
        });
    }
    let diff_ids = config.rootfs().diff_ids();
    if diff_ids.len() != layers.len() {
        return Err(ManifestError::LayerCount {
            layers: layers.len(),
            diff_ids: diff_ids.len(),
        });
    }
    let expected = |(layer, diff_id): (&Blob, &String)| {
        Ok::<_, ManifestError>(Expected {
            compression: layer.compression()?,
            digest: layer.digest,
            size: layer.size,
            diff_id: diff_id.parse()?,
        })
    };
    let expected = layers
        .iter()
        .zip(diff_ids)
        .map(expected)
        .collect::<Result<_, _>>()?;
    Ok((expected, said(&config)?))
}

fn said(config: &ImageConfiguration) -> Result<ImageConfig, ManifestError> {
    let Some(config) = config.config() else {
        return Ok(ImageConfig::default());
    };
    let nonempty = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let said = ImageConfig {
        entrypoint: config.entrypoint().clone().unwrap_or_default(),
        cmd: config.cmd().clone().unwrap_or_default(),
        env: config
            .env()
            .iter()
            .flatten()
            .map(|one| variable(one))
            .collect::<Result<_, _>>()?,
        working_dir: nonempty(config.working_dir()),
        user: nonempty(config.user()),
    };
    let texts = said
        .entrypoint
        .iter()
        .chain(&said.cmd)
        .chain(&said.working_dir)
        .chain(&said.user);
    if texts.into_iter().any(|text| text.contains('\0')) {
        return Err(ManifestError::Config("it holds a NUL character".to_owned()));
    }
    match &said.working_dir {
        Some(dir) if !dir.starts_with('/') || dir.split('/').any(|name| name == "..") => Err(
            ManifestError::Config(format!("working directory `{}` is not absolute", shown(dir))),
        ),
        Some(_) | None => Ok(said),
    }
}

fn variable(text: &str) -> Result<(String, String), ManifestError> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !text.contains('\0') => {
            Ok((name.to_owned(), value.to_owned()))
        }
        Some(_) | None => Err(ManifestError::Config(format!(
            "`{}` is no `NAME=value`",
            shown(text)
        ))),
    }
}

/// Chooses this host's manifest of an index.
pub fn choose(manifests: &[Descriptor]) -> Result<&Descriptor, ManifestError> {
    let fits = |one: &&Descriptor| one.platform().as_ref().is_none_or(is_ours);
    // Where several fit, one that says so goes before one that says nothing.
    let fitting: Vec<_> = manifests.iter().filter(fits).collect();
    let named = fitting.iter().find(|one| one.platform().is_some());
    let mut found: Vec<String> = manifests
        .iter()
        .flat_map(|one| one.platform())
        .map(name)
        .collect();
    found.dedup();
    found.truncate(16);
    named
        .or(fitting.first())
        .copied()
        .ok_or_else(|| ManifestError::NoPlatform {
            wanted: host_platform(),
            found,
        })
}

fn is_ours(platform: &Platform) -> bool {
    let is_ours = format!("{}/{}", platform.os(), platform.architecture()) == host_platform();
    // Every amd64 host runs v1; what needs more is not told from the host's side here. arm64 has v8 alone.
    is_ours
        && platform
            .variant()
            .as_deref()
            .is_none_or(|variant| matches!(variant, "v1" | "v8" | ""))
}

fn name(platform: &Platform) -> String {
    let variant = platform
        .variant()
        .as_ref()
        .map(|variant| format!("/{variant}"))
        .unwrap_or_default();
    shown(&format!("{}/{}{variant}", platform.os(), platform.architecture()))
}

/// This host, in Go's names as images use them.
fn host_platform() -> String {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    };
    format!("linux/{architecture}")
}

fn shown(text: &str) -> String {
    text.chars()
        .take(128)
        .collect::<String>()
        .escape_debug()
        .to_string()
}

//! The agent's flags about images.

use std::path::PathBuf;

use clap::Args;
use proffer_image::{Collection, Limits, Mirror, Registries, Watermark};

use crate::spec::{Bytes, Span};

/// Where images come from, what they may cost, and how long they are kept.
#[derive(Debug, Args)]
pub(super) struct ImageArgs {
    /// Logins of registries, a file as Docker writes it (config.json)
    #[arg(long, env = "PROFFER_REGISTRY_AUTH", value_name = "FILE")]
    registry_auth: Option<PathBuf>,
    /// Where else the images of a registry are, such as `docker.io=https://mirror.example:5000`; asked in order before
    /// the registry itself
    #[arg(
        long,
        env = "PROFFER_REGISTRY_MIRROR",
        value_delimiter = ',',
        value_name = "REGISTRY=URL"
    )]
    registry_mirror: Vec<Mirror>,
    /// Registries, `host` or `host:port`, that are spoken to without TLS
    #[arg(
        long,
        env = "PROFFER_REGISTRY_PLAIN_HTTP",
        value_delimiter = ',',
        value_name = "HOST"
    )]
    registry_plain_http: Vec<String>,
    /// Certificates in PEM to trust beside the system's
    #[arg(long, env = "PROFFER_REGISTRY_CA", value_name = "FILE")]
    registry_ca: Option<PathBuf>,
    /// Directories of this host that `oci:` and `oci-archive:` images may be in, separated by commas; without it none is
    /// taken
    #[arg(
        long,
        env = "PROFFER_ALLOW_IMAGE_PATH",
        value_delimiter = ',',
        value_name = "DIR"
    )]
    allow_image_path: Vec<PathBuf>,
    /// The most one layer may take, unpacked
    #[arg(
        long,
        env = "PROFFER_IMAGE_MAX_LAYER",
        default_value = "16GiB",
        value_name = "SIZE"
    )]
    image_max_layer: Bytes,
    /// The most all layers of an image may take, unpacked
    #[arg(
        long,
        env = "PROFFER_IMAGE_MAX_SIZE",
        default_value = "48GiB",
        value_name = "SIZE"
    )]
    image_max_size: Bytes,
    /// The most files, directories and links of one layer
    #[arg(
        long,
        env = "PROFFER_IMAGE_MAX_ENTRIES",
        default_value_t = Limits::default().layer_entries,
        value_name = "N"
    )]
    image_max_entries: u64,
    /// An image that no container used for so long is removed
    #[arg(
        long,
        env = "PROFFER_IMAGE_GC_AGE",
        default_value = "14d",
        value_name = "DURATION"
    )]
    image_gc_age: Span,
    /// When more is used, unused images are removed, those used longest ago first: `85%` of the file system, or a size
    /// of all images
    #[arg(
        long,
        env = "PROFFER_IMAGE_GC_HIGH",
        default_value = "85%",
        value_name = "MARK"
    )]
    image_gc_high: Watermark,
    /// Until so little is used
    #[arg(
        long,
        env = "PROFFER_IMAGE_GC_LOW",
        default_value = "80%",
        value_name = "MARK"
    )]
    image_gc_low: Watermark,
}

impl ImageArgs {
    pub(super) fn config(self) -> proffer_image::Config {
        proffer_image::Config {
            limits: Limits {
                layer_bytes: self.image_max_layer.0,
                image_bytes: self.image_max_size.0,
                layer_entries: self.image_max_entries,
                ..Limits::default()
            },
            registries: Registries {
                auth_file: self.registry_auth,
                mirrors: self.registry_mirror,
                plain_http: self.registry_plain_http,
                ca_file: self.registry_ca,
            },
            local: self.allow_image_path,
            collection: Collection {
                age: self.image_gc_age.0,
                high: self.image_gc_high,
                low: self.image_gc_low,
            },
            ..proffer_image::Config::default()
        }
    }
}

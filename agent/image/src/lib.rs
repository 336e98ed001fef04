//! OCI images: pulled, verified, unpacked, kept and collected.
//!
//! A library without knowledge of tasks: [`ImageStore`] turns a reference into directories that overlayfs puts together,
//! and what the image says of its command. An image, and the registry it comes from, are hostile.

mod config;
mod digest;
mod limits;
mod local;
mod manifest;
mod reference;
mod registry;
mod source;
mod store;
mod unpack;
mod user;
mod view;

pub use config::{Collection, Config, Mirror, Registries, Watermark};
pub use digest::{Digest, ParseDigestError};
pub use limits::{Limits, MAX_CONFIG_BYTES, MAX_LAYERS, MAX_MANIFEST_BYTES};
pub use local::LayoutError;
pub use manifest::{Blob, Document, ImageConfig, ManifestError, check_blobs, choose, read_config};
pub use reference::{ImageReference, ParseReferenceError, Which};
pub use registry::{ClientError, CredentialsError, RegistryError};
pub use source::SourceError;
pub use store::{Collected, Image, ImageStore, Listed, OpenError, Progress, PullError};
pub use unpack::{Compression, Expected, LayerForm, PathError, UnpackError, Unpacked, WriteError, unpack};
pub use user::{ResolveUserError, User, resolve_user};
pub use view::ViewError;

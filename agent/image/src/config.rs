//! What an operator says of images.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use proffer_types::resources::format::parse_size;
use reqwest::Url;

use crate::limits::Limits;
use crate::unpack::LayerForm;

/// What an operator says of images.
#[derive(Debug, Clone)]
pub struct Config {
    pub limits: Limits,
    /// In which layers are unpacked; the same for as long as there are any.
    pub form: LayerForm,
    pub registries: Registries,
    /// Directories of this host that layouts and archives may be taken from; none means nowhere.
    pub local: Vec<PathBuf>,
    pub collection: Collection,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            form: LayerForm::Root,
            registries: Registries::default(),
            local: Vec::new(),
            collection: Collection::default(),
        }
    }
}

/// How registries are reached.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    /// Logins, in the form of Docker's `config.json`; read again for every pull.
    pub auth_file: Option<PathBuf>,
    /// Tried in order before the registry itself.
    pub mirrors: Vec<Mirror>,
    /// `host` or `host:port` of registries that are spoken to without TLS.
    pub plain_http: Vec<String>,
    /// Certificates in PEM to trust beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// Another place with the images of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    pub registry: String,
    /// With its scheme; `http` is taken as said.
    pub url: Url,
}

/// `REGISTRY=URL`.
impl FromStr for Mirror {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is not `REGISTRY=http[s]://HOST[:PORT]`");
        let (registry, url) = text.split_once('=').ok_or_else(wrong)?;
        let url: Url = url.parse().map_err(|_| wrong())?;
        let is_plain = url.query().is_none() && url.username().is_empty() && url.password().is_none();
        match matches!(url.scheme(), "http" | "https") && url.has_host() && is_plain && !registry.is_empty() {
            true => Ok(Self {
                registry: registry.to_owned(),
                url,
            }),
            false => Err(wrong()),
        }
    }
}

/// When images go that no container uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Collection {
    /// Not used for so long.
    pub age: Duration,
    /// Above this, those go that were used longest ago ..
    pub high: Watermark,
    /// .. until it is below this.
    pub low: Watermark,
}

impl Default for Collection {
    /// Two weeks, and the marks of Kubernetes' kubelet.
    fn default() -> Self {
        Self {
            age: Duration::from_secs(14 * 24 * 3600),
            high: Watermark::Percent(85),
            low: Watermark::Percent(80),
        }
    }
}

/// How much is much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watermark {
    /// Of the file system the images are on, whoever uses it.
    Percent(u8),
    /// Of the images themselves.
    Bytes(u64),
}

/// `85%`, or a size such as `20GiB`.
impl FromStr for Watermark {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is neither a percentage such as `85%` nor a size such as `20GiB`");
        if let Some(percent) = text.strip_suffix('%') {
            return percent
                .parse()
                .ok()
                .filter(|percent| *percent <= 100)
                .map(Self::Percent)
                .ok_or_else(wrong);
        }
        parse_size(text).map(Self::Bytes).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_mirrors_are_read_or_refused() {
        assert_eq!("85%".parse(), Ok(Watermark::Percent(85)));
        assert_eq!("20GiB".parse(), Ok(Watermark::Bytes(20 << 30)));
        for bad in ["", "101%", "-1", "x", "99999999999TiB"] {
            assert!(bad.parse::<Watermark>().is_err(), "{bad}");
        }
        assert_eq!(
            "docker.io=http://127.0.0.1:5000"
                .parse::<Mirror>()
                .unwrap()
                .registry,
            "docker.io"
        );
        for bad in [
            "docker.io",
            "=http://a",
            "a=ftp://b",
            "a=b",
            "a=https://u:p@b",
            "a=https://b?c",
        ] {
            assert!(bad.parse::<Mirror>().is_err(), "{bad}");
        }
    }
}

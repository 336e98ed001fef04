//! The name of a resource, which fixes its unit.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

/// The longest resource name and set item, in bytes: a label of DNS.
const MAX_RESOURCE_NAME_BYTES: usize = 63;

/// The name of a resource, which fixes its unit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceName {
    /// Thousandths of a core.
    Cpus,
    /// Bytes.
    Mem,
    /// Bytes.
    Disk,
    /// Thousandths of a megabit per second of network bandwidth.
    NetMbps,
    /// Network ports, as ranges.
    Ports,
    /// As a scalar, thousandths of whatever the operator means by it; may be ranges or a set instead.
    Custom(Arc<str>),
}

/// A text that cannot name a resource.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("resource name `{0}` must be 1 to 63 letters, digits, `_`, `-` or `.`")]
pub struct ParseResourceNameError(String);

/// Checks a name or the item of a set.
pub(super) fn check(text: &str) -> Result<(), ParseResourceNameError> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    match (1..=MAX_RESOURCE_NAME_BYTES).contains(&text.len()) && text.chars().all(good) {
        true => Ok(()),
        false => Err(ParseResourceNameError(text.escape_debug().to_string())),
    }
}

impl ResourceName {
    /// Checks and wraps a name.
    pub fn new(name: &str) -> Result<Self, ParseResourceNameError> {
        match name {
            "cpus" => Ok(Self::Cpus),
            "mem" => Ok(Self::Mem),
            "disk" => Ok(Self::Disk),
            "net_mbps" => Ok(Self::NetMbps),
            "ports" => Ok(Self::Ports),
            custom => check(custom).map(|()| Self::Custom(custom.into())),
        }
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Cpus => "cpus",
            Self::Mem => "mem",
            Self::Disk => "disk",
            Self::NetMbps => "net_mbps",
            Self::Ports => "ports",
            Self::Custom(name) => name,
        }
    }

    /// How many of the integer's units make one of the unit a person writes: 1 for bytes, 1000 for all
    /// others.
    #[must_use]
    pub fn units(&self) -> u64 {
        match self {
            Self::Mem | Self::Disk => 1,
            Self::Cpus | Self::NetMbps | Self::Ports | Self::Custom(_) => 1000,
        }
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

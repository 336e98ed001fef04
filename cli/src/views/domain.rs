//! Fault domains.

use std::fmt;

use proffer_wire::v1;
use serde::Serialize;

/// Where an agent is.
#[derive(Debug, Serialize)]
pub(super) struct DomainView {
    region: String,
    zone: String,
}

impl From<v1::FaultDomain> for DomainView {
    fn from(domain: v1::FaultDomain) -> Self {
        Self {
            region: domain.region,
            zone: domain.zone,
        }
    }
}

impl fmt::Display for DomainView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.region, self.zone)
    }
}

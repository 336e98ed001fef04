//! The gRPC services of the protos: clients and servers, generated, over the messages of `proffer-wire`.
//!
//! Only shells come here; what a core needs of the wire is in `proffer-wire`, which knows no network.

pub mod leader;
pub mod net;

use proffer_wire::ConvertError;
use tonic::Status;

/// The generated clients and servers of package `proffer.v1`, a module each.
#[expect(clippy::allow_attributes_without_reason, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("proffer.v1");
}

/// All descriptors, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/proffer.binpb"));

/// What a caller is answered whose message is not valid: `INVALID_ARGUMENT`, with the field and the problem.
#[must_use]
pub fn status(error: ConvertError) -> Status {
    Status::invalid_argument(error.to_string())
}

//! The wire: generated messages and services, and the conversions between them and `proffer-types`.
//!
//! Whatever comes from a peer is checked here, once, and becomes a valid value or a [`ConvertError`]:
//! NaN, negative numbers, bad names and oversized messages stop at this door.

/// The generated messages, clients and servers of package `proffer.v1`.
#[expect(clippy::allow_attributes_without_reason, reason = "generated")]
pub mod v1 {
    tonic::include_proto!("proffer.v1");
}

/// All descriptors, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/proffer.binpb"));

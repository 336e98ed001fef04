//! OCI images: pulled, verified, unpacked, kept and collected.

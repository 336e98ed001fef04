//! Real binaries on loopback.

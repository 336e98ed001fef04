//! The service framework's shell: its gRPC service and records.

//! The batch framework's shell: its gRPC service and records.

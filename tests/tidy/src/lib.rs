//! The rules of docs/architecture.md as tests.

//! The master's shell: streams, registry, timers, HTTP.

//! The agent's shell: the link to the master, checkpoints, containers, its own API.

//! The agent as a state machine: tasks, status updates, checkpoints.

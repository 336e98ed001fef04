//! The master as a state machine: command in, events and effects out.

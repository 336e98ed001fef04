//! What the agent and the process that watches over an executed command say to each other: packets of a
//! `SOCK_SEQPACKET` socket pair, each a tag and what follows it.
//!
//! When the agent closes its end, or is gone, the command is hung up on, and then killed.

/// From the agent: followed by a signal's number, for the command's process group.
pub const SIGNAL: u8 = b'S';
/// To the agent, with the master of the command's terminal (`SCM_RIGHTS`), before the command starts.
pub const TERMINAL: u8 = b'T';
/// To the agent: followed by the wait status, four bytes, little-endian. The last packet.
pub const EXITED: u8 = b'X';

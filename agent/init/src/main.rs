//! Pid 1 of each container.

fn main() {}

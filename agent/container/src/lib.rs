//! From a container's spec and host facts to a plan of steps, one file per isolator.

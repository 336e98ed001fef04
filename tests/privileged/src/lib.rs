//! Containers on a real kernel, on this host and in a cgroup v2 guest.

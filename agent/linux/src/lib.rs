//! Carries out launch plans on Linux: namespaces, cgroups, pidfds.

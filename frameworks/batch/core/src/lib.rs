//! The batch scheduler: jobs, arrays, dependencies, retries.

//! Files for a task from elsewhere: fetched, verified, unpacked, cached.

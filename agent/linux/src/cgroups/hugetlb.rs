//! The hugetlb controller: memory in huge pages, a size of page at a time.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proffer_container::{Limit, Version};

use super::control::{Control, ControlError, unsupported, write};

/// Where the kernel lists the sizes, as `hugepages-2048kB`.
const SIZES: &str = "/sys/kernel/mm/hugepages";

#[derive(Debug)]
pub(super) struct Hugetlb(pub(super) Version);

impl Control for Hugetlb {
    fn limit(&self, group: &Path, limit: &Limit) -> Result<(), ControlError> {
        let Limit::HugePages { page_size, bytes } = limit else {
            return Err(unsupported(limit));
        };
        let (used, reserved) = match self.0 {
            Version::V2 => ("max", "rsvd.max"),
            Version::V1 => ("limit_in_bytes", "rsvd.limit_in_bytes"),
        };
        let file = |what| format!("hugetlb.{}.{what}", name(*page_size));
        let bytes = bytes.to_string();
        write(group, &file(used), &bytes)?;
        // Without this bound mmap(2) succeeds, and the first touch beyond the limit is a SIGBUS. It needs Linux 5.7.
        let reserved = file(reserved);
        if group.join(&reserved).exists() {
            write(group, &reserved, &bytes)?;
        }
        Ok(())
    }
}

/// The sizes of huge pages of this kernel, in bytes.
pub(super) fn sizes() -> BTreeSet<u64> {
    let entries = fs::read_dir(SIZES).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let kib: u64 = name
                .strip_prefix("hugepages-")?
                .strip_suffix("kB")?
                .parse()
                .ok()?;
            kib.checked_mul(1024)
        })
        .collect()
}

/// A size as the kernel names files by it (`mem_fmt` of mm/hugetlb_cgroup.c).
fn name(page_size: u64) -> String {
    match page_size {
        size if size >= 1 << 30 => format!("{}GB", size >> 30),
        size if size >= 1 << 20 => format!("{}MB", size >> 20),
        size => format!("{}KB", size >> 10),
    }
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_size_of_page_has_the_kernels_name() {
        assert_eq!([64 << 10, 2 << 20, 1 << 30].map(name), ["64KB", "2MB", "1GB"]);
    }
}

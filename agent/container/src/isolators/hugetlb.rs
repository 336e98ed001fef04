//! Hugetlb: the memory the payload may have in huge pages, a size of page at a time.

use std::collections::BTreeSet;

use super::{Draft, require};
use crate::{ContainerConfig, Controller, HostFacts, Limit, PlanError};

/// Limits the payload's huge pages, where the task says so.
pub(crate) fn limit(config: &ContainerConfig, host: &HostFacts, draft: &mut Draft) -> Result<(), PlanError> {
    let mut limited = BTreeSet::new();
    for limit in &config.spec.cgroup.hugepages {
        require(host, Controller::Hugetlb)?;
        let (page_size, bytes) = (limit.page_size, limit.limit);
        let sizes = &host.extras.huge_page_sizes;
        if !sizes.contains(&page_size) {
            let sizes = sizes.iter().map(|size| format!("{size} B")).collect::<Vec<_>>();
            let available = if sizes.is_empty() {
                "none".to_owned()
            } else {
                sizes.join(", ")
            };
            return Err(PlanError::HugePageSize { page_size, available });
        }
        if bytes % page_size != 0 {
            return Err(PlanError::PartialHugePage { page_size, bytes });
        }
        if !limited.insert(page_size) {
            let what = format!("limit of huge pages of {page_size} B");
            return Err(PlanError::Twice { what });
        }
        draft.limit(Limit::HugePages { page_size, bytes });
    }
    Ok(())
}

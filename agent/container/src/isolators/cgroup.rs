//! The cgroups of a container: one leaf for init, one for the payload.

use super::Draft;
use crate::{Leaf, PrepareStep};

/// Creates both leaves; processes enter them as they are born.
pub(crate) fn create(draft: &mut Draft) {
    draft.prepare.push(PrepareStep::CreateCgroup(Leaf::Init));
    draft.prepare.push(PrepareStep::CreateCgroup(Leaf::Task));
}

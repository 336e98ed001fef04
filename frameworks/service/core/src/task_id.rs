//! The ids of replicas' tasks: `<service>.<slot>.<start>`, such as `web.0.3`.
//!
//! The start number of a slot only grows, also when a service of the same name was deleted before, so an id
//! names one task for ever.

use proffer_types::TaskId;

/// What an id says, or what it is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts<'a> {
    pub(crate) service: &'a str,
    pub(crate) slot: u32,
    pub(crate) start: u64,
}

impl<'a> Parts<'a> {
    /// Reads an id; none when it is not one of ours.
    pub(crate) fn parse(id: &'a TaskId) -> Option<Self> {
        let (rest, start) = id.as_str().rsplit_once('.')?;
        let (service, slot) = rest.rsplit_once('.')?;
        let parts = Self {
            service,
            slot: slot.parse().ok()?,
            start: start.parse().ok()?,
        };
        (parts.id().as_ref() == Some(id)).then_some(parts)
    }

    /// The id; none when the service's name could not be part of one.
    pub(crate) fn id(self) -> Option<TaskId> {
        TaskId::new(format!("{}.{}.{}", self.service, self.slot, self.start)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_id_as_we_write_it_is_ours() {
        let ours = TaskId::new("a.b.0.12").unwrap();
        let parts = Parts::parse(&ours).unwrap();
        assert_eq!((parts.service, parts.slot, parts.start), ("a.b", 0, 12));
        for foreign in ["web", "web.0", "web.0.x", "web.00.1", "web.0.+1", "web.-1.1"] {
            assert_eq!(Parts::parse(&TaskId::new(foreign).unwrap()), None, "{foreign}");
        }
    }
}

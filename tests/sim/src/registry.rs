//! The master's registry on the store's model: term, agents, frameworks, roles.
//!
//! Records are committed and read as a shell would, batch by batch and fenced by the term; only their encoding, which is
//! no business of a core, is replaced: a stored value is the number of the record in an archive that forgets nothing.

use proffer_master_core::{AgentRecord, FrameworkRecord, Registry, RegistryChange, RoleRecord};
use proffer_store_api::{Batch, CommitError, Fault, Model, Revision};

const TERM: &str = "term";
const RECORDS: &str = "record/";

#[derive(Debug, Default)]
pub(crate) struct Store {
    model: Model,
    archive: Vec<RegistryChange>,
}

/// A leadership's hold on the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fence(Revision);

impl Store {
    /// Counts a start. Fails as the store does; then the start has to be repeated.
    pub(crate) fn begin_term(&mut self) -> Result<(u32, Fence), CommitError> {
        let before = self.model.get(TERM);
        let term = before.as_ref().map_or(0, |entry| number(&entry.value)) + 1;
        let batch = Batch::new().require(TERM, before.map(|entry| entry.revision));
        let revision = self.model.commit(batch.put(TERM, term.to_be_bytes()))?;
        Ok((u32::try_from(term).unwrap_or(u32::MAX), Fence(revision)))
    }

    pub(crate) fn read(&self) -> Registry {
        let mut registry = Registry::default();
        for entry in self.model.scan(RECORDS) {
            let index = usize::try_from(number(&entry.value)).unwrap_or(usize::MAX);
            if let Some(change) = self.archive.get(index) {
                registry.apply(change);
            }
        }
        registry
    }

    pub(crate) fn commit(&mut self, fence: Fence, changes: &[RegistryChange]) -> Result<(), CommitError> {
        let mut batch = Batch::new().require(TERM, Some(fence.0));
        for change in changes {
            let key = key(change);
            batch = match change {
                RegistryChange::PutAgent(_)
                | RegistryChange::PutFramework(_)
                | RegistryChange::PutRole(_) => {
                    self.archive.push(change.clone());
                    batch.put(key, (self.archive.len() as u64 - 1).to_be_bytes())
                }
                RegistryChange::DeleteAgent(_)
                | RegistryChange::DeleteFramework(_)
                | RegistryChange::DeleteRole(_) => batch.delete(key),
            };
        }
        self.model.commit(batch).map(|_| ())
    }

    pub(crate) fn fail_next(&mut self, fault: Fault) {
        self.model.fail_commit(1, fault);
    }
}

fn key(change: &RegistryChange) -> String {
    match change {
        RegistryChange::PutAgent(AgentRecord { agent_id: id, .. }) | RegistryChange::DeleteAgent(id) => {
            format!("{RECORDS}agent/{id}")
        }
        RegistryChange::PutFramework(FrameworkRecord { framework_id: id, .. })
        | RegistryChange::DeleteFramework(id) => format!("{RECORDS}framework/{id}"),
        RegistryChange::PutRole(RoleRecord { role, .. }) | RegistryChange::DeleteRole(role) => {
            format!("{RECORDS}role/{role}")
        }
    }
}

fn number(value: &[u8]) -> u64 {
    value.try_into().map_or(0, u64::from_be_bytes)
}

//! The master's registry on the store's model: term, agents, frameworks, roles; and the election beside it.
//!
//! Records are committed and read as a shell would, batch by batch and fenced by the term; only their encoding, which is
//! no business of a core, is replaced: a stored value is the number of the record in an archive that forgets nothing.

use proffer_master_core::{AgentRecord, FrameworkRecord, Registry, RegistryChange, RoleRecord};
use proffer_store_api::{Batch, CommitError, Fault, Model, Revision};

use crate::election::Election;

const TERM: &str = "term";
const RECORDS: &str = "record/";

#[derive(Debug, Default)]
pub(crate) struct Store {
    model: Model,
    archive: Vec<RegistryChange>,
    pub(crate) election: Election,
}

/// A leadership's hold on the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fence {
    pub(crate) term: u32,
    revision: Revision,
}

/// The term as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastTerm {
    pub(crate) term: u64,
    revision: Option<Revision>,
}

impl Store {
    pub(crate) fn last_term(&self) -> LastTerm {
        let entry = self.model.get(TERM);
        LastTerm {
            term: entry.as_ref().map_or(0, |entry| number(&entry.value)),
            revision: entry.map(|entry| entry.revision),
        }
    }

    /// Begins the term after the one that was read, unless another began one since.
    pub(crate) fn begin_term(&mut self, last: LastTerm) -> Result<Fence, CommitError> {
        let term = last.term + 1;
        let batch = Batch::new().require(TERM, last.revision);
        let revision = self.model.commit(batch.put(TERM, term.to_be_bytes()))?;
        let term = u32::try_from(term).unwrap_or(u32::MAX);
        Ok(Fence { term, revision })
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
        let mut batch = Batch::new().require(TERM, Some(fence.revision));
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

    /// Counts what took effect.
    pub(crate) fn revision(&self) -> Revision {
        self.model.revision()
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

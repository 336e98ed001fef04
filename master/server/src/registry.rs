//! The registry: the few facts that outlive a master, as records of the store.
//!
//! | key | record |
//! |---|---|
//! | `meta` | format and term |
//! | `agents/<id>`, `frameworks/<id>`, `roles/<role>` | one each |
//!
//! Every write is guarded by the revision of `meta`, which each start changes: a master that was overtaken
//! cannot write.

mod backup;
mod records;

pub use backup::{Backup, BackupError, transfer};
use proffer_master_core::{Registry, RegistryChange};
use proffer_store::{Batch, CommitError, Entry, Revision, Store};
use proffer_wire::v1;
use prost::Message;

use crate::MasterError;

/// The layout described above. A greater number in the store is refused: an older master would write records back without
/// what it does not know of them. All smaller ones are read; 1 had no drains, no deactivated or gone agents, no orphans; 2 no
/// maintenance windows; 3 no deadlines of drains.
const FORMAT: u32 = 4;
const META: &str = "meta";
const AGENTS: &str = "agents/";
const FRAMEWORKS: &str = "frameworks/";
const ROLES: &str = "roles/";

/// The right to write, won by beginning a term.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fence {
    pub(crate) term: u32,
    revision: Revision,
}

/// Begins the next term. `last` is the greatest this process ever tried to begin: a greater one in the store
/// is another master's.
pub(crate) async fn begin_term(store: &dyn Store, last: &mut Option<u32>) -> Result<Fence, MasterError> {
    let entry = store.get(META).await?;
    let meta: v1::RegistryMeta = entry.as_ref().map(decode).transpose()?.unwrap_or_default();
    if meta.format > FORMAT {
        return Err(MasterError::Format {
            found: meta.format,
            known: FORMAT,
        });
    }
    if let Some(ours) = last.filter(|ours| u64::from(*ours) < meta.term) {
        return Err(MasterError::Deposed {
            ours,
            found: meta.term,
        });
    }
    if meta.restoring {
        return Err(MasterError::Restoring);
    }
    if !meta.moved_to.is_empty() {
        return Err(MasterError::Moved { to: meta.moved_to });
    }
    let term = u32::try_from(meta.term + 1).map_err(|_| MasterError::TermsExhausted(meta.term))?;
    *last = Some(term);
    let next = v1::RegistryMeta {
        format: FORMAT,
        term: term.into(),
        ..v1::RegistryMeta::default()
    };
    let batch = Batch::new()
        .put(META, next.encode_to_vec())
        .require(META, entry.map(|entry| entry.revision));
    let revision = store.commit(batch).await?;
    Ok(Fence { term, revision })
}

/// Reads everything but `meta`, as of one moment.
pub(crate) async fn load(store: &dyn Store) -> Result<Registry, MasterError> {
    read(&store.scan("").await?)
}

fn read(entries: &[Entry]) -> Result<Registry, MasterError> {
    let mut registry = Registry::default();
    for entry in entries {
        if entry.key.starts_with(AGENTS) {
            registry.agents.push(convert::<v1::RegistryAgent, _>(entry)?);
        } else if entry.key.starts_with(FRAMEWORKS) {
            registry
                .frameworks
                .push(convert::<v1::RegistryFramework, _>(entry)?);
        } else if entry.key.starts_with(ROLES) {
            registry.roles.push(convert::<v1::RegistryRole, _>(entry)?);
        } else if entry.key != META {
            return Err(MasterError::Record {
                key: entry.key.clone(),
                detail: "it belongs to no registry".to_owned(),
            });
        }
    }
    Ok(registry)
}

/// Commits changes under the fence.
pub(crate) async fn commit(
    store: &dyn Store,
    fence: Fence,
    changes: &[RegistryChange],
) -> Result<(), CommitError> {
    let batch = changes
        .iter()
        .fold(Batch::new(), |batch, change| match change {
            RegistryChange::PutAgent(record) => {
                let message = records::agent_message(record);
                batch.put(format!("{AGENTS}{}", record.agent_id), message.encode_to_vec())
            }
            RegistryChange::DeleteAgent(id) => batch.delete(format!("{AGENTS}{id}")),
            RegistryChange::PutFramework(record) => {
                let message = records::framework_message(record);
                batch.put(
                    format!("{FRAMEWORKS}{}", record.framework_id),
                    message.encode_to_vec(),
                )
            }
            RegistryChange::DeleteFramework(id) => batch.delete(format!("{FRAMEWORKS}{id}")),
            RegistryChange::PutRole(record) => {
                let message = records::role_message(record);
                batch.put(format!("{ROLES}{}", record.role), message.encode_to_vec())
            }
            RegistryChange::DeleteRole(role) => batch.delete(format!("{ROLES}{role}")),
        })
        .require(META, Some(fence.revision));
    store.commit(batch).await.map(|_revision| ())
}

fn decode<M: Message + Default>(entry: &Entry) -> Result<M, MasterError> {
    M::decode(entry.value.as_slice()).map_err(|error| damaged(entry, &error))
}

fn convert<M, T>(entry: &Entry) -> Result<T, MasterError>
where
    M: Message + Default + records::Record<T>,
{
    decode::<M>(entry)?
        .into_record()
        .map_err(|error| damaged(entry, &error))
}

fn damaged(entry: &Entry, error: &dyn std::error::Error) -> MasterError {
    MasterError::Record {
        key: entry.key.clone(),
        detail: error.to_string(),
    }
}

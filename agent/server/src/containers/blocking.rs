//! The calls of the containerizer that block: launched, taken back, ended.

use proffer_agent_core::{ContainerEnd, ContainerId, Process};
use proffer_linux::{Adoption, Launched};
use proffer_types::{TaskExit, Usage};
use tracing::{debug, warn};

use super::{Inner, NotLaunched, chain, name};
use crate::provision::Prepared;

impl Inner {
    pub(super) fn launch(&self, prepared: &Prepared) -> Result<Launched, NotLaunched> {
        let plan = proffer_container::plan(&prepared.config, self.containerizer.host_facts())
            .map_err(|e| chain(&e))?;
        self.containerizer.launch(&plan).map_err(|error| NotLaunched {
            error: chain(&error),
            exit: error.exit_code().map(TaskExit::Code),
        })
    }

    /// A container that runs. One whose launch was cut short is found by its groups; when nothing is in them it
    /// never ran, and once they are removed it never will: it cannot join them any more.
    pub(super) fn adopt(&self, container_id: ContainerId, process: Option<Process>) -> Option<Launched> {
        let name = name(container_id);
        if let Some(Process { pid, start_time }) = process {
            return match self.containerizer.adopt(&name, pid, start_time) {
                Adoption::Adopted { pidfd } => Some(Launched {
                    pid,
                    start_time,
                    pidfd,
                }),
                Adoption::Gone => None,
            };
        }
        let found = self.containerizer.find(&name);
        if found.is_none()
            && !matches!(self.end(container_id), (ContainerEnd::Exit(_), _))
            && let Err(error) = self.containerizer.destroy(&name)
        {
            warn!(container_id = %name, %error, "cannot remove a half-launched container");
        }
        found
    }

    pub(super) fn end(&self, container_id: ContainerId) -> (ContainerEnd, Option<Usage>) {
        let record = self
            .containerizer
            .exit_record(&self.data_dir.exit(container_id))
            .unwrap_or_else(|error| {
                warn!(%container_id, error = chain(&error), "cannot read an exit record");
                None
            });
        let usage = self.containerizer.usage(&name(container_id));
        let usage = usage
            .inspect_err(|error| debug!(%container_id, error = chain(error), "no usage of a container"))
            .ok();
        match record {
            Some(record) => (
                ContainerEnd::Exit(record.exit),
                Some(Usage {
                    wall_time_us: record.wall_time_us,
                    ..usage.unwrap_or_default()
                }),
            ),
            None => (ContainerEnd::Unknown, usage),
        }
    }
}

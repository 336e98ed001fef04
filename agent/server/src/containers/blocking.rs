//! The calls of the containerizer that block: launched, taken back, ended.

use std::io;

use proffer_agent_core::{ContainerEnd, ContainerId, Process};
use proffer_linux::{Adoption, ExitRecord, Launched};
use proffer_types::{TaskExit, Usage};
use tracing::{debug, warn};

use super::{Inner, NotLaunched, chain, name};
use crate::provision::Prepared;
use crate::shortage;

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
    /// never ran, and once they are removed it never will: it cannot join them any more. An error says nothing of the
    /// container: it could not be looked at.
    pub(super) fn adopt(
        &self,
        container_id: ContainerId,
        process: Option<Process>,
    ) -> io::Result<Option<Launched>> {
        let name = name(container_id);
        if let Some(Process { pid, start_time }) = process {
            return Ok(match self.containerizer.adopt(&name, pid, start_time)? {
                Adoption::Adopted { pidfd } => Some(Launched {
                    pid,
                    start_time,
                    pidfd,
                }),
                Adoption::Gone => None,
            });
        }
        let found = self.containerizer.find(&name)?;
        if found.is_none()
            && self.exit_record(container_id)?.is_none()
            && let Err(error) = self.containerizer.destroy(&name)
        {
            warn!(container_id = %name, %error, "cannot remove a half-launched container");
        }
        Ok(found)
    }

    /// How a container ended, where it has left a record. One that is damaged is none; an error says nothing of it.
    fn exit_record(&self, container_id: ContainerId) -> io::Result<Option<ExitRecord>> {
        match self.containerizer.exit_record(&self.data_dir.exit(container_id)) {
            Err(error) if shortage::caused(&error) => Err(io::Error::other(error)),
            Err(error) => {
                warn!(%container_id, error = chain(&error), "cannot read an exit record");
                Ok(None)
            }
            Ok(record) => Ok(record),
        }
    }

    pub(super) fn end(&self, container_id: ContainerId) -> io::Result<(ContainerEnd, Option<Usage>)> {
        let record = self.exit_record(container_id)?;
        let usage = self.containerizer.usage(&name(container_id));
        let usage = usage
            .inspect_err(|error| debug!(%container_id, error = chain(error), "no usage of a container"))
            .ok();
        Ok(match record {
            Some(record) => (
                ContainerEnd::Exit(record.exit),
                Some(Usage {
                    wall_time_us: record.wall_time_us,
                    ..usage.unwrap_or_default()
                }),
            ),
            None => (ContainerEnd::Unknown, usage),
        })
    }
}

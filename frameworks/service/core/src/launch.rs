//! The task that an instance starts.

use proffer_session::Context;
use proffer_types::{AgentId, Offer, Resources, TaskId, TaskInfo};

use crate::discovery::Reach;
use crate::service::Service;
use crate::slot::{Place, Slot};
use crate::spec::ServiceTask;
use crate::version::Version;
use crate::wishes::Seat;

impl Service {
    /// Starts a task of that version in a seat that there is for it, on the agent of the offer, with those resources.
    pub(crate) fn start_on(
        &mut self,
        offer: &Offer,
        seat: Seat,
        version: u64,
        resources: Resources,
        cx: &mut Context<'_>,
    ) -> Option<TaskInfo> {
        let agent_id = &offer.agent_id;
        let (slot, place) = match seat {
            Seat::There(slot, place) => (slot, place),
            Seat::New(number) => {
                let slot = Slot::new(number, version);
                self.index.insert(&slot, self.version);
                self.slots.insert(number, slot);
                (number, Place::Task)
            }
        };
        let latest = self.slots.get(&slot)?.last_start;
        let start = if latest == 0 { self.start_floor } else { latest } + 1;
        let id = self.parts(slot, start).id()?;
        let network = self
            .versions
            .get(&version)
            .map(|version| &version.task.container.network);
        let reach = network.and_then(|network| Reach::new(&offer.address, network, &resources));
        self.edit(slot, cx, |slot| {
            slot.last_start = start;
            slot.n_starts += 1;
            if let Some(instance) = slot.at_mut(place) {
                instance.started(start, agent_id.clone(), reach);
            }
        });
        Some(self.task(id, slot, version, agent_id.clone(), resources))
    }

    fn task(&self, id: TaskId, slot: u32, version: u64, agent_id: AgentId, resources: Resources) -> TaskInfo {
        let version = self.versions.get(&version);
        let ServiceTask {
            resources: _,
            mut container,
            kill_policy,
            limits,
            rules: _,
            replica_rules: _,
        } = version.map_or(&self.spec.task, |version| &version.task).clone();
        let name = &self.spec.name;
        let env = &mut container.env;
        env.insert("PROFFER_SERVICE".to_owned(), name.clone());
        env.insert("PROFFER_REPLICA".to_owned(), slot.to_string());
        if let Some(version) = version {
            env.insert("PROFFER_VERSION".to_owned(), version.number.to_string());
        }
        TaskInfo {
            id,
            name: format!("{name}.{slot}"),
            agent_id,
            resources,
            container,
            kill_policy,
            labels: self.spec.mode.task_labels(),
            max_completion_time: None,
            limits,
            shape: version.map(Version::shape_id),
            executor: None,
            data: Vec::new(),
        }
    }
}

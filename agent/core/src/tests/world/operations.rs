//! Changes of the agent's resources, as text.

use proffer_types::agent_link::MasterMessage;
use proffer_types::{OperationId, Reservation, ResourceChange, Resources, Role, Volume, VolumeId};

use super::{World, framework};

impl World {
    /// `op NAME CHANGE`; no name for `-`.
    pub(super) fn operation(&mut self, id: &str, words: &[&str]) {
        let resources = |text: &str| text.parse::<Resources>().unwrap();
        let volume = |id: &str| VolumeId::new(id).unwrap();
        let create = |id: &str, disk: &str, shared| ResourceChange::Create {
            disk: resources(disk),
            volume: Volume {
                id: volume(id),
                container_path: "/data".into(),
                shared,
            },
        };
        let change = match *words {
            ["reserve", role, what] => ResourceChange::Reserve {
                resources: resources(what),
                reservation: Reservation::dynamic(Role::new(role).unwrap()),
            },
            ["unreserve", what] => ResourceChange::Unreserve {
                resources: resources(what),
            },
            ["create", id, disk] => create(id, disk, false),
            ["share", id, disk] => create(id, disk, true),
            ["destroy", id] => ResourceChange::Destroy { volume: volume(id) },
            ["grow", id, by] => ResourceChange::Grow {
                volume: volume(id),
                addition_bytes: by.parse().unwrap(),
            },
            _ => panic!("unknown change {words:?}"),
        };
        let message = MasterMessage::ApplyOperation {
            framework_id: framework(),
            id: (id != "-").then(|| OperationId::new(id).unwrap()),
            change,
        };
        self.frame(self.link, message);
    }
}

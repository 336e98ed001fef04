//! Reservations and volumes: disk only, and little of it, so that nobody starves for what is never given back.

use proffer_session::Context;
use proffer_types::{
    Kind, Offer, Operation, OperationId, Reservation, ResourceChange, Resources, Role, TaskInfo, Volume,
    VolumeId,
};
use rand::RngExt;

use super::Workload;

const MIB: u64 = 1 << 20;
/// With so many kinds of resources in an offer, none is added.
const MAX_KINDS: usize = 6;

impl Workload {
    /// What is done with an offer beside launching `tasks`: their operations come before the launch, and the first task
    /// may use a volume that is there, or is made right before.
    pub(super) fn changes(
        &mut self,
        cx: &mut Context<'_>,
        offer: &Offer,
        tasks: &mut [TaskInfo],
    ) -> Vec<Operation> {
        if !self.plan.habits.makes_volumes || offer.role == Role::default() {
            return Vec::new();
        }
        let mut changes = self.give_back(cx, offer, tasks);
        let room =
            offer.resources.plain().disk_bytes() > 64 * MIB && offer.resources.kinds().count() < MAX_KINDS;
        if room && !self.is_done() && self.chance(cx, 300) {
            changes.extend(self.create(cx, offer, tasks));
        }
        let mut operations = Vec::new();
        for change in changes {
            let id = self.chance(cx, 700).then(|| cx.rng().random::<u64>());
            let id = id.and_then(|id| OperationId::new(format!("p{id:016x}")).ok());
            operations.push(Operation::Change { id, change });
        }
        operations
    }

    fn create(&mut self, cx: &mut Context<'_>, offer: &Offer, tasks: &mut [TaskInfo]) -> Vec<ResourceChange> {
        let disk = Resources::of(0, 0, cx.rng().random_range(8..32_u64) * MIB);
        let reservation = Reservation::dynamic(offer.role.clone());
        let kind = Kind::reserved([reservation.clone()]);
        let reserve = ResourceChange::Reserve {
            resources: disk.clone(),
            reservation,
        };
        let name = format!("v{:016x}", cx.rng().random::<u64>());
        let (Ok(id), Ok(reserved)) = (
            VolumeId::new(name),
            Resources::new().with_kind(kind.clone(), disk.clone()),
        ) else {
            return Vec::new();
        };
        let volume = Volume {
            id,
            container_path: "/data".to_owned(),
            shared: self.chance(cx, 300),
        };
        let made = Resources::new().with_kind(kind.with_volume(volume.clone()), disk);
        if let (Some(task), Ok(made)) = (tasks.first_mut(), made) {
            task.resources.add(&made);
        }
        vec![
            reserve,
            ResourceChange::Create {
                disk: reserved,
                volume,
            },
        ]
    }

    /// Uses, changes or destroys the volumes of an offer, and gives reserved disk back: all of it once nothing is left to
    /// do, so that an end comes.
    fn give_back(
        &mut self,
        cx: &mut Context<'_>,
        offer: &Offer,
        tasks: &mut [TaskInfo],
    ) -> Vec<ResourceChange> {
        let mut changes = Vec::new();
        for (kind, bundle) in offer.resources.kinds() {
            let Ok(part) = Resources::new().with_kind(kind.clone(), bundle.clone()) else {
                continue;
            };
            let Some(volume) = &kind.volume else {
                if (self.is_done() || self.chance(cx, 500)) && !kind.revocable {
                    changes.push(ResourceChange::Unreserve { resources: part });
                }
                continue;
            };
            let volume = volume.id.clone();
            match cx.rng().random_range(0..6) {
                _ if self.is_done() => changes.push(ResourceChange::Destroy { volume }),
                0 | 1 => changes.push(ResourceChange::Destroy { volume }),
                2 => changes.push(ResourceChange::Grow {
                    volume,
                    addition_bytes: MIB,
                }),
                3 => changes.push(ResourceChange::Shrink {
                    volume,
                    subtract_bytes: MIB,
                }),
                _ => {
                    if let Some(task) = tasks.first_mut() {
                        task.resources.add(&part);
                    }
                }
            }
        }
        changes
    }
}

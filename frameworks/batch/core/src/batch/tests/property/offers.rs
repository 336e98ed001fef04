//! What the cluster offers of itself.

use proffer_session::Scheduler;
use proffer_types::{Offer, OfferGang, Shape};

use super::Cluster;
use crate::batch::tests::world::{World, offer};

impl Cluster {
    pub(super) fn offer(&mut self, world: &mut World, mut offers: Vec<Offer>) {
        for offer in &mut offers {
            self.n_offers += 1;
            offer.id = format!("O{}", self.n_offers).parse().unwrap();
        }
        let ((), calls) = world.run(|batch, cx| batch.offers(cx, offers.clone()));
        self.hear_of(&calls, &offers);
    }

    /// As many tasks of what was asked for, one after the other, as so many cores hold. Gangs are offered by themselves.
    pub(super) fn offer_demand(&mut self, world: &mut World, cpus: u32) {
        let mut made = offer("O", &format!("cpus:{cpus};mem:1GiB"), None);
        let mut left = made.resources.clone();
        for shape in self.demand.iter().filter(|shape| shape.gang.is_none()) {
            let n = (0..shape.count.min(shape.max_per_agent.unwrap_or(u32::MAX)))
                .take_while(|_| {
                    let fits = left.contains(&shape.resources);
                    left.subtract(&shape.resources);
                    fits
                })
                .count();
            made.shapes
                .extend((n > 0).then_some((shape.id, u32::try_from(n).unwrap())));
        }
        self.offer(world, vec![made]);
    }

    /// An offer for each shape of the first gang that was asked for.
    pub(super) fn offer_gang(&mut self, world: &mut World, whole: bool) {
        let Some(id) = self.demand.iter().find_map(|shape| shape.gang) else {
            return;
        };
        let gang: Vec<_> = self
            .demand
            .iter()
            .filter(|shape| shape.gang == Some(id))
            .collect();
        let n_offers = u32::try_from(gang.len()).unwrap();
        let member = |shape: &&Shape| Offer {
            shapes: vec![(shape.id, shape.count)],
            gang: Some(OfferGang { id, n_offers }),
            resources: shape.resources.times(shape.count),
            ..offer("O", "cpus:1", None)
        };
        let mut offers: Vec<_> = gang.iter().map(member).collect();
        if !whole {
            let last = offers.last_mut().unwrap();
            last.shapes[0].1 -= 1;
        }
        self.offer(world, offers);
    }
}

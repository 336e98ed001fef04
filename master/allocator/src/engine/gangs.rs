//! Gangs: room for all of them at once, or none.

use std::collections::BTreeMap;
use std::sync::Arc;

use proffer_types::{GangId, Resources, Shape};

use super::place::{Score, most_that_fit};
use super::{Engine, Order};
use crate::Round;
use crate::ledger::{AgentIx, LeafIx, Ledger};

/// Where the tasks of a gang go.
type Plan = Vec<(AgentIx, Arc<Shape>, u32)>;

impl<O: Order> Engine<O> {
    /// Offers a whole gang, over as many agents as it takes. Any agent may be part of it, so all are looked at whenever
    /// one changed.
    pub(super) fn serve_gang(&mut self, round: &mut Round<'_>, leaf: LeafIx, gang: GangId) -> bool {
        let latest = self.log.latest();
        let shapes: Vec<_> = (round.ledger().leaf(leaf))
            .into_iter()
            .flat_map(|entry| entry.wanted())
            .filter(|(shape, _)| shape.gang == Some(gang))
            .map(|(shape, _)| Arc::clone(shape))
            .collect();
        let seen = self.seen(leaf).gangs.get(&gang);
        if seen.is_some_and(|seen| (seen.0, &seen.1) == (latest, &shapes)) {
            return false;
        }
        let agents: Vec<_> = self.log.after(0).map(|(_, agent)| agent).collect();
        round.spend(agents.len());
        let Some(plan) = plan(round, leaf, gang, &agents) else {
            self.seen(leaf).gangs.insert(gang, (latest, shapes));
            return false;
        };
        for (agent, shape, n) in plan {
            let offered = round.offer_tasks(leaf, agent, &shape, n);
            debug_assert_eq!(offered, Ok(()), "a plan is carried out whole");
            self.log.shrink(round.ledger(), agent);
        }
        true
    }
}

fn plan(round: &Round<'_>, leaf: LeafIx, gang: GangId, agents: &[AgentIx]) -> Option<Plan> {
    let ledger = round.ledger();
    let entry = ledger.leaf(leaf)?;
    let shapes: Vec<_> = entry
        .wanted()
        .filter(|(shape, _)| shape.gang == Some(gang))
        .collect();
    // A part of it is under way already: what was lost of it has to be stated anew.
    if shapes.iter().any(|(shape, open)| *open != shape.count) {
        return None;
    }
    let mut planned: BTreeMap<AgentIx, Resources> = BTreeMap::new();
    let mut plan = Plan::new();
    for (shape, count) in shapes {
        let mut missing = count;
        for agent in by_score(ledger, leaf, shape, agents) {
            if missing == 0 {
                break;
            }
            let Ok(within) = ledger.within(leaf, agent, shape, round.now()) else {
                continue;
            };
            // Not every shape may have all that another may have there.
            let free = planned
                .get(&agent)
                .map_or_else(|| within.clone(), |taken| within.minus(taken));
            let most = shape.max_per_agent.map_or(missing, |max| {
                missing.min(max.saturating_sub(ledger.n_on(agent, leaf, shape.id)))
            });
            let Some((n, taken)) = most_that_fit(&free, shape, most) else {
                continue;
            };
            if ledger.filtered_until(leaf, agent, &taken, round.now()).is_some() {
                continue;
            }
            planned.entry(agent).or_default().add(&taken);
            plan.push((agent, Arc::clone(shape), n));
            missing -= n;
        }
        if missing > 0 {
            return None;
        }
    }
    ledger.has_room_for(leaf, planned.values()).then_some(plan)
}

fn by_score(ledger: &Ledger, leaf: LeafIx, shape: &Shape, agents: &[AgentIx]) -> Vec<AgentIx> {
    let mut scored: Vec<_> = agents
        .iter()
        .map(|agent| (Score::of(ledger, leaf, *agent, shape), *agent))
        .collect();
    scored.sort_by(
        |(one, _), (other, _)| match (one.is_better(other), other.is_better(one)) {
            (true, _) => std::cmp::Ordering::Less,
            (_, true) => std::cmp::Ordering::Greater,
            _ => std::cmp::Ordering::Equal,
        },
    );
    scored.into_iter().map(|(_, agent)| agent).collect()
}

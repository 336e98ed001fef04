//! How many agents what waits would take: first fit decreasing, on agents that are not there yet.

use std::collections::{BTreeMap, BTreeSet};

use proffer_types::{AgentInfo, FrameworkId, GangId, Ranges, ResourceName, Resources, Role, Shape};

use crate::config::AgentShape;
use crate::view::Unmet;

/// An agent on which room is looked for.
#[derive(Debug, Clone)]
pub(crate) struct Bin<K> {
    pub(crate) kind: K,
    info: AgentInfo,
    free: Resources,
    n_ports: u64,
    /// How many tasks of each of what waits it was given.
    has: BTreeMap<usize, u32>,
}

impl<K> Bin<K> {
    pub(crate) fn new(kind: K, info: AgentInfo, free: Resources) -> Self {
        Self {
            n_ports: free.ranges(&ResourceName::Ports).map_or(0, Ranges::count),
            kind,
            info,
            free,
            has: BTreeMap::new(),
        }
    }

    pub(crate) fn is_used(&self) -> bool {
        !self.has.is_empty()
    }

    /// Gives as many tasks room as there is, up to so many.
    fn take(&mut self, index: usize, unmet: &Unmet, most: u32) -> u32 {
        let has = self.has.get(&index).copied().unwrap_or(0);
        let max = unmet
            .shape
            .max_per_agent
            .map_or(u32::MAX, |max| max.saturating_sub(has));
        let n = at_most(&self.free, self.n_ports, &unmet.shape).min(most).min(max);
        if n == 0 || miss(unmet, &self.info).is_some() {
            return 0;
        }
        self.free.subtract(&unmet.shape.resources.times(n));
        self.n_ports -= u64::from(unmet.shape.n_ports) * u64::from(n);
        self.has.insert(index, has + n);
        n
    }
}

fn at_most(free: &Resources, n_ports: u64, shape: &Shape) -> u32 {
    let fit = |has: u64, each: u64| has.checked_div(each).unwrap_or(u64::MAX);
    let scalars = shape
        .resources
        .scalars()
        .map(|(name, units)| fit(free.scalar(name), units));
    let n = scalars.fold(fit(n_ports, u64::from(shape.n_ports)), u64::min);
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Why an agent, empty, would not hold one of these tasks; nothing where it would.
pub(crate) fn miss(unmet: &Unmet, info: &AgentInfo) -> Option<String> {
    if let (Some(region), Some(domain)) = (&unmet.region, &info.domain)
        && *region != domain.region
    {
        return Some(format!("it is in region {}, not {region}", domain.region));
    }
    let both = [&unmet.shape.constraints, &unmet.constraints];
    if let Some(failing) = both
        .into_iter()
        .find_map(|constraints| constraints.first_failing(info))
    {
        return Some(format!("it does not meet {failing}"));
    }
    let plain = info.resources.plain();
    let mut scalars = unmet.shape.resources.scalars();
    if let Some((name, units)) = scalars.find(|(name, units)| plain.scalar(name) < *units) {
        let (has, needs) = (plain.scalar(name), units);
        let show = |units| proffer_types::resources::format::format_scalar(name, units);
        return Some(format!("it has {name} {} of {}", show(has), show(needs)));
    }
    let n_ports = plain.ranges(&ResourceName::Ports).map_or(0, Ranges::count);
    (n_ports < u64::from(unmet.shape.n_ports))
        .then(|| format!("it has {n_ports} ports of {}", unmet.shape.n_ports))
}

/// A shape, as far as agents of it can be added now.
#[derive(Debug, Clone)]
pub(crate) struct Stock<'a> {
    pub(crate) shape: &'a AgentShape,
    pub(crate) info: AgentInfo,
    pub(crate) room: u32,
    /// Why there is no room, where there is none.
    pub(crate) why: Option<String>,
}

/// What comes of packing.
#[derive(Debug)]
pub(crate) struct Packed<K> {
    pub(crate) bins: Vec<Bin<K>>,
    /// What found no room, by index, and why.
    pub(crate) missing: Vec<(usize, String)>,
}

/// Gives what waits room on the bins, in their order, and where they have none on further ones: of the first shape that
/// would hold it and has room. Shapes of one gang get room together, or none does.
pub(crate) fn pack<K: Clone>(
    waiting: &[&Unmet],
    bins: Vec<Bin<K>>,
    stock: &mut [Stock<'_>],
    new: impl Fn(usize, &Unmet) -> K,
) -> Packed<K> {
    let mut packed = Packed {
        bins,
        missing: Vec::new(),
    };
    for group in groups(waiting, stock) {
        let before = (group.len() > 1 || is_gang(waiting, &group)).then(|| {
            let rooms: Vec<_> = stock.iter().map(|stock| stock.room).collect();
            (packed.bins.clone(), rooms)
        });
        let mut missing = Vec::new();
        for index in group {
            if let Some(unmet) = waiting.get(index)
                && let Some(why) = place(index, unmet, &mut packed.bins, stock, &new)
            {
                missing.push((index, why));
            }
        }
        if let Some((bins, rooms)) = before.filter(|_| !missing.is_empty()) {
            packed.bins = bins;
            stock
                .iter_mut()
                .zip(rooms)
                .for_each(|(stock, room)| stock.room = room);
        }
        packed.missing.extend(missing);
    }
    packed
}

fn is_gang(waiting: &[&Unmet], group: &[usize]) -> bool {
    let mut unmet = group.iter().filter_map(|index| waiting.get(*index));
    unmet.any(|unmet| unmet.shape.gang.is_some())
}

/// What is placed together, the largest first.
fn groups(waiting: &[&Unmet], stock: &[Stock<'_>]) -> Vec<Vec<usize>> {
    let mut gangs: BTreeMap<(&FrameworkId, &Role, GangId), Vec<usize>> = BTreeMap::new();
    let mut groups = Vec::new();
    for (index, unmet) in waiting.iter().enumerate() {
        match unmet.shape.gang {
            Some(gang) => gangs
                .entry((&unmet.framework_id, &unmet.role, gang))
                .or_default()
                .push(index),
            None => groups.push(vec![index]),
        }
    }
    groups.extend(gangs.into_values());
    let size = |index: &usize| waiting.get(*index).map(|unmet| size(unmet, stock));
    for group in &mut groups {
        group.sort_by_key(|index| std::cmp::Reverse(size(index)));
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.first().and_then(size)));
    groups
}

/// The largest part of the largest agent, in millionths.
fn size(unmet: &Unmet, stock: &[Stock<'_>]) -> u128 {
    let part = |(name, units): (&ResourceName, u64)| {
        let most = stock.iter().map(|stock| stock.info.resources.scalar(name)).max();
        let most = u128::from(most.unwrap_or(0));
        (u128::from(units) * 1_000_000)
            .checked_div(most)
            .unwrap_or(u128::MAX)
    };
    unmet.shape.resources.scalars().map(part).max().unwrap_or(0)
}

/// Places all of one; returns why not.
fn place<K>(
    index: usize,
    unmet: &Unmet,
    bins: &mut Vec<Bin<K>>,
    stock: &mut [Stock<'_>],
    new: &impl Fn(usize, &Unmet) -> K,
) -> Option<String> {
    let mut left = unmet.shape.count;
    for bin in bins.iter_mut() {
        left -= bin.take(index, unmet, left);
    }
    while left > 0 {
        let mut held = stock.iter().enumerate();
        let found = held.find(|(_, stock)| stock.room > 0 && miss(unmet, &stock.info).is_none());
        let Some(at) = found.map(|(at, _)| at) else {
            return Some(why(left, unmet, stock));
        };
        let stock = &mut stock[at];
        stock.room -= 1;
        let mut bin = Bin::new(new(at, unmet), stock.info.clone(), stock.info.resources.plain());
        left -= bin.take(index, unmet, left);
        bins.push(bin);
    }
    None
}

/// Why no agent can be added for something: what would hold it, or what each shape lacks.
fn why(left: u32, unmet: &Unmet, stock: &[Stock<'_>]) -> String {
    let misses: Vec<_> = stock
        .iter()
        .map(|stock| (stock, miss(unmet, &stock.info)))
        .collect();
    let full: BTreeSet<_> = misses
        .iter()
        .filter(|(_, miss)| miss.is_none())
        .map(|(stock, _)| stock.why.clone().unwrap_or_else(|| at_max(stock)))
        .collect();
    if !full.is_empty() {
        let full: Vec<_> = full.into_iter().collect();
        return format!("no agent can be added for {left} of them: {}", full.join("; "));
    }
    let lacks = misses
        .iter()
        .filter_map(|(stock, miss)| Some(format!("{}: {}", stock.shape.name, miss.as_ref()?)));
    format!("no shape would hold it: {}", lacks.collect::<Vec<_>>().join("; "))
}

fn at_max(stock: &Stock<'_>) -> String {
    format!("shape {} is at its max of {}", stock.shape.name, stock.shape.max)
}

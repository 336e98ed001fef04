//! Tasks that stand alike become one node.
//!
//! Two tasks stand alike that come after alike ones, and before alike ones, by the same conditions: the coarsest partition
//! of which that is true is found by refining that into layers (Paige and Tarjan, SIAM J. Comput. 1987, without their
//! bound). Where it has too many classes, the finest one before it is taken.

use std::collections::{BTreeMap, BTreeSet};

use super::{Edge, Graph, Node, States};

/// Rounds of refinement: each can tell tasks apart by what is one edge further away.
const MAX_ROUNDS: usize = 64;

/// A class, and of each edge: whether it leads away, to or from which class, and its condition.
type Signature = (usize, BTreeSet<(bool, usize, &'static str, bool)>);

impl Graph {
    /// The same graph with at most so many nodes, at least one.
    pub(super) fn fold(&self, most: usize) -> Self {
        if self.nodes.len() <= most {
            return self.clone();
        }
        let classes = self.classes(most.max(1));
        let n_classes = classes.iter().max().map_or(0, |last| last + 1);
        let mut members = vec![Vec::new(); n_classes];
        for (node, class) in classes.iter().enumerate() {
            members[*class].push(&self.nodes[node]);
        }
        let mut edges: BTreeMap<(usize, usize, &str, bool), u64> = BTreeMap::new();
        for edge in &self.edges {
            let (from, to) = (classes[edge.from], classes[edge.to]);
            // Layers that were put together follow each other inside of their node.
            if from != to {
                *edges.entry((from, to, edge.on, edge.each)).or_default() += edge.n;
            }
        }
        let edge = |((from, to, on, each), n)| Edge {
            from,
            to,
            on,
            each,
            n,
        };
        Self {
            name: self.name.clone(),
            nodes: members.iter().map(|members| together(members)).collect(),
            edges: edges.into_iter().map(edge).collect(),
        }
    }

    /// The class of each node, by number from 0, in the order of layers.
    fn classes(&self, most: usize) -> Vec<usize> {
        let layers = self.layers();
        let n_layers = layers.iter().max().map_or(1, |last| last + 1);
        // Neighbouring layers go together where there are too many; they are in order, so no cycle comes of it.
        let per_class = n_layers.div_ceil(most);
        let mut classes = numbered(layers.iter().map(|layer| layer / per_class).collect());
        if per_class > 1 {
            return classes;
        }
        for _ in 0..MAX_ROUNDS {
            let finer = numbered(self.signatures(&classes));
            let count = |classes: &[usize]| classes.iter().max().map_or(0, |last| last + 1);
            if count(&finer) > most || count(&finer) == count(&classes) {
                break;
            }
            classes = finer;
        }
        classes
    }

    /// What tells a node from others: its class, and those of what it comes after and before.
    fn signatures(&self, classes: &[usize]) -> Vec<Signature> {
        let alone = classes.iter().map(|class| (*class, BTreeSet::new()));
        let mut signatures: Vec<_> = alone.collect();
        for edge in &self.edges {
            let (from, to) = (classes[edge.from], classes[edge.to]);
            signatures[edge.to].1.insert((false, from, edge.on, edge.each));
            signatures[edge.from].1.insert((true, to, edge.on, edge.each));
        }
        signatures
    }
}

/// Numbers in the order of the keys.
fn numbered<K: Ord>(keys: Vec<K>) -> Vec<usize> {
    let distinct: BTreeSet<_> = keys.iter().collect();
    let numbers: BTreeMap<_, _> = distinct
        .into_iter()
        .enumerate()
        .map(|(number, key)| (key, number))
        .collect();
    keys.iter()
        .map(|key| numbers.get(key).copied().unwrap_or_default())
        .collect()
}

fn together(members: &[&Node]) -> Node {
    if let [one] = members {
        return (*one).clone();
    }
    let states = members.iter().map(|node| node.states);
    let add = |sum: Option<States>, states: Option<States>| Some(sum.unwrap_or_default().add(states?));
    Node {
        name: name_of(members),
        n_tasks: members.iter().map(|node| node.n_tasks).sum(),
        n_instances: members.iter().map(|node| node.n_instances).sum(),
        states: states.fold(None, add),
    }
}

/// The first and the last of their names.
fn name_of(members: &[&Node]) -> String {
    match members {
        [first, .., last] => format!("{} .. {}", first.name, last.name),
        [one] => one.name.clone(),
        [] => String::new(),
    }
}

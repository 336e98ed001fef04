//! Places for the nodes of a small graph: layers from top to bottom, few crossings, short ways.
//!
//! The steps of Sugiyama, Tagawa and Toda (IEEE SMC 1981): layers by the longest way; an edge over several layers goes
//! through a bend in each; the order in a layer by barycentres, sweeping down and up; then places on the line, as near to
//! the mean of their neighbours as the order lets them, which is an isotonic regression.

use super::Graph;

/// Sweeps over all layers; the order with the fewest crossings is kept.
const N_SWEEPS: usize = 12;
/// Passes that draw neighbours together.
const N_PASSES: usize = 12;
/// Between two neighbours of a layer.
const GAP: f64 = 24.0;
/// The width of a bend.
const BEND: f64 = 8.0;
/// How much more a bend is drawn to its neighbours than a node: long edges are straight.
const BEND_WEIGHT: f64 = 4.0;

/// Where all of a graph is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layout {
    /// Of each node: its layer and the middle of it.
    pub(super) nodes: Vec<(usize, f64)>,
    /// Of each edge: where it begins, bends and ends.
    pub(super) routes: Vec<Vec<(usize, f64)>>,
    /// The nodes of each layer from left to right.
    pub(super) order: Vec<Vec<usize>>,
    pub(super) width: f64,
}

/// How many bends the edges of a graph need.
pub(super) fn n_bends(graph: &Graph) -> usize {
    let layers = graph.layers();
    let span = |edge: &super::Edge| layers[edge.to].saturating_sub(layers[edge.from] + 1);
    graph.edges.iter().map(span).sum()
}

/// Nodes and bends.
struct Draft {
    widths: Vec<f64>,
    n_nodes: usize,
    /// Of each, what it is joined to in the layer above, and below.
    above: Vec<Vec<usize>>,
    below: Vec<Vec<usize>>,
    layers: Vec<Vec<usize>>,
    routes: Vec<Vec<usize>>,
}

/// Lays out a graph whose nodes are so wide.
pub(super) fn layout(graph: &Graph, widths: &[f64]) -> Layout {
    let mut draft = Draft::new(graph, widths);
    draft.order();
    let x = draft.places();
    let mut layer_of = vec![0; draft.widths.len()];
    for (layer, items) in draft.layers.iter().enumerate() {
        items.iter().for_each(|item| layer_of[*item] = layer);
    }
    let edge_of = |item: usize, side: f64| x[item] + side * draft.widths[item] / 2.0;
    let items = 0..draft.widths.len();
    let left = items
        .clone()
        .map(|item| edge_of(item, -1.0))
        .fold(f64::MAX, f64::min);
    let right = items.map(|item| edge_of(item, 1.0)).fold(left, f64::max);
    let place = |item: &usize| (layer_of[*item], x[*item] - left);
    let is_node = |item: &&usize| **item < draft.n_nodes;
    let order = draft.layers.iter();
    Layout {
        nodes: (0..draft.n_nodes).map(|node| place(&node)).collect(),
        routes: draft
            .routes
            .iter()
            .map(|route| route.iter().map(place).collect())
            .collect(),
        order: order
            .map(|items| items.iter().filter(is_node).copied().collect())
            .collect(),
        width: (right - left).max(0.0),
    }
}

impl Draft {
    fn new(graph: &Graph, widths: &[f64]) -> Self {
        let layer_of = graph.layers();
        let n_layers = layer_of.iter().max().map_or(0, |last| last + 1);
        let n_nodes = graph.nodes.len();
        let mut draft = Self {
            widths: widths.to_vec(),
            n_nodes,
            above: vec![Vec::new(); n_nodes],
            below: vec![Vec::new(); n_nodes],
            layers: vec![Vec::new(); n_layers],
            routes: Vec::new(),
        };
        (0..n_nodes).for_each(|node| draft.layers[layer_of[node]].push(node));
        for edge in &graph.edges {
            let mut route = vec![edge.from];
            for layer in layer_of[edge.from] + 1..layer_of[edge.to] {
                let bend = draft.widths.len();
                draft.widths.push(BEND);
                draft.above.push(Vec::new());
                draft.below.push(Vec::new());
                draft.layers[layer].push(bend);
                route.push(bend);
            }
            route.push(edge.to);
            for pair in route.windows(2) {
                if let [up, down] = *pair {
                    draft.below[up].push(down);
                    draft.above[down].push(up);
                }
            }
            draft.routes.push(route);
        }
        draft
    }

    /// Orders each layer.
    fn order(&mut self) {
        let mut best = (self.n_crossings(), self.layers.clone());
        for sweep in 0..N_SWEEPS {
            let is_down = sweep % 2 == 0;
            let n = self.layers.len();
            for step in 1..n {
                let layer = if is_down { step } else { n - 1 - step };
                self.sort(layer, is_down);
            }
            let n_crossings = self.n_crossings();
            if n_crossings < best.0 {
                best = (n_crossings, self.layers.clone());
            }
            if best.0 == 0 {
                break;
            }
        }
        self.layers = best.1;
    }

    /// Sorts a layer by the mean place of what its items are joined to in the one before, or behind.
    fn sort(&mut self, layer: usize, is_down: bool) {
        let places = self.positions();
        let neighbours = if is_down { &self.above } else { &self.below };
        let key = |item: usize| {
            let near: Vec<_> = neighbours[item].iter().map(|other| places[*other]).collect();
            mean(&near).unwrap_or(places[item])
        };
        let mut keyed: Vec<_> = self.layers[layer]
            .iter()
            .map(|item| (key(*item), *item))
            .collect();
        keyed.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        self.layers[layer] = keyed.into_iter().map(|(_, item)| item).collect();
    }

    /// Of each item, its place in its layer.
    fn positions(&self) -> Vec<f64> {
        let mut places = vec![0.0; self.widths.len()];
        for items in &self.layers {
            let mut place = 0.0;
            for item in items {
                places[*item] = place;
                place += 1.0;
            }
        }
        places
    }

    fn n_crossings(&self) -> usize {
        let places = self.positions();
        let crossings = |items: &Vec<usize>| {
            let ends = |item: &usize| {
                let mut ends: Vec<_> = self.below[*item].iter().map(|other| places[*other]).collect();
                ends.sort_by(f64::total_cmp);
                ends
            };
            // Two edges cross where their lower ends are in another order than their upper ones.
            let mut before: Vec<f64> = Vec::new();
            let mut n = 0;
            for ends in items.iter().map(ends) {
                for end in &ends {
                    n += before.len() - before.partition_point(|other| other <= end);
                }
                before.extend(ends);
                before.sort_by(f64::total_cmp);
            }
            n
        };
        self.layers.iter().map(crossings).sum()
    }

    /// The middle of each item.
    fn places(&self) -> Vec<f64> {
        let mut x = vec![0.0; self.widths.len()];
        for items in &self.layers {
            let wanted = vec![0.0; items.len()];
            self.settle(items, &wanted, &mut x);
        }
        for pass in 0..N_PASSES {
            let is_down = pass % 2 == 0;
            let neighbours = if is_down { &self.above } else { &self.below };
            let n = self.layers.len();
            for step in 0..n {
                let items = &self.layers[if is_down { step } else { n - 1 - step }];
                let wanted = |item: &usize| {
                    let near: Vec<_> = neighbours[*item].iter().map(|other| x[*other]).collect();
                    mean(&near).unwrap_or(x[*item])
                };
                let wanted: Vec<_> = items.iter().map(wanted).collect();
                self.settle(items, &wanted, &mut x);
            }
        }
        x
    }

    /// Puts the items of a layer as near to where they are wanted as their order and widths let them: least squares under
    /// an order, by pooling adjacent violators (Ayer et al. 1955).
    fn settle(&self, items: &[usize], wanted: &[f64], x: &mut [f64]) {
        let mut offsets = Vec::with_capacity(items.len());
        let mut offset = 0.0;
        for (nth, item) in items.iter().enumerate() {
            if let Some(before) = nth.checked_sub(1).and_then(|before| items.get(before)) {
                offset += f64::midpoint(self.widths[*before], self.widths[*item]) + GAP;
            }
            offsets.push(offset);
        }
        // Of each block: the weighted sum, the weight, and how many items.
        let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
        for ((item, wanted), offset) in items.iter().zip(wanted).zip(&offsets) {
            let weight = if *item < self.n_nodes { 1.0 } else { BEND_WEIGHT };
            let mut block = ((wanted - offset) * weight, weight, 1);
            while let Some(last) = blocks.last().copied()
                && last.0 / last.1 > block.0 / block.1
            {
                blocks.pop();
                block = (last.0 + block.0, last.1 + block.1, last.2 + block.2);
            }
            blocks.push(block);
        }
        let means = blocks
            .iter()
            .flat_map(|(sum, weight, n)| std::iter::repeat_n(sum / weight, *n));
        for ((item, offset), mean) in items.iter().zip(&offsets).zip(means) {
            x[*item] = mean + offset;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a graph that is drawn has few edges")]
fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

//! A graph as SVG: boxes in layers from top to bottom, in the colours of their states, for light and dark pages.

use std::fmt::Write as _;

use super::layout::{Layout, layout, n_bends};
use super::{Edge, Graph, Node, Shade, States};
use crate::views::grouped;

/// The most boxes; what has more is folded.
const MAX_NODES: usize = 150;
/// The most edges and bends.
const MAX_ROUTED: usize = 2_000;
/// The longest name that is not cut, in characters.
const MAX_NAME: usize = 32;

/// All in pixels.
const MARGIN: f64 = 24.0;
const HEAD: f64 = 48.0;
const BOX_HEIGHT: f64 = 48.0;
const LAYER_GAP: f64 = 56.0;
/// Of a character of a name, which is in 14 px monospace, and of what is under it, in 11 px.
const NAME_CHAR: f64 = 8.5;
const SMALL_CHAR: f64 = 6.7;
const PADDING: f64 = 14.0;
const LEAST_WIDTH: f64 = 96.0;

/// Plain rules, without variables: what shows a picture beside browsers knows none.
const STYLE: &str = "\
  text { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
  .head { font-size: 15px; font-weight: 600; } .name { font-size: 14px; } .small, .label { font-size: 11px; }
  .label { paint-order: stroke; stroke-width: 4px; } .box { stroke-width: 1.5; }
  .edge { fill: none; stroke-width: 1.5; } .other { stroke-dasharray: 6 4; }
  text { fill: #1f2328; } .small, .label { fill: #59636e; } .label { stroke: #ffffff; } .page { fill: #ffffff; }
  .box { fill: #f6f8fa; stroke: #d1d9e0; } .edge { stroke: #818b98; } .tip { fill: #818b98; }
  .waiting { stroke: #d1d9e0; } .running { stroke: #218bff; } .finished { stroke: #2da44e; } .failed { stroke: #cf222e; }
  .cancelled { stroke: #9a6700; } .part-waiting { fill: #d1d9e0; } .part-running { fill: #218bff; }
  .part-finished { fill: #2da44e; } .part-failed { fill: #cf222e; } .part-cancelled { fill: #9a6700; }
  @media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; } .small, .label { fill: #9198a1; } .label { stroke: #0d1117; } .page { fill: #0d1117; }
  .box { fill: #161b22; stroke: #3d444d; } .edge { stroke: #6e7681; } .tip { fill: #6e7681; }
  .waiting { stroke: #3d444d; } .running { stroke: #388bfd; } .finished { stroke: #3fb950; } .failed { stroke: #f85149; }
  .cancelled { stroke: #d29922; } .part-waiting { fill: #3d444d; } .part-running { fill: #388bfd; }
  .part-finished { fill: #3fb950; } .part-failed { fill: #f85149; } .part-cancelled { fill: #d29922; }
  }
";

/// Draws a graph.
pub(crate) fn svg(graph: &Graph) -> String {
    let (n_tasks, n_edges) = graph.size();
    let folded = drawable(graph);
    let widths: Vec<_> = folded.nodes.iter().map(width).collect();
    let layout = layout(&folded, &widths);
    let mut head = format!(
        "{}: {} tasks, {} edges",
        graph.name,
        grouped(n_tasks),
        grouped(n_edges)
    );
    if folded.nodes.len() < graph.nodes.len() {
        head += "; tasks that stand alike are one box";
    }
    let n_layers = layout.order.len().max(1);
    let width = layout.width.max(length(&head) * 9.5) + 2.0 * MARGIN;
    let height = y(n_layers - 1) + BOX_HEIGHT + MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">\n<title>{0}</title>\n<style>\n{STYLE}</style>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" markerHeight=\"8\" \
         orient=\"auto\"><path class=\"tip\" d=\"M0,0 L8,4 L0,8 z\"/></marker></defs>\n\
         <rect class=\"page\" width=\"100%\" height=\"100%\"/>\n<text class=\"head\" x=\"{MARGIN}\" y=\"30\">{0}</text>\n",
        escaped(&head),
    );
    let middle = (width - 2.0 * MARGIN - layout.width) / 2.0 + MARGIN;
    for (edge, route) in folded.edges.iter().zip(&layout.routes) {
        draw_edge(&mut svg, edge, route, middle);
    }
    for (node, at) in folded.nodes.iter().enumerate() {
        draw_node(&mut svg, at, &layout, node, widths[node], middle);
    }
    svg.push_str("</svg>\n");
    svg
}

/// The graph with as many boxes as there is room for all of its edges.
fn drawable(graph: &Graph) -> Graph {
    let mut most = MAX_NODES;
    loop {
        let folded = graph.fold(most);
        most /= 2;
        if most == 0 || folded.edges.len() + n_bends(&folded) <= MAX_ROUTED {
            return folded;
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a name has few characters, and a picture few layers"
)]
fn number(n: usize) -> f64 {
    n as f64
}

fn length(text: &str) -> f64 {
    number(text.chars().count())
}

/// The top of a layer.
fn y(layer: usize) -> f64 {
    HEAD + MARGIN + number(layer) * (BOX_HEIGHT + LAYER_GAP)
}

fn title(node: &Node) -> String {
    match node.name.char_indices().nth(MAX_NAME) {
        Some((end, _)) => format!("{}…", node.name.get(..end).unwrap_or_default()),
        None => node.name.clone(),
    }
}

fn width(node: &Node) -> f64 {
    let text = (length(&title(node)) * NAME_CHAR).max(length(&node.counts()) * SMALL_CHAR);
    (text + 2.0 * PADDING).max(LEAST_WIDTH)
}

fn draw_node(svg: &mut String, node: &Node, layout: &Layout, at: usize, width: f64, middle: f64) {
    let (layer, x) = layout.nodes[at];
    let (x, top) = (x + middle, y(layer));
    let left = x - width / 2.0;
    let (name, counts) = (escaped(&title(node)), escaped(&node.counts()));
    let _ = write!(svg, "<g><title>{}</title>", escaped(&node.name));
    let _ = write!(
        svg,
        "<rect class=\"box {}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{BOX_HEIGHT}\" rx=\"6\"/>",
        node.shade().word(),
    );
    let of_name = if counts.is_empty() { 29.0 } else { 20.0 };
    let _ = write!(
        svg,
        "<text class=\"name\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{name}</text>",
        top + of_name
    );
    if !counts.is_empty() {
        let _ = write!(
            svg,
            "<text class=\"small\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{counts}</text>",
            top + 35.0
        );
    }
    if let Some(states) = node.states {
        draw_parts(svg, states, left + 6.0, top + BOX_HEIGHT - 7.0, width - 12.0);
    }
    svg.push_str("</g>\n");
}

/// How far a node is, as a bar at its foot.
#[expect(clippy::cast_precision_loss, reason = "a bar of some hundred pixels")]
fn draw_parts(svg: &mut String, states: States, mut left: f64, top: f64, width: f64) {
    let n = states.n().max(1) as f64;
    let parts = [
        (states.finished, Shade::Finished),
        (states.failed, Shade::Failed),
        (states.cancelled, Shade::Cancelled),
        (states.running, Shade::Running),
        (states.waiting, Shade::Waiting),
    ];
    for (part, shade) in parts.into_iter().filter(|(part, _)| *part > 0) {
        let part = width * part as f64 / n;
        let _ = write!(
            svg,
            "<rect class=\"part-{}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{part:.1}\" height=\"3\"/>",
            shade.word()
        );
        left += part;
    }
}

fn draw_edge(svg: &mut String, edge: &Edge, route: &[(usize, f64)], middle: f64) {
    let class = if edge.on.is_empty() { "edge" } else { "edge other" };
    let mut path = String::new();
    let last = route.len().saturating_sub(1);
    for (nth, pair) in route.windows(2).enumerate() {
        let [(upper, from), (lower, to)] = *pair else {
            continue;
        };
        let (from, to, end) = (from + middle, to + middle, y(lower));
        let begin = y(upper) + BOX_HEIGHT;
        if nth == 0 {
            let _ = write!(path, "M{from:.1},{begin:.1}");
        } else {
            // Past the boxes of the layer between.
            let _ = write!(path, " L{from:.1},{begin:.1}");
        }
        let turn = f64::midpoint(begin, end);
        let tip = if nth + 1 == last { end - 1.0 } else { end };
        let _ = write!(path, " C{from:.1},{turn:.1} {to:.1},{turn:.1} {to:.1},{tip:.1}");
    }
    let _ = writeln!(
        svg,
        "<path class=\"{class}\" d=\"{path}\" marker-end=\"url(#tip)\"/>"
    );
    let label = match (edge.label(), edge.n) {
        (label, 0 | 1) => label,
        (label, n) => format!("{} {label}", grouped(n)).trim().to_owned(),
    };
    if let ([.., (upper, from), (lower, to)], false) = (route, label.is_empty()) {
        let (x, y) = (
            f64::midpoint(*from, *to) + middle,
            f64::midpoint(y(*upper) + BOX_HEIGHT, y(*lower)) + 4.0,
        );
        let label = escaped(&label);
        let _ = writeln!(
            svg,
            "<text class=\"label\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{label}</text>"
        );
    }
}

/// Text as XML has it; control characters, which it has not, are left out.
fn escaped(text: &str) -> String {
    let escape = |c: char| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        c if c.is_control() => String::new(),
        c => c.to_string(),
    };
    text.chars().map(escape).collect()
}

//! A graph as text: a line for each node, layer by layer, and beside it a lane for each node that others come after.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use console::{measure_text_width, truncate_str};

use super::layout::{layout, n_bends};
use super::{Graph, Node, Shade};
use crate::output::printable;
use crate::views::{Ink, grouped};

/// The most lines: two screens.
const MAX_NODES: usize = 60;
/// The most lanes; a wider picture is read by nobody.
const MAX_LANES: usize = 16;
/// The most edges and bends for which an order is looked for.
const MAX_ROUTED: usize = 2_000;
/// The columns of the longest name that is not cut.
const MAX_NAME: usize = 40;
/// How many of what a node comes after are named.
const MAX_NAMED: usize = 4;

/// Where the lines of a cell go.
#[derive(Clone, Copy, Default)]
struct Joint {
    up: bool,
    down: bool,
    left: bool,
    right: bool,
}

/// Draws a graph in lines of at most `width` columns.
pub(crate) fn text(graph: &Graph, width: usize, ink: Ink) -> String {
    let (n_tasks, n_edges) = graph.size();
    let n_layers = graph.layers().iter().max().map_or(0, |last| last + 1);
    let (folded, rows) = drawable(graph);
    let mut text = format!(
        "job {}  {} task{}, {} edge{}, {} layer{}",
        printable(&graph.name),
        grouped(n_tasks),
        plural(n_tasks),
        grouped(n_edges),
        plural(n_edges),
        grouped(n_layers as u64),
        plural(n_layers as u64),
    );
    if folded.nodes.len() < graph.nodes.len() {
        let _ = write!(text, "; tasks that stand alike are one line");
    }
    text.push_str("\n\n");
    let lanes = rows
        .iter()
        .map(|row| measure_text_width(&row.lanes))
        .max()
        .unwrap_or(0);
    let name = |row: &Row| {
        row.node
            .map_or(0, |node| measure_text_width(&printable(&folded.nodes[node].name)))
    };
    let names = rows.iter().map(name).max().unwrap_or(0).min(MAX_NAME);
    for row in &rows {
        let Some(node) = row.node else {
            let _ = writeln!(text, "{}", row.lanes.trim_end());
            continue;
        };
        let gap = " ".repeat(lanes - measure_text_width(&row.lanes));
        let line = line(&folded, node, names);
        let room = width.saturating_sub(lanes + 2);
        let line = truncate_str(line.trim_end(), room, "…");
        let shade = folded.nodes[node].shade();
        let _ = writeln!(
            text,
            "{}{gap}  {}",
            row.lanes,
            ink.state(&shade.word().to_uppercase(), &line)
        );
    }
    text
}

fn plural(n: u64) -> &'static str {
    if n == 1 { "" } else { "s" }
}

fn line(graph: &Graph, node: usize, names: usize) -> String {
    let of = &graph.nodes[node];
    let name = printable(&of.name);
    let name = truncate_str(&name, names, "…");
    let pad = " ".repeat(names.saturating_sub(measure_text_width(&name)));
    let mut line = format!("{name}{pad}");
    let counts = counts(of);
    if !counts.is_empty() {
        let _ = write!(line, "  {counts}");
    }
    let after: Vec<_> = graph.edges.iter().filter(|edge| edge.to == node).collect();
    if !after.is_empty() {
        let named = after.iter().take(MAX_NAMED).map(|edge| {
            let name = printable(&graph.nodes[edge.from].name);
            match edge.label().as_str() {
                "" => name,
                label => format!("{name} ({label})"),
            }
        });
        let more = match after.len().saturating_sub(MAX_NAMED) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        let _ = write!(line, "  <- {}{more}", named.collect::<Vec<_>>().join(", "));
    }
    line
}

fn counts(node: &Node) -> String {
    let counts = node.counts();
    match (node.n_tasks, node.states) {
        (1, _) | (_, None) => counts,
        (n, Some(_)) => format!("{} tasks: {counts}", grouped(n)),
    }
}

/// A line of the picture.
struct Row {
    lanes: String,
    /// Absent where only lanes are joined.
    node: Option<usize>,
}

/// The graph as it can be drawn, and its lines.
fn drawable(graph: &Graph) -> (Graph, Vec<Row>) {
    let mut most = MAX_NODES;
    loop {
        let folded = graph.fold(most);
        most /= 2;
        if most > 0 && folded.edges.len() + n_bends(&folded) > MAX_ROUTED {
            continue;
        }
        let order = layout(&folded, &vec![1.0; folded.nodes.len()]).order;
        let (rows, n_lanes) = rows(&folded, order.into_iter().flatten().collect());
        if most == 0 || n_lanes <= MAX_LANES {
            return (folded, rows);
        }
    }
}

/// The lines, and how many lanes they have.
fn rows(graph: &Graph, order: Vec<usize>) -> (Vec<Row>, usize) {
    let mut before = vec![BTreeSet::new(); graph.nodes.len()];
    let mut n_left = vec![0; graph.nodes.len()];
    for edge in &graph.edges {
        if before[edge.to].insert(edge.from) {
            n_left[edge.from] += 1;
        }
    }
    // Of each lane, the node whose line it is.
    let mut lanes: Vec<Option<usize>> = Vec::new();
    // Of each lane, whether the line above has anything there.
    let mut is_marked: Vec<bool> = Vec::new();
    let mut rows = Vec::new();
    for node in order {
        let lane_of = |source: &usize| lanes.iter().position(|lane| lane.as_ref() == Some(source));
        let sources: BTreeSet<_> = before[node].iter().filter_map(lane_of).collect();
        before[node].iter().for_each(|source| n_left[*source] -= 1);
        let has_ended = |lane: &usize| lanes[*lane].is_some_and(|source| n_left[source] == 0);
        let ended: BTreeSet<_> = sources.iter().copied().filter(has_ended).collect();
        let free = lanes.iter().position(Option::is_none).unwrap_or(lanes.len());
        let at = ended.first().copied().unwrap_or(free);
        if at == lanes.len() {
            lanes.push(None);
            is_marked.push(false);
        }
        let was: Vec<bool> = lanes.iter().map(Option::is_some).collect();
        ended.iter().for_each(|lane| lanes[*lane] = None);
        let stays: Vec<bool> = lanes.iter().map(Option::is_some).collect();
        let is_chain = sources.len() == 1 && sources.contains(&at);
        if !is_chain && (!sources.is_empty() || is_marked[at]) {
            rows.push(Row {
                lanes: joints(&was, &stays, &sources, at),
                node: None,
            });
        }
        rows.push(Row {
            lanes: marks(&stays, at, graph.nodes[node].shade()),
            node: Some(node),
        });
        is_marked = stays;
        is_marked[at] = true;
        lanes[at] = (n_left[node] > 0).then_some(node);
    }
    (rows, lanes.len())
}

/// The line that leads from lanes to where the next node is.
fn joints(was: &[bool], stays: &[bool], sources: &BTreeSet<usize>, at: usize) -> String {
    let is_root = sources.is_empty();
    let first = sources.first().map_or(at, |first| at.min(*first));
    let last = sources.last().map_or(at, |last| at.max(*last));
    let mut text = String::new();
    for lane in 0..was.len() {
        let is_joint = !is_root && (sources.contains(&lane) || lane == at);
        let crosses = (first..last).contains(&lane) && lane > first;
        text.push(match (is_joint, was[lane]) {
            (true, up) => glyph(Joint {
                up,
                down: stays[lane] || lane == at,
                left: lane > first,
                right: lane < last,
            }),
            // Passes behind.
            (false, true) => '│',
            (false, false) if crosses => '─',
            (false, false) => ' ',
        });
        text.push(if (first..last).contains(&lane) { '─' } else { ' ' });
    }
    text.trim_end().to_owned()
}

fn glyph(joint: Joint) -> char {
    let Joint {
        up,
        down,
        left,
        right,
    } = joint;
    match (up, down, left, right) {
        (true, true, true, true) => '┼',
        (true, true, true, false) => '┤',
        (true, true, false, true) => '├',
        (true, false, true, true) => '┴',
        (true, false, true, false) => '╯',
        (true, false, false, true) => '╰',
        (false, true, true, true) => '┬',
        (false, true, true, false) => '╮',
        (false, true, false, true) => '╭',
        (false, false, _, _) => '─',
        (_, _, false, false) => '│',
    }
}

fn marks(stays: &[bool], at: usize, shade: Shade) -> String {
    let mark = |(lane, is_there): (usize, &bool)| match (lane == at, is_there) {
        (true, _) => match shade {
            Shade::Unknown | Shade::Waiting => '○',
            Shade::Running => '◐',
            Shade::Finished => '●',
            Shade::Failed => '✗',
            Shade::Cancelled => '◌',
        },
        (false, true) => '│',
        (false, false) => ' ',
    };
    let cells: Vec<_> = stays.iter().enumerate().map(mark).map(String::from).collect();
    cells.join(" ").trim_end().to_owned()
}

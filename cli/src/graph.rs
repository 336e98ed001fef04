//! The order of a job's tasks as a graph, in the size that can be drawn.
//!
//! A small graph is drawn as it is. Of a large one, tasks that stand alike in it become one node: the graph is parted into
//! ever finer classes as long as there are few enough of them, so drawing is bounded however large the job is.

mod fold;
mod layout;
mod svg;
mod text;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use proffer_wire::v1;

pub(crate) use self::svg::svg;
pub(crate) use self::text::text;

/// A graph of tasks, without cycles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Graph {
    /// The job's name.
    name: String,
    nodes: Vec<Node>,
    /// Without two that are alike.
    edges: Vec<Edge>,
}

/// A task, or several that stand alike.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Node {
    name: String,
    n_tasks: u64,
    n_instances: u64,
    /// Absent for a job that was not submitted.
    states: Option<States>,
}

/// One task comes after another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    from: usize,
    to: usize,
    on: &'static str,
    each: bool,
    /// How many there are, where nodes are several tasks.
    n: u64,
}

/// How many instances are where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct States {
    waiting: u64,
    running: u64,
    finished: u64,
    failed: u64,
    cancelled: u64,
}

/// What a node is as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shade {
    /// Of a job that was not submitted.
    Unknown,
    Waiting,
    Running,
    Finished,
    Failed,
    Cancelled,
}

impl Graph {
    /// The tasks of a job, with what has become of them where that is known.
    pub(crate) fn new(spec: &v1::JobSpec, counts: &[v1::JobTaskCounts]) -> Self {
        let places = spec.tasks.iter().enumerate();
        let places: BTreeMap<_, _> = places.map(|(place, task)| (task.name.as_str(), place)).collect();
        let nodes = spec.tasks.iter().enumerate().map(|(place, task)| Node {
            name: task.name.clone(),
            n_tasks: 1,
            n_instances: task.count.max(1).into(),
            states: counts.get(place).map(States::from),
        });
        let mut edges = Vec::new();
        for (to, task) in spec.tasks.iter().enumerate() {
            let plain = task.after.iter().map(|name| (name, "", false));
            let others = task
                .conditions
                .iter()
                .map(|after| (&after.task, on(after.on()), after.each));
            for (name, on, each) in plain.chain(others) {
                edges.extend(places.get(name.as_str()).map(|from| Edge {
                    from: *from,
                    to,
                    on,
                    each,
                    n: 1,
                }));
            }
        }
        edges.sort();
        edges.dedup();
        Self {
            name: spec.name.clone(),
            nodes: nodes.collect(),
            edges,
        }
    }

    /// How many tasks and conditions there are, folded or not.
    fn size(&self) -> (u64, u64) {
        let n_tasks = self.nodes.iter().map(|node| node.n_tasks).sum();
        (n_tasks, self.edges.iter().map(|edge| edge.n).sum())
    }

    /// Of each node, how many edges the longest way to it has (Kahn, CACM 1962). What is on a cycle, which no accepted job
    /// has, stays in the first layer.
    fn layers(&self) -> Vec<usize> {
        let mut n_open = vec![0_usize; self.nodes.len()];
        let mut later = vec![Vec::new(); self.nodes.len()];
        for edge in &self.edges {
            n_open[edge.to] += 1;
            later[edge.from].push(edge.to);
        }
        let mut ready: Vec<_> = (0..self.nodes.len()).filter(|node| n_open[*node] == 0).collect();
        let mut layers = vec![0; self.nodes.len()];
        while let Some(node) = ready.pop() {
            for next in &later[node] {
                layers[*next] = layers[*next].max(layers[node] + 1);
                n_open[*next] -= 1;
                if n_open[*next] == 0 {
                    ready.push(*next);
                }
            }
        }
        for (node, n_open) in n_open.into_iter().enumerate() {
            if n_open > 0 {
                layers[node] = 0;
            }
        }
        layers
    }
}

/// Empty for what needs no word.
fn on(on: v1::JobConditionOn) -> &'static str {
    match on {
        v1::JobConditionOn::Unspecified | v1::JobConditionOn::JobOnSuccess => "",
        v1::JobConditionOn::JobOnFailure => "failure",
        v1::JobConditionOn::JobOnAny => "any",
    }
}

impl Edge {
    /// `each`, `failure`, `each any`; empty for the success of the whole.
    fn label(&self) -> String {
        let each = if self.each { "each" } else { "" };
        [each, self.on].join(" ").trim().to_owned()
    }
}

impl From<&v1::JobTaskCounts> for States {
    fn from(counts: &v1::JobTaskCounts) -> Self {
        Self {
            waiting: [counts.blocked, counts.waiting, counts.delayed]
                .map(u64::from)
                .iter()
                .sum(),
            running: u64::from(counts.running) + u64::from(counts.suspended),
            finished: counts.finished.into(),
            failed: counts.failed.into(),
            cancelled: counts.cancelled.into(),
        }
    }
}

impl States {
    fn add(self, other: Self) -> Self {
        Self {
            waiting: self.waiting + other.waiting,
            running: self.running + other.running,
            finished: self.finished + other.finished,
            failed: self.failed + other.failed,
            cancelled: self.cancelled + other.cancelled,
        }
    }

    fn n(self) -> u64 {
        self.waiting + self.running + self.finished + self.failed + self.cancelled
    }
}

impl Node {
    fn shade(&self) -> Shade {
        match self.states {
            None => Shade::Unknown,
            Some(States { failed: 1.., .. }) => Shade::Failed,
            Some(States { running: 1.., .. }) => Shade::Running,
            Some(States { waiting: 1.., .. }) => Shade::Waiting,
            Some(States { cancelled: 1.., .. }) => Shade::Cancelled,
            Some(States { .. }) => Shade::Finished,
        }
    }

    /// `5,000 instances`, `40 of 100 finished, 2 failed`; empty for one instance of which nothing is known.
    fn counts(&self) -> String {
        use crate::views::grouped;
        let Some(states) = self.states else {
            return match (self.n_tasks, self.n_instances) {
                (1, 1) => String::new(),
                (1, n) => format!("{} instances", grouped(n)),
                (n_tasks, n) if n_tasks == n => format!("{} tasks", grouped(n_tasks)),
                (n_tasks, n) => format!("{} tasks, {} instances", grouped(n_tasks), grouped(n)),
            };
        };
        if states.n() == 1 {
            return self.shade().word().to_owned();
        }
        let parts = [
            (states.running, "running"),
            (states.waiting, "waiting"),
            (states.failed, "failed"),
            (states.cancelled, "cancelled"),
        ];
        let parts = parts.into_iter().filter(|(n, _)| *n > 0);
        let finished = format!("{}/{} finished", grouped(states.finished), grouped(states.n()));
        let all = std::iter::once(finished).chain(parts.map(|(n, word)| format!("{} {word}", grouped(n))));
        all.collect::<Vec<_>>().join(", ")
    }
}

impl Shade {
    fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

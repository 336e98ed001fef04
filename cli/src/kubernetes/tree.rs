//! A YAML file as a tree in which everything knows its line and column.
//!
//! Scalars keep the text they were written as, so that quantities are exact. Aliases are copied as long as the whole stays
//! within bounds; tags are refused.

use std::collections::{BTreeMap, BTreeSet};

use super::fields::quoted;
use serde_saphyr::granit_parser::{Event, Marker, Parser, ScalarStyle};

/// How deep a document may be nested; Kubernetes' own objects stay below 20.
const MAX_DEPTH: usize = 64;
/// What a file may hold once its aliases are followed, each node counted with its text and [`NODE_COST`].
const MAX_COST: usize = 32 << 20;
/// About what a node takes beside its text, in bytes.
const NODE_COST: usize = 64;

/// A place in one of the files that are read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Which file, from 0.
    pub(super) file: usize,
    /// Both from 1.
    pub(super) line: u64,
    pub(super) column: u64,
}

/// What is wrong, or to be warned of, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) place: Place,
    pub(super) problem: String,
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
    cost: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    /// The text, and whether it is written without quotes: then it may be a number, a boolean or nothing.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) place: Place,
    pub(super) name: String,
}

impl Node {
    /// Whether it is written like nothing: `~`, `null`, or not at all.
    pub(super) fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar { text, plain } => {
                *plain && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            Value::List(_) | Value::Map(_) => false,
        }
    }
}

/// A list or mapping that is not at its end yet.
struct Open {
    place: Place,
    anchor: usize,
    cost: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Node>),
    Map {
        entries: Vec<(Key, Node)>,
        seen: BTreeSet<String>,
        key: Option<Key>,
    },
}

/// Reads all documents of a file, without the empty ones.
pub(super) fn documents(file: usize, text: &str) -> Result<Vec<Node>, Wrong> {
    let mut builder = Builder {
        file,
        documents: Vec::new(),
        open: Vec::new(),
        anchors: BTreeMap::new(),
        cost: 0,
    };
    for event in Parser::new_from_str(text) {
        match event {
            Ok((event, span)) => builder.event(event, span.start)?,
            Err(error) => {
                return Err(Wrong {
                    place: at(file, error.marker()),
                    problem: error.info(),
                });
            }
        }
    }
    Ok(builder.documents)
}

fn at(file: usize, marker: &Marker) -> Place {
    let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    Place {
        file,
        line: count(marker.line()),
        column: count(marker.col()).saturating_add(1),
    }
}

struct Builder {
    file: usize,
    documents: Vec<Node>,
    open: Vec<Open>,
    /// What aliases of the document stand for.
    anchors: BTreeMap<usize, Node>,
    /// Of all that was read and copied.
    cost: usize,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, start: Marker) -> Result<(), Wrong> {
        let place = at(self.file, &start);
        let wrong = |problem: &str| {
            let problem = problem.to_owned();
            Err(Wrong { place, problem })
        };
        match event {
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, _, Some(_))
            | Event::MappingStart(_, _, Some(_)) => {
                wrong("tags such as `!!str` are not read; write a text in quotes")
            }
            Event::Scalar(text, style, anchor, None) => {
                let value = Value::Scalar {
                    text: text.into_owned(),
                    plain: style == ScalarStyle::Plain,
                };
                self.scalar(place, anchor, value)
            }
            Event::SequenceStart(_, anchor, None) => self.begin(place, anchor, Inside::List(Vec::new())),
            Event::MappingStart(_, anchor, None) => {
                let inside = Inside::Map {
                    entries: Vec::new(),
                    seen: BTreeSet::new(),
                    key: None,
                };
                self.begin(place, anchor, inside)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(node) => {
                    self.cost = self.cost.saturating_add(node.cost);
                    if self.cost > MAX_COST {
                        return wrong("with its aliases followed, the file is too large");
                    }
                    let mut node = node.clone();
                    node.place = place;
                    self.add(node)
                }
                None => wrong("an alias cannot stand within what it stands for"),
            },
            Event::UnresolvedAlias(_) => wrong("there is no such anchor"),
            Event::DocumentEnd => {
                self.anchors.clear();
                Ok(())
            }
            Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(..)
            | Event::Anchor(..)
            | Event::Comment(..)
            | _ => Ok(()),
        }
    }

    fn scalar(&mut self, place: Place, anchor: usize, value: Value) -> Result<(), Wrong> {
        let length = match &value {
            Value::Scalar { text, .. } => text.len(),
            Value::List(_) | Value::Map(_) => 0,
        };
        let cost = NODE_COST + length;
        self.cost = self.cost.saturating_add(cost);
        let node = Node { place, value, cost };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.add(node)
    }

    fn begin(&mut self, place: Place, anchor: usize, inside: Inside) -> Result<(), Wrong> {
        if self.open.len() >= MAX_DEPTH {
            let problem = format!("nested more than {MAX_DEPTH} deep");
            return Err(Wrong { place, problem });
        }
        self.cost = self.cost.saturating_add(NODE_COST);
        self.open.push(Open {
            place,
            anchor,
            cost: NODE_COST,
            inside,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Wrong> {
        let Some(open) = self.open.pop() else {
            return Ok(());
        };
        let value = match open.inside {
            Inside::List(items) => Value::List(items),
            Inside::Map { entries, .. } => Value::Map(entries),
        };
        let node = Node {
            place: open.place,
            value,
            cost: open.cost,
        };
        if open.anchor != 0 {
            self.cost = self.cost.saturating_add(node.cost);
            self.anchors.insert(open.anchor, node.clone());
        }
        self.add(node)
    }

    /// Puts a node where it belongs.
    fn add(&mut self, node: Node) -> Result<(), Wrong> {
        let place = node.place;
        if self.cost > MAX_COST {
            let problem = "the file is too large from here on; split it".to_owned();
            return Err(Wrong { place, problem });
        }
        let Some(open) = self.open.last_mut() else {
            if !node.is_null() {
                self.documents.push(node);
            }
            return Ok(());
        };
        open.cost = open.cost.saturating_add(node.cost);
        match &mut open.inside {
            Inside::List(items) => items.push(node),
            Inside::Map { entries, seen, key } => match (key.take(), node.value) {
                (Some(key), value) => entries.push((key, Node { value, ..node })),
                (None, Value::Scalar { text: name, .. }) => {
                    if !seen.insert(name.clone()) {
                        let problem = format!("`{}` stands here a second time", quoted(&name));
                        return Err(Wrong { place, problem });
                    }
                    *key = Some(Key { place, name });
                }
                (None, Value::List(_) | Value::Map(_)) => {
                    let problem = "expected the name of a field".to_owned();
                    return Err(Wrong { place, problem });
                }
            },
        }
        Ok(())
    }
}

//! Takes a tree apart by the names of its fields, and refuses what nobody took.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::tree::{Key, Node, Place, Value, Wrong};

/// How much of a text is repeated in an error, in characters.
const QUOTED: usize = 80;

/// One value, and the path to it.
#[derive(Debug, Clone)]
pub(super) struct Item<'a> {
    path: String,
    pub(super) node: &'a Node,
}

/// The fields of one mapping.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    path: String,
    place: Place,
    entries: &'a [(Key, Node)],
    known: Vec<&'static str>,
    /// What is refused where there is something in it.
    refused: Vec<&'static str>,
}

/// So much of a text as helps to recognise it.
pub(super) fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(QUOTED).collect();
    shown.escape_debug().to_string()
}

fn under(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

fn wrong_at(place: Place, path: &str, problem: &str) -> Wrong {
    let problem = match path {
        "" => problem.to_owned(),
        path => format!("{path}: {problem}"),
    };
    Wrong { place, problem }
}

impl<'a> Item<'a> {
    /// A document.
    pub(super) fn root(node: &'a Node) -> Self {
        let path = String::new();
        Self { path, node }
    }

    pub(super) fn place(&self) -> Place {
        self.node.place
    }

    pub(super) fn wrong(&self, problem: &str) -> Wrong {
        wrong_at(self.node.place, &self.path, problem)
    }

    fn expected(&self, what: &str) -> Wrong {
        let found = match &self.node.value {
            Value::Scalar { text, plain: true } => format!("`{}`", quoted(text)),
            Value::Scalar { text, plain: false } => format!("the text `{}`", quoted(text)),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "fields".to_owned(),
        };
        self.wrong(&format!("expected {what}, found {found}"))
    }

    pub(super) fn fields(&self) -> Result<Fields<'a>, Wrong> {
        match &self.node.value {
            Value::Map(entries) => Ok(Fields {
                path: self.path.clone(),
                place: self.node.place,
                entries,
                known: Vec::new(),
                refused: Vec::new(),
            }),
            Value::Scalar { .. } | Value::List(_) => Err(self.expected("fields, each as `name: value`")),
        }
    }

    pub(super) fn list(&self) -> Result<Vec<Item<'a>>, Wrong> {
        match &self.node.value {
            Value::List(items) => {
                let item = |(nth, node)| Item {
                    path: format!("{}[{nth}]", self.path),
                    node,
                };
                Ok(items.iter().enumerate().map(item).collect())
            }
            Value::Scalar { .. } | Value::Map(_) => Err(self.expected("a list")),
        }
    }

    /// A text. What is written like a number, a boolean or nothing is none, as for Kubernetes.
    pub(super) fn text(&self) -> Result<String, Wrong> {
        let Value::Scalar { text, plain } = &self.node.value else {
            return Err(self.expected("a text"));
        };
        if text.contains('\0') {
            return Err(self.wrong("a text cannot hold NUL"));
        }
        if *plain && (self.node.is_null() || is_boolean(text) || is_number(text)) {
            let problem = format!("`{0}` is not a text; write it as \"{0}\"", quoted(text));
            return Err(self.wrong(&problem));
        }
        Ok(text.clone())
    }

    /// What a scalar is written as, number or text.
    pub(super) fn scalar(&self) -> Result<&'a str, Wrong> {
        match &self.node.value {
            Value::Scalar { text, .. } if !self.node.is_null() => Ok(text),
            Value::Scalar { .. } | Value::List(_) | Value::Map(_) => Err(self.expected("a number or a text")),
        }
    }

    /// A scalar that has a form of its own.
    pub(super) fn parsed<T: FromStr<Err = String>>(&self) -> Result<T, Wrong> {
        self.scalar()?.parse().map_err(|error: String| self.wrong(&error))
    }

    pub(super) fn bool(&self) -> Result<bool, Wrong> {
        match &self.node.value {
            Value::Scalar { text, plain: true } if text == "true" => Ok(true),
            Value::Scalar { text, plain: true } if text == "false" => Ok(false),
            Value::Scalar { .. } | Value::List(_) | Value::Map(_) => Err(self.expected("true or false")),
        }
    }

    /// A whole number.
    pub(super) fn whole<T>(&self, least: T, most: T) -> Result<T, Wrong>
    where
        T: FromStr + PartialOrd + std::fmt::Display + Copy,
    {
        let expected = || self.expected(&format!("a whole number from {least} to {most}"));
        match &self.node.value {
            Value::Scalar { text, plain: true } => {
                let number = text.parse::<T>().ok();
                number
                    .filter(|number| (least..=most).contains(number))
                    .ok_or_else(expected)
            }
            Value::Scalar { .. } | Value::List(_) | Value::Map(_) => Err(expected()),
        }
    }

    pub(super) fn port(&self) -> Result<u16, Wrong> {
        self.whole(1, u16::MAX)
    }

    pub(super) fn seconds(&self, least: u32) -> Result<u64, Wrong> {
        self.whole(least, u32::MAX >> 1).map(u64::from)
    }

    pub(super) fn texts(&self) -> Result<Vec<String>, Wrong> {
        self.list()?.iter().map(Item::text).collect()
    }

    /// Texts by name, such as labels.
    pub(super) fn text_map(&self) -> Result<BTreeMap<String, String>, Wrong> {
        let named = |(name, item): (&str, Item<'a>)| Ok((name.to_owned(), item.text()?));
        self.entries()?.into_iter().map(named).collect()
    }

    /// All fields, whatever their names.
    pub(super) fn entries(&self) -> Result<Vec<(&'a str, Item<'a>)>, Wrong> {
        let fields = self.fields()?;
        let entry = |(key, node): &'a (Key, Node)| {
            let path = under(&fields.path, &quoted(&key.name));
            (key.name.as_str(), Item { path, node })
        };
        Ok(fields.entries.iter().map(entry).collect())
    }

    /// Whether there is nothing in it: what tools write for fields that are not used.
    fn is_empty(&self) -> bool {
        match &self.node.value {
            Value::Scalar { .. } => self.node.is_null(),
            Value::List(items) => items.is_empty(),
            Value::Map(entries) => entries.is_empty(),
        }
    }
}

/// The words that are booleans to YAML 1.1, which Kubernetes reads.
fn is_boolean(text: &str) -> bool {
    let words = ["true", "false", "yes", "no", "on", "off"];
    words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn is_number(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-', '.']);
    digits.starts_with(|c: char| c.is_ascii_digit()) && (text.parse::<f64>().is_ok() || is_based(digits))
}

/// Whether it is a number such as `0x1f`.
fn is_based(digits: &str) -> bool {
    let based = |prefix: &str, radix| {
        digits
            .strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix)))
    };
    based("0x", 16) || based("0o", 8) || based("0b", 2)
}

impl<'a> Fields<'a> {
    /// The value of a field; none where it is absent or null.
    pub(super) fn get(&mut self, name: &'static str) -> Option<Item<'a>> {
        self.known.push(name);
        self.find(name)
    }

    fn find(&self, name: &str) -> Option<Item<'a>> {
        let (_, node) = self.entries.iter().find(|(key, _)| key.name == name)?;
        let path = under(&self.path, name);
        Some(Item { path, node }).filter(|item| !item.node.is_null())
    }

    pub(super) fn need(&mut self, name: &'static str) -> Result<Item<'a>, Wrong> {
        self.get(name)
            .ok_or_else(|| self.wrong(&format!("missing field `{name}`")))
    }

    /// A field that is read by a function, where it is there.
    pub(super) fn map<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(Item<'a>) -> Result<T, Wrong>,
    ) -> Result<Option<T>, Wrong> {
        self.get(name).map(read).transpose()
    }

    /// The items of a list; none where it is absent.
    pub(super) fn items(&mut self, name: &'static str) -> Result<Vec<Item<'a>>, Wrong> {
        Ok(self.map(name, |item| item.list())?.unwrap_or_default())
    }

    /// A field that may say what holds anyway, and nothing else.
    pub(super) fn only(&mut self, name: &'static str, taken: &[&str], why: &str) -> Result<(), Wrong> {
        match self.get(name) {
            Some(item) if !taken.contains(&item.scalar()?) => {
                let named: Vec<_> = taken.iter().filter(|text| !text.is_empty()).copied().collect();
                Err(item.wrong(&format!("only {} is taken{why}", named.join(" or "))))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A field that Kubernetes has and that cannot be taken, unless there is nothing in it.
    pub(super) fn refuse(&mut self, name: &'static str, why: &str) -> Result<(), Wrong> {
        self.refused.push(name);
        match self.find(name) {
            Some(item) if !item.is_empty() => Err(item.wrong(why)),
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn wrong(&self, problem: &str) -> Wrong {
        wrong_at(self.place, &self.path, problem)
    }

    /// Refuses what was not asked for.
    pub(super) fn done(mut self) -> Result<(), Wrong> {
        let is_handled = |name: &str| self.known.iter().chain(&self.refused).any(|known| *known == name);
        let unknown = self.entries.iter().find(|(key, _)| !is_handled(&key.name));
        let Some((key, _)) = unknown else {
            return Ok(());
        };
        self.known.sort_unstable();
        let name = quoted(&key.name);
        let known = self.known.join(", ");
        let problem = format!("unknown field, or one that is not supported; supported are {known}");
        Err(wrong_at(key.place, &under(&self.path, &name), &problem))
    }
}

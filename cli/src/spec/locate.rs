//! Line and column of a field of a YAML document, by its path.
//!
//! Reads the document anew, and only down to the field: it is asked for once, when something is wrong.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// A step down a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Field(String),
    Item(usize),
}

/// Where the field of a path such as `tasks[3].after[1]` begins, or what there is of it; both count from 1.
pub(super) fn locate(text: &str, path: &str) -> Option<(u64, u64)> {
    let mut steps = steps(path);
    loop {
        let found = serde_saphyr::with_deserializer_from_str(text, |deserializer| {
            Descent(&steps).deserialize(deserializer)
        });
        match found {
            Ok(Some(place)) => return Some(place),
            Ok(None) if !steps.is_empty() => drop(steps.pop()),
            Ok(None) | Err(_) => return None,
        }
    }
}

fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let (name, items) = part.split_once('[').unwrap_or((part, ""));
        steps.push(Step::Field(name.to_owned()));
        let items = items.split(['[', ']']).filter_map(|item| item.parse().ok());
        steps.extend(items.map(Step::Item));
    }
    steps
}

/// Looks for the rest of a path.
struct Descent<'a>(&'a [Step]);

impl<'de> DeserializeSeed<'de> for Descent<'_> {
    type Value = Option<(u64, u64)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.0.is_empty() {
            let found = <Spanned<IgnoredAny> as serde::Deserialize>::deserialize(deserializer)?;
            let place = found.referenced;
            return Ok(Some((place.line(), place.column())));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Descent<'_> {
    type Value = Option<(u64, u64)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            match self.0.split_first() {
                Some((Step::Field(name), rest)) if *name == key => {
                    found = map.next_value_seed(Descent(rest))?
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        if let Some((Step::Item(nth), rest)) = self.0.split_first() {
            for _ in 0..*nth {
                if seq.next_element::<IgnoredAny>()?.is_none() {
                    return Ok(None);
                }
            }
            found = seq.next_element_seed(Descent(rest))?.flatten();
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name: j\ntasks:\n  - name: a\n    command: [x]\n  - name: b\n    after: [c, { task: a, each: true }]\n";

    #[test]
    fn a_field_is_found_by_its_path_and_what_is_not_there_by_what_it_is_in() {
        let place = |path| locate(TEXT, path);
        assert_eq!(place("name"), Some((1, 7)));
        assert_eq!(place("tasks[1].name"), Some((5, 11)));
        assert_eq!(place("tasks[1].after[0]"), Some((6, 13)));
        assert_eq!(place("tasks[1].after[1]"), Some((6, 16)));
        assert_eq!(place("tasks[0].command[0]"), Some((4, 15)));
        assert_eq!(place("tasks[0].cpus"), Some((3, 5)));
        assert_eq!(place("tasks[9].name"), Some((3, 3)));
        assert_eq!(place(""), Some((1, 1)));
    }
}

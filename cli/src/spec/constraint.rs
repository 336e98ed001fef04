//! Constraints as a person writes them: `{attribute: rack, equals: r1}` or `{region: eu}` in files, `rack=r1` in flags.

use std::fmt;
use std::str::FromStr;

use proffer_types::{Constraint, OfferConstraints, Pattern, Predicate, Selector};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};

/// One condition on the agent a task may run on.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "Entry")]
pub(crate) struct Condition(Constraint);

/// One entry of `constraints`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    attribute: Option<String>,
    hostname: Option<Test>,
    region: Option<Test>,
    zone: Option<Test>,
    equals: Option<String>,
    not_equals: Option<String>,
    matches: Option<String>,
    not_matches: Option<String>,
    exists: Option<bool>,
}

/// What is to be true of a field: its text, or one of the predicates.
struct Test(Predicates);

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Predicates {
    equals: Option<String>,
    not_equals: Option<String>,
    matches: Option<String>,
    not_matches: Option<String>,
    exists: Option<bool>,
}

impl Predicates {
    fn one(self, of: &str) -> Result<Predicate, String> {
        let pattern = |text: String| Pattern::new(&text).map_err(|error| error.to_string());
        let all = [
            self.equals.map(|text| Ok(Predicate::Equals(text))),
            self.not_equals.map(|text| Ok(Predicate::NotEquals(text))),
            self.matches.map(|text| pattern(text).map(Predicate::Matches)),
            self.not_matches
                .map(|text| pattern(text).map(Predicate::NotMatches)),
            self.exists.map(|exists| match exists {
                true => Ok(Predicate::Exists),
                false => Ok(Predicate::NotExists),
            }),
        ];
        let mut given = all.into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(one), None) => one,
            (None, _) | (_, Some(_)) => Err(format!(
                "the constraint on {of} needs one of equals, not_equals, matches, not_matches and exists"
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Test {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TestVisitor)
    }
}

struct TestVisitor;

impl<'de> Visitor<'de> for TestVisitor {
    type Value = Test;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, such as eu, or a predicate, such as {not_equals: eu}")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Test, E> {
        Ok(Test(Predicates {
            equals: Some(text.to_owned()),
            ..Predicates::default()
        }))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Test, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Test, A::Error> {
        Predicates::deserialize(MapAccessDeserializer::new(map)).map(Test)
    }
}

impl TryFrom<Entry> for Condition {
    type Error = String;

    fn try_from(entry: Entry) -> Result<Self, String> {
        let beside = Predicates {
            equals: entry.equals,
            not_equals: entry.not_equals,
            matches: entry.matches,
            not_matches: entry.not_matches,
            exists: entry.exists,
        };
        let fields = [
            (Selector::Hostname, entry.hostname),
            (Selector::Region, entry.region),
            (Selector::Zone, entry.zone),
        ];
        let mut fields = fields
            .into_iter()
            .filter_map(|(selector, test)| Some((selector, test?.0)));
        let (selector, predicates) = match (entry.attribute, fields.next(), fields.next()) {
            (Some(name), None, None) if !name.is_empty() => (Selector::Attribute(name), beside),
            (None, Some((selector, test)), None) if beside.is_empty() => (selector, test),
            (None, Some((selector, _)), None) => {
                return Err(format!(
                    "write a predicate on {selector} like {{{selector}: {{not_equals: a}}}}"
                ));
            }
            _ => return Err("a constraint needs one of attribute, hostname, region and zone".to_owned()),
        };
        let predicate = predicates.one(&selector.to_string())?;
        Ok(Self(Constraint { selector, predicate }))
    }
}

impl Predicates {
    fn is_empty(&self) -> bool {
        let texts = [&self.equals, &self.not_equals, &self.matches, &self.not_matches];
        texts.into_iter().all(Option::is_none) && self.exists.is_none()
    }
}

impl FromStr for Condition {
    type Err = String;

    /// Reads `rack=r1`, `rack!=r1`, `rack~r.*`, `rack!~r.*`, `rack` or `!rack`.
    fn from_str(text: &str) -> Result<Self, String> {
        let refuse = || {
            format!(
                "`{text}` is not a constraint; write it like rack=r1, zone!=eu-1, hostname~node-.*, rack!~r.*, gpu or !gpu"
            )
        };
        let pattern = |text: &str| Pattern::new(text).map_err(|error| error.to_string());
        let (name, predicate) = match text.find(['=', '~']) {
            Some(at) => {
                let (left, right) = (&text[..at], &text[at + 1..]);
                let equals = text[at..].starts_with('=');
                match (left.strip_suffix('!'), equals) {
                    (None, true) => (left, Predicate::Equals(right.to_owned())),
                    (Some(name), true) => (name, Predicate::NotEquals(right.to_owned())),
                    (None, false) => (left, Predicate::Matches(pattern(right)?)),
                    (Some(name), false) => (name, Predicate::NotMatches(pattern(right)?)),
                }
            }
            None => match text.strip_prefix('!') {
                Some(name) => (name, Predicate::NotExists),
                None => (text, Predicate::Exists),
            },
        };
        let selector = match name {
            "" => return Err(refuse()),
            "hostname" => Selector::Hostname,
            "region" => Selector::Region,
            "zone" => Selector::Zone,
            name => Selector::Attribute(name.to_owned()),
        };
        Ok(Self(Constraint { selector, predicate }))
    }
}

/// All of the conditions, as one group.
pub(crate) fn all_of(conditions: &[Condition]) -> OfferConstraints {
    OfferConstraints::all_of(conditions.iter().map(|condition| condition.0.clone()).collect())
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::super::file::parse;
    use super::*;

    fn shown(conditions: &[Condition]) -> String {
        all_of(conditions).to_string()
    }

    fn check_file(text: &str, expected: Expect) {
        let read = parse::<Vec<Condition>>("job.yaml", text);
        expected.assert_eq(&read.map_or_else(|error| error.to_string(), |read| shown(&read)));
    }

    #[test]
    fn attributes_and_fields_are_tested_with_every_predicate() {
        check_file(
            "[{attribute: rack, equals: r1}, {region: eu}, {zone: 1}, {hostname: {not_matches: 'node-\\d'}}, {attribute: gpu, exists: true}, {attribute: old, exists: false}, {zone: {not_equals: eu-1}}, {attribute: os, matches: 'l.*'}]",
            expect![[
                r#"rack = r1 and region = eu and zone = 1 and hostname does not match node-\d and gpu exists and old does not exist and zone != eu-1 and os matches l.*"#
            ]],
        );
    }

    #[test]
    fn a_constraint_without_one_subject_and_one_predicate_is_refused() {
        check_file(
            "[{equals: r1}]",
            expect!["job.yaml:1:2: [0]: a constraint needs one of attribute, hostname, region and zone"],
        );
        check_file(
            "[{attribute: rack}]",
            expect![
                "job.yaml:1:2: [0]: the constraint on rack needs one of equals, not_equals, matches, not_matches and exists"
            ],
        );
        check_file(
            "[{attribute: rack, equals: r1, exists: true}]",
            expect![
                "job.yaml:1:2: [0]: the constraint on rack needs one of equals, not_equals, matches, not_matches and exists"
            ],
        );
        check_file(
            "[{region: eu, zone: eu-1}]",
            expect!["job.yaml:1:2: [0]: a constraint needs one of attribute, hostname, region and zone"],
        );
        check_file(
            "[{region: eu, not_equals: us}]",
            expect!["job.yaml:1:2: [0]: write a predicate on region like {region: {not_equals: a}}"],
        );
        check_file(
            "[{region: {}}]",
            expect![
                "job.yaml:1:2: [0]: the constraint on region needs one of equals, not_equals, matches, not_matches and exists"
            ],
        );
        check_file(
            "[{region: {like: eu}}]",
            expect![
                "job.yaml:1:12: [0].region.like: unknown field `like`, expected one of equals, not_equals, matches, not_matches, exists"
            ],
        );
        check_file(
            "[{attribute: rack, matches: '('}]",
            expect!["job.yaml:1:2: [0]: pattern `(` is no regular expression"],
        );
        check_file(
            "[{attribute: rack, equal: r1}]",
            expect![
                "job.yaml:1:20: [0].equal: unknown field `equal`, expected one of attribute, hostname, region, zone, equals, not_equals, matches, not_matches, exists"
            ],
        );
        check_file(
            "[rack=r1]",
            expect!["job.yaml:1:2: [0]: expected fields, each as `name: value`"],
        );
    }

    #[test]
    fn a_flag_says_the_same_in_short() {
        let flags = [
            "rack=r1",
            "zone!=eu-1",
            "hostname~node-.*",
            "rack!~r[=~].",
            "gpu",
            "!gpu",
            "note=a=b",
        ];
        let read: Result<Vec<Condition>, _> = flags.iter().map(|flag| flag.parse()).collect();
        expect!["rack = r1 and zone != eu-1 and hostname matches node-.* and rack does not match r[=~]. and gpu exists and gpu does not exist and note = a=b"].assert_eq(&shown(&read.unwrap()));
        for wrong in ["", "=r1", "!", "!=r1", "rack~("] {
            assert!(wrong.parse::<Condition>().is_err(), "{wrong}");
        }
    }
}

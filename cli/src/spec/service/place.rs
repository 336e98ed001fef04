//! Where replicas run beside others: `spread: zone`, `unique: hostname`, `together: rack`, `near: db`,
//! `apart: {service: db, by: zone}`.

use std::convert::Infallible;
use std::str::FromStr;

use proffer_wire::v1;
use proffer_wire::v1::replica_rule::{Key, Rule, Spread, Together, Unique};
use serde::Deserialize;

use crate::spec::Whole;
use crate::spec::either::text_or_fields;

/// What makes two agents one place: `zone`, `region`, `hostname`, `agent`, or the name of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct By(Option<Key>);

impl FromStr for By {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let field = |field: v1::AgentField| Some(Key::Field(field.into()));
        Ok(Self(match text {
            "agent" => None,
            "hostname" => field(v1::AgentField::Hostname),
            "region" => field(v1::AgentField::Region),
            "zone" => field(v1::AgentField::Zone),
            name => Some(Key::Attribute(name.to_owned())),
        }))
    }
}

impl By {
    fn rule(self, rule: Rule) -> v1::ReplicaRule {
        v1::ReplicaRule {
            key: self.0,
            rule: Some(rule),
        }
    }
}

impl<'de> Deserialize<'de> for By {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Ok(by) = String::deserialize(deserializer)?.parse();
        Ok(by)
    }
}

/// `spread: zone` or `spread: {by: zone, max_skew: 2}`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SpreadFile(SpreadFields);

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SpreadFields {
    by: By,
    max_skew: Option<Whole<u32>>,
}

impl FromStr for SpreadFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Ok(by) = text.parse();
        Ok(Self(SpreadFields { by, max_skew: None }))
    }
}

impl TryFrom<SpreadFields> for SpreadFile {
    type Error = String;

    fn try_from(fields: SpreadFields) -> Result<Self, String> {
        Ok(Self(fields))
    }
}

text_or_fields!(
    SpreadFile,
    SpreadFields,
    "zone, for example, or {by: zone, max_skew: 2}"
);

/// `near: db` or `near: {service: db, by: zone}`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OtherFile(OtherFields);

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OtherFields {
    service: String,
    by: Option<By>,
}

impl FromStr for OtherFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let service = text.to_owned();
        Ok(Self(OtherFields { service, by: None }))
    }
}

impl TryFrom<OtherFields> for OtherFile {
    type Error = String;

    fn try_from(fields: OtherFields) -> Result<Self, String> {
        Ok(Self(fields))
    }
}

text_or_fields!(
    OtherFile,
    OtherFields,
    "the name of a service, or {service: db, by: zone}"
);

impl OtherFile {
    fn rule(self, rule: impl FnOnce(String) -> Rule) -> v1::ReplicaRule {
        let OtherFields { service, by } = self.0;
        by.unwrap_or(By(None)).rule(rule(service))
    }
}

/// All rules of a service file; each may be there once.
pub(super) fn rules(
    spread: Option<SpreadFile>,
    unique: Option<By>,
    together: Option<By>,
    near: Option<OtherFile>,
    apart: Option<OtherFile>,
) -> Vec<v1::ReplicaRule> {
    let spread = spread.map(|SpreadFile(SpreadFields { by, max_skew })| {
        let max_skew = max_skew.map(|max_skew| max_skew.0);
        by.rule(Rule::Spread(Spread { max_skew }))
    });
    let rules = [
        spread,
        unique.map(|by| by.rule(Rule::Unique(Unique {}))),
        together.map(|by| by.rule(Rule::Together(Together {}))),
        near.map(|near| near.rule(Rule::Near)),
        apart.map(|apart| apart.rule(Rule::Apart)),
    ];
    rules.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::super::ServiceFile;
    use super::*;
    use crate::spec::file::parse;

    fn read(fields: &str) -> Result<Vec<v1::ReplicaRule>, String> {
        let text = format!("name: web\ntask: {{ command: [a], cpus: 1, mem: 1MiB }}\n{fields}");
        let file = parse::<ServiceFile>("web.yaml", &text).map_err(|error| error.to_string())?;
        let spec: v1::ServiceSpec = file.into();
        Ok(spec.task.unwrap().replica_rules)
    }

    #[test]
    fn each_rule_is_read_in_short_and_in_full() {
        let zone = || Some(Key::Field(v1::AgentField::Zone.into()));
        let rule = |key, rule| v1::ReplicaRule {
            key,
            rule: Some(rule),
        };
        let spread = |max_skew| rule(zone(), Rule::Spread(Spread { max_skew }));
        assert_eq!(
            read("spread: zone\nunique: rack\nnear: db\n"),
            Ok(vec![
                spread(None),
                rule(Some(Key::Attribute("rack".to_owned())), Rule::Unique(Unique {})),
                rule(None, Rule::Near("db".to_owned())),
            ])
        );
        assert_eq!(
            read("spread: { by: zone, max_skew: 2 }\ntogether: zone\napart: { service: db, by: zone }\n"),
            Ok(vec![
                spread(Some(2)),
                rule(zone(), Rule::Together(Together {})),
                rule(zone(), Rule::Apart("db".to_owned())),
            ])
        );
    }

    #[test]
    fn what_is_no_rule_is_refused_where_it_stands() {
        let refusal = read("spread: { max_skew: 2 }\n").unwrap_err();
        assert_eq!(refusal, "web.yaml:3:11: spread: missing field `by`");
        let refusal = read("near: [db]\n").unwrap_err();
        assert!(refusal.starts_with("web.yaml:3:1: near: "), "{refusal}");
    }
}

//! What differs between two messages, field by field, as a person reads it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;

use crate::output::printable;

/// One field that differs.
#[derive(Debug, PartialEq)]
pub(crate) struct Difference {
    /// As `task.container.env.COLOR`.
    path: String,
    before: Option<Value>,
    after: Option<Value>,
}

impl Difference {
    /// A line for what was taken away, and one for what is new.
    pub(crate) fn text(&self) -> String {
        let line = |mark: char, value: &Value| {
            let text = value.as_str().map(ToOwned::to_owned);
            let shown = text.unwrap_or_else(|| value.to_string());
            format!("{mark} {}: {}\n", printable(&self.path), printable(&shown))
        };
        let before = self.before.as_ref().map(|value| line('-', value));
        let after = self.after.as_ref().map(|value| line('+', value));
        before.into_iter().chain(after).collect()
    }
}

/// The fields in which two messages of a type differ, by their paths; `name` is the type's, as `ServiceSpec`.
pub(crate) fn differences<M: Message>(name: &str, before: Option<&M>, after: &M) -> Result<Vec<Difference>> {
    let pool = DescriptorPool::decode(proffer_grpc::FILE_DESCRIPTOR_SET)?;
    let full_name = format!("proffer.v1.{name}");
    let descriptor = pool
        .get_message_by_name(&full_name)
        .with_context(|| format!("there is no message {full_name}"))?;
    let flat = |message: &M| -> Result<BTreeMap<String, Value>> {
        let message = DynamicMessage::decode(descriptor.clone(), &*message.encode_to_vec())?;
        let options = SerializeOptions::new().use_proto_field_name(true);
        let value = message.serialize_with_options(serde_json::value::Serializer, &options)?;
        let mut fields = BTreeMap::new();
        flatten("", value, &mut fields);
        Ok(fields)
    };
    let mut before = before.map(flat).transpose()?.unwrap_or_default();
    let mut found = Vec::new();
    for (path, after) in flat(after)? {
        let before = before.remove(&path);
        if before.as_ref() != Some(&after) {
            let after = Some(after);
            found.push(Difference { path, before, after });
        }
    }
    found.extend(before.into_iter().map(|(path, before)| Difference {
        path,
        before: Some(before),
        after: None,
    }));
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

fn flatten(path: &str, value: Value, fields: &mut BTreeMap<String, Value>) {
    let below = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                flatten(&below(&key), value, fields);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (nth, value) in items.into_iter().enumerate() {
                flatten(&format!("{path}[{nth}]"), value, fields);
            }
        }
        value @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
            fields.insert(path.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proffer_wire::v1;

    use super::*;

    #[test]
    fn what_was_changed_added_and_taken_away_is_told_by_its_path() {
        let spec = |command: &str, env: &[(&str, &str)], lost_after| v1::ServiceSpec {
            name: "web".to_owned(),
            lost_after_ms: lost_after,
            task: Some(v1::ServiceTask {
                container: Some(v1::ContainerSpec {
                    command: vec![command.to_owned(), "\u{1b}[31m".to_owned()],
                    env: env
                        .iter()
                        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                        .collect(),
                    ..v1::ContainerSpec::default()
                }),
                ..v1::ServiceTask::default()
            }),
            ..v1::ServiceSpec::default()
        };
        let before = spec("old", &[("A", "1"), ("B", "1")], Some(5));
        let after = spec("new", &[("A", "1"), ("B", "2"), ("C", "3")], None);
        let found = differences("ServiceSpec", Some(&before), &after).unwrap();
        let text: String = found.iter().map(Difference::text).collect();
        expect![[r#"
            - lost_after_ms: 5
            - task.container.command: ["old","\u001b[31m"]
            + task.container.command: ["new","\u001b[31m"]
            - task.container.env.B: 1
            + task.container.env.B: 2
            + task.container.env.C: 3
        "#]]
        .assert_eq(&text);
        assert_eq!(differences("ServiceSpec", Some(&after), &after).unwrap(), []);
    }
}

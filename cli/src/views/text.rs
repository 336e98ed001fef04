//! Words for values: states, resources, times.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proffer_types::resources::format::{format_millis, format_size};
use proffer_wire::resources::kind_of;
use proffer_wire::v1;
use proffer_wire::v1::resource::Value;
use serde::{Serialize, Serializer};
use serde_json::json;

/// A state: upper case in tables, as everywhere; lower case in JSON, like every other value of a fixed set.
#[derive(Debug, Default)]
pub(crate) struct State(String);

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_lowercase())
    }
}

/// A state's name without its prefix: `JOB_TASK_FAILED` is `FAILED`.
pub(crate) fn state_name(name: &str, prefix: &str) -> State {
    State(without_prefix(name, prefix).to_owned())
}

/// An enum value's name without its prefix.
pub(super) fn without_prefix<'a>(name: &'a str, prefix: &str) -> &'a str {
    name.strip_prefix(prefix).unwrap_or(name)
}

/// How one index of a job's task is named for people: `count[3]`.
pub(crate) fn instance_name(name: &str, index: u32, count: u32) -> String {
    if count > 1 {
        format!("{name}[{index}]")
    } else {
        name.to_owned()
    }
}

/// One scalar as a table writes it, reserved or not; `0` when absent.
pub(super) fn scalar(resources: Option<&v1::Resources>, name: &str) -> String {
    let of_name = items(resources).filter(|item| item.name == name);
    let scalars = of_name.filter_map(|item| match item.value.as_ref()? {
        Value::Scalar(scalar) => Some(*scalar),
        Value::Ranges(_) | Value::Set(_) => None,
    });
    match scalars.reduce(|sum, scalar| sum + scalar) {
        Some(sum) => value_text(name, &Value::Scalar(sum)),
        None => "0".to_owned(),
    }
}

/// A name with what sets the resource apart: `mem(prod)`, or `mem(+prod){disk=fast}` where labels do.
fn name_and_kind(item: &v1::Resource) -> String {
    let Ok(kind) = kind_of(item) else {
        return format!("{}(?)", item.name);
    };
    let labels = item.reservations.iter().flat_map(|one| &one.labels);
    let labels: Vec<_> = labels.map(|(key, value)| format!("{key}={value}")).collect();
    match labels.is_empty() {
        true => format!("{}{kind}", item.name),
        false => format!("{}{kind}{{{}}}", item.name, labels.join(",")),
    }
}

/// A bundle as people write it: `cpus:0.5;mem:64MiB`.
pub(super) fn bundle(resources: Option<&v1::Resources>) -> String {
    let all: Vec<String> = items(resources)
        .filter_map(|item| {
            Some(format!(
                "{}:{}",
                name_and_kind(item),
                value_text(&item.name, item.value.as_ref()?)
            ))
        })
        .collect();
    all.join(";")
}

/// Limits as people write them: `cpus:8;mem:0B`.
pub(super) fn limits(limits: Option<&v1::ResourceLimits>) -> String {
    let all: Vec<String> = limits
        .into_iter()
        .flat_map(|limits| &limits.items)
        .map(|limit| {
            format!(
                "{}:{}",
                limit.name,
                value_text(&limit.name, &Value::Scalar(limit.value))
            )
        })
        .collect();
    all.join(";")
}

/// Limits for JSON, as of [`bundle_json`].
pub(super) fn limits_json(limits: Option<&v1::ResourceLimits>) -> BTreeMap<String, serde_json::Value> {
    let items = limits.into_iter().flat_map(|limits| &limits.items);
    items
        .map(|limit| (limit.name.clone(), scalar_json(&limit.name, limit.value)))
        .collect()
}

fn scalar_json(name: &str, scalar: f64) -> serde_json::Value {
    match name {
        "mem" | "disk" => json!(whole(scalar)),
        _ => json!(scalar),
    }
}

/// A bundle for JSON: cores and custom scalars as numbers, sizes in bytes, ranges as pairs, sets as lists.
pub(super) fn bundle_json(resources: Option<&v1::Resources>) -> BTreeMap<String, serde_json::Value> {
    let value = |item: &v1::Resource| {
        Some(match item.value.as_ref()? {
            Value::Scalar(scalar) => scalar_json(&item.name, *scalar),
            Value::Ranges(ranges) => {
                json!(
                    ranges
                        .items
                        .iter()
                        .map(|range| (range.begin, range.end))
                        .collect::<Vec<_>>()
                )
            }
            Value::Set(set) => json!(set.items),
        })
    };
    items(resources)
        .filter_map(|item| Some((name_and_kind(item), value(item)?)))
        .collect()
}

fn items(resources: Option<&v1::Resources>) -> impl Iterator<Item = &v1::Resource> {
    resources.into_iter().flat_map(|resources| &resources.items)
}

fn value_text(name: &str, value: &Value) -> String {
    match value {
        Value::Scalar(scalar) if matches!(name, "mem" | "disk") => format_size(whole(*scalar)),
        Value::Scalar(scalar) => format_millis(whole(scalar * 1000.0)),
        Value::Ranges(ranges) => {
            let pairs: Vec<_> = ranges
                .items
                .iter()
                .map(|range| format!("{}-{}", range.begin, range.end))
                .collect();
            format!("[{}]", pairs.join(","))
        }
        Value::Set(set) => format!("{{{}}}", set.items.join(",")),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and the value is only shown"
)]
fn whole(scalar: f64) -> u64 {
    scalar.round() as u64
}

/// A share in thousandths as percent.
pub(super) fn percent(permille: u32) -> String {
    format!("{}.{}%", permille / 10, permille % 10)
}

/// A span measured in microseconds: `1.3s`, `4m12s`, `850ms`.
pub(crate) fn span_us(us: u64) -> String {
    match us {
        0..1_000 => format!("{us}us"),
        1_000..1_000_000 => format!("{}ms", us / 1_000),
        1_000_000..60_000_000 => format!("{}.{}s", us / 1_000_000, us % 1_000_000 / 100_000),
        _ => {
            let seconds = us / 1_000_000;
            match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
                (0, minutes, seconds) => format!("{minutes}m{seconds}s"),
                (hours, minutes, _) => format!("{hours}h{minutes}m"),
            }
        }
    }
}

/// `2026-11-21T23:00:00Z`; `-` where there is no such year.
pub(super) fn moment(at_ms: u64) -> String {
    let at = i64::try_from(at_ms)
        .ok()
        .and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    at.map_or_else(|| "-".to_owned(), |at| at.to_string())
}

/// A count with its thousands apart: `4,812`.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How long ago a moment was; `-` for 0, which stands for never.
pub(in crate::views) fn ago(at_ms: u64) -> String {
    if at_ms == 0 {
        return "-".to_owned();
    }
    format!("{} ago", seconds(now_ms().saturating_sub(at_ms)))
}

/// How long until a moment; `-` for 0, which stands for never.
pub(super) fn until(at_ms: u64) -> String {
    if at_ms == 0 {
        return "-".to_owned();
    }
    format!("in {}", seconds(at_ms.saturating_sub(now_ms())))
}

/// How long something took, or has taken if it has not ended.
pub(super) fn took(from_ms: u64, to_ms: u64) -> String {
    let end = if to_ms == 0 { now_ms() } else { to_ms };
    span_us(end.saturating_sub(from_ms).saturating_mul(1000))
}

fn seconds(ms: u64) -> String {
    match ms / 1000 {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3_600 => format!("{}m", seconds / 60),
        seconds @ 3_600..172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// Milliseconds since the epoch, by this host's clock.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short_and_keep_two_digits_that_matter() {
        let shown: Vec<String> = [0, 850, 12_345, 1_340_000, 59_999_999, 252_000_000, 7_320_000_000]
            .map(span_us)
            .to_vec();
        assert_eq!(shown, ["0us", "850us", "12ms", "1.3s", "59.9s", "4m12s", "2h2m"]);
    }

    #[test]
    fn reservations_that_differ_in_labels_are_told_apart() {
        let item = |labels: &[(&str, &str)], cores| v1::Resource {
            name: "cpus".to_owned(),
            value: Some(Value::Scalar(cores)),
            reservations: vec![v1::Reservation {
                role: "prod".to_owned(),
                labels: labels
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                    .collect(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let resources = v1::Resources {
            items: vec![item(&[], 2.0), item(&[("team", "a"), ("tier", "1")], 0.5)],
        };
        let json = serde_json::to_string(&bundle_json(Some(&resources))).unwrap();
        assert_eq!(json, r#"{"cpus(+prod)":2.0,"cpus(+prod){team=a,tier=1}":0.5}"#);
    }

    #[test]
    fn resources_are_written_in_the_unit_a_person_reads() {
        let item = |name: &str, value| v1::Resource {
            name: name.to_owned(),
            value: Some(value),
            ..Default::default()
        };
        let ranges = v1::Ranges {
            items: vec![v1::ranges::Range {
                begin: 31000,
                end: 32000,
            }],
        };
        let resources = v1::Resources {
            items: vec![
                item("cpus", Value::Scalar(0.25)),
                item("mem", Value::Scalar(67_108_864.0)),
                item("ports", Value::Ranges(ranges)),
            ],
        };
        assert_eq!(
            bundle(Some(&resources)),
            "cpus:0.25;mem:64MiB;ports:[31000-32000]"
        );
        let json = serde_json::to_string(&bundle_json(Some(&resources))).unwrap();
        assert_eq!(json, r#"{"cpus":0.25,"mem":67108864,"ports":[[31000,32000]]}"#);
    }
}

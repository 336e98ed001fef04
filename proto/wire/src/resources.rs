//! Resources: the wire's doubles become exact integers here, once.
//!
//! Thousandths are exact both ways up to 2^51 of them, whole units up to 2^53.

mod kind;

use std::collections::{BTreeMap, BTreeSet};

use proffer_types::resources::MAX_SCALAR;
use proffer_types::resources::kind::MAX_KINDS;
use proffer_types::{Kind, Ranges, ResourceName, Resources, Set};

use crate::error::{At as _, ConvertError};
use crate::text::at_most;
use crate::v1;
use crate::v1::resource::Value;

pub use kind::{MAX_RESERVATION_LABELS, MAX_RESERVATION_LABELS_BYTES, kind_of};

/// The most names in one bundle.
pub const MAX_RESOURCE_NAMES: usize = 64;
/// The most entries in one bundle: each name plain and of each kind.
const MAX_ITEMS: usize = MAX_RESOURCE_NAMES * (MAX_KINDS + 1);
/// The most items of one set: a set names zones and the like, not machines.
pub const MAX_SET_ITEMS: usize = 1024;
/// The most ranges of one name. Arithmetic on ranges costs the product of two counts.
pub const MAX_RANGES: usize = 4096;

impl TryFrom<v1::Resources> for Resources {
    type Error = ConvertError;

    fn try_from(message: v1::Resources) -> Result<Self, ConvertError> {
        at_most("items", message.items.len(), MAX_ITEMS, "resources")?;
        let mut names = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut by_kind: BTreeMap<Kind, Self> = BTreeMap::new();
        for (index, item) in message.items.into_iter().enumerate() {
            let name = ResourceName::new(&item.name)
                .map_err(|error| ConvertError::new("name", error))
                .at_item("items", index)?;
            let kind = kind_of(&item).at_item("items", index)?;
            if !seen.insert((kind.clone(), name.clone())) {
                return Err(ConvertError::new(name.as_str(), "is given twice"));
            }
            names.insert(name.clone());
            let bundle = by_kind.entry(kind).or_default();
            *bundle = with_value(std::mem::take(bundle), name, item.value)?;
        }
        at_most("items", names.len(), MAX_RESOURCE_NAMES, "names")?;
        let with = |all: Self, (kind, bundle)| all.with_kind(kind, bundle);
        by_kind
            .into_iter()
            .try_fold(Self::new(), with)
            .map_err(|error| ConvertError::new("items", error))
    }
}

fn with_value(
    resources: Resources,
    name: ResourceName,
    value: Option<Value>,
) -> Result<Resources, ConvertError> {
    let field = name.as_str();
    match (&name, value) {
        (_, None) => Err(ConvertError::new(field, "has no value")),
        (ResourceName::Ports, Some(Value::Scalar(_))) => {
            Err(ConvertError::new(field, "is a scalar, but ports are ranges"))
        }
        (
            ResourceName::Cpus | ResourceName::Mem | ResourceName::Disk | ResourceName::NetMbps,
            Some(Value::Ranges(_)),
        ) => Err(ConvertError::new(
            field,
            "is a set of ranges, but must be a scalar",
        )),
        (ResourceName::Custom(_), Some(Value::Set(message))) => {
            let set = set(field, &message)?;
            Ok(resources.with_set(name, set))
        }
        (ResourceName::Ports, Some(Value::Set(_))) => {
            Err(ConvertError::new(field, "is a set, but ports are ranges"))
        }
        (_, Some(Value::Set(_))) => Err(ConvertError::new(field, "is a set, but must be a scalar")),
        (_, Some(Value::Scalar(scalar))) => {
            let units = units(&name, scalar)?;
            Ok(resources.with(name, units))
        }
        (_, Some(Value::Ranges(message))) => {
            let ranges = ranges(field, &message)?;
            Ok(resources.with_ranges(name, ranges))
        }
    }
}

/// Rounds a quantity to the name's units.
#[expect(clippy::cast_possible_truncation, reason = "checked to lie in 0..=2^53")]
pub(crate) fn units(name: &ResourceName, scalar: f64) -> Result<u64, ConvertError> {
    let refuse = |problem: &str| {
        Err(ConvertError::new(
            name.as_str(),
            format_args!("{scalar:?} {problem}"),
        ))
    };
    if !scalar.is_finite() {
        return refuse("is not a quantity");
    }
    if scalar < 0.0 {
        return refuse("is negative");
    }
    let units = (scalar * name.units() as f64).round();
    if units > MAX_SCALAR as f64 {
        return refuse("is too large");
    }
    Ok(units as u64)
}

/// The name's units as the wire writes them.
#[must_use]
pub fn scalar(name: &ResourceName, units: u64) -> f64 {
    units as f64 / name.units() as f64
}

/// Refuses all but plain scalars.
pub(crate) fn check_scalars(field: &str, resources: &Resources) -> Result<(), ConvertError> {
    if resources.has_kinds() {
        return Err(ConvertError::new(
            field,
            "must be neither reserved nor revocable nor a volume",
        ));
    }
    let ranges = resources.all_ranges().map(|(name, _)| name);
    let sets = resources.all_sets().map(|(name, _)| name);
    match ranges.chain(sets).next() {
        Some(name) => Err(ConvertError::new(name.as_str(), "must be a scalar").under(field)),
        None => Ok(()),
    }
}

fn ranges(field: &str, message: &v1::Ranges) -> Result<Ranges, ConvertError> {
    at_most(field, message.items.len(), MAX_RANGES, "ranges")?;
    if let Some(bad) = message.items.iter().find(|range| range.begin > range.end) {
        let problem = format!("range {}-{} ends before it begins", bad.begin, bad.end);
        return Err(ConvertError::new(field, problem));
    }
    Ok(Ranges::new(
        message.items.iter().map(|range| (range.begin, range.end)),
    ))
}

fn set(field: &str, message: &v1::Set) -> Result<Set, ConvertError> {
    at_most(field, message.items.len(), MAX_SET_ITEMS, "items")?;
    let items = message.items.iter().map(String::as_str);
    Set::new(items).map_err(|error| ConvertError::new(field, error))
}

/// Converts a bundle that may be left out, which means nothing at all.
pub(crate) fn or_nothing(field: &str, message: Option<v1::Resources>) -> Result<Resources, ConvertError> {
    message
        .map_or_else(|| Ok(Resources::new()), TryInto::try_into)
        .at(field)
}

impl From<&Resources> for v1::Resources {
    fn from(resources: &Resources) -> Self {
        let mut items = Vec::new();
        push_items(&mut items, &Kind::default(), &resources.plain());
        for (kind, bundle) in resources.kinds() {
            push_items(&mut items, kind, bundle);
        }
        Self { items }
    }
}

fn push_items(items: &mut Vec<v1::Resource>, kind: &Kind, bundle: &Resources) {
    let item = |name: &ResourceName, value| v1::Resource {
        name: name.as_str().to_owned(),
        value: Some(value),
        reservations: kind.reservations.iter().map(Into::into).collect(),
        volume: kind.volume.as_ref().map(Into::into),
        revocable: kind.revocable,
    };
    let scalars = bundle.scalars();
    items.extend(scalars.map(|(name, units)| item(name, Value::Scalar(scalar(name, units)))));
    let ranges = bundle.all_ranges();
    items.extend(ranges.map(|(name, ranges)| item(name, Value::Ranges(ranges.into()))));
    let sets = bundle.all_sets();
    items.extend(sets.map(|(name, set)| item(name, Value::Set(set.into()))));
}

impl From<&Ranges> for v1::Ranges {
    fn from(ranges: &Ranges) -> Self {
        let items = ranges
            .iter()
            .map(|(begin, end)| v1::ranges::Range { begin, end })
            .collect();
        Self { items }
    }
}

impl From<&Set> for v1::Set {
    fn from(set: &Set) -> Self {
        Self {
            items: set.iter().map(str::to_owned).collect(),
        }
    }
}

crate::from_owned!(Resources => v1::Resources);

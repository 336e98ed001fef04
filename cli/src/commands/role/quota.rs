//! Guarantees, limits and reservations as they are written on the command line.

use proffer_types::resources::format::{parse_millis, parse_size};
use proffer_types::{Kind, ResourceName, Resources};
use proffer_wire::quota;
use proffer_wire::resources::scalar;
use proffer_wire::v1;
use proffer_wire::v1::resource_limits::Limit;

/// What takes a guarantee or a limit away.
const NONE: &str = "none";

/// Reads `cpus:8;mem:16GiB`, scalars only, or `none`.
pub(super) fn guarantee(text: &str) -> Result<v1::Resources, String> {
    if text == NONE {
        return Ok(v1::Resources::default());
    }
    let resources: Resources = text.parse().map_err(|error| format!("{error}"))?;
    let message = v1::Resources::from(&resources);
    quota::guarantee("guarantee", message.clone()).map_err(|error| error.to_string())?;
    Ok(message)
}

/// Reads `cpus:8;mem:0`, scalars only, or `none`. Unlike elsewhere, 0 is not the same as absent.
pub(super) fn limits(text: &str) -> Result<v1::ResourceLimits, String> {
    if text == NONE {
        return Ok(v1::ResourceLimits::default());
    }
    let limit = |item: &str| {
        let (name, value) = item
            .trim()
            .split_once(':')
            .ok_or_else(|| format!("`{item}` is not `name:value`"))?;
        let name = ResourceName::new(name).map_err(|error| error.to_string())?;
        let units = match name {
            ResourceName::Mem | ResourceName::Disk => parse_size(value),
            ResourceName::Cpus | ResourceName::NetMbps | ResourceName::Ports | ResourceName::Custom(_) => {
                parse_millis(value)
            }
        };
        let units = units.map_err(|error| error.to_string())?;
        Ok(Limit {
            value: scalar(&name, units),
            name: name.as_str().to_owned(),
        })
    };
    let items = text.split(';').filter(|item| !item.trim().is_empty()).map(limit);
    let message = v1::ResourceLimits {
        items: items.collect::<Result<_, String>>()?,
    };
    if message.items.is_empty() {
        return Err(format!("it says nothing; `{NONE}` limits nothing"));
    }
    quota::limits("limit", message.clone()).map_err(|error| error.to_string())?;
    Ok(message)
}

/// Reads resources all of which are under a reservation that an operation can make: `cpus(+web):2`.
pub(super) fn reserved(text: &str) -> Result<v1::Resources, String> {
    let resources: Resources = text.parse().map_err(|error| format!("{error}"))?;
    let is_dynamic = |kind: &Kind| kind.reservations.last().is_some_and(|top| !top.is_static);
    let all_dynamic = resources.kinds().all(|(kind, _)| is_dynamic(kind));
    if resources.is_empty() || resources.reserved() != resources || !all_dynamic {
        return Err("every resource must say whom it is reserved for, like cpus(+web):2".to_owned());
    }
    Ok((&resources).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_nothing_is_a_limit() {
        let items = limits("cpus:1.5;mem:0;gpus:2").unwrap().items;
        let shown: Vec<_> = items
            .iter()
            .map(|item| (item.name.as_str(), item.value))
            .collect();
        assert_eq!(shown, [("cpus", 1.5), ("mem", 0.0), ("gpus", 2.0)]);
        assert_eq!(limits("none").unwrap(), v1::ResourceLimits::default());
    }

    #[test]
    fn what_cannot_be_a_quota_is_refused() {
        for bad in [
            "",
            ";",
            "cpus",
            "cpus:-1",
            "cpus:1;cpus:2",
            "ports:1",
            "mem:lots",
            "cpus(a):1",
            "a b:1",
        ] {
            assert!(limits(bad).is_err(), "{bad:?}");
        }
        for bad in ["cpus", "ports:[1-2]", "cpus(a):1", "zone:{a}", "cpus{rev}:1"] {
            assert!(guarantee(bad).is_err(), "{bad:?}");
        }
        for bad in [
            "",
            "cpus:1",
            "cpus(a):1",
            "cpus(+a):1;mem:1GiB",
            "cpus{rev}:1",
            "cpus(+*):1",
        ] {
            assert!(reserved(bad).is_err(), "{bad:?}");
        }
        assert!(reserved("cpus(+a):1;mem(a,+a/b):1GiB").is_ok());
    }
}

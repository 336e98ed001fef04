//! Resources as a person writes and reads them: `cpus:0.5;mem:64MiB;ports:[31000-32000]`.

use std::fmt;

use thiserror::Error;

use super::{MAX_SCALAR, ParseResourceNameError, Ranges, ResourceName, Resources};

/// A text that is no quantity or bundle.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseResourcesError {
    #[error(transparent)]
    Name(#[from] ParseResourceNameError),
    #[error("`{0}` is not `name:value`")]
    Shape(String),
    #[error("resource `{0}` is given twice")]
    Twice(String),
    #[error("`{0}` is not a size; write it like 64MiB, 1.5GiB or a number of bytes")]
    Size(String),
    #[error("`{0}` is not a positive number with at most three decimals")]
    Number(String),
    #[error("`{0}` is not a set of ranges; write it like [31000-32000,40000-40010]")]
    Ranges(String),
}

/// Parses a number with at most three decimals into thousandths: `0.5` is 500. At most [`MAX_SCALAR`].
pub fn parse_millis(text: &str) -> Result<u64, ParseResourcesError> {
    let refuse = || ParseResourcesError::Number(text.to_owned());
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 3 {
        return Err(refuse());
    }
    let thousandths: u64 = format!("{decimals:0<3}").parse().map_err(|_| refuse())?;
    whole
        .parse::<u64>()
        .ok()
        .and_then(|whole| whole.checked_mul(1000)?.checked_add(thousandths))
        .filter(|millis| *millis <= MAX_SCALAR)
        .ok_or_else(refuse)
}

/// Parses a size into bytes: `128MiB`, `1.5GiB`, `10MB`, `4096`. At most [`MAX_SCALAR`].
pub fn parse_size(text: &str) -> Result<u64, ParseResourcesError> {
    let refuse = || ParseResourcesError::Size(text.to_owned());
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let factor: u64 = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "PiB" => 1 << 50,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err(refuse()),
    };
    let millis = parse_millis(number.trim_end()).map_err(|_| refuse())?;
    if factor == 1 && millis % 1000 != 0 {
        return Err(refuse());
    }
    u64::try_from(u128::from(millis) * u128::from(factor) / 1000)
        .ok()
        .filter(|bytes| *bytes <= MAX_SCALAR)
        .ok_or_else(refuse)
}

/// Writes a scalar in the unit a person reads: `0.5`, `64MiB`.
#[must_use]
pub fn format_scalar(name: &ResourceName, units: u64) -> String {
    match name {
        ResourceName::Mem | ResourceName::Disk => format_size(units),
        ResourceName::Cpus | ResourceName::Ports | ResourceName::Custom(_) => format_millis(units),
    }
}

/// Writes thousandths as a decimal without trailing zeros: 500 is `0.5`.
#[must_use]
pub fn format_millis(millis: u64) -> String {
    let text = format!("{}.{:03}", millis / 1000, millis % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Writes bytes in the largest binary unit that leaves at least 1, with one decimal when it is not whole.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    const UNITS: [(&str, u32); 5] = [("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    for (unit, shift) in UNITS {
        let size = 1_u64 << shift;
        if bytes >= size {
            let tenths = u128::from(bytes) * 10 / u128::from(size);
            return match (bytes % size, tenths % 10) {
                (0, _) | (_, 0) => format!("{}{unit}", tenths / 10),
                (_, tenth) => format!("{}.{tenth}{unit}", tenths / 10),
            };
        }
    }
    format!("{bytes}B")
}

impl std::str::FromStr for Ranges {
    type Err = ParseResourcesError;

    fn from_str(text: &str) -> Result<Self, ParseResourcesError> {
        let refuse = || ParseResourcesError::Ranges(text.to_owned());
        let inner = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .ok_or_else(refuse)?;
        let pair = |item: &str| {
            let (begin, end) = item.split_once('-').unwrap_or((item, item));
            let begin: u64 = begin.trim().parse().ok()?;
            let end: u64 = end.trim().parse().ok()?;
            (begin <= end).then_some((begin, end))
        };
        let pairs: Option<Vec<_>> = inner
            .split(',')
            .filter(|item| !item.trim().is_empty())
            .map(pair)
            .collect();
        Ok(Self::new(pairs.ok_or_else(refuse)?))
    }
}

impl std::str::FromStr for Resources {
    type Err = ParseResourcesError;

    fn from_str(text: &str) -> Result<Self, ParseResourcesError> {
        let mut resources = Self::new();
        let mut seen = std::collections::BTreeSet::new();
        for item in text.split(';').map(str::trim).filter(|item| !item.is_empty()) {
            let (name, value) = item
                .split_once(':')
                .ok_or_else(|| ParseResourcesError::Shape(item.to_owned()))?;
            let name = ResourceName::new(name.trim())?;
            let value = value.trim();
            if !seen.insert(name.clone()) {
                return Err(ParseResourcesError::Twice(name.to_string()));
            }
            resources = match &name {
                ResourceName::Ports => resources.with_ranges(name, value.parse()?),
                ResourceName::Mem | ResourceName::Disk => resources.with(name, parse_size(value)?),
                ResourceName::Custom(_) if value.starts_with('[') => {
                    resources.with_ranges(name, value.parse()?)
                }
                ResourceName::Cpus | ResourceName::Custom(_) => resources.with(name, parse_millis(value)?),
            };
        }
        Ok(resources)
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scalars = self
            .scalars()
            .map(|(name, units)| format!("{name}:{}", format_scalar(name, units)));
        let ranges = self.all_ranges().map(|(name, ranges)| format!("{name}:{ranges}"));
        let all: Vec<_> = scalars.chain(ranges).collect();
        f.write_str(if all.is_empty() { "nothing" } else { "" })?;
        f.write_str(&all.join(";"))
    }
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let text = "cpus:0.5;mem:64MiB;disk:1.5GiB;gpus:2;ports:[31000-32000]";
        let resources: Resources = text.parse().unwrap();
        assert_eq!(resources.cpu_millis(), 500);
        assert_eq!(resources.mem_bytes(), 64 << 20);
        assert_eq!(resources.to_string(), text);
    }

    #[test]
    fn nonsense_is_refused_with_its_own_text() {
        for bad in [
            "cpus",
            "cpus:-1",
            "cpus:NaN",
            "cpus:0.0001",
            "mem:64Mib",
            "mem:-64MiB",
            "mem:99999PiB",
            "cpus:1;cpus:2",
            "ports:[5-1]",
            "ports:7",
            "a/b:1",
            "cpus:1e3",
            "mem:.5GiB",
        ] {
            assert!(bad.parse::<Resources>().is_err(), "{bad}");
        }
        assert_eq!(
            "mem:12parsecs".parse::<Resources>().unwrap_err().to_string(),
            "`12parsecs` is not a size; write it like 64MiB, 1.5GiB or a number of bytes",
        );
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!(format_size(0), "0B");
        assert_eq!(format_size(1536), "1.5KiB");
        assert_eq!(format_size((1 << 30) + 1), "1GiB");
        assert_eq!(format_millis(1250), "1.25");
    }
}

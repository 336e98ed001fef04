//! Quantities as a person writes them: cores, sizes and durations, in flags and in files alike.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use super::UpTo;
use super::either::from_text;
use proffer_types::resources::format::{format_millis, format_size, parse_millis, parse_size};

/// Thousandths of a core, written like `0.25`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cores(pub(crate) u64);

/// Bytes, written like `64MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

/// A duration, written like `5m30s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

/// A duration of at least a millisecond: none at all would mean that nothing bounds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SomeSpan(pub(crate) Span);

/// Thousandths of something countable, written like `1` or `0.5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Amount(pub(crate) u64);

/// Kilobits a second, written like `10mbit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate(pub(crate) u64);

/// A whole number of type `T`, such as a count or a priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Whole<T>(pub(crate) T);

impl Span {
    /// Whole milliseconds.
    pub(crate) fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Cores {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_millis(text).map(Self).map_err(|_| {
            format!("`{text}` is not a number of cores; write it like 0.25 or 2, with at most three decimals")
        })
    }
}

impl FromStr for Amount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_millis(text).map(Self).map_err(|_| {
            format!("`{text}` is not a number; write it like 1 or 0.5, with at most three decimals")
        })
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("kbit", 1), ("mbit", 1_000), ("gbit", 1_000_000)];
        let rate = units.into_iter().find_map(|(unit, kbps)| {
            let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
            number.checked_mul(kbps)
        });
        rate.map(Self)
            .ok_or_else(|| format!("`{text}` is not a rate; write it like 500kbit, 10mbit or 1gbit"))
    }
}

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse_size(text).map(Self).map_err(|error| error.to_string())
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text)
            .map(Self)
            .map_err(|_| format!("`{text}` is not a duration; write it like 5m30s or 500ms"))
    }
}

impl FromStr for SomeSpan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let span: Span = text.parse()?;
        match span.millis() {
            0 => Err(format!(
                "`{text}` is less than a millisecond; leave it out to have no limit"
            )),
            _ => Ok(Self(span)),
        }
    }
}

impl fmt::Display for SomeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! whole {
    ($($number:ty),*) => {$(
        impl FromStr for Whole<$number> {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let (least, most) = (<$number>::MIN, <$number>::MAX);
                text.parse()
                    .map(Self)
                    .map_err(|_| format!("`{text}` is not a whole number from {least} to {most}"))
            }
        }
    )*};
}

whole!(i32, u16, u32, u64, NonZeroU32);

impl fmt::Display for Cores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_millis(self.0))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&format_size(self.0))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

from_text!(
    Cores,
    Amount,
    Rate,
    Bytes,
    Span,
    SomeSpan,
    Whole<i32>,
    Whole<u16>,
    Whole<u32>,
    Whole<u64>,
    Whole<NonZeroU32>,
    UpTo<Cores>,
    UpTo<Bytes>
);

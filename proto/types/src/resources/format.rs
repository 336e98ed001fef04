//! Single quantities as a person writes and reads them: `0.5`, `64MiB`.

use thiserror::Error;

use super::{KindError, MAX_SCALAR, ParseResourceNameError, ResourceName};
use crate::id::ParseIdError;
use crate::role::ParseRoleError;

/// A text that is no quantity or bundle.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ParseResourcesError {
    #[error(transparent)]
    Name(#[from] ParseResourceNameError),
    #[error(transparent)]
    Role(#[from] ParseRoleError),
    #[error(transparent)]
    VolumeId(#[from] ParseIdError),
    #[error(transparent)]
    Kind(#[from] KindError),
    #[error("`{0}` is not `name:value`")]
    Shape(String),
    #[error("`{0}` is not `name(role,+role){{rev}}[volume:path]:value`")]
    KindShape(String),
    #[error("resource `{0}` is given twice")]
    Twice(String),
    #[error("`{0}` is not a size; write it like 64MiB, 1.5GiB or a number of bytes")]
    Size(String),
    #[error("`{0}` is not a positive number with at most three decimals")]
    Number(String),
    #[error("`{0}` is not a set of ranges; write it like [31000-32000,40000-40010]")]
    Ranges(String),
    #[error("`{0}` is not a set; write it like {{a,b}}")]
    Set(String),
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

/// Parses a size into bytes: `128MiB`, `1.5GiB`, `10MB`, `4096`. At most [`MAX_SCALAR`]. A part of a byte is a byte, so that
/// what [`format_size`] wrote is written the same again.
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
    u64::try_from((u128::from(millis) * u128::from(factor)).div_ceil(1000))
        .ok()
        .filter(|bytes| *bytes <= MAX_SCALAR)
        .ok_or_else(refuse)
}

/// Writes a scalar in the unit a person reads: `0.5`, `64MiB`.
#[must_use]
pub fn format_scalar(name: &ResourceName, units: u64) -> String {
    match name {
        ResourceName::Mem | ResourceName::Disk => format_size(units),
        ResourceName::Cpus | ResourceName::NetMbps | ResourceName::Ports | ResourceName::Custom(_) => {
            format_millis(units)
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        assert_eq!(format_size(0), "0B");
        assert_eq!(format_size(1536), "1.5KiB");
        assert_eq!(format_size((1 << 30) + 1), "1GiB");
        assert_eq!(format_millis(1250), "1.25");
    }

    #[test]
    fn a_size_that_was_written_is_written_the_same_again() {
        for bytes in [4444, 1025, (1 << 20) - 1, 7_777_777_777] {
            let text = format_size(bytes);
            assert_eq!(format_size(parse_size(&text).unwrap()), text);
        }
    }
}

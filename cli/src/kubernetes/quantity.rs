//! Kubernetes' quantities: `100m`, `128Mi`, `1.5G`, `2e3`. Exact, rounded up to what Proffer counts.

use std::str::FromStr;

use super::fields::quoted;

/// What a double holds exactly: resources travel as such.
const MAX_UNITS: u128 = 1 << 53;
/// The most digits that count; no real quantity has as many.
const MAX_DIGITS: usize = 24;

/// Thousandths of something: cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Millis(pub(super) u64);

/// Whole ones: bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Units(pub(super) u64);

impl FromStr for Millis {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        units(text, 1000).map(Self)
    }
}

impl FromStr for Units {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        units(text, 1).map(Self)
    }
}

/// A quantity in units, of which `per_one` are one; rounded up.
fn units(text: &str, per_one: u128) -> Result<u64, String> {
    let invalid = || {
        format!(
            "`{}` is not a quantity; write it like 100m, 2, 0.5, 128Mi, 1G or 2e3",
            quoted(text)
        )
    };
    let too_large = || format!("`{}` is more than Proffer can count", quoted(text));
    let number = text.strip_prefix('+').unwrap_or(text);
    let end = number.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, suffix) = number.split_at(end.unwrap_or(number.len()));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(invalid());
    }
    let fraction = fraction.trim_end_matches('0');
    let (ten, two) = scale(suffix).ok_or_else(invalid)?;
    let digits = format!("{whole}{fraction}");
    let digits = match digits.trim_start_matches('0') {
        "" => return Ok(0),
        digits if digits.len() > MAX_DIGITS => return Err(too_large()),
        digits => digits,
    };
    let n_fraction = i32::try_from(fraction.len()).map_err(|_| invalid())?;
    let exponent = ten.checked_sub(n_fraction).ok_or_else(invalid)?;
    let mantissa: u128 = digits.parse().map_err(|_| invalid())?;
    let scaled = mantissa.checked_mul(per_one << two).ok_or_else(too_large)?;
    let power = 10_u128.checked_pow(exponent.unsigned_abs());
    let units = match (exponent < 0, power) {
        (false, Some(power)) => scaled.checked_mul(power).ok_or_else(too_large)?,
        (false, None) => return Err(too_large()),
        (true, Some(power)) => scaled.div_ceil(power),
        // What is left of it is less than one.
        (true, None) => 1,
    };
    match u64::try_from(units) {
        Ok(units) if u128::from(units) <= MAX_UNITS => Ok(units),
        Ok(_) | Err(_) => Err(too_large()),
    }
}

/// The powers of ten and of two that a suffix stands for.
fn scale(suffix: &str) -> Option<(i32, u32)> {
    let decimal = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    let exponents = [-9, -6, -3, 0, 3, 6, 9, 12, 15, 18];
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let twos = [10, 20, 30, 40, 50, 60];
    let ten = decimal.iter().zip(exponents).find(|(name, _)| **name == suffix);
    let two = binary.iter().zip(twos).find(|(name, _)| **name == suffix);
    match (ten, two) {
        (Some((_, ten)), _) => Some((ten, 0)),
        (None, Some((_, two))) => Some((0, two)),
        (None, None) => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            Some((exponent.parse().ok()?, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Option<u64> {
        text.parse::<Millis>().ok().map(|millis| millis.0)
    }

    fn bytes(text: &str) -> Option<u64> {
        text.parse::<Units>().ok().map(|units| units.0)
    }

    #[test]
    fn quantities_are_exact() {
        assert_eq!(millis("100m"), Some(100));
        assert_eq!(millis("2000m"), Some(2000));
        assert_eq!(millis("0.1"), Some(100));
        assert_eq!(millis("2"), Some(2000));
        assert_eq!(millis("2e3"), Some(2_000_000));
        assert_eq!(millis("1e-3"), Some(1));
        assert_eq!(millis("+1.50"), Some(1500));
        assert_eq!(millis(".5"), Some(500));
        assert_eq!(millis("5."), Some(5000));
        assert_eq!(millis("0"), Some(0));
        assert_eq!(bytes("128Mi"), Some(128 << 20));
        assert_eq!(bytes("1G"), Some(1_000_000_000));
        assert_eq!(bytes("1.5Gi"), Some(3 << 29));
        assert_eq!(bytes("1E3"), Some(1000));
        assert_eq!(bytes("1k"), Some(1000));
        assert_eq!(bytes("8Pi"), Some(1 << 53));
    }

    #[test]
    fn what_is_less_than_a_unit_is_rounded_up() {
        assert_eq!(millis("0.1m"), Some(1));
        assert_eq!(millis("100u"), Some(1));
        assert_eq!(millis("1500u"), Some(2));
        assert_eq!(bytes("1m"), Some(1));
        assert_eq!(bytes("1e-2000"), Some(1));
        assert_eq!(bytes("0.000000000000000000000000000000000000001"), Some(1));
        assert_eq!(bytes("0e99"), Some(0));
    }

    #[test]
    fn what_is_no_quantity_or_cannot_be_counted_is_refused() {
        for wrong in [
            "", ".", "-1", "1 Mi", "1mi", "Mi", "1.2.3", "1e", "1ee3", "0x10", "1Ki3", "١", "1KiB", "inf",
            "NaN",
        ] {
            let error = wrong.parse::<Units>().unwrap_err();
            assert!(error.contains("is not a quantity"), "{wrong}: {error}");
        }
        for large in [
            "9Pi",
            "1Ei",
            "1e16",
            "1e2147483647",
            "99999999999999999999999999999999999999999999999",
        ] {
            let error = large.parse::<Units>().unwrap_err();
            assert!(error.contains("more than Proffer can count"), "{large}: {error}");
        }
    }

    #[test]
    fn a_quantity_from_far_below_to_the_bound_is_what_it_says() {
        for exponent in -30_i32..=15 {
            for mantissa in [1_u64, 7, 10, 123, 999_999] {
                let text = format!("{mantissa}e{exponent}");
                let expected = if exponent >= 0 {
                    u128::from(mantissa) * 10_u128.pow(exponent.unsigned_abs())
                } else {
                    u128::from(mantissa).div_ceil(10_u128.pow(exponent.unsigned_abs()))
                };
                let expected = u64::try_from(expected).ok().filter(|units| *units <= 1 << 53);
                assert_eq!(bytes(&text), expected, "{text}");
            }
        }
    }
}

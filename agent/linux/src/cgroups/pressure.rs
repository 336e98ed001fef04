//! Pressure stall information of a group: how long its tasks waited for cpu, memory and io.

use std::path::Path;

use proffer_types::statistics::{Pressure, Statistics};

use super::count::text;
use crate::UsageError;

/// Adds what the group's pressure files say, where the kernel has them.
pub(super) fn read(group: &Path, statistics: &mut Statistics) -> Result<(), UsageError> {
    let pressure = |file| Ok::<_, UsageError>(text(group, file)?.as_deref().map(parse));
    statistics.pressure.cpu = pressure("cpu.pressure")?;
    statistics.pressure.memory = pressure("memory.pressure")?;
    statistics.pressure.io = pressure("io.pressure")?;
    Ok(())
}

/// Lines as `some avg10=1.23 avg60=0.00 avg300=0.00 total=456`; older kernels have no `full` line for cpus.
fn parse(text: &str) -> Pressure {
    let mut pressure = Pressure::default();
    for line in text.lines() {
        let (avg10, total) = match line.split(' ').next() {
            Some("some") => (&mut pressure.some_avg10, &mut pressure.some_total_us),
            Some("full") => (&mut pressure.full_avg10, &mut pressure.full_total_us),
            _ => continue,
        };
        for (key, value) in line.split(' ').filter_map(|word| word.split_once('=')) {
            match key {
                "avg10" => *avg10 = hundredths(value).unwrap_or(0),
                "total" => *total = value.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
    pressure
}

/// The kernel always writes two decimals.
fn hundredths(percent: &str) -> Option<u32> {
    let (whole, decimals) = percent.split_once('.')?;
    let decimals = decimals.get(..2)?.parse::<u32>().ok()?;
    whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(decimals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_is_read_in_hundredths_of_a_percent() {
        let text = "some avg10=12.05 avg60=1.00 avg300=0.10 total=420\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=7\n";
        let expected = Pressure {
            some_avg10: 1205,
            some_total_us: 420,
            full_avg10: 50,
            full_total_us: 7,
        };
        assert_eq!(parse(text), expected);
        assert_eq!(parse("some avg10=x total=\n"), Pressure::default());
    }
}

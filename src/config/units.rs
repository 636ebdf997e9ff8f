//! Durations and sizes as they are typed: a number and its unit, `"120s"`, `"2GiB"`.

use std::time::Duration;

const DURATIONS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: [(&str, u64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Reads `"500ms"`, `"120s"`, `"5min"`, `"6h"`, `"30d"`; a space before the unit is fine. Whole numbers only.
pub(super) fn duration(text: &str) -> Option<Duration> {
    amount(text, &DURATIONS).map(Duration::from_millis)
}

/// Reads `"512KiB"`, `"8MiB"`, `"2GiB"`.
pub(super) fn size(text: &str) -> Option<u64> {
    amount(text, &SIZES)
}

fn amount(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at_checked(digits)?;
    let unit = unit.strip_prefix(' ').unwrap_or(unit);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Writes a duration in its largest whole unit.
pub(super) fn duration_text(duration: Duration) -> String {
    written(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX), &DURATIONS, "0s")
}

/// Writes a size in its largest whole unit.
pub(super) fn size_text(bytes: u64) -> String {
    written(bytes, &SIZES, "0KiB")
}

fn written(amount: u64, units: &[(&str, u64)], zero: &str) -> String {
    let unit = units.iter().rev().find(|(_, factor)| amount >= *factor && amount.is_multiple_of(*factor));
    unit.map_or_else(|| if amount == 0 { zero.to_owned() } else { amount.to_string() }, |(name, factor)| format!("{}{name}", amount / factor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_need_a_unit_and_survive_a_round_trip() {
        for (text, ms) in [("500ms", 500), ("120s", 120_000), ("5min", 300_000), ("6h", 21_600_000), ("30d", 2_592_000_000), ("5 min", 300_000)] {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["90s", "5min", "30d", "1500ms"] {
            assert_eq!(duration_text(duration(text).unwrap()), text);
        }
        assert_eq!(duration_text(Duration::from_secs(120)), "2min");
        assert_eq!(size("2GiB"), Some(2 << 30));
        assert_eq!(size_text(8 << 20), "8MiB");
        for text in ["", "120", "s", "-5s", "1.5h", "5m", "5 m", "99999999999999999999s", "18446744073709551615d", "١s", "5  s", "８MiB"] {
            assert_eq!(duration(text), None, "{text}");
            assert_eq!(size(text), None, "{text}");
        }
    }
}

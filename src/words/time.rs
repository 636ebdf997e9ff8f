//! Times and durations as people read them, in the venue's zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Language;

/// A duration in its two largest units: `12 s`, `2 min`, `6 d 4 h`; Russian `12 с`, `2 мин`, `6 д 4 ч`. No-break spaces inside.
#[must_use]
pub fn span(ms: u64, language: Language) -> String {
    let units: [(u64, &str, &str); 4] = [(86_400_000, "д", "d"), (3_600_000, "ч", "h"), (60_000, "мин", "min"), (1_000, "с", "s")];
    let name = |ru: &'static str, en: &'static str| if language == Language::Ru { ru } else { en };
    if ms > 0 && ms < 1_000 {
        return format!("{ms}\u{a0}{}", name("мс", "ms"));
    }
    let mut rest = ms;
    let mut parts = Vec::new();
    for (size, ru, en) in units {
        let n = rest / size;
        rest %= size;
        // Beside a larger unit only the next smaller one says something: `2 min`, not `2 min 7 s`.
        if n > 0 && parts.is_empty() || n > 0 && parts.len() == 1 && size >= 3_600_000 {
            parts.push(format!("{n}\u{a0}{}", name(ru, en)));
        } else if !parts.is_empty() {
            break;
        }
    }
    if parts.is_empty() { format!("0\u{a0}{}", name("с", "s")) } else { parts.join("\u{a0}") }
}

/// `22.11.2026 14:32` in the given zone, for both languages.
#[must_use]
pub fn date_time(wall_ms: i64, zone: &TimeZone) -> String {
    formatted(wall_ms, zone, "%d.%m.%Y %H:%M")
}

/// `14:32:05` in the given zone.
#[must_use]
pub fn day_time(wall_ms: i64, zone: &TimeZone) -> String {
    formatted(wall_ms, zone, "%H:%M:%S")
}

fn formatted(wall_ms: i64, zone: &TimeZone, pattern: &str) -> String {
    match Timestamp::from_millisecond(wall_ms) {
        Ok(instant) => instant.to_zoned(zone.clone()).strftime(pattern).to_string(),
        Err(_) => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_show_their_largest_units() {
        for (ms, ru, en) in [
            (0, "0 с", "0 s"),
            (7, "7 мс", "7 ms"),
            (12_000, "12 с", "12 s"),
            (127_000, "2 мин", "2 min"),
            (3_600_000, "1 ч", "1 h"),
            (3_600_000 + 5 * 60_000, "1 ч", "1 h"),
            (6 * 86_400_000 + 4 * 3_600_000 + 59_000, "6 д 4 ч", "6 d 4 h"),
            (86_400_000 + 59_000, "1 д", "1 d"),
        ] {
            assert_eq!(span(ms, Language::Ru).replace('\u{a0}', " "), ru);
            assert_eq!(span(ms, Language::En).replace('\u{a0}', " "), en);
        }
    }

    #[test]
    fn times_are_the_venues_and_not_the_boxes() {
        let zone = TimeZone::get("Asia/Yekaterinburg").unwrap();
        assert_eq!(date_time(1_795_339_920_000, &zone), "22.11.2026 14:32");
        assert_eq!(day_time(1_795_339_925_000, &zone), "14:32:05");
        assert_eq!(date_time(i64::MAX, &zone), "?");
    }
}

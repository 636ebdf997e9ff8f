//! Moments as people type them: `today`, `2h`, `3d`, a date, RFC 3339.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

/// Milliseconds since 1970 UTC.
///
/// # Errors
/// A sentence that says what is allowed.
pub fn parse(text: &str, zone: &TimeZone) -> Result<i64, String> {
    let stamp = crate::clock::Clock::stamp(&crate::clock::SystemClock::new());
    let now = Timestamp::from_millisecond(stamp.wall_ms).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(zone.clone());
    parse_at(text, &now).map(|time| time.timestamp().as_millisecond()).ok_or_else(|| {
        format!("`{text}` is no moment: write `today`, `yesterday`, a time ago (`90s`, `30min`, `2h`, `3d`), a date (`2026-11-22`) or RFC 3339")
    })
}

fn parse_at(text: &str, now: &Zoned) -> Option<Zoned> {
    match text {
        "today" | "сегодня" => return now.start_of_day().ok(),
        "yesterday" | "вчера" => return now.checked_sub(1.day()).ok()?.start_of_day().ok(),
        _ => {}
    }
    if let Ok(date) = text.parse::<Date>() {
        return date.to_zoned(now.time_zone().clone()).ok();
    }
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant.to_zoned(now.time_zone().clone()));
    }
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: i64 = text.get(..digits)?.parse().ok()?;
    let span = match text.get(digits..)?.trim() {
        "s" => jiff::Span::new().try_seconds(number),
        "m" | "min" => jiff::Span::new().try_minutes(number),
        "h" => jiff::Span::new().try_hours(number),
        "d" => jiff::Span::new().try_days(number),
        _ => return None,
    };
    now.checked_sub(span.ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_may_say_when_in_several_ways() {
        let zone = TimeZone::get("Europe/Moscow").unwrap();
        let now = "2026-11-22T14:32:00+03:00[Europe/Moscow]".parse::<Zoned>().unwrap();
        for (text, expected) in [
            ("today", "2026-11-22T00:00:00+03:00"),
            ("yesterday", "2026-11-21T00:00:00+03:00"),
            ("2h", "2026-11-22T12:32:00+03:00"),
            ("30min", "2026-11-22T14:02:00+03:00"),
            ("3d", "2026-11-19T14:32:00+03:00"),
            ("2026-11-01", "2026-11-01T00:00:00+03:00"),
            ("2026-11-01T10:00:00Z", "2026-11-01T13:00:00+03:00"),
        ] {
            let parsed = parse_at(text, &now).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(parsed.timestamp(), expected.parse::<Timestamp>().unwrap(), "{text}");
        }
        for text in ["", "soon", "2", "-2h", "99999999999999d", "2 fortnights"] {
            assert!(parse_at(text, &now).is_none(), "{text}");
        }
        assert!(parse("today", &zone).is_ok());
    }
}

//! How amoCRM spells values: `custom_fields_values`, text limits, days.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::crm::card::CardValue;
use crate::domain::Personal;

/// Units of a `text` field; one more and the whole batch is refused.
pub const TEXT: usize = 256;
/// Units of a `textarea`: no limit is known to lie below this.
pub const TEXTAREA: usize = 4_000;

/// `text` within `most` UTF-16 units, never cut inside a character: whether amoCRM counts characters or units, it fits.
#[must_use]
pub fn fit(text: &str, most: usize) -> String {
    if text.encode_utf16().count() <= most {
        return text.to_owned();
    }
    let mut units = 1;
    let mut short: String = text
        .chars()
        .take_while(|character| {
            units += character.len_utf16();
            units <= most
        })
        .collect();
    short.push('…');
    short
}

/// One field's entry of `custom_fields_values`. `None` when the value cannot be said.
#[must_use]
pub fn field(id: u64, value: &CardValue, zone: &str) -> Option<Value> {
    let value = match value {
        CardValue::Text(text) => json!(fit(text.reveal(), TEXT)),
        CardValue::Lines(text) => json!(fit(text.reveal(), TEXTAREA)),
        CardValue::Number(number) => json!(number.to_string()),
        CardValue::Minor(minor) => json!(decimal(*minor)),
        CardValue::At(ms) => json!(ms.div_euclid(1000)),
        CardValue::Day(day) => json!(midnight(day, zone)?),
    };
    Some(json!({ "field_id": id, "values": [{ "value": value }] }))
}

/// Minor units as amoCRM's numbers: `1250.5` is `1250.50`.
#[must_use]
pub fn decimal(minor: i64) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let absolute = minor.unsigned_abs();
    match absolute % 100 {
        0 => format!("{sign}{}", absolute / 100),
        rest => format!("{sign}{}.{rest:02}", absolute / 100),
    }
}

/// The account's midnight of a day, RFC 3339: amoCRM keeps the day in which the instant falls there, and refuses negative numbers.
fn midnight(day: &Personal, zone: &str) -> Option<String> {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let at = day.reveal().parse::<Date>().ok()?.to_zoned(zone).ok()?;
    Some(at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
}

/// A field that is cleared.
#[must_use]
pub fn cleared(id: u64) -> Value {
    json!({ "field_id": id, "values": null })
}

/// The day of a date as it reads, `YYYY-MM-DD`: the instant's day in the account's zone.
#[must_use]
pub fn day(read: &Value, zone: &str) -> Option<String> {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let at = match super::wire::number(Some(read)) {
        Some(seconds) => jiff::Timestamp::from_second(seconds).ok()?,
        None => read.as_str()?.parse().ok()?,
    };
    Some(at.to_zoned(zone).date().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(fit("короткий", TEXT), "короткий");
        for text in ["я".repeat(300), "🎉".repeat(300), format!("{}👨‍👩‍👧‍👦", "x".repeat(250)), "a\u{301}".repeat(200)] {
            let cut = fit(&text, TEXT);
            assert!(cut.encode_utf16().count() <= TEXT && cut.ends_with('…'), "{} units", cut.encode_utf16().count());
            assert!(text.starts_with(cut.trim_end_matches('…')));
        }
        assert_eq!(fit(&"я".repeat(256), TEXT), "я".repeat(256));
    }

    #[test]
    fn a_birthday_is_the_accounts_midnight_also_before_1970() {
        let said = |day, zone| field(1, &CardValue::Day(Personal::new(day)), zone).map(|field| field["values"][0]["value"].clone());
        assert_eq!(said("2015-06-01", "Europe/Moscow"), Some(json!("2015-06-01T00:00:00+03:00")));
        assert_eq!(said("1961-04-12", "Asia/Yekaterinburg"), Some(json!("1961-04-12T00:00:00+05:00")));
        assert_eq!(said("2015-06-01", "Nowhere/Land"), Some(json!("2015-06-01T00:00:00+00:00")));
        assert_eq!(said("so-so", "Europe/Moscow"), None);
    }

    #[test]
    fn a_day_is_read_as_it_was_written() {
        let said = [json!(1_433_106_000), json!("1433106000"), json!("2015-06-01T00:00:00+03:00")];
        assert_eq!(said.map(|said| day(&said, "Europe/Moscow")), std::array::from_fn(|_| Some("2015-06-01".to_owned())));
        assert_eq!(day(&json!(-275_281_200), "Europe/Moscow").as_deref(), Some("1961-04-12"));
        assert_eq!(day(&json!("so-so"), "Europe/Moscow"), None);
    }

    #[test]
    fn money_is_a_plain_decimal() {
        for (minor, said) in [(125_050, "1250.50"), (-5, "-0.05"), (0, "0"), (50_000, "500")] {
            assert_eq!(decimal(minor), said);
        }
    }
}

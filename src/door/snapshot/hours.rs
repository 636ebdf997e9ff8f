//! Hours of the week, as the snapshot's `win` and `hours` have them: `mo-fr 10:00-22:00; sa,su 09:00-02:00`.
//!
//! Days are optional (none: every day), several stretches are divided by semicolons, a stretch that ends at or before its beginning runs into the next day
//! and belongs to the day on which it began; `24:00` is the end of the day. The wall clock of the venue counts, whatever summer time does. Pure.

use jiff::civil::DateTime;

/// Stretches of the week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours(Vec<Stretch>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    /// Bit 0 is Monday.
    days: u8,
    /// Minutes of the day.
    from: u16,
    to: u16,
}

const EVERY_DAY: u8 = 0x7f;
const DAY_END: u16 = 24 * 60;

impl Hours {
    /// Reads the text; nothing when it is not as above.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let stretches = text.split(';').map(str::trim).filter(|part| !part.is_empty()).map(stretch);
        let stretches: Vec<Stretch> = stretches.collect::<Option<_>>()?;
        (!stretches.is_empty()).then_some(Self(stretches))
    }

    /// Whether this moment of the venue's wall clock lies in one of them.
    #[must_use]
    pub fn contain(&self, at: DateTime) -> bool {
        let today = u8::try_from(at.weekday().to_monday_zero_offset()).unwrap_or(0);
        let yesterday = (today + 6) % 7;
        let minute = u16::try_from(i32::from(at.hour()) * 60 + i32::from(at.minute())).unwrap_or(0);
        self.0.iter().any(|stretch| {
            let on = |day: u8| stretch.days & (1 << day) != 0;
            if stretch.from < stretch.to {
                on(today) && (stretch.from..stretch.to).contains(&minute)
            } else {
                on(today) && minute >= stretch.from || on(yesterday) && minute < stretch.to
            }
        })
    }
}

fn stretch(text: &str) -> Option<Stretch> {
    let (days, span) = match text.split_once(char::is_whitespace) {
        Some((names, span)) => (days(names)?, span.trim()),
        None => (EVERY_DAY, text),
    };
    let (from, to) = span.split_once('-')?;
    let (from, to) = (minute(from)?, minute(to)?);
    (from < DAY_END).then_some(Stretch { days, from, to })
}

fn days(names: &str) -> Option<u8> {
    names.split(',').try_fold(0, |days, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        // `sa-mo` goes over the week's end.
        let length = (last + 7 - first) % 7;
        Some((0..=length).fold(days, |days, step| days | 1 << ((first + step) % 7)))
    })
}

fn day(name: &str) -> Option<u8> {
    let at = ["mo", "tu", "we", "th", "fr", "sa", "su"].iter().position(|day| *day == name)?;
    u8::try_from(at).ok()
}

fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| (text.len() == 2).then(|| text.parse::<u16>().ok()).flatten();
    let (hour, minute) = (number(hour)?, number(minute)?);
    let all = hour * 60 + minute;
    (minute < 60 && all <= DAY_END).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime {
        text.parse().unwrap()
    }

    #[test]
    fn hours_are_those_of_the_venues_wall_clock() {
        // 2026-05-01 is a Friday.
        for (hours, moment, inside) in [
            ("10:00-22:00", "2026-05-01T10:00", true),
            ("10:00-22:00", "2026-05-01T22:00", false),
            ("10:00-24:00", "2026-05-01T23:59", true),
            ("00:00-24:00", "2026-05-01T00:00", true),
            ("mo-fr 10:00-22:00", "2026-05-01T12:00", true),
            ("mo-th,sa 10:00-22:00", "2026-05-01T12:00", false),
            ("sa-mo 10:00-22:00", "2026-05-03T12:00", true),
            ("sa-mo 10:00-22:00", "2026-05-05T12:00", false),
            ("fr 22:00-02:00", "2026-05-01T23:30", true),
            ("fr 22:00-02:00", "2026-05-02T01:59", true),
            ("fr 22:00-02:00", "2026-05-02T02:00", false),
            ("fr 22:00-02:00", "2026-05-01T01:00", false),
            ("su 22:00-02:00", "2026-05-04T01:00", true),
            ("mo 08:00-09:00; fr 20:00-21:00", "2026-05-01T20:30", true),
            ("00:00-00:00", "2026-05-01T13:00", true),
        ] {
            assert_eq!(Hours::parse(hours).unwrap().contain(at(moment)), inside, "{hours} {moment}");
        }
    }

    #[test]
    fn what_is_not_hours_is_not_guessed_at() {
        for text in
            ["", ";", "10-22", "10:00", "25:00-26:00", "24:00-01:00", "mo", "xx 10:00-11:00", "10:60-11:00", "1:00-2:00", "-", "mo- 10:00-11:00"]
        {
            assert_eq!(Hours::parse(text), None, "{text}");
        }
    }
}

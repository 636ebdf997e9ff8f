//! Numbers as people read them.

use super::Language;

/// Which form of a noun goes with a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plural {
    /// 1 проход, 21 проход; 1 pass.
    One,
    /// 2 прохода, 34 прохода.
    Few,
    /// 5 проходов, 11 проходов; 0, 2, 21 passes.
    Many,
}

/// The form that goes with `count`.
#[must_use]
pub fn plural(count: u64, language: Language) -> Plural {
    match language {
        Language::En if count == 1 => Plural::One,
        Language::En => Plural::Many,
        Language::Ru => match (count % 10, count % 100) {
            (_, 11..=14) => Plural::Many,
            (1, _) => Plural::One,
            (2..=4, _) => Plural::Few,
            _ => Plural::Many,
        },
    }
}

/// `1 284 000`, with no-break spaces, in both languages.
#[must_use]
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 * 2);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{a0}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn russian_nouns_follow_their_count() {
        let form = |n| match plural(n, Language::Ru) {
            Plural::One => "проход",
            Plural::Few => "прохода",
            Plural::Many => "проходов",
        };
        for (n, noun) in [
            (0, "проходов"),
            (1, "проход"),
            (2, "прохода"),
            (4, "прохода"),
            (5, "проходов"),
            (11, "проходов"),
            (12, "проходов"),
            (14, "проходов"),
            (21, "проход"),
            (22, "прохода"),
            (25, "проходов"),
            (101, "проход"),
            (111, "проходов"),
            (1_000_001, "проход"),
        ] {
            assert_eq!(form(n), noun, "{n}");
        }
    }

    #[test]
    fn thousands_are_set_apart_by_no_break_spaces() {
        for (n, text) in [(0, "0"), (999, "999"), (1_284, "1\u{a0}284"), (1_000_000, "1\u{a0}000\u{a0}000"), (12_345, "12\u{a0}345")] {
            assert_eq!(grouped(n), text);
        }
    }
}

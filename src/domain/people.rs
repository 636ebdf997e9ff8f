//! People's data and secrets: types that do not print what they hold.

use std::fmt;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

/// Text about a person (name, birth date, e-mail, card number). Prints as `***`; serialises as the text, for the wire and the journal only.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Encode, Decode, Default)]
#[serde(transparent)]
#[cbor(transparent)]
pub struct Personal(#[n(0)] String);

impl Personal {
    /// Wraps the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Never for a log, a status, an error or a metric.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The last `keep` characters behind dots, for people who must tell one card from another: `••53A3`. Short values are hidden whole.
    #[must_use]
    pub fn masked(&self, keep: usize) -> String {
        let length = self.0.chars().count();
        if length < keep * 2 {
            return "••••".to_owned();
        }
        let tail: String = self.0.chars().skip(length - keep).collect();
        format!("••{tail}")
    }

    /// True when there is no text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A phone number as digits, country code first, no plus: `79991234567`. The spellings +7…, 8… and 7… of one Russian number are one phone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Encode, Decode)]
#[serde(transparent)]
#[cbor(transparent)]
pub struct Phone(#[n(0)] Personal);

impl Phone {
    /// Reads any spelling. `None` when fewer than seven digits are left.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut digits: String = text.chars().filter(char::is_ascii_digit).collect();
        if let Some(rest) = digits.strip_prefix("00") {
            digits = rest.to_owned();
        }
        if digits.len() == 11 && digits.starts_with('8') {
            digits.replace_range(..1, "7");
        } else if digits.len() == 10 && digits.starts_with('9') && !text.trim_start().starts_with('+') {
            digits.insert(0, '7');
        }
        (digits.len() >= 7).then(|| Self(Personal::new(digits)))
    }

    /// E.164, with the plus.
    #[must_use]
    pub fn e164(&self) -> String {
        format!("+{}", self.0.reveal())
    }

    /// The last ten digits: what a search that knows no country codes can be asked for.
    #[must_use]
    pub fn last_ten(&self) -> &str {
        let digits = self.0.reveal();
        &digits[digits.len().saturating_sub(10)..]
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A token or password. Prints as `***` and is wiped when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize)]
#[zeroize(drop)]
pub struct Secret(String);

impl Secret {
    /// Wraps the secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself: for the request that needs it and nothing else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_russian_number_are_one_phone() {
        let plus = Phone::parse("+7 (999) 123-45-67");
        assert!(plus.is_some());
        for text in ["89991234567", "79991234567", "9991234567", "007 999 1234567"] {
            assert_eq!(Phone::parse(text), plus, "{text}");
        }
        assert_eq!(Phone::parse("12345"), None);
    }

    #[test]
    fn what_a_person_is_never_prints() {
        let shown = format!("{:?} {} {:?} {:?}", Personal::new("Анна"), Personal::new("Анна"), Phone::parse("+79991234567"), Secret::new("tok"));
        assert_eq!(shown, "*** *** Some(***) ***");
    }

    #[test]
    fn a_mask_keeps_only_the_tail_and_hides_short_values_whole() {
        assert_eq!(Personal::new("AC11A1A3").masked(4), "••A1A3");
        assert_eq!(Personal::new("1234567").masked(4), "••••");
    }
}

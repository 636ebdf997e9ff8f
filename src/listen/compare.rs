//! The number of a card as somebody else has it (Lime, another reader, the print on the card), against what this reader gives.

use serde::Serialize;

use crate::codec::UidOrder;
use crate::codec::guess::Ordered;

/// How a number stands for a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Match {
    /// The same hex digits.
    Hex,
    /// The decimal number of all bytes, or of the last four, as it is printed on 125 kHz cards.
    Decimal,
    /// Series and number of Wiegand 26: three bytes only, so that other cards have the same.
    Wiegand26,
}

/// The order of bytes under which the reader's media are this number, and how; `None` where none is.
#[must_use]
pub fn matches(number: &str, orders: &[Ordered]) -> Option<(UidOrder, Match)> {
    let all = orders.iter().flat_map(|one| one.media.iter().map(|medium| (one.order, medium.medium.value.reveal())));
    let found: Vec<(UidOrder, Match)> = all.filter_map(|(order, uid)| Some((order, how(number, uid)?))).collect();
    [Match::Hex, Match::Decimal, Match::Wiegand26].into_iter().find_map(|how| found.iter().find(|(_, found)| *found == how).copied())
}

fn how(number: &str, uid: &str) -> Option<Match> {
    let plain: String = number.chars().filter(|c| !matches!(c, ' ' | ':' | '-' | '.')).collect();
    let plain = plain.strip_prefix("0x").unwrap_or(&plain);
    if plain.eq_ignore_ascii_case(uid) {
        return Some(Match::Hex);
    }
    let tail = |digits: usize| uid.get(uid.len().saturating_sub(digits)..).and_then(|hex| u64::from_str_radix(hex, 16).ok());
    if let Some((series, low)) = number.split_once([',', '/']) {
        let (series, low) = (series.trim().parse::<u64>().ok()?, low.trim().parse::<u64>().ok().filter(|low| *low <= 0xFFFF)?);
        return (tail(6)? == (series << 16 | low)).then_some(Match::Wiegand26);
    }
    let decimal = plain.parse::<u64>().ok()?;
    (tail(16) == Some(decimal) || tail(8) == Some(decimal)).then_some(Match::Decimal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::guess::{Recording, fits};
    use crate::codec::{Profile, StopBits};

    fn orders(bytes: &[u8]) -> Vec<Ordered> {
        let profile = Profile::builtin("ironlogic-z2").unwrap();
        assert_eq!(profile.line.stop_bits, StopBits::One);
        let mut heard = Recording::new(profile.line);
        heard.push(0, b"No card\r\n");
        heard.push(300, bytes);
        fits(std::slice::from_ref(&heard), &[profile])[0].orders(&heard)
    }

    #[test]
    fn the_order_is_found_by_the_number_that_lime_has() {
        let orders = orders(b"Mifare[BCD14264] 1K (0004,08) 066,53692\r\n");
        for (number, expected) in [
            ("BCD14264", Some((UidOrder::AsIs, Match::Hex))),
            ("64:42:d1:bc", Some((UidOrder::Reversed, Match::Hex))),
            ("0x6442D1BC", Some((UidOrder::Reversed, Match::Hex))),
            ("1682100668", Some((UidOrder::Reversed, Match::Decimal))),
            ("066,53692", Some((UidOrder::Reversed, Match::Wiegand26))),
            ("66/53692", Some((UidOrder::Reversed, Match::Wiegand26))),
            ("BCD14265", None),
            ("", None),
            ("99999999999999999999999", None),
        ] {
            assert_eq!(matches(number, &orders), expected, "{number}");
        }
    }
}

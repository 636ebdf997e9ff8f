//! The demo where standard output is no terminal: plain lines, and the words that both forms share.

use crate::status::Link;

use super::model::{DestinationRow, Model};

/// `14:32:07` in the venue's zone.
#[must_use]
pub fn clock_text(wall_ms: i64, zone: &jiff::tz::TimeZone) -> String {
    match jiff::Timestamp::from_millisecond(wall_ms) {
        Ok(time) => time.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string(),
        Err(_) => "--:--:--".to_owned(),
    }
}

/// `37/s, 12 s left`
#[must_use]
pub fn remaining_text(row: &DestinationRow) -> String {
    match row.remaining_s() {
        _ if row.link == Link::Down => "waits for it to come back".to_owned(),
        Some(seconds) => format!("{:.0}/s, {seconds:.0} s left", row.rate),
        None => "waiting".to_owned(),
    }
}

/// One line of state, for every few seconds.
#[must_use]
pub fn state_line(model: &Model) -> String {
    let made: u64 = model.gates.iter().map(|gate| gate.made).sum();
    let acknowledged: u64 = model.gates.iter().map(|gate| gate.acknowledged).sum();
    let mut line = format!("{:>4} s  made {made}, acknowledged {acknowledged}", model.elapsed_ms / 1000);
    for row in &model.destinations {
        line.push_str(&format!("; {}: {} delivered, {} waiting", row.name, row.delivered, row.waiting));
        if row.waiting > 0 {
            line.push_str(&format!(" ({})", remaining_text(row)));
        }
    }
    line
}

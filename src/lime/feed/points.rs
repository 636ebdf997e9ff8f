//! The places where passes are taken, by name: read now and then, so that a deal can say "Cafe" where a receipt says `sp-9`. Pure.

use std::time::Duration;

use crate::delivery::{Host, Ledger};
use crate::domain::ServicePointId;
use crate::feed::{Feed, Heard, Page, Turn};
use crate::journal::{Learned, LedgerKey};
use crate::lime::{parse, requests};

/// Places are renamed rarely.
const EVERY: Duration = Duration::from_secs(3_600);

/// An answer that is of no use is asked for again after this long.
const PAUSE: Duration = Duration::from_secs(300);

/// Where a place's name stands in the ledger: `lime.point`, by Lime's id, as plain text.
#[must_use]
pub fn point_key(id: &ServicePointId) -> LedgerKey {
    LedgerKey { kind: "lime.point".to_owned(), key: id.as_str().to_owned() }
}

/// Reads the names of places into the ledger.
#[derive(Debug, Default)]
pub struct Points;

impl Feed for Points {
    fn name(&self) -> &'static str {
        "lime.points"
    }

    fn host(&self) -> Host {
        Host::Lime
    }

    fn next(&mut self, heard: Heard<'_>, ledger: &dyn Ledger, _now_wall_ms: i64) -> Turn {
        let answer = match heard {
            Heard::Begin => return Turn::Ask(requests::service_points()),
            Heard::Kept => return Turn::Rest(EVERY),
            Heard::Answer(answer) => answer,
        };
        let points = match parse::service_points(answer) {
            Ok(points) => points,
            // The check of `service_point` in gates does without, too.
            Err(parse::ParseProblem::NotFound) => return Turn::Rest(EVERY),
            Err(problem) => return Turn::Trouble("lime/points", problem.to_string(), PAUSE),
        };
        let learned: Vec<Learned> = points
            .into_iter()
            .filter(|point| !point.name.is_empty())
            .map(|point| Learned { key: point_key(&point.id), value: Some(point.name) })
            .filter(|line| ledger.get(&line.key) != line.value)
            .collect();
        if learned.is_empty() { Turn::Rest(EVERY) } else { Turn::Keep(Page { news: Vec::new(), learned }) }
    }
}

//! What has changed since a moment, asked by `updatedTime`: for a portal that does not queue changes for us.
//!
//! A walk goes by id, not by time: what changes while it goes on moves in time but not by id, so that nothing slips between two pages. It begins a little
//! before the last one began, by the portal's own clock, for a change is stamped before it can be seen. Some portals find nothing by a time with an
//! offset, and do not say so: which spelling works is tried out on a record that is there.
//!
//! Never: our clock for the portal's; a moment that moves on past pages that were not read.

use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, civil};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::batch::{Command, Outcome};
use super::fault;
use super::listener::{Ears, stopped};
use super::wire;
use crate::feed::Turn;

/// How far before the last walk's begin the next one looks, milliseconds.
pub const OVERLAP_MS: i64 = 60_000;
/// Rows of a page.
const PAGE: usize = 50;

/// How a portal wants times in filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spelling {
    /// `2026-11-22T14:32:00+03:00`
    Offset,
    /// `2026-11-22 14:32:00`, by the portal's clock.
    Plain,
}

/// How far changes are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    /// Everything before this is known, milliseconds since 1970 UTC by the portal's clock.
    pub since_ms: i64,
    /// The portal's offset, seconds.
    pub offset_s: i32,
    /// None until there is a record to try it out on.
    pub spelling: Option<Spelling>,
    /// A walk under way: when it began, and the last id that it read.
    pub walk: Option<(i64, u64)>,
}

impl Watermark {
    /// From now on.
    ///
    /// # Errors
    /// How the feed goes on, when the portal does not answer.
    pub async fn now<S>(ears: &Ears<S>) -> Result<Self, Turn> {
        let outcomes = ears.batch(&[ask_time()]).await?;
        let (since_ms, offset_s) = time(outcomes.first())?;
        Ok(Self { since_ms, offset_s, spelling: None, walk: None })
    }

    /// Finds out which spelling the portal's filters understand, where that is not known.
    ///
    /// # Errors
    /// How the feed goes on, when the portal does not answer or understands neither.
    pub async fn try_out<S>(&mut self, ears: &Ears<S>, entity: u64) -> Result<(), Turn> {
        if self.spelling.is_some() {
            return Ok(());
        }
        let newest = json!({ "entityTypeId": entity, "select": ["id", "updatedTime"], "order": { "updatedTime": "DESC" } });
        let found = rows(ears.batch(&[Command::new("crm.item.list", newest)]).await?.pop())?;
        let Some((id, at)) = found.first().and_then(|(id, row)| Some((*id, row.get("updatedTime")?.as_str()?.to_owned()))) else { return Ok(()) };
        let Some((at_ms, offset_s)) = moment(&at) else { return Ok(()) };
        let both = [Spelling::Offset, Spelling::Plain];
        let asks = both.map(|spelling| {
            // A second earlier: the record is there, whatever is compared how.
            let filter = json!({ "=id": id, ">=updatedTime": spelled(at_ms - 1_000, offset_s, spelling) });
            Command::new("crm.item.list", json!({ "entityTypeId": entity, "filter": filter, "select": ["id"], "start": -1 }))
        });
        for (spelling, outcome) in both.into_iter().zip(ears.batch(&asks).await?) {
            if self.spelling.is_none() && rows(Some(outcome)).is_ok_and(|rows| !rows.is_empty()) {
                self.spelling = Some(spelling);
            }
        }
        if self.spelling.is_none() {
            let text = "the portal finds no record by the time of its last change; changes made there do not reach Lime".to_owned();
            return Err(Turn::Trouble("crm/time_filter", text, std::time::Duration::from_secs(3_600)));
        }
        Ok(())
    }

    /// The next page of what changed; with it, whether the walk goes on, and the outcomes of what is asked `besides` in the same request. The mark has moved.
    ///
    /// # Errors
    /// How the feed goes on, when the portal does not answer.
    pub async fn page<S>(
        &mut self,
        ears: &Ears<S>,
        entity: u64,
        only: Map<String, Value>,
        select: &[&str],
        besides: Option<Command>,
    ) -> Result<(Vec<(u64, Value)>, bool, Option<Outcome>), Turn> {
        let after = self.walk.map_or(0, |(_, after)| after);
        let from = spelled(self.since_ms.saturating_sub(OVERLAP_MS), self.offset_s, self.spelling.unwrap_or(Spelling::Offset));
        let mut filter = only;
        filter.insert(">=updatedTime".to_owned(), json!(from));
        filter.insert(">id".to_owned(), json!(after));
        let ask = json!({ "entityTypeId": entity, "filter": filter, "select": select, "order": { "id": "ASC" }, "start": -1 });
        let mut commands = vec![ask_time(), Command::new("crm.item.list", ask)];
        commands.extend(besides);
        let mut outcomes = ears.batch(&commands).await?.into_iter();
        let (now_ms, offset_s) = time(outcomes.next().as_ref())?;
        let page = rows(outcomes.next())?;
        let began = self.walk.map_or(now_ms, |(began, _)| began);
        let more = page.len() >= PAGE;
        match page.last() {
            Some((last, _)) if more => self.walk = Some((began, *last)),
            // The clocks were changed while it went on: some times were asked for by the wrong hour, so this walk counts for nothing.
            _ if offset_s != self.offset_s => (self.walk, self.offset_s) = (None, offset_s),
            _ => (self.walk, self.since_ms) = (None, began),
        }
        Ok((page, more, outcomes.next()))
    }
}

fn ask_time() -> Command {
    Command::new("server.time", json!({}))
}

fn time(outcome: Option<&Outcome>) -> Result<(i64, i32), Box<Turn>> {
    let text = match outcome {
        Some(Outcome::Done { result, .. }) => result.as_str(),
        Some(Outcome::Fault { fault, .. }) => return Err(stopped(fault).into()),
        Some(Outcome::Unanswered) | None => None,
    };
    text.and_then(moment).ok_or_else(|| unanswered().into())
}

/// Rows of `crm.item.list`, with their ids.
///
/// # Errors
/// How the feed goes on, when there are none because the portal refused.
pub fn rows(outcome: Option<Outcome>) -> Result<Vec<(u64, Value)>, Box<Turn>> {
    match outcome {
        Some(Outcome::Done { result, .. }) => {
            let rows = result.get("items").map(wire::rows).unwrap_or_default();
            Ok(rows.into_iter().filter_map(|row| Some((wire::id(row.get("id")?)?, row.clone()))).collect())
        }
        Some(Outcome::Fault { fault, timing }) => Err(Box::new(match fault::classify(&fault, timing) {
            fault::Class::Busy { after, .. } => Turn::Rest(after),
            _ => stopped(&fault),
        })),
        Some(Outcome::Unanswered) | None => Err(unanswered().into()),
    }
}

fn unanswered() -> Turn {
    Turn::Trouble("crm/unanswered", "the portal leaves a command unanswered".to_owned(), std::time::Duration::from_secs(30))
}

/// The instant and the offset of a time of the portal's.
fn moment(text: &str) -> Option<(i64, i32)> {
    let at: Timestamp = text.parse().ok()?;
    let local: civil::DateTime = text.get(..19)?.parse().ok()?;
    let local = local.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some((at.as_millisecond(), i32::try_from(local.as_second() - at.as_second()).ok()?))
}

fn spelled(at_ms: i64, offset_s: i32, spelling: Spelling) -> String {
    let Ok(at) = Timestamp::from_millisecond(at_ms) else { return String::new() };
    let zone = Offset::from_seconds(offset_s).map_or(TimeZone::UTC, TimeZone::fixed);
    let form = match spelling {
        Spelling::Offset => "%Y-%m-%dT%H:%M:%S%:z",
        Spelling::Plain => "%Y-%m-%d %H:%M:%S",
    };
    at.to_zoned(zone).strftime(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_the_portal_are_read_and_spelled_by_its_own_clock() {
        let (at, offset) = moment("2026-11-22T14:32:00+03:00").unwrap();
        assert_eq!((at, offset), (1_795_347_120_000, 10_800));
        assert_eq!(spelled(at, offset, Spelling::Offset), "2026-11-22T14:32:00+03:00");
        assert_eq!(spelled(at, offset, Spelling::Plain), "2026-11-22 14:32:00");
        assert_eq!(moment("yesterday"), None);
    }
}

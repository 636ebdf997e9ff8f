//! Deals of bookings that are new, changed or gone: from the portal's queue of changes where it offers one, else by the time of their last change and, for
//! those that were deleted, by a daily look at the ids that are bound to a preorder.
//!
//! Only that a deal changed is told; whoever delivers reads it. A change of its rows, its stage or its fields moves its time, so that one walk tells of all
//! three. A walk by time is through the funnel of bookings alone; that a deal with a preorder was moved out of it, and what becomes of it there, is told by
//! the history of stages. At the very first start, the open deals of the funnel are told of once.
//!
//! Never: a deal of another funnel told of, unless a preorder is bound to it; one left untold because its second change fell into the same second as the
//! first.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::batch::{Command, LIMIT, Outcome};
use super::errands::Kept;
use super::listener::{Ears, End, Listener, Start, scripts};
use super::offline::{self, Queue, Row};
use super::places::{self, Places};
use super::polling::{self, OVERLAP_MS, Watermark};
use super::schema::{self, DEAL};
use super::wire;
use crate::config::{Bitrix24, BitrixAuth, Hub};
use crate::domain::Told;
use crate::feed::{Feed, News, Page, Turn};
use crate::flow::preorders::bound_key;
use crate::journal::Learned;

/// The feed's name.
pub const NAME: &str = "bitrix24.deals";

/// What our own changes of bookings' deals bear, so that the queue does not tell us of them.
pub const CONNECTOR: &str = "limegate_deals";

const QUEUE: Queue = Queue { connector: CONNECTOR, events: &["ONCRMDEALADD", "ONCRMDEALUPDATE", "ONCRMDEALDELETE"] };

/// How often deals that were deleted are looked for, and how often a queue that was not offered is asked for again, milliseconds.
const DAY_MS: i64 = 86_400_000;
/// A mark that has moved without news is put on disk after this long, milliseconds.
const SAVE_MS: i64 = 600_000;
/// Most deals of the overlap that are remembered; of the others, a second look costs a job that writes nothing.
const SEEN: usize = 50;
/// Ids that a sweep looks up in the ledger at a time.
const SWEPT: u64 = 5_000;
/// Rows of a page.
const PAGE: usize = 50;
/// Until the funnel is there.
const UNTIL_SET_UP: Duration = Duration::from_secs(60);

/// Marks a command that changes a booking's deal as ours, where the portal passes such changes over.
#[must_use]
pub fn as_ours(mut command: Command, kept: &Kept) -> Command {
    if let (Some(_), Value::Object(params)) = (kept.get(&offline::ledger_key(CONNECTOR)), &mut command.params) {
        params.insert("auth_connector".to_owned(), json!(CONNECTOR));
    }
    command
}

/// What the feed was told to do.
#[derive(Clone)]
struct Settings {
    app: bool,
    hub: Hub,
}

/// The cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// The open deals that were there before us have been told of, up to this id; none once all were.
    #[serde(default)]
    first: First,
    /// How far changes are known by their time; none while the queue tells.
    #[serde(default)]
    mark: Option<Watermark>,
    /// The last move in the history of stages that is known; none until it was first looked at.
    #[serde(default)]
    moves: Option<u64>,
    /// A process of the queue whose page is on disk.
    #[serde(default)]
    clear: Option<String>,
    /// The queue is not offered: not asked for before this, milliseconds since 1970 UTC.
    #[serde(default)]
    without_queue_until: Option<i64>,
    /// Deals of the overlap: when they were changed.
    #[serde(default)]
    seen: BTreeMap<u64, String>,
    #[serde(default)]
    sweep: Sweep,
    /// When the mark was last put on disk.
    #[serde(default)]
    saved_ms: i64,
}

/// The walk over the deals that were there before us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum First {
    After(u64),
    Over,
}

impl Default for First {
    fn default() -> Self {
        Self::After(0)
    }
}

/// The look for deals that are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sweep {
    /// When the last one ended.
    ended_ms: i64,
    /// One is under way: ids up to this are looked at.
    at: Option<u64>,
    /// The largest id that we have seen.
    top: u64,
}

/// The feed of deals of a portal.
#[must_use]
pub fn feed(portal: &Bitrix24, hub: &Hub) -> Box<dyn Feed> {
    let settings = Settings { app: matches!(portal.auth, BitrixAuth::OAuth { .. }), hub: hub.clone() };
    Box::new(Listener::new(NAME, scripts(move |ears, start| listen(ears, start, settings.clone()))))
}

async fn listen(ears: Ears<State>, start: Start<State>, settings: Settings) -> End<State> {
    let Start { mut state, now_ms, fresh } = start;
    let Some(category) = category(&ears, &settings.hub).await? else {
        let text = "the pipeline of bookings is not there, or there are several of its name; `limegate crm check` says more".to_owned();
        return Err(Turn::Trouble("setup/pipeline", text, UNTIL_SET_UP));
    };
    let poll = settings.hub.poll;
    let asks_queue = settings.app && state.without_queue_until.is_none_or(|until| until <= now_ms || until - now_ms > DAY_MS);
    let desk = Desk { ears, category, now_ms };
    if asks_queue {
        if desk.by_queue(&mut state, fresh).await?.is_some() {
            desk.first(&mut state).await?;
            return Ok((Turn::Rest(poll), state));
        }
        state.without_queue_until = Some(now_ms + DAY_MS);
        let unbound = Learned { key: offline::ledger_key(CONNECTOR), value: None };
        desk.ears.keep(Page { news: Vec::new(), learned: vec![unbound] }, state.clone()).await;
    }
    desk.by_time(&mut state).await?;
    desk.first(&mut state).await?;
    if now_ms - state.sweep.ended_ms >= DAY_MS {
        desk.sweep(&mut state).await?;
    }
    Ok((Turn::Rest(poll), state))
}

/// The funnel of bookings: as the ledger keeps it, else by its name.
async fn category(ears: &Ears<State>, hub: &Hub) -> Result<Option<u64>, Turn> {
    let kept = ears.look_one(places::ledger_key(hub)).await.and_then(|text| Places::from_text(&text));
    if let Some(bookings) = kept.and_then(|places| places.bookings) {
        return Ok(Some(bookings.category));
    }
    match ears.batch(&[schema::ask_funnels()]).await?.pop() {
        Some(Outcome::Done { result, .. }) => {
            let funnels = schema::funnels(&result);
            Ok(places::funnel_or(&hub.preorders.pipeline, &funnels, None).ok().and_then(|funnel| funnel.id.parse().ok()))
        }
        Some(Outcome::Fault { fault, .. }) => Err(super::listener::stopped(&fault)),
        Some(Outcome::Unanswered) | None => Err(Turn::Rest(UNTIL_SET_UP)),
    }
}

struct Desk {
    ears: Ears<State>,
    /// The funnel of bookings.
    category: u64,
    now_ms: i64,
}

impl Desk {
    /// Takes what the queue has; `None` where it is not offered.
    async fn by_queue(&self, state: &mut State, fresh: bool) -> Result<Option<()>, Turn> {
        if fresh {
            if QUEUE.bind(&self.ears).await?.is_none() {
                return Ok(None);
            }
            if let Some(process) = state.clear.take() {
                QUEUE.clear(&self.ears, &process).await?;
            }
            let bound = offline::ledger_key(CONNECTOR);
            if self.ears.look_one(bound.clone()).await.is_none() || state.without_queue_until.is_some() {
                // Changes from before the queue was ours were to be told by their time.
                if state.mark.is_some() {
                    self.by_time(state).await?;
                }
                *state = State { first: state.first, sweep: state.sweep.clone(), ..State::default() };
                let learned = vec![Learned { key: bound, value: Some("1".to_owned()) }];
                self.ears.keep(Page { news: Vec::new(), learned }, state.clone()).await;
            }
            let Some(reserved) = QUEUE.reserved(&self.ears).await? else { return Ok(None) };
            for process in reserved {
                loop {
                    let Some((_, rows)) = QUEUE.take(&self.ears, Some(&process)).await? else { return Ok(None) };
                    if rows.is_empty() {
                        break;
                    }
                    self.deliver(state, &process, rows).await?;
                }
            }
        }
        loop {
            let Some((process, rows)) = QUEUE.take(&self.ears, None).await? else { return Ok(None) };
            let (Some(process), false) = (process, rows.is_empty()) else { return Ok(Some(())) };
            self.deliver(state, &process, rows).await?;
        }
    }

    /// Has what a process tells kept, and lets go of it.
    async fn deliver(&self, state: &mut State, process: &str, rows: Vec<Row>) -> Result<(), Turn> {
        // The last that happened to each counts.
        let changed: BTreeMap<u64, bool> = rows.into_iter().map(|row| (row.id, row.event.ends_with("DELETE"))).collect();
        let there: Vec<u64> = changed.iter().filter(|(_, gone)| !**gone).map(|(id, _)| *id).collect();
        let gone: Vec<u64> = changed.into_iter().filter(|(_, gone)| *gone).map(|(id, _)| id).collect();
        let mut news = self.bookings_among(&there).await?;
        news.extend(self.gone(&gone).await);
        if !news.is_empty() {
            state.clear = Some(process.to_owned());
            self.ears.keep(Page { news, learned: Vec::new() }, state.clone()).await;
        }
        QUEUE.clear(&self.ears, process).await
    }

    /// Those of the changed deals that are bookings, or bound to a preorder. One that is not there any more tells of that by itself.
    async fn bookings_among(&self, ids: &[u64]) -> Result<Vec<News>, Turn> {
        let select = ["id", "categoryId", "updatedTime"];
        let commands: Vec<Command> = ids
            .chunks(LIMIT)
            .map(|ids| Command::new("crm.item.list", json!({ "entityTypeId": DEAL, "filter": { "@id": ids }, "select": select, "start": -1 })))
            .collect();
        let mut news = Vec::new();
        for outcome in self.ears.batch(&commands).await? {
            let rows = polling::rows(Some(outcome))?;
            let bound = self.ears.look(rows.iter().map(|(id, _)| bound_key(&id.to_string())).collect()).await;
            for ((id, row), bound) in rows.iter().zip(bound) {
                if bound.is_some() || row.get("categoryId").and_then(wire::id) == Some(self.category) {
                    news.push(self.changed(*id, row, false));
                }
            }
        }
        Ok(news)
    }

    fn changed(&self, id: u64, row: &Value, back_fill: bool) -> News {
        let at = row.get("updatedTime").and_then(Value::as_str).unwrap_or_default();
        News {
            told: Told::Deal { id: id.to_string(), deleted: false },
            // Two changes of one second are two changes.
            version: format!("{at}/{}", self.now_ms),
            changed_ms: changed_ms(row).unwrap_or(self.now_ms),
            origin: None,
            back_fill,
        }
    }

    /// What there is to tell of deals that are gone: of those that a preorder is bound to.
    async fn gone(&self, ids: &[u64]) -> Vec<News> {
        let bound = self.ears.look(ids.iter().map(|id| bound_key(&id.to_string())).collect()).await;
        let gone = ids.iter().zip(bound).filter(|(_, bound)| bound.is_some()).map(|(id, _)| id);
        gone.map(|id| News {
            told: Told::Deal { id: id.to_string(), deleted: true },
            version: "gone".to_owned(),
            changed_ms: self.now_ms,
            origin: None,
            back_fill: false,
        })
        .collect()
    }

    fn only(&self) -> Map<String, Value> {
        Map::from_iter([("categoryId".to_owned(), json!(self.category))])
    }

    /// Tells of the open deals that were there before us.
    async fn first(&self, state: &mut State) -> Result<(), Turn> {
        while let First::After(after) = state.first {
            let mut filter = self.only();
            filter.insert("closed".to_owned(), json!("N"));
            filter.insert(">id".to_owned(), json!(after));
            let select = ["id", "updatedTime"];
            let ask = json!({ "entityTypeId": DEAL, "filter": filter, "select": select, "order": { "id": "ASC" }, "start": -1 });
            let rows = polling::rows(self.ears.batch(&[Command::new("crm.item.list", ask)]).await?.pop())?;
            let last = rows.last().map(|(id, _)| *id);
            state.sweep.top = state.sweep.top.max(last.unwrap_or(0));
            state.first = last.filter(|_| rows.len() >= PAGE).map_or(First::Over, First::After);
            let news = rows.iter().map(|(id, row)| self.changed(*id, row, true)).collect();
            self.ears.keep(Page { news, learned: Vec::new() }, state.clone()).await;
        }
        Ok(())
    }

    /// Asks for what has changed since the mark.
    async fn by_time(&self, state: &mut State) -> Result<(), Turn> {
        let mut mark = match state.mark.take() {
            Some(mark) => mark,
            None => Watermark::now(&self.ears).await?,
        };
        mark.try_out(&self.ears, DEAL).await?;
        if state.sweep.ended_ms == 0 {
            state.sweep.ended_ms = self.now_ms;
        }
        let mut overlap = BTreeMap::new();
        loop {
            let known_until = mark.since_ms;
            let besides = Some(ask_moves(state.moves));
            let (rows, more, moves) = mark.page(&self.ears, DEAL, self.only(), &["id", "updatedTime"], besides).await?;
            state.sweep.top = rows.iter().map(|(id, _)| *id).max().unwrap_or(0).max(state.sweep.top);
            let mut news = self.moved(state, moves).await?;
            for (id, row) in &rows {
                let at = row.get("updatedTime").and_then(Value::as_str).unwrap_or_default().to_owned();
                // Nothing can be added to a second that was over when it was last read.
                let over = changed_ms(row).is_some_and(|changed| changed + OVERLAP_MS / 30 < known_until);
                if !(over && state.seen.get(id) == Some(&at)) {
                    news.push(self.changed(*id, row, false));
                }
                overlap.insert(*id, at);
            }
            while overlap.len() > SEEN {
                overlap.pop_first();
            }
            state.mark = Some(mark.clone());
            if !more {
                state.seen = std::mem::take(&mut overlap);
            }
            if !news.is_empty() || more || self.now_ms.abs_diff(state.saved_ms) >= SAVE_MS.unsigned_abs() {
                state.saved_ms = self.now_ms;
                self.ears.keep(Page { news, learned: Vec::new() }, state.clone()).await;
            }
            if !more {
                return Ok(());
            }
        }
    }

    /// What there is to tell of deals that came to a stage of another funnel: of those that a preorder is bound to.
    async fn moved(&self, state: &mut State, mut outcome: Option<Outcome>) -> Result<Vec<News>, Turn> {
        let mut moved: BTreeMap<u64, u64> = BTreeMap::new();
        // A portal that does not tell its history tells less.
        while let Some(Outcome::Done { result, .. }) = outcome.take() {
            let rows = result.get("items").map(wire::rows).unwrap_or_default();
            let id = |row: &Value, key: &str| row.get(key).and_then(wire::id);
            let last = rows.iter().filter_map(|row| id(row, "ID")).max();
            let Some(known) = state.moves else {
                state.moves = Some(last.unwrap_or(0));
                break;
            };
            state.moves = Some(last.unwrap_or(known).max(known));
            let elsewhere = rows.iter().filter(|row| id(row, "CATEGORY_ID") != Some(self.category));
            moved.extend(elsewhere.filter_map(|row| Some((id(row, "OWNER_ID")?, id(row, "ID")?))));
            if rows.len() >= PAGE && last > Some(known) {
                outcome = self.ears.batch(&[ask_moves(state.moves)]).await?.pop();
            }
        }
        let bound = self.ears.look(moved.keys().map(|id| bound_key(&id.to_string())).collect()).await;
        let ours = moved.into_iter().zip(bound).filter(|(_, bound)| bound.is_some());
        let news = ours.map(|((id, at), _)| News {
            told: Told::Deal { id: id.to_string(), deleted: false },
            version: format!("moved/{at}"),
            changed_ms: self.now_ms,
            origin: None,
            back_fill: false,
        });
        Ok(news.collect())
    }

    /// Looks at the ids that are bound to a preorder whether they are there, in one walk and constant memory.
    async fn sweep(&self, state: &mut State) -> Result<(), Turn> {
        let mut at = state.sweep.at.unwrap_or(0);
        while at < state.sweep.top {
            let until = (at + SWEPT).min(state.sweep.top);
            let ids: Vec<u64> = (at + 1..=until).collect();
            let bound = self.ears.look(ids.iter().map(|id| bound_key(&id.to_string())).collect()).await;
            let known: Vec<u64> = ids.into_iter().zip(bound).filter(|(_, bound)| bound.is_some()).map(|(id, _)| id).collect();
            let commands: Vec<Command> = known
                .chunks(LIMIT)
                .map(|ids| Command::new("crm.item.list", json!({ "entityTypeId": DEAL, "filter": { "@id": ids }, "select": ["id"], "start": -1 })))
                .collect();
            let mut gone = known.clone();
            for outcome in self.ears.batch(&commands).await? {
                let there = polling::rows(Some(outcome))?;
                gone.retain(|id| !there.iter().any(|(there, _)| there == id));
            }
            let news = self.gone(&gone).await;
            at = until;
            state.sweep.at = Some(at);
            if !news.is_empty() {
                self.ears.keep(Page { news, learned: Vec::new() }, state.clone()).await;
            }
        }
        state.sweep = Sweep { ended_ms: self.now_ms, at: None, top: state.sweep.top };
        self.ears.keep(Page::default(), state.clone()).await;
        Ok(())
    }
}

/// Moves since the last one that is known; the newest where none is.
fn ask_moves(known: Option<u64>) -> Command {
    let (filter, order) = known.map_or_else(|| (json!({}), "DESC"), |known| (json!({ ">ID": known }), "ASC"));
    Command::new("crm.stagehistory.list", json!({ "entityTypeId": DEAL, "filter": filter, "order": { "ID": order } }))
}

fn changed_ms(row: &Value) -> Option<i64> {
    row.get("updatedTime")?.as_str()?.parse().ok().map(jiff::Timestamp::as_millisecond)
}

//! Contacts that people changed: from the portal's queue of changes where it offers one, else by the time of their last change and, for those that were
//! deleted, by a daily look at the ids that we know.
//!
//! Only contacts that bear a client are told of, and only where one of the fields that both sides may write is another than we last saw or wrote there.
//!
//! Never: a contact told of for our own write; one left untold because its second change fell into the same second as the first.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::batch::{Command, LIMIT, Outcome};
use super::fault::{self, Class};
use super::listener::{Ears, End, Listener, Start, scripts, stopped};
use super::meetings::CONNECTOR;
use super::offline::{self, Queue, Row};
use super::polling::{self, OVERLAP_MS, Watermark};
use super::record::{self, ORIGINATOR};
use super::schema::{self, CONTACT, Schema};
use super::talk::{contact_key, holder_key};
use super::{person, wire};
use crate::config::{Bitrix24, BitrixAuth, Hub, PassesAs};
use crate::crm::card::CardField;
use crate::domain::{ClientId, Fate, Side, Told};
use crate::feed::{Feed, News, Page, Turn};
use crate::flow::contacts::{Keyer, Link};
use crate::journal::Learned;

const QUEUE: Queue = Queue { connector: CONNECTOR, events: &["ONCRMCONTACTADD", "ONCRMCONTACTUPDATE", "ONCRMCONTACTDELETE"] };

/// The feed's name.
pub const NAME: &str = "bitrix24.contacts";

/// How often contacts that were deleted are looked for, and how often a queue that was not offered is asked for again, milliseconds.
const DAY_MS: i64 = 86_400_000;
/// A mark that has moved without news is put on disk after this long, milliseconds.
const SAVE_MS: i64 = 600_000;
/// Most contacts of the overlap that are remembered; of the others, a second look costs a job that writes nothing.
const SEEN: usize = 50;
/// Ids that a sweep looks up in the ledger at a time.
const SWEPT: u64 = 5_000;
/// The namespace of fingerprints; any fixed value would do.
const NAMESPACE: Uuid = Uuid::from_u128(0x5a0e_7d33_21b8_4c55_8d10_6c69_6d65_6234);

/// What the feed was told to do.
#[derive(Clone)]
struct Settings {
    app: bool,
    passes: PassesAs,
    poll: std::time::Duration,
    keyer: Keyer,
}

/// The cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// How far changes are known by their time; none while the queue tells.
    #[serde(default)]
    mark: Option<Watermark>,
    /// A process of the queue whose page is on disk.
    #[serde(default)]
    clear: Option<String>,
    /// The queue is not offered: not asked for before this, milliseconds since 1970 UTC.
    #[serde(default)]
    without_queue_until: Option<i64>,
    /// Contacts of the overlap: when they were changed, and a fingerprint of their fields.
    #[serde(default)]
    seen: BTreeMap<u64, (String, String)>,
    #[serde(default)]
    sweep: Sweep,
    /// When the mark was last put on disk.
    #[serde(default)]
    saved_ms: i64,
}

/// The look for contacts that are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sweep {
    /// When the last one ended.
    ended_ms: i64,
    /// One is under way: ids up to this are looked at.
    at: Option<u64>,
    /// The largest id that we have seen.
    top: u64,
}

/// The feed of contacts of a portal.
#[must_use]
pub fn feed(portal: &Bitrix24, hub: &Hub, keyer: Keyer) -> Box<dyn Feed> {
    let app = matches!(portal.auth, BitrixAuth::OAuth { .. });
    let settings = Settings { app, passes: portal.passes.clone(), poll: hub.poll, keyer };
    Box::new(Listener::new(NAME, scripts(move |ears, start| listen(ears, start, settings.clone()))))
}

async fn listen(ears: Ears<State>, start: Start<State>, settings: Settings) -> End<State> {
    let Start { mut state, now_ms, fresh } = start;
    let asks_queue = settings.app && state.without_queue_until.is_none_or(|until| until <= now_ms || until - now_ms > DAY_MS);
    let desk = Desk { key: client_field(&ears, &settings).await, ears, settings, now_ms };
    if asks_queue {
        if desk.by_queue(&mut state, fresh).await?.is_some() {
            return Ok((Turn::Rest(desk.settings.poll), state));
        }
        let is_news = state.without_queue_until.is_none();
        state.without_queue_until = Some(now_ms + DAY_MS);
        let unbound = Learned { key: offline::ledger_key(CONNECTOR), value: None };
        desk.ears.keep(Page { news: Vec::new(), learned: vec![unbound] }, state.clone()).await;
        if is_news {
            let text = "the portal's plan or the app's rights lack offline events; changed contacts are asked for by time instead".to_owned();
            return Err(Turn::Trouble("setup/offline_events", text, std::time::Duration::from_secs(1)));
        }
    }
    desk.by_time(&mut state).await?;
    if now_ms - state.sweep.ended_ms >= DAY_MS {
        desk.sweep(&mut state).await?;
    }
    Ok((Turn::Rest(desk.settings.poll), state))
}

/// The portal's key of the field that holds the client's id, where the schema is known.
async fn client_field(ears: &Ears<State>, settings: &Settings) -> Option<String> {
    let schema = ears.look_one(schema::ledger_key(&settings.passes)).await?;
    let schema: Schema = serde_json::from_str(&schema).ok()?;
    schema.contact.get(CardField::ClientId.code()).cloned()
}

/// A contact that was examined and has something to tell.
struct Examined {
    id: u64,
    /// When it was changed, and a fingerprint of its fields; none for one that is gone.
    seen: Option<(String, String)>,
    news: Option<News>,
}

struct Desk {
    ears: Ears<State>,
    settings: Settings,
    key: Option<String>,
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
                *state = State { sweep: state.sweep.clone(), ..State::default() };
                self.ears.keep(Page { news: Vec::new(), learned: vec![Learned { key: bound, value: Some("1".to_owned()) }] }, state.clone()).await;
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
        // The last that happened to each counts, and it is read as it is now.
        let changed: BTreeMap<u64, bool> = rows.into_iter().map(|row| (row.id, row.event.ends_with("DELETE"))).collect();
        let there: Vec<u64> = changed.iter().filter(|(_, gone)| !**gone).map(|(id, _)| *id).collect();
        let gone: Vec<u64> = changed.into_iter().filter(|(_, gone)| *gone).map(|(id, _)| id).collect();
        let mut news: Vec<News> = self.examine(&there).await?.into_iter().filter_map(|one| one.news).collect();
        news.extend(self.gone(&gone).await);
        if !news.is_empty() {
            state.clear = Some(process.to_owned());
            self.ears.keep(Page { news, learned: Vec::new() }, state.clone()).await;
        }
        QUEUE.clear(&self.ears, process).await
    }

    /// Asks for what has changed since the mark.
    async fn by_time(&self, state: &mut State) -> Result<(), Turn> {
        let mut mark = match state.mark.take() {
            Some(mark) => mark,
            None => Watermark::now(&self.ears).await?,
        };
        mark.try_out(&self.ears, CONTACT).await?;
        if state.sweep.ended_ms == 0 {
            state.sweep.ended_ms = self.now_ms;
        }
        let mut select = vec!["id", "updatedTime", "originatorId", "originId"];
        select.extend(self.key.as_deref());
        let mut overlap = BTreeMap::new();
        loop {
            let known_until = mark.since_ms;
            let (rows, more, _) = mark.page(&self.ears, CONTACT, Map::new(), &select, None).await?;
            state.sweep.top = rows.iter().map(|(id, _)| *id).max().unwrap_or(0).max(state.sweep.top);
            let mut ids = Vec::new();
            for (id, row) in rows.iter().filter(|(_, row)| self.client_of(row).is_some()) {
                // Nothing can be added to a second that was over when it was last read.
                let over = person::changed_ms(row) + OVERLAP_MS / 30 < known_until;
                let at = row.get("updatedTime").and_then(Value::as_str).unwrap_or_default();
                match state.seen.get(id).filter(|(seen, _)| over && seen == at) {
                    Some(seen) => {
                        overlap.insert(*id, seen.clone());
                    }
                    None => ids.push(*id),
                }
            }
            let mut news = Vec::new();
            for one in self.examine(&ids).await? {
                let known = one.seen.is_some() && state.seen.get(&one.id) == one.seen.as_ref();
                news.extend(one.news.filter(|_| !known));
                if let Some(seen) = one.seen {
                    overlap.insert(one.id, seen);
                }
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

    /// Looks at the ids that we know whether they are there, in one walk and constant memory.
    async fn sweep(&self, state: &mut State) -> Result<(), Turn> {
        let mut at = state.sweep.at.unwrap_or(0);
        while at < state.sweep.top {
            let until = (at + SWEPT).min(state.sweep.top);
            let ids: Vec<u64> = (at + 1..=until).collect();
            let held = self.ears.look(ids.iter().map(|id| holder_key(*id)).collect()).await;
            let known: Vec<u64> = ids.into_iter().zip(held).filter(|(_, held)| held.is_some()).map(|(id, _)| id).collect();
            let commands: Vec<Command> = known
                .chunks(LIMIT)
                .map(|ids| Command::new("crm.item.list", json!({ "entityTypeId": CONTACT, "filter": { "@id": ids }, "select": ["id"], "start": -1 })))
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

    /// Reads contacts, and says what there is to tell of each.
    async fn examine(&self, ids: &[u64]) -> Result<Vec<Examined>, Turn> {
        let commands: Vec<Command> = ids.iter().map(|id| Command::new("crm.item.get", json!({ "entityTypeId": CONTACT, "id": id }))).collect();
        let mut examined = Vec::new();
        for (id, outcome) in ids.iter().zip(self.ears.batch(&commands).await?) {
            let item = match outcome {
                Outcome::Done { mut result, .. } => result.get_mut("item").map(Value::take).unwrap_or_default(),
                Outcome::Unanswered => {
                    return Err(Turn::Trouble("crm/unanswered", "the portal leaves a command unanswered".to_owned(), self.settings.poll));
                }
                Outcome::Fault { fault, timing } => match fault::classify(&fault, timing) {
                    Class::Gone => {
                        let news = self.gone(&[*id]).await;
                        examined.extend(news.into_iter().map(|news| Examined { id: *id, seen: None, news: Some(news) }));
                        continue;
                    }
                    Class::Busy { after, .. } => return Err(Turn::Rest(after)),
                    _ => return Err(stopped(&fault)),
                },
            };
            let Some(client) = self.client_of(&item) else { continue };
            let card = person::card(&item);
            let alike = Link::alike(String::new(), &self.settings.keyer, &client, &card).to_json();
            let print: String = Uuid::new_v5(&NAMESPACE, alike.as_bytes()).simple().to_string().chars().take(16).collect();
            let at = item.get("updatedTime").and_then(Value::as_str).unwrap_or_default().to_owned();
            let mut lines = self.ears.look(vec![Link::ledger_key(&client), contact_key(&client)]).await.into_iter();
            let link = lines.next().flatten().as_deref().and_then(Link::from_json).filter(|link| link.contact == id.to_string());
            let is_new = link.is_none_or(|link| !link.knows(&self.settings.keyer, &client, Side::Crm, &card));
            // Another contact that bears the client is none of ours.
            let is_theirs = lines.next().flatten().is_none_or(|contact| contact == id.to_string());
            let news = (is_new && is_theirs).then(|| News {
                told: Told::Contact { id: id.to_string(), client: Some(client), fate: Fate::There },
                version: format!("{at}/{print}"),
                changed_ms: person::changed_ms(&item),
                origin: None,
                back_fill: false,
            });
            examined.push(Examined { id: *id, seen: Some((at, print)), news });
        }
        Ok(examined)
    }

    /// What there is to tell of contacts that are gone: of those that were a client's.
    async fn gone(&self, ids: &[u64]) -> Vec<News> {
        let held = self.ears.look(ids.iter().map(|id| holder_key(*id)).collect()).await;
        let gone = ids.iter().zip(held).filter_map(|(id, client)| Some((id, ClientId::from(client?.as_str()))));
        gone.map(|(id, client)| News {
            told: Told::Contact { id: id.to_string(), client: Some(client), fate: Fate::Deleted },
            version: "gone".to_owned(),
            changed_ms: self.now_ms,
            origin: None,
            back_fill: false,
        })
        .collect()
    }

    /// The client that a contact bears: by our origin, else by our field.
    fn client_of(&self, item: &Value) -> Option<ClientId> {
        let text = |key: &str| item.get(key).and_then(wire::text).filter(|text| !text.is_empty());
        let ours = text("originatorId").is_some_and(|originator| originator == ORIGINATOR);
        let by_origin = text("originId").filter(|_| ours).and_then(|origin| record::client_of_origin(&origin));
        by_origin.or_else(|| Some(ClientId::from(text(self.key.as_deref()?)?.as_str())))
    }
}

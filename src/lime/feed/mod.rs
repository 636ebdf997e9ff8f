//! The feeds of Lime: clients, transactions, products, preorders. Pure.
//!
//! A feed is read from its cursor, with a long poll at its end. Where there is none yet, clients, products and preorders are walked through once, and
//! transactions begin now: years of receipts would be years of deals that nobody asked for, and `limegate sync run --since` brings as many as one wants.
//! A cursor that has expired is a walk, too; of transactions only those since shortly before the last one seen are told again, and each has a business
//! key that makes it harmless.
//!
//! Never: a change that this box made itself, told as news; a pass that a gateway has delivered, told as a purchase; a receipt dropped because of its age
//! after an outage.

mod place;
mod points;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::delivery::{Host, Ledger};
use crate::domain::{Change, Preorder, Product, Receipt, ReceiptKind, Told};
use crate::feed::{Feed, Heard, News, Page, Turn, cursor_key};
use crate::http::Answer;
use crate::journal::Learned;

use super::changes::{self, ClientNamed, From, Item, NoPage, Object, Op, PAGE_LIMIT};
use super::{ParseProblem, clients, preorders, products};

pub use place::{KeepFrom, Place, Walk, Walked, Wish};
pub use points::{Points, point_key};

/// How long Lime may keep a question when there is nothing to tell.
const WAIT: Duration = Duration::from_secs(20);

/// A page that is too large or too slow is asked for in smaller pieces, down to this many items.
const LEAST_PAGE: usize = 20;

/// A cursor that moves without news is kept this often.
const KEEP_EVERY_MS: i64 = 600_000;

/// Changes may be told out of order: after a lost cursor, transactions are told again from so long before the last one seen.
const OVERLAP_MS: i64 = 86_400_000;

/// A feed that Lime does not offer is asked for again after this long.
const NOT_OFFERED_PAUSE: Duration = Duration::from_secs(600);

/// The same for an answer that cannot be used.
const TROUBLE_PAUSE: Duration = Duration::from_secs(60);

/// Which feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Clients: new, changed, gone.
    Clients,
    /// Transactions: sales, top-ups, refunds, bonuses.
    Transactions,
    /// Products and their groups.
    Products,
    /// Preorders.
    Preorders,
}

impl Kind {
    /// All of them, in the order in which they are of use to each other.
    pub const ALL: [Self; 4] = [Self::Products, Self::Clients, Self::Transactions, Self::Preorders];

    /// Lime's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Transactions => "transactions",
            Self::Products => "products",
            Self::Preorders => "preorders",
        }
    }

    /// The feed's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Clients => "lime.clients",
            Self::Transactions => "lime.transactions",
            Self::Products => "lime.products",
            Self::Preorders => "lime.preorders",
        }
    }
}

/// One of Lime's feeds.
#[derive(Debug)]
pub struct LimeFeed {
    kind: Kind,
    place: Place,
    /// The last turn was a rest: the place is that of the last page, and Lime answers.
    rested: bool,
    more: bool,
    limit: usize,
    asked_ms: i64,
    waits: bool,
    unanswered: bool,
    wish: bool,
    odd: Vec<String>,
}

/// What is made of a page.
#[derive(Default)]
struct Harvest {
    page: Page,
    passed: u64,
}

impl LimeFeed {
    /// The feed; its place is read from the ledger.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            place: Place::default(),
            rested: false,
            more: false,
            limit: PAGE_LIMIT,
            asked_ms: 0,
            waits: false,
            unanswered: false,
            wish: false,
            odd: Vec::new(),
        }
    }

    fn begin(&mut self, ledger: &dyn Ledger, now: i64) -> Turn {
        let rested = std::mem::take(&mut self.rested);
        if !rested {
            self.place = ledger.get(&cursor_key(self.kind.name())).and_then(|text| Place::parse(&text)).unwrap_or_default();
        }
        if std::mem::take(&mut self.unanswered) {
            self.limit = (self.limit / 2).max(LEAST_PAGE);
        }
        self.wish = false;
        let wish = ledger.get(&Wish::key(self.kind.name())).and_then(|text| Wish::parse(&text));
        if let Some(wish) = wish {
            let keep_from = wish.since_ms.map_or(KeepFrom::Everything, KeepFrom::Since);
            self.place.walk = Some(Walk { id: wish.id, keep_from, ..Walk::default() });
            self.place.cursor.clear();
            self.place.told.clear();
            self.wish = true;
        } else if self.place.cursor.is_empty() && self.place.walk.is_none() {
            let keep_from = if self.kind == Kind::Transactions { KeepFrom::News } else { KeepFrom::Everything };
            self.place.walk = Some(Walk { keep_from, ..Walk::default() });
        }
        // After a failure whoever asks first finds out whether Lime is back: that must not take long.
        self.ask(rested && self.place.walk.is_none(), now)
    }

    fn ask(&mut self, waits: bool, now: i64) -> Turn {
        let whole = self.place.walk.as_ref().is_none_or(|walk| walk.keep_from != KeepFrom::News);
        let from = match (self.place.cursor.as_str(), whole) {
            ("", true) => From::Everything,
            ("", false) => From::Oldest,
            (cursor, _) => From::Cursor(cursor),
        };
        (self.asked_ms, self.waits, self.unanswered) = (now, waits, true);
        Turn::Ask(changes::changes(self.kind.word(), from, self.limit, if waits { WAIT } else { Duration::ZERO }))
    }

    fn answered(&mut self, answer: &Answer, ledger: &dyn Ledger, now: i64) -> Turn {
        match self.kind {
            Kind::Clients => self.read(changes::page::<ClientNamed>(answer), ledger, now),
            Kind::Transactions => self.read(changes::page::<Receipt>(answer), ledger, now),
            Kind::Products => self.read(changes::page::<Product>(answer), ledger, now),
            Kind::Preorders => self.read(changes::page::<Preorder>(answer), ledger, now),
        }
    }

    fn read<T: Tells>(&mut self, page: Result<changes::Page<T>, NoPage>, ledger: &dyn Ledger, now: i64) -> Turn {
        let page = match page {
            Ok(page) => page,
            Err(NoPage::Expired) if !self.place.cursor.is_empty() => return self.walk_anew(now),
            Err(problem) => return trouble(&problem),
        };
        self.limit = (self.limit * 2).min(PAGE_LIMIT);
        let stands = page.next_cursor == self.place.cursor;
        if stands && page.has_more {
            let text = "Lime says that there is more and gives the same cursor again".to_owned();
            return Turn::Trouble("lime/cursor", text, TROUBLE_PAUSE);
        }
        let nothing = stands || page.items.is_empty();
        let before = self.place.clone();
        if let Some(walk) = &mut self.place.walk {
            walk.news_from_ms.get_or_insert(page.server_ms.unwrap_or(now));
        }
        let mut harvest = Harvest { passed: page.odd.len() as u64, ..Harvest::default() };
        self.odd.extend(page.odd);
        for item in page.items {
            self.take(item, ledger, now, &mut harvest);
        }
        self.place.cursor = page.next_cursor;
        self.more = page.has_more;
        self.end_of_page(&harvest);
        let stale = now.saturating_sub(before.kept_ms) >= KEEP_EVERY_MS || now < before.kept_ms;
        let moved = self.place.walk != before.walk || self.place.cursor != before.cursor && stale;
        let worth = !harvest.page.news.is_empty() || !harvest.page.learned.is_empty() || moved || self.wish;
        match (worth, self.more) {
            (true, _) => {}
            (false, true) => return self.ask(false, now),
            (false, false) => return self.rest(nothing, now),
        }
        self.place.kept_ms = now;
        harvest.page.learned.push(self.place.learned(self.kind.name()));
        if std::mem::take(&mut self.wish) {
            harvest.page.learned.push(Learned { key: Wish::key(self.kind.name()), value: None });
        }
        Turn::Keep(harvest.page)
    }

    /// A walk ends with the first page that has no more behind it.
    fn end_of_page(&mut self, harvest: &Harvest) {
        let Some(walk) = &mut self.place.walk else { return };
        walk.told += harvest.page.news.len() as u64;
        walk.passed += harvest.passed;
        if !self.more
            && let Some(walk) = self.place.walk.take()
        {
            self.place.walked = Some(Walked { id: walk.id, told: walk.told, passed: walk.passed });
        }
    }

    fn take<T: Tells>(&mut self, item: Item<T>, ledger: &dyn Ledger, now: i64, harvest: &mut Harvest) {
        let gone = matches!(item.op, Op::Gone);
        let changed_ms = item.changed_ms.unwrap_or(now);
        if self.place.repeats(&format!("{}:{}:{changed_ms}:{gone}", item.id, item.version)) {
            harvest.passed += 1;
            return;
        }
        self.place.seen_ms = self.place.seen_ms.max(changed_ms);
        let walk = self.place.walk.as_ref();
        let news_from = walk.and_then(|walk| walk.news_from_ms);
        let kept = match walk.map_or(KeepFrom::Everything, |walk| walk.keep_from) {
            KeepFrom::Everything => true,
            KeepFrom::News => news_from.is_none_or(|from| changed_ms >= from),
            KeepFrom::Since(since) => changed_ms.max(happened_ms(&item)) >= since,
        };
        let asked_for = walk.is_some_and(|walk| !walk.id.is_empty());
        let back_fill = news_from.is_some_and(|from| changed_ms < from);
        let (id, version) = (item.id, item.version);
        let told = match item.op {
            _ if !kept => None,
            Op::Is(object) => {
                if !asked_for && object.known(version, item.origin.as_deref(), ledger) {
                    None
                } else {
                    harvest.page.learned.extend(object.learned());
                    object.told()
                }
            }
            Op::Gone => {
                harvest.page.learned.extend(T::forgotten(&id));
                T::gone(&id)
            }
        };
        match told {
            Some(told) => harvest.page.news.push(News { told, version: version.to_string(), changed_ms, origin: item.origin, back_fill }),
            None => harvest.passed += 1,
        }
    }

    /// The cursor is lost. What happened since the last change that was seen is news, whatever the walk finds besides.
    fn walk_anew(&mut self, now: i64) -> Turn {
        let seen = (self.place.seen_ms > 0).then_some(self.place.seen_ms);
        let keep_from = match (self.kind, seen) {
            (Kind::Transactions, Some(seen)) => KeepFrom::Since(seen.saturating_sub(OVERLAP_MS)),
            (Kind::Transactions, None) => KeepFrom::News,
            _ => KeepFrom::Everything,
        };
        self.place.cursor.clear();
        let walk = self.place.walk.take();
        // A walk that somebody asked for begins anew as what it was.
        self.place.walk = match walk.filter(|walk| !walk.id.is_empty()) {
            Some(walk) => Some(Walk { id: walk.id, keep_from: walk.keep_from, ..Walk::default() }),
            None => Some(Walk { news_from_ms: seen, keep_from, ..Walk::default() }),
        };
        self.ask(false, now)
    }

    /// At the end of the feed. A Lime that does not keep questions waiting is not asked more often than one that does.
    fn rest(&mut self, nothing: bool, now: i64) -> Turn {
        self.rested = true;
        let passed = u64::try_from(now.saturating_sub(self.asked_ms)).unwrap_or(0);
        let left = WAIT.saturating_sub(Duration::from_millis(passed));
        // The first question is never kept waiting; and a stepping clock says nothing.
        Turn::Rest(if nothing && self.waits && left > WAIT / 2 { left } else { Duration::ZERO })
    }
}

impl Feed for LimeFeed {
    fn name(&self) -> &'static str {
        self.kind.name()
    }

    fn host(&self) -> Host {
        Host::Lime
    }

    fn next(&mut self, heard: Heard<'_>, ledger: &dyn Ledger, now_wall_ms: i64) -> Turn {
        match heard {
            Heard::Begin => self.begin(ledger, now_wall_ms),
            Heard::Answer(answer) => {
                self.unanswered = false;
                self.answered(answer, ledger, now_wall_ms)
            }
            Heard::Kept if self.more => self.ask(false, now_wall_ms),
            Heard::Kept => {
                self.rested = true;
                Turn::Rest(Duration::ZERO)
            }
        }
    }

    fn passed_over(&mut self) -> Vec<String> {
        std::mem::take(&mut self.odd)
    }
}

fn trouble(problem: &NoPage) -> Turn {
    match problem {
        NoPage::NotOffered => {
            let text = "this Lime does not offer the feed; what it would tell of stays unknown here".to_owned();
            Turn::Trouble("lime/no_feed", text, NOT_OFFERED_PAUSE)
        }
        NoPage::Expired => Turn::Trouble("lime/cursor", "Lime says that a new cursor has expired".to_owned(), TROUBLE_PAUSE),
        NoPage::Problem(ParseProblem::Later { status, after }) => {
            Turn::Trouble("lime/later", format!("Lime says not now ({status})"), after.unwrap_or(TROUBLE_PAUSE))
        }
        NoPage::Problem(problem) => Turn::Trouble("lime/unreadable", problem.to_string(), TROUBLE_PAUSE),
    }
}

/// What each kind of thing tells.
trait Tells: Object {
    /// What it is as news; `None`: nobody needs to hear of it.
    fn told(self) -> Option<Told>;

    /// What became of it when it is gone.
    fn gone(id: &str) -> Option<Told>;

    /// It is known as it is: an echo of our own write, or told before.
    fn known(&self, version: i64, origin: Option<&str>, ledger: &dyn Ledger) -> bool;

    /// What the ledger keeps of it.
    fn learned(&self) -> Option<Learned> {
        None
    }

    /// What the ledger forgets when it is gone.
    fn forgotten(_id: &str) -> Option<Learned> {
        None
    }

    /// When it happened, where that is not when Lime heard of it, milliseconds since 1970 UTC.
    fn happened_ms(&self) -> Option<i64> {
        None
    }
}

fn happened_ms<T: Tells>(item: &Item<T>) -> i64 {
    match &item.op {
        Op::Is(object) => object.happened_ms().unwrap_or(i64::MIN),
        Op::Gone => i64::MIN,
    }
}

/// Written by us, in a version that the ledger knows or an earlier one: a write names the version that it was made on, so that whatever lies before it was
/// read by whoever wrote.
fn ours(line: Option<String>, version: i64, origin: Option<&str>) -> bool {
    let wrote = line.and_then(|text| text.parse::<i64>().ok());
    version > 0 && origin.is_some_and(|origin| origin != "lime") && wrote.is_some_and(|wrote| version <= wrote)
}

/// A change that this box made itself at Lime and that was told before it was on record: whoever is about to deliver it knows by now. In a walk over
/// everything nothing is an echo, for there the other side is to be brought up to date whoever wrote last.
#[must_use]
pub fn is_echo(change: &Change, ledger: &dyn Ledger) -> bool {
    let wrote = match &change.told {
        _ if change.back_fill => None,
        Told::Client { id, deleted: false } => ledger.get(&clients::wrote_key(id)),
        Told::Preorder(preorder) => ledger.get(&preorders::wrote_key(&preorder.id)),
        _ => None,
    };
    change.version.parse().is_ok_and(|version| ours(wrote, version, change.origin.as_deref()))
}

impl Tells for ClientNamed {
    fn told(self) -> Option<Told> {
        Some(Told::Client { id: self.0, deleted: false })
    }

    fn gone(id: &str) -> Option<Told> {
        Some(Told::Client { id: id.into(), deleted: true })
    }

    fn known(&self, version: i64, origin: Option<&str>, ledger: &dyn Ledger) -> bool {
        ours(ledger.get(&clients::wrote_key(&self.0)), version, origin)
    }
}

impl Tells for Receipt {
    fn told(self) -> Option<Told> {
        Some(Told::Receipt(self))
    }

    /// Receipts do not go: what was given back is a receipt of its own.
    fn gone(_id: &str) -> Option<Told> {
        None
    }

    /// A pass that a gateway delivered: that gateway tells the CRM of it.
    fn known(&self, _version: i64, _origin: Option<&str>, _ledger: &dyn Ledger) -> bool {
        self.kind == ReceiptKind::WriteOff && self.write_off_id.is_some()
    }

    fn happened_ms(&self) -> Option<i64> {
        Some(self.occurred_ms)
    }
}

impl Tells for Product {
    fn told(self) -> Option<Told> {
        Some(Told::Product(self))
    }

    fn gone(id: &str) -> Option<Told> {
        Some(Told::ProductGone(id.to_owned()))
    }

    fn known(&self, version: i64, _origin: Option<&str>, ledger: &dyn Ledger) -> bool {
        let leaf = ledger.get(&products::key(&self.id)).and_then(|text| products::Leaf::parse(&text));
        version > 0 && leaf.is_some_and(|leaf| version <= leaf.version)
    }

    fn learned(&self) -> Option<Learned> {
        Some(products::learned(self))
    }

    fn forgotten(id: &str) -> Option<Learned> {
        Some(Learned { key: products::key(id), value: None })
    }
}

impl Tells for Preorder {
    fn told(self) -> Option<Told> {
        Some(Told::Preorder(self))
    }

    /// With nothing but the id nobody can say what is no more wanted: a Lime gives a preorder up by its status.
    fn gone(_id: &str) -> Option<Told> {
        None
    }

    fn known(&self, version: i64, origin: Option<&str>, ledger: &dyn Ledger) -> bool {
        ours(ledger.get(&preorders::wrote_key(&self.id)), version, origin)
    }
}

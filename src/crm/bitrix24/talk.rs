//! The conversation about a batch of jobs, from its first look into the ledger to the last verdict. The jobs of a batch are sorted by kind; whatever
//! names a client comes after that client's card, once for all of them.
//!
//! 1. What the portal calls our fields and stages ([`super::schema`]).
//! 2. Who the guests are there ([`contacts`](super::contacts)).
//! 3. What became of writes in doubt ([`passes`](super::passes), [`receipts`], [`products`], [`preorders`]).
//! 4. The guests' cards.
//! 5. The passes: deals, then timeline lines.
//! 6. Receipts, products, preorders.
//!
//! Never: a create for a job in doubt; a deal created twice because the timeline line beside it failed; a refusal that stops the other guests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::book::{Book, Halt};
use super::contacts::Guest;
use super::errands::{Errand, Kept, LookUp};
use super::meetings::CONNECTOR;
use super::operating::Operating;
use super::places::Places;
use super::portal::Portal;
use super::schema::{self, Schema};
use super::{offline, preorders, products, receipts};
use crate::config::{ClientMoments, Hub, PassesAs};
use crate::crm::card::Written;
use crate::crm::guests::Guests;
use crate::crm::script::{Ending, Line};
use crate::crm::texts::Texts;
use crate::delivery::{Call, Job, Ledger, NoAnswer, Verdict, Work};
use crate::domain::{ClientId, Seq, Told, WriteOff};
use crate::flow::contacts::{Keyer, Link, overruled_key};
use crate::http::Answer;
use crate::journal::LedgerKey;
use crate::lime::feed::is_echo;

/// What a conversation needs to know of the config.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What a write-off becomes.
    pub passes: PassesAs,
    /// The words.
    pub texts: Texts,
    /// The two-way integration, where this box runs it.
    pub hub: Option<Hub>,
    /// The box's key for marks of people's data; contacts go both ways only with it.
    pub keyer: Option<Keyer>,
}

impl Settings {
    /// When a card is brought up to date. Without the integration, on a pass.
    #[must_use]
    pub fn moments(&self) -> ClientMoments {
        let passes_alone = ClientMoments { registration: false, change: false, purchase: false, pass: true };
        self.hub.as_ref().map_or(passes_alone, |hub| hub.clients)
    }

    /// A deal for each write-off.
    #[must_use]
    pub fn deals(&self) -> bool {
        !matches!(self.passes, PassesAs::Timeline)
    }

    /// A line in the contact's timeline for each write-off.
    #[must_use]
    pub fn lines(&self) -> bool {
        !matches!(self.passes, PassesAs::Deal { .. })
    }
}

/// One write-off.
#[derive(Clone, Debug)]
pub struct Task {
    /// Its name in the box.
    pub seq: Seq,
    /// The write-off.
    pub write_off: WriteOff,
    /// An earlier write's outcome is unknown.
    pub doubtful: bool,
    /// Its deal, once it is there.
    pub deal: Option<String>,
    /// The ledger had the deal from an earlier batch.
    pub deal_kept: bool,
}

/// Where the ledger keeps the contact's id at the portal.
#[must_use]
pub fn contact_key(client: &ClientId) -> LedgerKey {
    LedgerKey { kind: "bitrix24.contact".to_owned(), key: client.as_str().to_owned() }
}

/// Where the ledger keeps what was written into the contact's card.
#[must_use]
pub fn card_key(client: &ClientId) -> LedgerKey {
    LedgerKey { kind: "bitrix24.card".to_owned(), key: client.as_str().to_owned() }
}

/// Where the ledger keeps whose a contact is, where this box runs the integration: a contact that was deleted cannot be asked.
#[must_use]
pub fn holder_key(contact: u64) -> LedgerKey {
    LedgerKey { kind: "bitrix24.client".to_owned(), key: contact.to_string() }
}

/// Where the ledger keeps the deal of a pass whose timeline line is still owed.
#[must_use]
pub fn deal_key(write_off: &WriteOff) -> LedgerKey {
    LedgerKey { kind: "bitrix24.deal".to_owned(), key: write_off.pass_id.to_string() }
}

/// Contacts that conversations going on at once are about to make their clients' own: members of a family share a phone.
pub type Claimed = Arc<Mutex<BTreeMap<u64, ClientId>>>;

/// The claims of one conversation; they end with it, for by then the contact carries its origin.
pub struct Claims {
    all: Claimed,
    mine: Mutex<Vec<u64>>,
}

impl Claims {
    /// Claims a contact for a client, unless it is claimed for another.
    pub fn claim(&self, contact: u64, client: &ClientId) -> bool {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get(&contact) {
            Some(holder) => holder == client,
            None => {
                all.insert(contact, client.clone());
                self.mine.lock().unwrap_or_else(PoisonError::into_inner).push(contact);
                true
            }
        }
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        for contact in self.mine.get_mut().unwrap_or_else(PoisonError::into_inner) {
            all.remove(contact);
        }
    }
}

/// What outlives a conversation but not the process.
#[derive(Debug, Default)]
pub struct Shared {
    /// The operating-time budget.
    pub budget: Arc<Mutex<Operating>>,
    /// Contacts about to be taken.
    pub claimed: Claimed,
}

/// Everything that is known before the first call.
pub struct Opening {
    settings: Arc<Settings>,
    shared: Arc<Shared>,
    now_ms: i64,
    tasks: Vec<Task>,
    errands: Vec<Errand>,
    kept: Kept,
    guests: BTreeMap<ClientId, Guest>,
    lime: Guests,
    schema: Option<Schema>,
    heeded: bool,
    book: Book,
}

impl Opening {
    /// Looks everything up in the ledger.
    #[must_use]
    pub fn new(settings: Arc<Settings>, shared: Arc<Shared>, batch: Vec<Job>, ledger: &dyn Ledger, now_ms: i64) -> Self {
        let mut book = Book::of(batch.iter().map(|job| job.seq));
        let (mut tasks, mut errands) = (Vec::new(), Vec::new());
        let mut look_up = LookUp::new(ledger);
        for job in batch {
            match (job.work, &settings.hub) {
                (Work::Pass(write_off), _) => {
                    // Nobody's pass, and the timeline is a person's: there is no card to write to.
                    if write_off.client_id.is_none() && !settings.deals() {
                        book.confirm(job.seq, None);
                    }
                    let deal = if settings.deals() && settings.lines() { ledger.get(&deal_key(&write_off)) } else { None };
                    tasks.push(Task { seq: job.seq, write_off, doubtful: job.doubt.is_some(), deal_kept: deal.is_some(), deal });
                }
                (Work::Change(change), Some(_)) if job.doubt.is_none() && is_echo(&change, ledger) => book.confirm(job.seq, None),
                (Work::Change(change), Some(hub)) => {
                    let errand = Errand { seq: job.seq, change, doubtful: job.doubt.is_some(), oldest: job.oldest, attempts: job.attempts };
                    look_up.prepare(&errand, hub);
                    errands.push(errand);
                }
                // A change that was told while this box ran the integration: whoever runs it now hears of it, too.
                (Work::Change(_), None) => book.confirm(job.seq, None),
                (Work::WriteOff { .. }, _) => book.decide(job.seq, Halt::new("crm/not_a_write_off")),
            }
        }
        let both_ways = settings.hub.is_some() && settings.keyer.is_some();
        let named = tasks.iter().filter_map(|task| task.write_off.client_id.as_ref()).chain(errands.iter().filter_map(Errand::client));
        let mut guests = BTreeMap::new();
        for client in named {
            guests.entry(client.clone()).or_insert_with(|| {
                let before = ledger.get(&card_key(client)).as_deref().and_then(Written::parse);
                let contact = ledger.get(&contact_key(client)).and_then(|id| id.parse().ok());
                let link = if both_ways { look_up.get(Link::ledger_key(client)).and_then(Link::from_json) } else { None };
                if link.is_some() {
                    look_up.get(overruled_key(client));
                }
                Guest { contact, ours: before.is_some(), before, link, ..Guest::default() }
            });
        }
        let heeded = both_ways && ledger.get(&offline::ledger_key(CONNECTOR)).is_some();
        let kept = look_up.done();
        let schema = ledger.get(&schema::ledger_key(&settings.passes)).and_then(|text| serde_json::from_str(&text).ok());
        let lime = Guests::new(ledger, now_ms);
        Self { settings, shared, now_ms, tasks, errands, kept, guests, lime, schema, heeded, book }
    }

    /// Holds the conversation.
    pub async fn hold(self, line: Line<Call, Result<Answer, NoAnswer>>) -> Ending {
        let mut talk = Talk {
            portal: Portal::new(line, Arc::clone(&self.shared.budget), self.now_ms),
            claims: Claims { all: Arc::clone(&self.shared.claimed), mine: Mutex::default() },
            settings: self.settings,
            now_ms: self.now_ms,
            tasks: self.tasks,
            errands: self.errands,
            kept: self.kept,
            guests: self.guests,
            lime: self.lime,
            schema: Schema::default(),
            places: None,
            looked_again: false,
            heeded: self.heeded,
            book: self.book,
        };
        let halt = talk.all(self.schema).await.err().unwrap_or_else(|| Halt::new("crm/unfinished"));
        // A job in doubt that has to try again stays in doubt: that is the runner's to keep.
        talk.book.close(&halt)
    }
}

/// A conversation in progress.
pub struct Talk {
    pub(super) portal: Portal,
    pub(super) claims: Claims,
    pub(super) settings: Arc<Settings>,
    pub(super) now_ms: i64,
    /// The write-offs.
    pub(super) tasks: Vec<Task>,
    /// The jobs of the integration.
    pub(super) errands: Vec<Errand>,
    /// What the ledger knew of them at the beginning.
    pub(super) kept: Kept,
    pub(super) guests: BTreeMap<ClientId, Guest>,
    /// How Lime is asked for guests.
    pub(super) lime: Guests,
    pub(super) schema: Schema,
    /// Where the integration puts things, once that was needed.
    pub(super) places: Option<Places>,
    /// The schema was read afresh in this conversation.
    pub(super) looked_again: bool,
    /// The portal passes our own changes of contacts over when it tells of changes.
    pub(super) heeded: bool,
    pub(super) book: Book,
}

impl Talk {
    /// Keeps a line for the ledger, and knows it from now on.
    pub(super) fn learn(&mut self, key: LedgerKey, value: Option<String>) {
        self.kept.put(key.clone(), value.clone());
        self.book.learn(key, value);
    }

    async fn all(&mut self, kept: Option<Schema>) -> Result<(), Halt> {
        if !self.tasks.iter().map(|task| task.seq).chain(self.errands.iter().map(|errand| errand.seq)).any(|seq| self.book.is_open(seq)) {
            return Ok(());
        }
        match kept {
            Some(schema) => self.schema = schema,
            None => self.look_again().await?,
        }
        self.note_contacts();
        self.find_contacts().await?;
        self.ask_for_the_doubtful().await?;
        self.resolve_people();
        receipts::resolve(self).await?;
        products::resolve(self).await?;
        preorders::resolve(self).await?;
        self.hold_back();
        self.bring_cards_up_to_date().await?;
        self.create_deals().await?;
        self.write_lines().await?;
        self.close_people();
        receipts::deliver(self).await?;
        products::deliver(self).await?;
        preorders::deliver(self).await
    }

    /// What is told of people changes nothing but their contacts: those that are there are no doubt any more.
    fn resolve_people(&mut self) {
        for errand in self.errands.iter_mut().filter(|errand| errand.doubtful && errand.is_of_a_person()) {
            let there = errand.client().is_some_and(|client| self.guests.get(client).is_some_and(|guest| guest.contact.is_some()));
            if there {
                errand.doubtful = false;
            } else {
                self.book.decide(errand.seq, Verdict::NotFound);
            }
        }
    }

    /// What comes after a job in doubt waits for it: its contact may just be coming into being.
    fn hold_back(&mut self) {
        let doubtful = self.tasks.iter().filter(|task| task.doubtful).map(|task| (task.seq, task.write_off.client_id.as_ref()));
        let doubtful = doubtful.chain(self.errands.iter().filter(|errand| errand.doubtful).map(|errand| (errand.seq, errand.client())));
        let waiting: BTreeSet<ClientId> = doubtful.filter(|(seq, _)| self.book.waits(*seq)).filter_map(|(_, client)| client.cloned()).collect();
        for seq in waiting.iter().flat_map(|client| self.open_jobs_of(client)).collect::<Vec<_>>() {
            self.book.decide(seq, Halt::after("crm/order", Duration::ZERO));
        }
    }

    /// What was told of people is done with their cards.
    fn close_people(&mut self) {
        for errand in self.errands.iter().filter(|errand| errand.is_of_a_person()) {
            let contact = errand.client().and_then(|client| self.contact(client));
            self.book.confirm(errand.seq, contact.map(|id| format!("contact:{id}")));
        }
    }

    /// The open jobs of a kind that are in no doubt, in order.
    pub(super) fn open_errands(&self, wanted: impl Fn(&Told) -> bool) -> Vec<Seq> {
        let of = self.errands.iter().filter(|errand| !errand.doubtful && wanted(&errand.change.told));
        of.map(|errand| errand.seq).filter(|seq| self.book.is_open(*seq)).collect()
    }

    /// All open jobs that name a client.
    pub(super) fn open_jobs_of(&self, client: &ClientId) -> Vec<Seq> {
        let passes = self.tasks.iter().filter(|task| task.write_off.client_id.as_ref() == Some(client)).map(|task| task.seq);
        let errands = self.errands.iter().filter(|errand| errand.client() == Some(client)).map(|errand| errand.seq);
        passes.chain(errands).filter(|seq| self.book.is_open(*seq)).collect()
    }

    /// Reads the portal's names afresh.
    pub(super) async fn look_again(&mut self) -> Result<(), Halt> {
        self.looked_again = true;
        let key = schema::ledger_key(&self.settings.passes);
        match schema::load(&mut self.portal, &self.settings.passes).await {
            Ok(schema) => {
                self.book.learn(key, serde_json::to_string(&schema).ok());
                self.schema = schema;
                Ok(())
            }
            Err(halt) => {
                if halt.reason.starts_with("setup/") {
                    self.book.learn(key, None);
                }
                Err(halt)
            }
        }
    }

    /// The guest's contact, where it is known.
    pub(super) fn contact_of(&self, task: &Task) -> Option<u64> {
        self.guests.get(task.write_off.client_id.as_ref()?)?.contact
    }

    /// Everything the job owes is there.
    pub(super) fn confirm(&mut self, task: &Task, remote: Option<String>) {
        let key = deal_key(&task.write_off);
        if task.deal_kept {
            self.book.learn(key, None);
        } else {
            self.book.unlearn(&key);
        }
        self.book.confirm(task.seq, remote);
    }
}

/// The id in the `item` that `crm.item.add` and its kin return.
#[must_use]
pub fn item_id(result: &Value) -> Option<u64> {
    super::wire::id(result.get("item")?.get("id")?)
}

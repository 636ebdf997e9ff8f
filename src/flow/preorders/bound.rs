//! What is kept of a deal and its preorder between changes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::deal::{Booking, Keeps, Stage, Wanted, mark};
use crate::crm::texts::Texts;
use crate::domain::{Preorder, PreorderLine, PreorderStatus, Seq};
use crate::flow::contacts::Keyer;
use crate::journal::{Learned, LedgerKey};
use crate::lime::preorders::{Placed, PreorderDraft, wrote};

/// A deal and its preorder. Kept in the ledger as JSON, under [`bound_key`]. Holds ids, sums and marks, and no person's data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Lime's id of the preorder, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preorder: Option<String>,
    /// The last revision that was sent, or may have been.
    #[serde(default)]
    pub revision: u64,
    /// Lime's version that is known here: nothing up to it is news.
    #[serde(default)]
    pub version: i64,
    /// The deal's content as it was last seen or written by us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deal: Option<u64>,
    /// The preorder's content as it was last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lime: Option<u64>,
    /// The content that `revision` stands for, until Lime has answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent: Option<u64>,
    /// The deal is being written from this version of the preorder, and may hold its content of before still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owed: Option<Owed>,
    /// Lime knows the deal's reference.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    referenced: bool,
    /// Both are given up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    cancelled: bool,
    /// The job with which staff were told why Lime does not have the deal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    explained: Option<Seq>,
    /// Prices in Lime that a CRM without prices in its rows cannot tell back: minor units by product.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    prices: BTreeMap<String, i64>,
}

/// What the deal is owed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Owed {
    version: i64,
    before: Option<u64>,
}

/// Where a deal's preorder stands in the ledger, by the CRM's id of the deal.
#[must_use]
pub fn bound_key(deal: &str) -> LedgerKey {
    LedgerKey { kind: "hub.preorder".to_owned(), key: deal.to_owned() }
}

/// Where the deal of a preorder stands in the ledger, by Lime's id: the CRM's id of the deal, plain. For preorders that bear no reference yet.
#[must_use]
pub fn deal_key(preorder: &str) -> LedgerKey {
    LedgerKey { kind: "hub.booking".to_owned(), key: preorder.to_owned() }
}

/// What is to be done about a deal that was told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToLime {
    /// Lime has it all.
    Nothing,
    /// It has no products of Lime's, or has not come far enough.
    NotYet,
    /// It has all but somebody: Lime knows nobody of its contact, and there is none to make a client of. How much there is to say says
    /// [`Bound::names_nobody`]; the deal tells of itself when it gets a contact.
    Nobody,
    /// `PUT /preorders/by-ref/{ref}` with this.
    Send {
        /// The deal's revision.
        revision: u64,
        /// What Lime is to have.
        draft: Box<PreorderDraft>,
    },
}

/// The code of a dead letter of a deal that names nobody.
pub const NOBODY: &str = "lime/nobody";

/// How much there is to say of a deal that Lime cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    /// A note for staff into the deal; then its job is a dead letter.
    All,
    /// The job is a dead letter. The note is there, or owed.
    Letter,
    /// Staff know.
    Nothing,
}

/// What is to be done about a preorder that was told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToCrm {
    /// The CRM has it all, or it is none of ours.
    Nothing,
    /// A deal is to be made; afterwards [`Bound::made`].
    Make(Box<Wanted>),
    /// The deal is there; Lime is to be told of it: [`Bound::bind`].
    Bind,
    /// The deal is to be changed; afterwards [`Bound::wrote`].
    Change(Box<Wanted>),
    /// The deal was changed, too: its content counts. A note for staff goes into the deal ([`super::clash`]), and [`Bound::to_lime`] says what is sent.
    Clash,
}

/// A mark of "given up", which is content like any other.
const CANCELLED: u64 = u64::MAX;

impl Bound {
    /// From the ledger. `None` when it is none of ours.
    #[must_use]
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// For the ledger.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Plain data: this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Lime has its preorder, or may have.
    #[must_use]
    pub fn is_sent(&self) -> bool {
        self.preorder.is_some() || self.revision > 0
    }

    /// A deal changed, or may have: what Lime is to be told. With [`ToLime::Send`] this is to be kept before anything leaves.
    pub fn to_lime(&mut self, booking: &Booking, keyer: &Keyer) -> ToLime {
        let now = booking.mark(keyer);
        if self.deal.is_none() && self.revision == 0 && booking.preorder.is_some() {
            // We made it, and died before it was known here.
            self.preorder.clone_from(&booking.preorder);
            self.deal = Some(now);
            self.cancelled = booking.stage == Stage::Cancelled;
            return ToLime::Nothing;
        }
        if let Some(owed) = &self.owed {
            if self.deal == Some(now) || owed.before == Some(now) {
                return ToLime::Nothing;
            }
            self.owed = None;
        }
        let known = self.is_sent();
        match booking.stage {
            Stage::Cancelled if !known || (self.cancelled && self.sent.is_none()) => return ToLime::Nothing,
            Stage::Cancelled => return self.cancel(),
            Stage::Early if !known => return ToLime::NotYet,
            _ if !known && booking.lines.is_empty() => return ToLime::NotYet,
            _ => {}
        }
        if !known && booking.client_id.is_none() && booking.contact.is_none() {
            return ToLime::Nobody;
        }
        if self.deal == Some(now) && self.sent.is_none() && !self.cancelled {
            return ToLime::Nothing;
        }
        let status = (!known || self.cancelled || self.lime.is_none()).then_some(PreorderStatus::Confirmed);
        self.revise(now);
        let lines: Vec<PreorderLine> = booking.lines.iter().map(|line| self.priced(line, booking.keeps)).collect();
        let total = lines.iter().map(|line| line.quantity.saturating_mul(line.price)).fold(0, i64::saturating_add);
        let draft = PreorderDraft {
            bind: self.preorder.clone(),
            client_id: booking.client_id.clone(),
            contact: booking.contact.clone().filter(|_| booking.client_id.is_none()),
            event: booking.event.clone().map(|event| crate::domain::PreorderEvent { title: booking.title(), ..event }),
            lines: Some(lines),
            total: Some(total),
            prepaid: booking.prepaid,
            status,
            comment: None,
        };
        ToLime::Send { revision: self.revision, draft: Box::new(draft) }
    }

    /// The deal is given up or was deleted.
    pub fn cancel(&mut self) -> ToLime {
        if !self.is_sent() {
            return ToLime::Nothing;
        }
        self.revise(CANCELLED);
        let draft = PreorderDraft { bind: self.preorder.clone(), status: Some(PreorderStatus::Cancelled), ..PreorderDraft::default() };
        ToLime::Send { revision: self.revision, draft: Box::new(draft) }
    }

    /// What is to be said with this job of a deal that names nobody. Staff are told once, however often the deal changes until it does. This is to be kept
    /// before anything is written.
    pub fn names_nobody(&mut self, job: Seq) -> Say {
        match self.explained {
            None => self.is_refused(job),
            Some(known) if known == job => Say::Letter,
            Some(_) => Say::Nothing,
        }
    }

    /// What is to be said with this job, which Lime refuses: each refusal is said once. This is to be kept before anything is written.
    pub fn is_refused(&mut self, job: Seq) -> Say {
        if self.explained.replace(job) == Some(job) { Say::Letter } else { Say::All }
    }

    /// A revision of its own for content that has none yet.
    fn revise(&mut self, content: u64) {
        if self.sent != Some(content) {
            self.revision = self.revision.saturating_add(1);
            self.sent = Some(content);
        }
    }

    /// Lime's own price, where the row has none.
    fn priced(&self, line: &PreorderLine, keeps: Keeps) -> PreorderLine {
        let known = self.prices.get(&line.good_type_id).filter(|_| !keeps.row_prices);
        PreorderLine { price: known.copied().unwrap_or(line.price), ..line.clone() }
    }

    /// Lime has carried out what [`Self::to_lime`] or [`Self::bind`] asked for. What this returns is to be kept with it: the feed then does not tell what
    /// is known here.
    #[must_use]
    pub fn placed(&mut self, placed: &Placed) -> Option<Learned> {
        self.arrived(&placed.id, placed.version).then(|| wrote(placed))
    }

    /// What was sent is in Lime. False where that was no content.
    fn arrived(&mut self, preorder: &str, version: i64) -> bool {
        self.preorder = Some(preorder.to_owned());
        self.referenced = true;
        // A reference changes nothing of the preorder: what a cashier has changed before it is still news.
        let Some(content) = self.sent.take() else { return false };
        self.explained = None;
        self.version = self.version.max(version);
        self.cancelled = content == CANCELLED;
        if !self.cancelled {
            self.deal = Some(content);
            // It is as the deal has it now, whatever was seen before.
            self.lime = Some(self.lime.unwrap_or(0));
        }
        true
    }

    /// Lime knows a later revision, or this one with other content: this box has forgotten some. The next one is later than any that it could have sent.
    /// `now_ms`: milliseconds since 1970 UTC.
    pub fn stale(&mut self, now_ms: i64) {
        self.sent = None;
        self.deal = None;
        self.revision = self.revision.saturating_add(1).max(u64::try_from(now_ms / 1_000).unwrap_or(0));
    }

    /// A preorder was told of: what the CRM is to be told. `origin`: who changed it, as the feed says; `booking`: its deal as it is now, where it has one;
    /// `makes`: deals are made of preorders that have none. With [`ToCrm::Change`] this is to be kept before anything leaves.
    pub fn to_crm(
        &mut self,
        (preorder, origin): (&Preorder, Option<&str>),
        booking: Option<&Booking>,
        makes: bool,
        texts: &Texts,
        keyer: &Keyer,
    ) -> ToCrm {
        if origin.is_some_and(|origin| origin != "lime") {
            self.heard_of_ours(preorder);
            return ToCrm::Nothing;
        }
        let gone = preorder.status == PreorderStatus::Cancelled;
        let Some(booking) = booking else {
            let none = !makes || gone || preorder.reference.is_some() || self.preorder.is_some();
            return if none { ToCrm::Nothing } else { ToCrm::Make(Box::new(Wanted::of(preorder, texts))) };
        };
        let content = Self::content(preorder, keyer);
        let again = self.owed.as_ref().is_some_and(|owed| owed.version == preorder.version);
        let news = again || (preorder.version > self.version && self.lime != Some(content));
        self.preorder = Some(preorder.id.clone());
        self.version = self.version.max(preorder.version);
        self.revision = self.revision.max(preorder.revision);
        if !news {
            return if preorder.reference.is_none() && !self.referenced { ToCrm::Bind } else { ToCrm::Nothing };
        }
        let (now, before) = (booking.mark(keyer), self.owed.take().map_or(self.deal, |owed| owed.before));
        let known = if self.deal.is_none() { now == written(preorder, booking.keeps, keyer) } else { self.deal == Some(now) || before == Some(now) };
        let given_up = booking.stage == Stage::Cancelled && !self.cancelled;
        self.lime = Some(content);
        if !gone && (self.sent.is_some() || !known || given_up) {
            // A later revision than any that Lime may have, whatever the deal holds.
            (self.deal, self.sent) = (None, None);
            return ToCrm::Clash;
        }
        self.owed = Some(Owed { version: preorder.version, before });
        self.will_hold(preorder, booking.keeps, keyer);
        ToCrm::Change(Box::new(Wanted::of(preorder, texts)))
    }

    /// The deal has been written, as [`ToCrm::Change`] asked.
    pub fn wrote(&mut self) {
        self.owed = None;
    }

    /// The feed tells of a write of ours: that is as good as the answer that may have been lost.
    fn heard_of_ours(&mut self, preorder: &Preorder) {
        if self.sent.is_some() && preorder.revision == self.revision && self.revision > 0 {
            self.arrived(&preorder.id, preorder.version);
        }
        self.version = self.version.max(preorder.version);
        self.revision = self.revision.max(preorder.revision);
    }

    fn content(preorder: &Preorder, keyer: &Keyer) -> u64 {
        match preorder.status {
            PreorderStatus::Cancelled => CANCELLED,
            _ => written(preorder, Keeps { row_prices: true, event: true }, keyer),
        }
    }

    /// A deal was made of this preorder: how it is known from now on. [`Self::bind`] then tells Lime.
    pub fn made(&mut self, preorder: &Preorder, keeps: Keeps, keyer: &Keyer) {
        self.preorder = Some(preorder.id.clone());
        self.version = self.version.max(preorder.version);
        self.lime = Some(Self::content(preorder, keyer));
        self.will_hold(preorder, keeps, keyer);
    }

    /// Gives a preorder that was made in Lime the reference of its deal, and changes nothing of it. Content that was sent and not heard of is sent anew
    /// afterwards, as a later revision.
    pub fn bind(&mut self, preorder: &str) -> ToLime {
        if self.sent.take().is_some() {
            self.deal = None;
            self.revision = self.revision.saturating_add(1);
        }
        self.revision = self.revision.max(1);
        let draft = PreorderDraft { bind: Some(preorder.to_owned()), ..PreorderDraft::default() };
        ToLime::Send { revision: self.revision, draft: Box::new(draft) }
    }

    fn will_hold(&mut self, preorder: &Preorder, keeps: Keeps, keyer: &Keyer) {
        self.cancelled = preorder.status == PreorderStatus::Cancelled;
        if !self.cancelled {
            self.deal = Some(written(preorder, keeps, keyer));
            self.prices = preorder.lines.iter().map(|line| (line.good_type_id.clone(), line.price)).collect();
        }
    }
}

/// What a deal holds that was written from this preorder.
fn written(preorder: &Preorder, keeps: Keeps, keyer: &Keyer) -> u64 {
    mark(keyer, preorder.client_id.as_ref(), preorder.event.as_ref(), &preorder.lines, keeps)
}

//! The deal's side: what was read of it, and what it is to be.

use crate::crm::texts::Texts;
use crate::domain::{ClientId, Personal, Preorder, PreorderContact, PreorderEvent, PreorderLine, PreorderStatus};
use crate::flow::contacts::Keyer;
use crate::flow::deals::Row;

/// Events are compared by the minute: that is what CRMs keep of a time.
const MINUTE_MS: i64 = 60_000;

/// How far a deal has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not yet at the stage from which deals go to Lime.
    Early,
    /// There, or later; won included.
    Reached,
    /// Given up.
    Cancelled,
}

/// What a CRM keeps of a booking, so that a deal is not held for changed where the CRM has no place for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeps {
    /// Each row has a price of its own. Without it rows have their products' prices.
    pub row_prices: bool,
    /// There are fields for begin, end, hall and staff.
    pub event: bool,
}

/// A deal of a booking, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booking {
    /// How far it has come.
    pub stage: Stage,
    /// Lime's id of the preorder, where the deal bears one.
    pub preorder: Option<String>,
    /// The client, where the deal's contact is one of Lime's.
    pub client_id: Option<ClientId>,
    /// The deal's contact, for Lime to find or make a client by.
    pub contact: Option<PreorderContact>,
    /// When and where.
    pub event: Option<PreorderEvent>,
    /// Its rows whose products are Lime's, with the products' prices where rows have none.
    pub lines: Vec<PreorderLine>,
    /// Paid ahead, minor units, where the deal says so.
    pub prepaid: Option<i64>,
    /// What the CRM keeps.
    pub keeps: Keeps,
}

/// What a deal is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Lime's id of the preorder: what the deal is found by.
    pub preorder: String,
    /// Its title.
    pub title: String,
    /// Its rows, with Lime's products.
    pub rows: Vec<Row>,
    /// Its sum, minor units.
    pub price: i64,
    /// For whom.
    pub client_id: Option<ClientId>,
    /// For whom, where Lime knows no client.
    pub contact: Option<PreorderContact>,
    /// When and where.
    pub event: Option<PreorderEvent>,
    /// It is given up: to the stage for that. Else the stage of a new deal, or it stays where it is.
    pub cancelled: bool,
}

impl Wanted {
    /// What a preorder wants of its deal.
    #[must_use]
    pub fn of(preorder: &Preorder, texts: &Texts) -> Self {
        let titled = preorder.event.as_ref().filter(|event| !event.title.is_empty()).map(|event| event.title.reveal().to_owned());
        let row = |line: &PreorderLine| Row {
            product: Some(line.good_type_id.clone()),
            name: if line.name.is_empty() { line.good_type_id.clone() } else { line.name.clone() },
            quantity: line.quantity,
            price: line.price,
        };
        Self {
            preorder: preorder.id.clone(),
            title: titled.unwrap_or_else(|| texts.preorder(&preorder.id)),
            rows: preorder.lines.iter().map(row).collect(),
            price: preorder.total.minor,
            client_id: preorder.client_id.clone(),
            contact: preorder.contact.clone(),
            event: preorder.event.clone(),
            cancelled: preorder.status == PreorderStatus::Cancelled,
        }
    }
}

/// What of the deal or the preorder counts as its content, as a mark.
pub(super) fn mark(keyer: &Keyer, client: Option<&ClientId>, event: Option<&PreorderEvent>, lines: &[PreorderLine], keeps: Keeps) -> u64 {
    let mut parts = vec![client.map_or_else(String::new, ToString::to_string)];
    let mut lines: Vec<(&str, i64, i64)> =
        lines.iter().map(|line| (line.good_type_id.as_str(), if keeps.row_prices { line.price } else { 0 }, line.quantity)).collect();
    lines.sort_unstable();
    // Two rows of one product at one price are as good as one.
    lines.dedup_by(|next, row| {
        let one = (row.0, row.1) == (next.0, next.1);
        if one {
            row.2 = row.2.saturating_add(next.2);
        }
        one
    });
    parts.extend(lines.iter().map(|(product, price, quantity)| format!("{product}\0{price}\0{quantity}")));
    if let Some(event) = event.filter(|_| keeps.event) {
        let mut staff = event.staff.clone();
        staff.sort_unstable();
        let (starts, ends) = (event.starts_ms.div_euclid(MINUTE_MS), event.ends_ms.div_euclid(MINUTE_MS));
        parts.push(format!("{starts}\0{ends}\0{}\0{}", event.room.as_deref().unwrap_or_default(), staff.join("\0")));
    }
    keyer.content(parts.iter().map(String::as_str))
}

impl Booking {
    pub(super) fn mark(&self, keyer: &Keyer) -> u64 {
        mark(keyer, self.client_id.as_ref(), self.event.as_ref(), &self.lines, self.keeps)
    }

    /// What people wrote as its name, for Lime.
    pub(super) fn title(&self) -> Personal {
        self.event.as_ref().map(|event| event.title.clone()).unwrap_or_default()
    }
}

//! amoCRM (Kommo), REST API v4: contacts and leads of guests' passes.
//!
//! What the API forces on us, and what this folder does about it: it has no idempotency key, so every lead carries the pass's id in a field and is
//! looked for by it when an answer was lost ([`courier`]); a batch is refused as a whole, so bad items are taken out of it ([`mod@write`]); an unknown id or
//! an empty list is 204 without a body ([`wire`]); a search hits any field, so every hit is verified ([`contact`]). Fields are addressed by id, found by
//! our own codes ([`schema`]).
//!
//! Never: a lead created again while its first creation is in doubt; a stranger's contact taken for a guest's; a contact's phone dropped; a token or
//! a person's data in a reason, a label or a ledger key.

pub mod audit;
mod bookings;
mod cards;
pub mod contact;
pub mod courier;
mod deliver;
mod desk;
mod directory;
mod elements;
pub mod errors;
pub mod feed_contacts;
pub mod feed_deals;
pub mod glance;
mod groups;
pub mod hub_setup;
pub mod lead;
pub mod ledger;
mod links;
mod meeting;
mod memory;
mod moments;
mod notes;
pub mod oauth;
mod passes;
pub mod places;
mod places_read;
mod preorders;
mod products;
mod receipt_lead;
mod receipts;
mod refunds;
pub mod schema;
mod search;
pub mod setup;
mod updated;
pub mod value;
pub mod webhook;
pub mod wire;
mod write;

pub use courier::AmoCourier;

use crate::config::Hub;
use crate::crm::texts::Texts;
use crate::feed::Feed;
use crate::flow::contacts::Keyer;

/// The names of the feeds of the account.
pub const FEEDS: [&str; 2] = [feed_contacts::NAME, feed_deals::NAME];

/// The feeds of the account, as `[hub]` wants them. Without the box's key for marks, contacts do not go both ways.
#[must_use]
pub fn feeds(hub: &Hub, keyer: Option<&Keyer>, texts: &Texts) -> Vec<Box<dyn Feed>> {
    let mut feeds: Vec<Box<dyn Feed>> = Vec::new();
    if let Some(keyer) = keyer.filter(|_| hub.contacts.to_lime || hub.contacts.to_crm) {
        feeds.push(Box::new(feed_contacts::FeedContacts::new(hub.poll, keyer.clone(), texts.clone())));
    }
    if hub.preorders.to_lime {
        feeds.push(Box::new(feed_deals::FeedDeals::new(hub.clone())));
    }
    feeds
}

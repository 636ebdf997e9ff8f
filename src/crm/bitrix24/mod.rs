//! Bitrix24: a write-off becomes a line in the contact's timeline, a deal in a funnel, or both.
//!
//! Everything goes through `batch` and `crm.item.*`; there is no idempotency key at the portal, so whatever is created carries our key (`originatorId`
//! and `originId`; for a timeline line, its text), and is asked for by that key whenever an outcome is unknown.
//!
//! | file | what |
//! |---|---|
//! | [`wire`], [`fault`] | what an answer says, what an error means |
//! | [`batch`], [`operating`] | fifty commands in a request, the run-time budget |
//! | [`schema`], [`places`] | the portal's names of our fields, funnels, stages, catalog |
//! | [`auth`], [`renamed`] | webhook or app; a portal that changed its name |
//! | [`setup`], `setup_hub` | fields, funnels, stages, people, catalog, rights |
//! | [`audit`] | asking for what was delivered |
//! | [`record`], [`catalog`], `sale`, `booking` | what is written |
//! | `courier`, `talk`, `errands`, `contacts`, `cards`, `passes`, `book`, `portal`, `ended` | the conversation about a batch of jobs |
//! | [`person`], `meetings` | contacts that go both ways |
//! | `receipts`, `products`, `preorders` | what of the two-way integration is no contact |
//! | `feed_contacts`, `feed_deals` | what the portal is asked for by itself |
//! | `listener`, [`offline`], `polling` | a feed as a script; the queue of changes; asking by the time of change |

pub mod audit;
pub mod auth;
pub mod batch;
mod book;
mod booking;
mod cards;
pub mod catalog;
mod contacts;
mod courier;
mod ended;
mod errands;
pub mod fault;
mod feed_contacts;
mod feed_deals;
pub mod glance;
mod listener;
mod meetings;
mod notes;
pub mod offline;
pub mod operating;
mod passes;
pub mod person;
pub mod places;
mod polling;
mod portal;
mod preorders;
mod products;
mod receipts;
pub mod record;
pub mod renamed;
mod sale;
pub mod schema;
pub mod setup;
mod setup_hub;
mod talk;
pub mod webhook;
pub mod wire;

pub use courier::Bitrix24Courier;

use crate::config::{Bitrix24, Hub};
use crate::feed::Feed;
use crate::flow::contacts::Keyer;

/// The names of the feeds of the portal.
pub const FEEDS: [&str; 2] = [feed_contacts::NAME, feed_deals::NAME];

/// What the portal is asked for by itself, where this box runs the two-way integration.
#[must_use]
pub fn feeds(portal: &Bitrix24, hub: &Hub, keyer: Option<&Keyer>) -> Vec<Box<dyn Feed>> {
    let mut feeds: Vec<Box<dyn Feed>> = Vec::new();
    if let (true, Some(keyer)) = (hub.contacts.to_lime, keyer) {
        feeds.push(feed_contacts::feed(portal, hub, keyer.clone()));
    }
    if hub.preorders.to_lime {
        feeds.push(feed_deals::feed(portal, hub));
    }
    feeds
}

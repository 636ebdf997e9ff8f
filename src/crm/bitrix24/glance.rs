//! A contact of Bitrix24's by its id, for `limegate sync diff`.

use serde_json::json;

use crate::crm::glance::{Glance, Look};

use super::batch::{Command, Outcome};
use super::fault::{self, Class};
use super::schema::CONTACT;
use super::{person, setup};

/// Asks for a contact.
#[must_use]
pub fn look(contact: u64) -> Look {
    Look::new(move |line| async move {
        let command = Command::new("crm.item.get", json!({ "entityTypeId": CONTACT, "id": contact }));
        let Some(outcome) = setup::batch(&line, &[command]).await?.into_iter().next() else { return Ok(None) };
        if let Outcome::Fault { fault, timing } = &outcome
            && fault::classify(fault, *timing) == Class::Gone
        {
            return Ok(None);
        }
        let result = setup::result(outcome)?;
        let item = result.get("item").unwrap_or(&result);
        Ok(Some(Glance { card: person::card(item), changed_ms: person::changed_ms(item) }))
    })
}

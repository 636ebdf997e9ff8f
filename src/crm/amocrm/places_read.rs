//! Reads the places of the integration, where the ledger does not have them or they have gone stale.

use crate::delivery::Host;
use crate::http::Request;

use super::courier::Place;
use super::desk::{Desk, Stop, good};
use super::ledger;
use super::memory::Memory;
use super::places::{self, Places};
use super::schema::Raw;
use super::setup::Read;

/// The places, read anew where they must be. `None`: this box does not run the integration.
///
/// # Errors
/// When they cannot be read now.
pub async fn current(desk: &mut Desk, memory: &mut Memory, place: &Place) -> Result<Option<Places>, Stop> {
    let Some(hub) = &place.hub else { return Ok(None) };
    let kept: Option<Places> = memory.looked.get(&ledger::places()).and_then(|text| serde_json::from_str(text).ok());
    if let Some(places) = kept.as_ref().filter(|places| places.serves(hub, place.now_wall_ms)) {
        // The schema was read in this conversation because something has gone: this may have gone, too.
        if !desk.reloaded || places.read_ms == place.now_wall_ms {
            return Ok(kept);
        }
    }
    let mut raw = Raw::default();
    for read in [Read::Account, Read::Pipelines, Read::LeadFields] {
        take(desk, read, &mut raw).await?;
    }
    if hub.deals.iter().any(|rule| rule.responsible.is_some()) {
        take(desk, Read::Users, &mut raw).await?;
    }
    take(desk, Read::Catalogs, &mut raw).await?;
    if let Some(catalog) = places::product_list(&raw) {
        take(desk, Read::ProductFields(catalog), &mut raw).await?;
    }
    let (places, _) = places::resolve(&raw, hub, kept.as_ref(), place.now_wall_ms);
    let text = serde_json::to_string(&places).ok();
    desk.learn(ledger::places(), text.clone());
    memory.looked.put(ledger::places(), text);
    Ok(Some(places))
}

async fn take(desk: &mut Desk, read: Read, raw: &mut Raw) -> Result<(), Stop> {
    let answer = desk.ask(Host::Crm, read.first()).await?;
    // A tariff without lists says so with 402: then there are none.
    if read == Read::Catalogs && matches!(answer.status.as_u16(), 402 | 404) {
        return Ok(());
    }
    good(&answer)?;
    let mut next = read.take(&answer, raw).ok_or_else(|| Stop::later("amocrm/unreadable", None))?;
    while let Some(path) = next.take() {
        let page = desk.page(Request::get(path, read.label()), read.key()).await?;
        read.put(page.items, raw);
        next = page.next;
    }
    Ok(())
}

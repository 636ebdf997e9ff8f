//! Links leads with products, many at once. Linking a product again only sets its quantity, so it may be repeated.
//!
//! Never: a link believed in that the answer does not show; a batch lost for one product that was deleted.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use crate::delivery::Host;

use super::desk::{Desk, Stop};
use super::errors::{Meaning, meaning};
use super::wire;

/// Links of one request: of a hundred at once some were seen to be lost.
const BATCH: usize = 50;

/// One product on one lead.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The lead.
    pub lead: u64,
    /// The product's element.
    pub element: u64,
    /// How many.
    pub quantity: i64,
}

/// What became of links.
#[derive(Debug, Default)]
pub struct Linked {
    /// Elements that are not there any longer.
    pub gone: BTreeSet<u64>,
    /// Leads that are not there any longer.
    pub leads_gone: BTreeSet<u64>,
    /// Leads of which a link is not shown by the answer.
    pub missing: BTreeSet<u64>,
}

/// Links all of them.
///
/// # Errors
/// When it cannot go on now.
pub async fn link(desk: &mut Desk, catalog: u64, links: &[Link]) -> Result<Linked, Stop> {
    let mut done = Linked::default();
    for part in links.chunks(BATCH) {
        let mut part = part.to_vec();
        while !part.is_empty() {
            let body: Vec<Value> = part.iter().map(|link| item(catalog, link)).collect();
            let request = wire::send(Method::POST, "/leads/link", &body.iter().collect::<Vec<_>>(), "POST /leads/link");
            let answer = desk.ask(Host::Crm, request).await?;
            match meaning(&answer) {
                Meaning::Good => {
                    let shown: BTreeSet<(u64, u64)> =
                        wire::page(&answer, "links").map(|page| page.items).unwrap_or_default().iter().filter_map(pair).collect();
                    done.missing.extend(part.iter().filter(|link| !shown.contains(&(link.lead, link.element))).map(|link| link.lead));
                    break;
                }
                Meaning::Later { reason, after } => return Err(Stop::Later { reason, after }),
                Meaning::Broken { reason } if part.len() == 1 => return Err(Stop::later(reason, None)),
                Meaning::Refused { .. } if part.len() == 1 => return Err(Stop::later("amocrm/links", None)),
                // It is not said which: one by one it is.
                Meaning::Broken { .. } | Meaning::Refused { .. } => {
                    for one in &part {
                        let linked = Box::pin(link(desk, catalog, std::slice::from_ref(one))).await?;
                        done.gone.extend(linked.gone);
                        done.leads_gone.extend(linked.leads_gone);
                        done.missing.extend(linked.missing);
                    }
                    break;
                }
                Meaning::BadItems(bad) => {
                    let before = part.len();
                    for bad in &bad {
                        if let Some(lead) = bad.name.parse().ok().filter(|_| bad.gone) {
                            done.leads_gone.insert(lead);
                        } else if let Some(link) = bad.name.parse::<usize>().ok().and_then(|at| part.get(at)) {
                            done.gone.insert(link.element);
                        }
                    }
                    part.retain(|link| !done.gone.contains(&link.element) && !done.leads_gone.contains(&link.lead));
                    if part.len() == before {
                        return Err(Stop::later("amocrm/links", None));
                    }
                }
            }
        }
    }
    Ok(done)
}

/// Takes products off a lead.
///
/// # Errors
/// When it cannot be done now.
pub async fn unlink(desk: &mut Desk, catalog: u64, links: &[Link]) -> Result<(), Stop> {
    for part in links.chunks(BATCH) {
        let body: Vec<Value> = part.iter().map(|link| item(catalog, link)).collect();
        let request = wire::send(Method::POST, "/leads/unlink", &body.iter().collect::<Vec<_>>(), "POST /leads/unlink");
        super::desk::good(&desk.ask(Host::Crm, request).await?)?;
    }
    Ok(())
}

fn item(catalog: u64, link: &Link) -> Value {
    let metadata = json!({ "catalog_id": catalog, "quantity": link.quantity });
    json!({ "entity_id": link.lead, "to_entity_id": link.element, "to_entity_type": "catalog_elements", "metadata": metadata })
}

fn pair(link: &Value) -> Option<(u64, u64)> {
    Some((wire::id(link.get("entity_id"))?, wire::id(link.get("to_entity_id"))?))
}

//! Receipts become leads: one receipt, one lead, by the first rule that fits; its products are linked, and a refund marks or moves the lead of its sale.
//!
//! A lead carries the receipt's key and is looked for by it when an answer was lost; once it is known, what is left to do (its products) may be repeated.
//! Never: a second lead for one receipt; a refund counted twice; a lead that waits for ever for a product that amoCRM does not have.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::{DealRule, Hub};
use crate::delivery::{Job, Verdict, Work};
use crate::domain::{Change, Receipt, ReceiptKind, Told};
use crate::flow::deals::{self, Fit, Leaf, Sold, sold_key};
use crate::journal::LedgerKey;

use super::cards::judge;
use super::courier::Place;
use super::desk::{Desk, Stop};
use super::ledger::{self, ElementLine};
use super::links::{self, Link};
use super::memory::{Looker, Memory, told};
use super::places::{DealPlace, Places};
use super::receipt_lead::{self, Around};
use super::schema::Schema;
use super::write::{Fate, Item, What, write};
use super::{places_read, refunds, search};

/// A rule whose stage is not there: somebody has to create it, or mend the rule.
const NO_PLACE: Duration = Duration::from_secs(60);
/// A product that was sold as soon as it was there is not in the list yet: its link is tried so often, and so long apart.
const PRODUCT_TRIES: u32 = 6;
const PRODUCT_WAIT: Duration = Duration::from_secs(10);

/// Looks up what a job of these can need.
pub fn look(job: &Job, looker: &mut Looker<'_>) {
    let Some(Told::Receipt(receipt)) = told(job) else { return };
    looker.look(ledger::places());
    looker.look(deals::tree_key());
    looker.look(ledger::receipt(&receipt.id));
    if let Some(key) = sold_key(receipt) {
        looker.look(key);
    }
    if let Some(point) = &receipt.service_point {
        looker.look(deals::point_key(point));
    }
    for product in receipt.lines.iter().filter_map(|line| line.good_type_id.as_ref()) {
        looker.look(ledger::product(product));
        deals::upwards(product, |key| looker.look(key.clone()).and_then(Leaf::parse));
    }
}

/// A receipt on its way.
struct Sale<'a> {
    job: &'a Job,
    change: &'a Change,
    receipt: &'a Receipt,
    rule: &'a DealRule,
    at: &'a DealPlace,
    lead: Option<u64>,
}

/// Takes jobs as far as they go. The contacts of those that name a client are in `memory.contacts`, where there are any. A job in doubt is asked for; where
/// its lead is there, what may be repeated is done for it, and where it is not, nothing.
///
/// # Errors
/// When it cannot go on now; what has a verdict until then keeps it.
pub async fn deliver(desk: &mut Desk, schema: &Schema, memory: &mut Memory, place: &Place, jobs: Vec<Job>) -> Result<(), Stop> {
    if jobs.is_empty() {
        return Ok(());
    }
    let (Some(places), Some(hub)) = (places_read::current(desk, memory, place).await?, &place.hub) else {
        // This box no longer runs the integration.
        jobs.iter().for_each(|job| desk.done(job.seq, None));
        return Ok(());
    };
    let mut sales = Vec::new();
    let mut returned = Vec::new();
    for job in &jobs {
        let Some((change, receipt)) = receipt_of(job) else { continue };
        if receipt.kind == ReceiptKind::Refund {
            returned.push((job, receipt));
        } else if let Some(sale) = sale(desk, memory, (job, change, receipt), (hub, &places), place.now_wall_ms) {
            sales.push(sale);
        }
    }
    find_doubtful(desk, schema, &mut sales).await?;
    let end = create(desk, schema, memory, place, &places, &mut sales).await;
    // Leads that were made are known from here on, whatever becomes of the rest.
    for sale in &sales {
        if let Some(lead) = sale.lead {
            remember(desk, memory, sale, lead);
        }
    }
    end?;
    link(desk, memory, &places, &sales, hub.products).await?;
    refunds::deliver(desk, memory, place, &places, &returned).await
}

fn receipt_of(job: &Job) -> Option<(&Change, &Receipt)> {
    match &job.work {
        Work::Change(change) => match &change.told {
            Told::Receipt(receipt) => Some((change, receipt)),
            _ => None,
        },
        _ => None,
    }
}

/// The rule that takes a receipt, and its place. Without a rule there is nothing to do; without a place it waits, and so it does while no rule can be told.
fn sale<'a>(
    desk: &mut Desk,
    memory: &Memory,
    (job, change, receipt): (&'a Job, &'a Change, &'a Receipt),
    (hub, places): (&'a Hub, &'a Places),
    now_ms: i64,
) -> Option<Sale<'a>> {
    let known = |key: &LedgerKey| memory.looked.get(key).map(str::to_owned);
    let (number, rule) = match deals::rule_for(receipt, &hub.deals, &known, deals::is_new(change, now_ms)) {
        Fit::Rule(number, rule) => (number, rule),
        Fit::Nothing => {
            desk.done(job.seq, None);
            return None;
        }
        Fit::NotYet => {
            desk.judge(job.seq, Verdict::Retry { reason: deals::NOT_YET.to_owned(), after: Some(deals::NOT_YET_PAUSE) });
            return None;
        }
    };
    let Some(at) = places.rules.get(number).and_then(Option::as_ref) else {
        desk.judge(job.seq, Verdict::Retry { reason: "setup/stage".to_owned(), after: Some(NO_PLACE) });
        return None;
    };
    let lead = memory.looked.get(&ledger::receipt(&receipt.id)).and_then(|text| text.parse().ok());
    Some(Sale { job, change, receipt, rule, at, lead })
}

/// Sales whose lead may be there: found, they go on with it; not found, they are told so and wait.
async fn find_doubtful(desk: &mut Desk, schema: &Schema, sales: &mut Vec<Sale<'_>>) -> Result<(), Stop> {
    let doubtful = |sale: &Sale<'_>| sale.lead.is_none() && sale.job.doubt.is_some();
    let keys: Vec<_> = sales.iter().filter(|sale| doubtful(sale)).map(|sale| sale.job.key).collect();
    if keys.is_empty() {
        return Ok(());
    }
    let found = search::leads(desk, schema, &keys).await?;
    sales.retain_mut(|sale| {
        if !doubtful(sale) {
            return true;
        }
        sale.lead = found.get(&sale.job.key).map(|found| found.lead);
        if sale.lead.is_none() {
            desk.judge(sale.job.seq, Verdict::NotFound);
        }
        sale.lead.is_some()
    });
    Ok(())
}

/// A lead for each sale that has none.
async fn create(desk: &mut Desk, schema: &Schema, memory: &mut Memory, place: &Place, places: &Places, sales: &mut [Sale<'_>]) -> Result<(), Stop> {
    let back_fill = place.hub.as_ref().map_or(Duration::MAX, |hub| hub.back_fill);
    let mut items = Vec::new();
    for sale in sales.iter().filter(|sale| sale.lead.is_none() && desk.is_open(sale.job.seq)) {
        let receipt = sale.receipt;
        let around = Around {
            key: sale.job.key.to_string(),
            contact: receipt.client_id.as_ref().and_then(|client| memory.contacts.get(client)).map(|line| line.id),
            point: receipt.service_point.as_ref().and_then(|point| memory.looked.get(&deals::point_key(point))),
            title: &sale.rule.title,
            history: deals::is_back_fill(sale.change, receipt, back_fill, place.now_wall_ms),
            at: sale.at,
            places,
            schema,
            texts: &place.texts,
        };
        items.push(Item { name: around.key.clone(), body: receipt_lead::lead(receipt, &around), jobs: vec![sale.job.seq] });
    }
    let mut fates = BTreeMap::new();
    let end = write(desk, What::CreateLeads, items, &mut fates).await;
    for sale in sales.iter_mut() {
        match fates.get(&sale.job.key.to_string()) {
            Some(Fate::Written(id)) => sale.lead = Some(*id),
            Some(other) => judge(desk, memory, sale.job, other),
            None => {}
        }
    }
    end
}

/// Where the lead is: for the products, and for a refund.
fn remember(desk: &mut Desk, memory: &mut Memory, sale: &Sale<'_>, lead: u64) {
    let key = ledger::receipt(&sale.receipt.id);
    if memory.looked.get(&key).is_some() {
        return;
    }
    learn(desk, memory, key, Some(lead.to_string()));
    if let Some(key) = sold_key(sale.receipt).filter(|key| memory.looked.get(key).is_none()) {
        let id = |id: u64| crate::config::StageRef::Id(id.to_string());
        let sold =
            Sold { pipeline: id(sale.at.pipeline), refunded: sale.at.refunded.map(id), ..Sold::new(lead.to_string(), sale.receipt, sale.rule) };
        learn(desk, memory, key, Some(sold.to_json()));
    }
}

/// Links each lead's products, those that the list has; all lines stand in a field of the lead anyway. `kept`: this box keeps the list, so what it lacks
/// may be on its way.
async fn link(desk: &mut Desk, memory: &mut Memory, places: &Places, sales: &[Sale<'_>], kept: bool) -> Result<(), Stop> {
    let open: Vec<(&Sale<'_>, u64)> = sales.iter().filter(|sale| desk.is_open(sale.job.seq)).filter_map(|sale| Some((sale, sale.lead?))).collect();
    let mut wanted = Vec::new();
    for (sale, lead) in &open {
        let mut rows: BTreeMap<u64, i64> = BTreeMap::new();
        for line in &sale.receipt.lines {
            let element = line.good_type_id.as_ref().and_then(|id| memory.looked.get(&ledger::product(id))).and_then(ElementLine::parse);
            if let Some(element) = element.filter(|_| line.quantity > 0) {
                let quantity = rows.entry(element.id).or_default();
                *quantity = quantity.saturating_add(line.quantity);
            }
        }
        wanted.extend(rows.into_iter().map(|(element, quantity)| Link { lead: *lead, element, quantity }));
    }
    let linked = match places.catalog.filter(|_| !wanted.is_empty()) {
        Some(catalog) => links::link(desk, catalog, &wanted).await?,
        None => links::Linked::default(),
    };
    for (sale, lead) in open {
        let listed = |id: &String| memory.looked.get(&ledger::product(id)).and_then(ElementLine::parse).is_some();
        let lacks = !sale.receipt.lines.iter().filter_map(|line| line.good_type_id.as_ref()).all(listed);
        for product in sale.receipt.lines.iter().filter_map(|line| line.good_type_id.as_ref()) {
            let key = ledger::product(product);
            if memory.looked.get(&key).and_then(ElementLine::parse).is_some_and(|line| linked.gone.contains(&line.id)) {
                learn(desk, memory, key, None);
            }
        }
        if linked.missing.contains(&lead) {
            desk.judge(sale.job.seq, Verdict::Retry { reason: "amocrm/links".to_owned(), after: None });
        } else if lacks && kept && places.catalog.is_some() && sale.job.attempts < PRODUCT_TRIES {
            desk.judge(sale.job.seq, Verdict::Retry { reason: "amocrm/products".to_owned(), after: Some(PRODUCT_WAIT) });
        } else {
            desk.confirm(sale.job.seq, lead);
        }
    }
    Ok(())
}

/// Keeps a line of the ledger, for this conversation, too.
pub(super) fn learn(desk: &mut Desk, memory: &mut Memory, key: LedgerKey, value: Option<String>) {
    desk.learn(key.clone(), value.clone());
    memory.looked.put(key, value);
}

//! Lime's products in amoCRM's list of products: created, changed, priced, put into groups, and marked where Lime sells them no longer.
//!
//! A product is an element that bears Lime's id in EXTERNAL_ID; a group of Lime's is a choice of the GROUP field, not an element. What was written is kept
//! as a mark: a product that has not changed costs no request. Never: an element created while its first creation is in doubt, or while one that bears the
//! product's id may be there; an element deleted, for the API cannot, and deals refer to it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::delivery::{Job, Verdict};
use crate::domain::{Product, Told};
use crate::flow::deals::{Leaf, product_key, upwards};
use crate::journal::LedgerKey;

use super::courier::Place;
use super::desk::{Desk, Stop};
use super::elements;
use super::groups::Groups;
use super::ledger::{self, ElementLine};
use super::memory::{Looker, Memory, told};
use super::places::{ARCHIVED, EXTERNAL_ID, Places};
use super::places_read;
use super::schema::Schema;
use super::value::{self, TEXT, decimal};
use super::wire;
use super::write::{Fate, Item, What, write};

/// An account without a list of products: somebody has to switch it on.
const NO_LIST: Duration = Duration::from_secs(15 * 60);
/// An item refused without a word: after so many attempts a person has to look.
const PATIENCE: u32 = 5;
/// Units of a name.
const NAME: usize = 250;

/// Looks up what a job of these can need.
pub fn look(job: &Job, looker: &mut Looker<'_>) {
    match told(job) {
        Some(Told::Product(product)) => {
            looker.look(ledger::places());
            looker.look(ledger::product(&product.id));
            looker.look(ledger::group(&product.id));
            // The groups above.
            if let Some(group) = &product.parent_id {
                upwards(group, |key| looker.look(key.clone()).and_then(Leaf::parse));
            }
        }
        Some(Told::ProductGone(id)) => {
            looker.look(ledger::places());
            looker.look(ledger::product(id));
        }
        _ => {}
    }
}

/// What is to become of one product: the last that was told of it counts for all.
struct Wanted {
    id: String,
    product: Option<Product>,
    jobs: Vec<Job>,
    line: Option<ElementLine>,
}

impl Wanted {
    fn seqs(&self) -> Vec<u64> {
        self.jobs.iter().map(|job| job.seq).collect()
    }
}

/// Takes jobs as far as they go.
///
/// # Errors
/// When it cannot go on now; what has a verdict until then keeps it.
pub async fn deliver(desk: &mut Desk, _schema: &Schema, memory: &mut Memory, place: &Place, jobs: Vec<Job>) -> Result<(), Stop> {
    if jobs.is_empty() {
        return Ok(());
    }
    let Some(places) = places_read::current(desk, memory, place).await? else {
        // This box no longer runs the integration.
        jobs.iter().for_each(|job| desk.done(job.seq, None));
        return Ok(());
    };
    let ready = ["EXTERNAL_ID", ARCHIVED].iter().all(|code| places.product.contains_key(*code));
    let Some(catalog) = places.catalog.filter(|_| ready) else {
        for job in &jobs {
            desk.judge(job.seq, Verdict::Retry { reason: "setup/catalog".to_owned(), after: Some(NO_LIST) });
        }
        return Ok(());
    };
    let (groups, products): (Vec<Wanted>, Vec<Wanted>) = sorted(jobs, memory).into_iter().partition(is_group);
    let mut products = find(desk, memory, catalog, products).await?;
    name_the_gone(desk, catalog, &mut products).await?;
    products.retain(|wanted| {
        let changed = is_news(wanted, place);
        if !changed {
            let remote = wanted.line.as_ref().map(|line| format!("product:{}", line.id));
            wanted.jobs.iter().for_each(|job| desk.done(job.seq, remote.clone()));
        }
        changed
    });
    let mut field = places.product.get("GROUP").map(|field| Groups::new(catalog, field.clone()));
    put_groups(desk, memory, field.as_mut(), groups, &products).await?;

    let (mut creates, mut changes, mut sent) = (Vec::new(), Vec::new(), BTreeMap::new());
    for wanted in products {
        let Some(product) = &wanted.product else { continue };
        let mut body = element(product, &places, field.as_ref(), memory, place);
        let (name, items) = match &wanted.line {
            Some(line) => {
                body.insert("id".to_owned(), json!(line.id));
                (line.id.to_string(), &mut changes)
            }
            None => {
                body.insert("request_id".to_owned(), json!(wanted.id));
                (wanted.id.clone(), &mut creates)
            }
        };
        items.push(Item { name: name.clone(), body: Value::Object(body), jobs: wanted.seqs() });
        sent.insert(name, wanted);
    }
    for (what, items) in [(What::CreateElements(catalog), creates), (What::ChangeElements(catalog), changes)] {
        let mut fates = BTreeMap::new();
        let end = write(desk, what, items, &mut fates).await;
        for (name, fate) in fates {
            let Some(wanted) = sent.get(&name) else { continue };
            settle(desk, memory, wanted, place, fate);
        }
        end?;
    }
    Ok(())
}

/// By product, in the order in which they were told of.
fn sorted(jobs: Vec<Job>, memory: &Memory) -> Vec<Wanted> {
    let mut all: Vec<Wanted> = Vec::new();
    for job in jobs {
        let (id, product) = match told(&job) {
            Some(Told::Product(product)) => (product.id.clone(), Some(product.clone())),
            Some(Told::ProductGone(id)) => (id.clone(), None),
            _ => continue,
        };
        match all.iter_mut().find(|wanted| wanted.id == id) {
            Some(wanted) => {
                wanted.product = product;
                wanted.jobs.push(job);
            }
            None => {
                let line = memory.looked.get(&ledger::product(&id)).and_then(ElementLine::parse);
                all.push(Wanted { id, product, jobs: vec![job], line });
            }
        }
    }
    all
}

/// Lime gives a group no price, and what is sold one.
fn is_group(wanted: &Wanted) -> bool {
    wanted.line.is_none() && wanted.product.as_ref().is_some_and(|product| product.price.is_none())
}

/// Groups that were told of, and those that products are in.
async fn put_groups(desk: &mut Desk, memory: &mut Memory, field: Option<&mut Groups>, groups: Vec<Wanted>, products: &[Wanted]) -> Result<(), Stop> {
    let mut names: Vec<(String, Option<String>)> = Vec::new();
    for product in groups.iter().filter_map(|wanted| wanted.product.as_ref()) {
        let before = memory.looked.get(&ledger::group(&product.id)).map(str::to_owned);
        if before.as_ref() != Some(&product.name) {
            names.push((product.name.clone(), before));
        }
    }
    let parents = products.iter().filter_map(|wanted| wanted.product.as_ref()?.parent_id.as_deref());
    for name in parents.filter_map(|id| group_name(memory, id)) {
        if !names.iter().any(|(known, _)| *known == name) {
            names.push((name, None));
        }
    }
    if let Some(field) = field {
        field.ensure(desk, &names).await?;
    }
    for wanted in groups {
        if let Some(product) = &wanted.product {
            learn(desk, memory, ledger::group(&wanted.id), Some(product.name.clone()));
        }
        wanted.jobs.iter().for_each(|job| desk.done(job.seq, None));
    }
    Ok(())
}

fn group_name(memory: &Memory, id: &str) -> Option<String> {
    let group = Leaf::parse(memory.looked.get(&product_key(id))?)?;
    Some(group.name).filter(|name| !name.trim().is_empty())
}

/// The elements that are there without the ledger knowing: an earlier box's, a lost answer's. Jobs in doubt whose element is not there have their verdict.
async fn find(desk: &mut Desk, memory: &mut Memory, catalog: u64, mut products: Vec<Wanted>) -> Result<Vec<Wanted>, Stop> {
    let unknown: Vec<String> = products.iter().filter(|wanted| wanted.line.is_none()).map(|wanted| wanted.id.clone()).collect();
    if unknown.is_empty() {
        return Ok(products);
    }
    let asked: Vec<&str> = unknown.iter().map(String::as_str).collect();
    let found = elements::of_products(desk, catalog, &asked).await?;
    for wanted in products.iter_mut().filter(|wanted| wanted.line.is_none()) {
        if let Some(id) = found.get(&wanted.id) {
            let line = ElementLine { id: *id, mark: String::new() };
            learn(desk, memory, ledger::product(&wanted.id), Some(line.to_text()));
            wanted.line = Some(line);
        } else if wanted.jobs.iter().any(|job| job.doubt.is_some()) {
            wanted.jobs.iter().filter(|job| job.doubt.is_some()).for_each(|job| desk.judge(job.seq, Verdict::NotFound));
        }
    }
    // Whoever comes after one in doubt waits for it.
    products.retain(|wanted| wanted.line.is_some() || wanted.jobs.iter().all(|job| job.doubt.is_none()));
    Ok(products)
}

/// A feed says of what is gone only its id: its name is read from its element.
async fn name_the_gone(desk: &mut Desk, catalog: u64, products: &mut [Wanted]) -> Result<(), Stop> {
    for wanted in products.iter_mut().filter(|wanted| wanted.product.is_none()) {
        let Some(line) = &wanted.line else { continue };
        let Some(element) = elements::one(desk, catalog, line.id).await? else { continue };
        let name = wire::text(element.get("name")).unwrap_or_default();
        let id = wanted.id.clone();
        wanted.product = Some(Product {
            id,
            parent_id: None,
            name,
            kind: crate::domain::ProductKind::Other,
            price: None,
            active: false,
            image_url: None,
            version: 0,
        });
    }
    Ok(())
}

/// What an element shows, without its id.
fn element(product: &Product, places: &Places, groups: Option<&Groups>, memory: &Memory, place: &Place) -> Map<String, Value> {
    let texts = &place.texts;
    let bare = product.name.strip_prefix(texts.archived_mark()).unwrap_or(&product.name);
    let name = if product.active { bare.to_owned() } else { texts.archived(bare) };
    let mut fields = Vec::new();
    let mut put = |code: &str, said: Value| {
        if let Some(field) = places.product.get(code) {
            fields.push(json!({ "field_id": field.id, "values": [{ "value": said }] }));
        }
    };
    put(EXTERNAL_ID, json!(value::fit(&product.id, TEXT)));
    put("SKU", json!(value::fit(&format!("LIME-{}", product.id), TEXT)));
    if let Some(price) = &product.price {
        put("PRICE", json!(decimal(price.minor)));
    }
    put(ARCHIVED, json!(!product.active));
    let group = product.parent_id.as_deref().and_then(|id| group_name(memory, id));
    fields.extend(group.and_then(|name| groups?.value(&name)));
    let mut body = Map::new();
    body.insert("name".to_owned(), json!(value::fit(name.trim(), NAME)));
    body.insert("custom_fields_values".to_owned(), Value::Array(fields));
    body
}

/// What tells one state of a product from another. A group is in it by its id: renamed, it is another choice's name and no news of the product.
fn mark(product: &Product, place: &Place) -> String {
    let price = product.price.as_ref().map(|price| price.minor);
    let shown = (&product.name, product.active, price, &product.parent_id, place.texts.archived_mark());
    Uuid::new_v5(&Uuid::NAMESPACE_OID, &serde_json::to_vec(&shown).unwrap_or_default()).simple().to_string()
}

/// There is something to write. What this box never showed need not be taken away.
fn is_news(wanted: &Wanted, place: &Place) -> bool {
    match (&wanted.product, &wanted.line) {
        (Some(product), Some(line)) => line.mark != mark(product, place),
        (Some(product), None) => product.active,
        (None, _) => false,
    }
}

fn done(desk: &mut Desk, wanted: &Wanted, element: u64) {
    for job in &wanted.jobs {
        desk.done(job.seq, Some(format!("product:{element}")));
    }
}

fn settle(desk: &mut Desk, memory: &mut Memory, wanted: &Wanted, place: &Place, fate: Fate) {
    let verdict = |job: &Job| {
        let patient = job.attempts < PATIENCE;
        match &fate {
            Fate::Gone if patient => Verdict::Retry { reason: "amocrm/product_gone".to_owned(), after: None },
            Fate::Gone => Verdict::Dead { reason: "amocrm/product_gone".to_owned(), answer: String::new() },
            Fate::Refused(_) if patient => Verdict::Retry { reason: "amocrm/refused".to_owned(), after: None },
            Fate::Refused(said) => Verdict::Dead { reason: "amocrm/refused".to_owned(), answer: said.clone() },
            Fate::Bad(said) => Verdict::Dead { reason: "amocrm/invalid".to_owned(), answer: said.clone() },
            Fate::Written(_) => Verdict::Retry { reason: "amocrm/unfinished".to_owned(), after: None },
        }
    };
    match &fate {
        Fate::Written(id) => {
            let mark = wanted.product.as_ref().map(|product| mark(product, place)).unwrap_or_default();
            learn(desk, memory, ledger::product(&wanted.id), Some(ElementLine { id: *id, mark }.to_text()));
            done(desk, wanted, *id);
            return;
        }
        // Somebody deleted it: it is looked for, and made anew.
        Fate::Gone => learn(desk, memory, ledger::product(&wanted.id), None),
        Fate::Bad(_) | Fate::Refused(_) => {}
    }
    for job in &wanted.jobs {
        desk.judge(job.seq, verdict(job));
    }
}

fn learn(desk: &mut Desk, memory: &mut Memory, key: LedgerKey, value: Option<String>) {
    desk.learn(key.clone(), value.clone());
    memory.looked.put(key, value);
}

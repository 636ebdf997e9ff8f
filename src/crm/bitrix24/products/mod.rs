//! Lime's products in the portal's catalog.
//!
//! What a product is there stands in the ledger, with a mark of what was written: an unchanged product costs no request. What the ledger does not know is
//! asked for by `xmlId` before it is created. Of many changes of one product in a batch only the last is written. Groups come before what is in them.
//!
//! Never: a product deleted, for old deals have it; a price that people added taken away.

mod groups;
mod items;
mod prices;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::batch::Command;
use super::book::Halt;
use super::catalog::{self, Sectioned, Shelved};
use super::ended::Ended;
use super::errands::LookUp;
use super::places::{self, Shelf};
use super::schema;
use super::talk::Talk;
use super::wire;
use crate::config::Hub;
use crate::delivery::Verdict;
use crate::domain::{Change, Product, Seq, Told};
use crate::flow::deals::{Leaf, upwards};

/// Ids asked for in one command: well below a page, so that doubles at the portal cannot push one out.
const KEYS: usize = 25;

/// Looks up in the ledger what delivering can need.
pub(super) fn look_up(change: &Change, hub: &Hub, look_up: &mut LookUp<'_>) {
    look_up.get(places::ledger_key(hub));
    let (id, group) = match &change.told {
        Told::Product(product) => (product.id.as_str(), product.parent_id.clone()),
        Told::ProductGone(id) => (id.as_str(), None),
        _ => return,
    };
    look_up.get(catalog::product_key(id));
    look_up.get(catalog::section_key(id));
    let Some(group) = group else { return };
    for (id, _) in upwards(&group, |key| look_up.get(key.clone()).and_then(Leaf::parse)) {
        look_up.get(catalog::section_key(&id));
    }
}

/// Finds out what became of creates in doubt: a job whose product, and the groups that it is in, are there goes on.
///
/// # Errors
/// When the batch cannot go on.
pub(super) async fn resolve(talk: &mut Talk) -> Result<(), Halt> {
    let doubtful: Vec<(Seq, Told)> = talk
        .errands
        .iter()
        .filter(|errand| errand.doubtful && is_product(&errand.change.told) && talk.book.is_open(errand.seq))
        .map(|errand| (errand.seq, errand.change.told.clone()))
        .collect();
    if doubtful.is_empty() {
        return Ok(());
    }
    let Some(shelf) = talk.places().await?.shelf else {
        for (seq, _) in doubtful {
            talk.book.decide(seq, Halt::person("setup/catalog"));
        }
        return Ok(());
    };
    let wanted = Wanted::of(talk, doubtful.iter().map(|(_, told)| told));
    wanted.find(talk, shelf).await?;
    let mut waits = false;
    for (seq, told) in doubtful {
        let of_this = Wanted::of(talk, [&told].into_iter());
        if of_this.products.is_empty() && of_this.sections.is_empty() {
            for errand in talk.errands.iter_mut().filter(|errand| errand.seq == seq) {
                errand.doubtful = false;
            }
        } else {
            talk.book.decide(seq, Verdict::NotFound);
            waits = true;
        }
    }
    if waits {
        // What may just be coming into being must not be created by those behind.
        for seq in talk.open_errands(is_product) {
            talk.book.decide(seq, Halt::after("crm/order", Duration::ZERO));
        }
    }
    Ok(())
}

/// Delivers the open jobs of its kind.
///
/// # Errors
/// When the batch cannot go on.
pub(super) async fn deliver(talk: &mut Talk) -> Result<(), Halt> {
    let open = talk.open_errands(is_product);
    if open.is_empty() {
        return Ok(());
    }
    let Some(shelf) = talk.places().await?.shelf else {
        for seq in open {
            talk.book.decide(seq, Halt::person("setup/catalog"));
        }
        return Ok(());
    };
    let mut stock = Stock { shelf, jobs: BTreeMap::new() };
    for seq in open {
        let told = talk.errands.iter().find(|errand| errand.seq == seq).map(|errand| errand.change.told.clone());
        let (id, product) = match told {
            Some(Told::Product(product)) => (product.id.clone(), Some(product)),
            Some(Told::ProductGone(id)) => (id, None),
            _ => continue,
        };
        let job = stock.jobs.entry(id).or_default();
        job.seqs.push(seq);
        // Jobs stand in order: the last word counts.
        job.product = product;
    }
    let all: Vec<Told> =
        stock.jobs.iter().map(|(id, job)| job.product.clone().map_or_else(|| Told::ProductGone(id.clone()), Told::Product)).collect();
    Wanted::of(talk, all.iter()).find(talk, shelf).await?;
    stock.archive(talk).await?;
    stock.sections(talk).await?;
    stock.products(talk).await
}

fn is_product(told: &Told) -> bool {
    matches!(told, Told::Product(_) | Told::ProductGone(_))
}

/// What of the portal's catalog is not known yet.
#[derive(Debug, Default)]
struct Wanted {
    products: BTreeSet<String>,
    sections: BTreeSet<String>,
}

impl Wanted {
    fn of<'a>(talk: &Talk, told: impl Iterator<Item = &'a Told>) -> Self {
        let mut wanted = Self::default();
        for told in told {
            match told {
                Told::Product(product) => {
                    let own = if product.price.is_some() { &mut wanted.products } else { &mut wanted.sections };
                    own.insert(product.id.clone());
                    wanted.sections.extend(groups_above(talk, product));
                }
                Told::ProductGone(id) if section_of(talk, id).is_none() => {
                    wanted.products.insert(id.clone());
                }
                _ => {}
            }
        }
        wanted.products.retain(|id| shelved(talk, id).is_none());
        wanted.sections.retain(|id| section_of(talk, id).is_none());
        wanted
    }

    /// Asks for them by `xmlId`: what is found is known from then on.
    async fn find(self, talk: &mut Talk, shelf: Shelf) -> Result<(), Halt> {
        let products: Vec<String> = self.products.into_iter().collect();
        let sections: Vec<String> = self.sections.into_iter().collect();
        let of_products = products.chunks(KEYS).flat_map(|keys| catalog::ask_products(keys, shelf));
        let of_sections = sections.chunks(KEYS).map(|keys| catalog::ask_sections(keys, shelf));
        let commands: Vec<Command> = of_products.chain(of_sections).collect();
        let outcomes = talk.portal.ask(&commands).await?;
        for (command, outcome) in commands.iter().zip(outcomes) {
            let result = schema::done(Some(&outcome))?;
            for row in catalog::rows(result) {
                let key = row.get("xmlId").and_then(wire::text);
                let (Some(id), Some(lime)) = (row.get("id").and_then(wire::id), key.as_deref().and_then(catalog::lime_id)) else { continue };
                // Only what was asked for, and the oldest where there are several.
                if command.method == "catalog.section.list" {
                    if sections.iter().any(|wanted| wanted == lime) && section_of(talk, lime).is_none_or(|known| id < known.id) {
                        talk.learn(catalog::section_key(lime), Some(Sectioned { id, mark: String::new() }.to_text()));
                    }
                } else if products.iter().any(|wanted| wanted == lime) && shelved(talk, lime).is_none_or(|known| id < known.id) {
                    let service = command.method == "catalog.product.service.list" || row.get("type").and_then(wire::id) == Some(7);
                    talk.learn(catalog::product_key(lime), Some(Shelved { id, service, price: None, mark: String::new() }.to_text()));
                } else if command.method == "catalog.product.service.list"
                    && let Some(known) = shelved(talk, lime).filter(|known| known.id == id && !known.service)
                {
                    talk.learn(catalog::product_key(lime), Some(Shelved { service: true, ..known }.to_text()));
                }
            }
        }
        Ok(())
    }
}

/// The jobs about one product.
#[derive(Debug, Default)]
struct Jobs {
    seqs: Vec<Seq>,
    /// As it is to be; none where it is gone.
    product: Option<Product>,
}

/// All products of a batch, by Lime's id.
struct Stock {
    shelf: Shelf,
    jobs: BTreeMap<String, Jobs>,
}

impl Stock {
    fn decide(&self, talk: &mut Talk, id: &str, verdict: &Verdict) {
        for seq in self.jobs.get(id).map_or(&[][..], |jobs| &jobs.seqs) {
            talk.book.decide(*seq, verdict.clone());
        }
    }

    fn confirm(&self, talk: &mut Talk, id: &str, remote: Option<String>) {
        for seq in self.jobs.get(id).map_or(&[][..], |jobs| &jobs.seqs) {
            talk.book.confirm(*seq, remote.clone());
        }
    }

    fn is_open(&self, talk: &Talk, id: &str) -> bool {
        self.jobs.get(id).is_some_and(|jobs| jobs.seqs.iter().any(|seq| talk.book.is_open(*seq)))
    }

    /// What is gone in Lime is sold no more.
    async fn archive(&self, talk: &mut Talk) -> Result<(), Halt> {
        let mut asked: Vec<(&String, Command)> = Vec::new();
        for (id, _) in self.jobs.iter().filter(|(_, jobs)| jobs.product.is_none()) {
            match (shelved(talk, id), section_of(talk, id)) {
                (Some(product), _) => asked.push((id, catalog::archive(&product))),
                (None, Some(section)) => asked.push((id, catalog::archive_section(section.id))),
                (None, None) => self.confirm(talk, id, None),
            }
        }
        let commands: Vec<Command> = asked.iter().map(|(_, command)| command.clone()).collect();
        for ((id, command), outcome) in asked.into_iter().zip(talk.portal.ask(&commands).await?) {
            match Ended::of(&command, outcome, "refused/product") {
                Ended::Done(_) => {
                    // It may come back: then it is written anew.
                    if let Some(product) = shelved(talk, id) {
                        talk.learn(catalog::product_key(id), Some(Shelved { mark: String::new(), ..product }.to_text()));
                    }
                    if let Some(section) = section_of(talk, id) {
                        talk.learn(catalog::section_key(id), Some(Sectioned { mark: String::new(), ..section }.to_text()));
                    }
                    self.confirm(talk, id, None);
                }
                Ended::Gone => {
                    talk.learn(catalog::product_key(id), None);
                    talk.learn(catalog::section_key(id), None);
                    self.confirm(talk, id, None);
                }
                Ended::Stale => self.decide(talk, id, &Halt::person("setup/catalog").into()),
                Ended::Verdict(verdict) => self.decide(talk, id, &verdict),
            }
        }
        Ok(())
    }
}

/// Asks for products that the ledger does not know: what is found is known from then on.
///
/// # Errors
/// When an answer did not come.
pub(super) async fn find(talk: &mut Talk, shelf: Shelf, products: BTreeSet<String>) -> Result<(), Halt> {
    Wanted { products, sections: BTreeSet::new() }.find(talk, shelf).await
}

fn shelved(talk: &Talk, id: &str) -> Option<Shelved> {
    talk.kept.get(&catalog::product_key(id)).and_then(Shelved::parse)
}

fn section_of(talk: &Talk, id: &str) -> Option<Sectioned> {
    talk.kept.get(&catalog::section_key(id)).and_then(Sectioned::parse)
}

/// The section that a product stands in.
fn section(talk: &Talk, product: &Product) -> Option<u64> {
    section_of(talk, product.parent_id.as_ref()?).map(|section| section.id)
}

/// The groups above a product, the nearest first.
fn groups_above(talk: &Talk, product: &Product) -> Vec<String> {
    let Some(group) = &product.parent_id else { return Vec::new() };
    upwards(group, |key| talk.kept.get(key).and_then(Leaf::parse)).into_iter().map(|(id, _)| id).collect()
}

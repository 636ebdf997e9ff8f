//! Lime's products in the portal's catalog.
//!
//! What a product is there stands in the ledger, with a mark of what was written: an unchanged product costs no request. What the ledger does not know is
//! asked for by `xmlId` before it is created. Of many changes of one product in a batch only the last is written. Groups come before what is in them.
//!
//! Never: a product deleted, for old deals have it; a price that people added taken away.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::batch::{Command, LIMIT, Outcome};
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
use crate::flow::deals::{Leaf, product_key as leaf_key, upwards};
use crate::journal::LedgerKey;

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

/// A group as it has to be.
struct Group {
    name: String,
    active: bool,
    parent: Option<String>,
    /// Jobs that wait for it.
    seqs: Vec<Seq>,
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

    /// Groups, from the top down, as far as an open job needs them.
    async fn sections(&self, talk: &mut Talk) -> Result<(), Halt> {
        let mut open = self.groups(talk);
        while !open.is_empty() {
            let ready: Vec<String> = open
                .iter()
                .filter(|(_, group)| group.parent.as_ref().is_none_or(|parent| !open.contains_key(parent)))
                .map(|(id, _)| id.clone())
                .collect();
            // Groups that are in each other: the first of them begins.
            let ready = if ready.is_empty() { open.keys().take(1).cloned().collect() } else { ready };
            let (mut adds, mut updates) = (Vec::new(), Vec::new());
            for (id, group) in ready.into_iter().filter_map(|id| open.remove_entry(&id)) {
                let parent = group.parent.as_ref().and_then(|parent| section_of(talk, parent)).map(|parent| parent.id);
                let mark = catalog::mark(&group.name, group.active, parent);
                match section_of(talk, &id) {
                    Some(section) if section.mark == mark => self.confirm_group(talk, &id),
                    Some(section) => updates.push((catalog::update_section(section.id, &group.name, group.active, parent), id, mark, group)),
                    None => adds.push((catalog::add_section(&id, &group.name, parent, self.shelf), id, mark, group)),
                }
            }
            for chunk in adds.chunks(LIMIT) {
                let commands: Vec<Command> = chunk.iter().map(|(command, ..)| command.clone()).collect();
                let jobs: Vec<Seq> = chunk.iter().flat_map(|(_, _, _, group)| group.seqs.clone()).collect();
                let outcomes = match talk.portal.create(&commands, jobs.clone()).await {
                    Ok(outcomes) => outcomes,
                    Err(broken) => return Err(talk.broken(broken, &jobs)),
                };
                for ((command, id, mark, group), outcome) in chunk.iter().zip(outcomes) {
                    let ended = Ended::of_create(command, outcome, "refused/section");
                    self.section_ended(talk, id, mark, group, ended);
                }
            }
            let commands: Vec<Command> = updates.iter().map(|(command, ..)| command.clone()).collect();
            for ((command, id, mark, group), outcome) in updates.iter().zip(talk.portal.ask(&commands).await?) {
                self.section_ended(talk, id, mark, group, Ended::of(command, outcome, "refused/section"));
            }
        }
        Ok(())
    }

    /// The groups that open jobs are, or are in.
    fn groups(&self, talk: &Talk) -> BTreeMap<String, Group> {
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        for (id, jobs) in &self.jobs {
            let Some(product) = jobs.product.as_ref().filter(|_| self.is_open(talk, id)) else { continue };
            if product.price.is_none() {
                let own = Group { name: product.name.clone(), active: product.active, parent: product.parent_id.clone(), seqs: Vec::new() };
                groups.entry(id.clone()).or_insert(own).seqs.extend(&jobs.seqs);
            }
            for above in groups_above(talk, product) {
                if let Some(group) = groups.get_mut(&above) {
                    group.seqs.extend(&jobs.seqs);
                    continue;
                }
                // Known already, and no news of it: it stays as it is.
                let told =
                    self.jobs.get(&above).and_then(|jobs| jobs.product.as_ref()).map(|own| (own.name.clone(), own.active, own.parent_id.clone()));
                if told.is_none() && section_of(talk, &above).is_some() {
                    continue;
                }
                let known = talk.kept.get(&leaf_key(&above)).and_then(Leaf::parse);
                let (name, active, parent) =
                    told.or_else(|| known.map(|known| (known.name, true, known.parent))).unwrap_or((above.clone(), true, None));
                groups.insert(above, Group { name, active, parent, seqs: jobs.seqs.clone() });
            }
        }
        groups
    }

    fn section_ended(&self, talk: &mut Talk, id: &str, mark: &str, group: &Group, ended: Ended) {
        let verdict = match ended {
            Ended::Done(result) => {
                let made = result.pointer("/section/id").and_then(wire::id).or_else(|| section_of(talk, id).map(|section| section.id));
                match made {
                    Some(made) => {
                        talk.learn(catalog::section_key(id), Some(Sectioned { id: made, mark: mark.to_owned() }.to_text()));
                        self.confirm_group(talk, id);
                        return;
                    }
                    None => Verdict::Doubtful,
                }
            }
            // People have deleted it: the next attempt makes it anew.
            Ended::Gone => {
                talk.learn(catalog::section_key(id), None);
                Halt::after("crm/section_gone", Duration::from_secs(1)).into()
            }
            Ended::Stale => Halt::person("setup/catalog").into(),
            Ended::Verdict(Verdict::Dead { reason, answer }) if self.jobs.contains_key(id) => {
                // The group is put away; what is in it waits in vain, and is put away by its own.
                self.decide(talk, id, &Verdict::Dead { reason: reason.clone(), answer: answer.clone() });
                Verdict::Dead { reason, answer }
            }
            Ended::Verdict(verdict) => verdict,
        };
        for seq in &group.seqs {
            talk.book.decide(*seq, verdict.clone());
        }
    }

    /// A group's own jobs are done with its section; those of what is in it are not.
    fn confirm_group(&self, talk: &mut Talk, id: &str) {
        if self.jobs.get(id).is_some_and(|jobs| jobs.product.as_ref().is_some_and(|own| own.price.is_none())) {
            let remote = section_of(talk, id).map(|section| format!("section:{}", section.id));
            self.confirm(talk, id, remote);
        }
    }

    async fn products(&self, talk: &mut Talk) -> Result<(), Halt> {
        let open: Vec<(&String, &Product)> =
            self.jobs.iter().filter(|(id, _)| self.is_open(talk, id)).filter_map(|(id, jobs)| Some((id, jobs.product.as_ref()?))).collect();
        let (known, new): (Vec<_>, Vec<_>) = open.into_iter().partition(|(id, _)| shelved(talk, id).is_some());
        self.add(talk, &new).await?;
        self.update(talk, &known).await?;
        self.price(talk, &known).await?;
        for (id, product) in known {
            let section = section(talk, product);
            let up_to_date = |known: &Shelved| {
                known.mark == catalog::mark(&product.name, product.active, section)
                    && product.price.as_ref().is_none_or(|price| known.price.as_ref().is_some_and(|(_, mark)| *mark == catalog::price_mark(price)))
            };
            if let Some(known) = shelved(talk, id).filter(up_to_date) {
                self.confirm(talk, id, Some(format!("product:{}", known.id)));
            }
        }
        Ok(())
    }

    /// Creates products with their prices: each makes two commands of a request, the second naming what the first has made.
    async fn add(&self, talk: &mut Talk, new: &[(&String, &Product)]) -> Result<(), Halt> {
        for chunk in new.chunks(LIMIT / 2) {
            let mut commands = Vec::new();
            for (_, product) in chunk {
                let add = catalog::add(product, section(talk, product), self.shelf);
                let of = if add.method == "catalog.product.add" { "element" } else { "service" };
                let at = commands.len();
                commands.push(add);
                if let Some(price) = &product.price {
                    commands.push(catalog::add_price(None, price, self.shelf).referring("fields[productId]", at, &[of, "id"]));
                }
            }
            let jobs: Vec<Seq> = chunk.iter().filter_map(|(id, _)| self.jobs.get(*id)).flat_map(|jobs| jobs.seqs.clone()).collect();
            let outcomes = match talk.portal.create(&commands, jobs.clone()).await {
                Ok(outcomes) => outcomes,
                Err(broken) => return Err(talk.broken(broken, &jobs)),
            };
            let mut answers = commands.iter().zip(outcomes);
            for (id, product) in chunk {
                let Some((command, outcome)) = answers.next() else { break };
                let priced = product.price.as_ref().and_then(|price| Some((price, answers.next()?)));
                self.added(
                    talk,
                    id,
                    product,
                    Ended::of_create(command, outcome, "refused/product"),
                    priced.map(|(price, (_, outcome))| (price, outcome)),
                );
            }
        }
        Ok(())
    }

    fn added(&self, talk: &mut Talk, id: &str, product: &Product, ended: Ended, priced: Option<(&crate::domain::Money, Outcome)>) {
        let verdict = match ended {
            Ended::Done(result) => {
                let made = ["element", "service", "product"].into_iter().find_map(|name| result.get(name)).and_then(|made| wire::id(made.get("id")?));
                match made {
                    Some(made) => {
                        let price = priced.and_then(|(price, outcome)| match outcome {
                            Outcome::Done { result, .. } => Some((result.pointer("/price/id").and_then(wire::id)?, catalog::price_mark(price))),
                            _ => None,
                        });
                        let done = price.is_some() || product.price.is_none();
                        let mark = catalog::mark(&product.name, product.active, section(talk, product));
                        let known = Shelved { id: made, service: catalog::is_service(product.kind), price, mark };
                        talk.learn(catalog::product_key(id), Some(known.to_text()));
                        if done {
                            self.confirm(talk, id, Some(format!("product:{made}")));
                            return;
                        }
                        // It has no price yet, as far as we know: the next attempt asks.
                        Halt::new("crm/price").into()
                    }
                    None => Verdict::Doubtful,
                }
            }
            Ended::Gone => {
                Verdict::Dead { reason: "refused/product".to_owned(), answer: "the portal does not find what the product names".to_owned() }
            }
            Ended::Stale => Halt::person("setup/catalog").into(),
            Ended::Verdict(verdict) => verdict,
        };
        self.decide(talk, id, &verdict);
    }

    /// Brings names, groups and whether it is sold up to date.
    async fn update(&self, talk: &mut Talk, known: &[(&String, &Product)]) -> Result<(), Halt> {
        let mut asked = Vec::new();
        for (id, product) in known {
            let section = section(talk, product);
            let mark = catalog::mark(&product.name, product.active, section);
            if let Some(there) = shelved(talk, id).filter(|there| there.mark != mark) {
                asked.push((*id, mark, catalog::update(&there, product, section)));
            }
        }
        let commands: Vec<Command> = asked.iter().map(|(.., command)| command.clone()).collect();
        for ((id, mark, command), outcome) in asked.into_iter().zip(talk.portal.ask(&commands).await?) {
            match Ended::of(&command, outcome, "refused/product") {
                Ended::Done(_) => {
                    if let Some(there) = shelved(talk, id) {
                        talk.learn(catalog::product_key(id), Some(Shelved { mark, ..there }.to_text()));
                    }
                }
                ended => self.not_updated(talk, id, ended),
            }
        }
        Ok(())
    }

    fn not_updated(&self, talk: &mut Talk, id: &str, ended: Ended) {
        match ended {
            Ended::Done(_) => {}
            // People have deleted it: the next attempt makes it anew.
            Ended::Gone => {
                talk.learn(catalog::product_key(id), None);
                self.decide(talk, id, &Halt::after("crm/product_gone", Duration::from_secs(1)).into());
            }
            Ended::Stale => self.decide(talk, id, &Halt::person("setup/catalog").into()),
            Ended::Verdict(verdict) => self.decide(talk, id, &verdict),
        }
    }

    /// Brings base prices up to date. One whose id is not known is asked for first.
    async fn price(&self, talk: &mut Talk, known: &[(&String, &Product)]) -> Result<(), Halt> {
        let wrong = |talk: &Talk, id: &str, product: &Product| {
            let there = shelved(talk, id)?;
            let price = product.price.clone()?;
            let same = there.price.as_ref().is_some_and(|(_, mark)| *mark == catalog::price_mark(&price));
            (!same && self.is_open(talk, id)).then_some((there, price))
        };
        let unknown: Vec<(String, u64)> = known
            .iter()
            .filter_map(|(id, product)| {
                wrong(talk, id, product).filter(|(there, _)| there.price.is_none()).map(|(there, _)| ((*id).clone(), there.id))
            })
            .collect();
        let commands: Vec<Command> =
            unknown.chunks(KEYS).map(|chunk| catalog::ask_prices(&chunk.iter().map(|(_, id)| *id).collect::<Vec<_>>(), self.shelf)).collect();
        for outcome in talk.portal.ask(&commands).await? {
            for row in catalog::rows(schema::done(Some(&outcome))?) {
                let (Some(price), Some(product)) = (row.get("id").and_then(wire::id), row.get("productId").and_then(wire::id)) else { continue };
                let of_base = row.get("catalogGroupId").and_then(wire::id) == Some(self.shelf.price_type);
                if let Some((id, _)) = unknown.iter().find(|(_, id)| *id == product && of_base)
                    && let Some(there) = shelved(talk, id)
                {
                    talk.learn(catalog::product_key(id), Some(Shelved { price: Some((price, "?".to_owned())), ..there }.to_text()));
                }
            }
        }
        let (mut updates, mut adds) = (Vec::new(), Vec::new());
        for (id, product) in known {
            match wrong(talk, id, product) {
                Some((Shelved { price: Some((at, _)), .. }, price)) => updates.push(((*id).clone(), at, catalog::update_price(at, &price), price)),
                Some((there, price)) => adds.push(((*id).clone(), catalog::add_price(Some(there.id), &price, self.shelf), price)),
                None => {}
            }
        }
        let commands: Vec<Command> = updates.iter().map(|(_, _, command, _)| command.clone()).collect();
        for ((id, at, command, price), outcome) in updates.into_iter().zip(talk.portal.ask(&commands).await?) {
            match Ended::of(&command, outcome, "refused/price") {
                Ended::Done(_) => priced(talk, &id, Some((at, catalog::price_mark(&price)))),
                // The price was taken away: the next attempt adds one.
                Ended::Gone => {
                    priced(talk, &id, None);
                    self.decide(talk, &id, &Halt::after("crm/price_gone", Duration::from_secs(1)).into());
                }
                ended => self.not_updated(talk, &id, ended),
            }
        }
        for chunk in adds.chunks(LIMIT) {
            let commands: Vec<Command> = chunk.iter().map(|(_, command, _)| command.clone()).collect();
            let jobs: Vec<Seq> = chunk.iter().filter_map(|(id, ..)| self.jobs.get(id)).flat_map(|jobs| jobs.seqs.clone()).collect();
            let outcomes = match talk.portal.create(&commands, jobs.clone()).await {
                Ok(outcomes) => outcomes,
                Err(broken) => return Err(talk.broken(broken, &jobs)),
            };
            for ((id, command, price), outcome) in chunk.iter().zip(outcomes) {
                match Ended::of_create(command, outcome, "refused/price") {
                    Ended::Done(result) => match result.pointer("/price/id").and_then(wire::id) {
                        Some(at) => priced(talk, id, Some((at, catalog::price_mark(price)))),
                        None => self.decide(talk, id, &Verdict::Doubtful),
                    },
                    ended => self.not_updated(talk, id, ended),
                }
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

fn priced(talk: &mut Talk, id: &str, price: Option<(u64, String)>) {
    if let Some(there) = shelved(talk, id) {
        talk.learn(catalog::product_key(id), Some(Shelved { price, ..there }.to_text()));
    }
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

impl Talk {
    /// Keeps a line for the ledger, and knows it from now on.
    pub(super) fn learn(&mut self, key: LedgerKey, value: Option<String>) {
        self.kept.put(key.clone(), value.clone());
        self.book.learn(key, value);
    }
}

//! Base prices of products that are there.
//!
//! Never: a price of another type touched.

use std::time::Duration;

use super::super::batch::{Command, LIMIT};
use super::super::book::Halt;
use super::super::catalog::{self, Shelved};
use super::super::ended::Ended;
use super::super::schema;
use super::super::talk::Talk;
use super::super::wire;
use super::{KEYS, Stock, shelved};
use crate::delivery::Verdict;
use crate::domain::{Product, Seq};

impl Stock {
    /// Brings base prices up to date. One whose id is not known is asked for first.
    pub(super) async fn price(&self, talk: &mut Talk, known: &[(&String, &Product)]) -> Result<(), Halt> {
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

fn priced(talk: &mut Talk, id: &str, price: Option<(u64, String)>) {
    if let Some(there) = shelved(talk, id) {
        talk.learn(catalog::product_key(id), Some(Shelved { price, ..there }.to_text()));
    }
}

//! The products themselves: new ones with their prices in one request, known ones where something differs.
//!
//! Never: a product confirmed whose price is not there.

use std::time::Duration;

use super::super::batch::{Command, LIMIT, Outcome};
use super::super::book::Halt;
use super::super::catalog::{self, Shelved};
use super::super::ended::Ended;
use super::super::talk::Talk;
use super::super::wire;
use super::{Stock, section, shelved};
use crate::delivery::Verdict;
use crate::domain::{Product, Seq};

impl Stock {
    pub(super) async fn products(&self, talk: &mut Talk) -> Result<(), Halt> {
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

    pub(super) fn not_updated(&self, talk: &mut Talk, id: &str, ended: Ended) {
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
}

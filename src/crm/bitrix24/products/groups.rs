//! Lime's groups as sections of the portal's catalog: from the top down, as far as an open job needs them.
//!
//! Never: a group in a circle waited for; the jobs of what is in a group confirmed with it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::batch::{Command, LIMIT};
use super::super::book::Halt;
use super::super::catalog::{self, Sectioned};
use super::super::ended::Ended;
use super::super::talk::Talk;
use super::super::wire;
use super::{Stock, groups_above, section_of};
use crate::delivery::Verdict;
use crate::domain::Seq;
use crate::flow::deals::{Leaf, product_key as leaf_key};

/// A group as it has to be.
struct Group {
    name: String,
    active: bool,
    parent: Option<String>,
    /// Jobs that wait for it.
    seqs: Vec<Seq>,
}

impl Stock {
    /// Groups, from the top down, as far as an open job needs them.
    pub(super) async fn sections(&self, talk: &mut Talk) -> Result<(), Halt> {
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
}

//! Lime is told what a deal wants, and staff what Lime made of it.
//!
//! Never: a revision sent that is not in the ledger; a line of the timeline written that was not owed there before.

use serde_json::json;

use super::super::batch::{Command, LIMIT};
use super::super::book::Halt;
use super::super::ended::Ended;
use super::super::feed_deals::as_ours;
use super::super::notes::{self, Note};
use super::super::schema::DEAL;
use super::super::talk::Talk;
use super::super::{booking, sale};
use super::Desk;
use crate::crm::deal_fields::DealField;
use crate::delivery::Verdict;
use crate::domain::{Seq, Told};
use crate::flow::preorders::{Bound, NOBODY, Say, ToLime, bound_key, deal_key, left_out, warnings};
use crate::journal::Learned;
use crate::lime::Written;
use crate::lime::preorders::{self as lime, Placed, PreorderConflict};

/// What there is to do on a deal once Lime has answered.
pub(super) struct Bearing {
    jobs: Vec<Seq>,
    /// Lime's id of the preorder.
    preorder: String,
    note: Option<Note>,
}

impl Desk {
    /// Has Lime carry out what a deal wants. `said`: what staff should know besides.
    pub(super) async fn send(
        &mut self,
        talk: &mut Talk,
        seq: Seq,
        deal: u64,
        mut bound: Bound,
        mut todo: ToLime,
        said: Option<String>,
    ) -> Result<(), Halt> {
        let key = bound_key(&deal.to_string());
        // Twice: a revision that Lime has gone past is sent anew with a later one.
        for _ in 0..2 {
            if todo == ToLime::Nobody {
                let said = talk.settings.texts.preorder_for_nobody();
                let say = bound.names_nobody(seq);
                self.explain(talk, seq, deal, &bound, (say, said), NOBODY);
                return Ok(());
            }
            let ToLime::Send { revision, draft } = todo else {
                if todo == ToLime::Nothing && bound != Bound::default() {
                    talk.learn(key, Some(bound.to_json()));
                }
                // A note may be owed from before.
                if said.is_some() || talk.kept.get(&notes::key(&deal.to_string())).is_some() {
                    self.bear(seq, deal, &bound, None, said);
                } else {
                    talk.book.confirm(seq, Some(format!("deal:{deal}")));
                }
                return Ok(());
            };
            let request = lime::put(&booking::reference(deal), revision, &draft, &talk.settings.texts.zone);
            let kept = Learned { key: key.clone(), value: Some(bound.to_json()) };
            talk.kept.put(key.clone(), kept.value.clone());
            let answer = talk.portal.write_lime(request, vec![kept]).await?;
            match lime::placed(&answer) {
                Written::Done(placed) => {
                    let quiet = bound.placed(&placed);
                    talk.learn(key, Some(bound.to_json()));
                    if let Some(line) = quiet {
                        talk.learn(line.key, line.value);
                    }
                    talk.learn(deal_key(&placed.id), Some(deal.to_string()));
                    self.bear(seq, deal, &bound, Some((&placed, revision, draft.lines.is_some())), said);
                    return Ok(());
                }
                Written::Conflict(PreorderConflict::Stale | PreorderConflict::OtherContent) => {
                    bound.stale(talk.now_ms);
                    talk.learn(key.clone(), Some(bound.to_json()));
                    todo = match self.deals.get(&deal) {
                        Some(Some(read)) => bound.to_lime(&read.booking, &self.keyer),
                        Some(None) => bound.cancel(),
                        // We have just made it: there is nothing to tell but its reference.
                        None => draft.bind.as_deref().map_or(ToLime::Nothing, |preorder| bound.bind(preorder)),
                    };
                }
                Written::Conflict(PreorderConflict::Bound) => {
                    let answer = "the preorder belongs to another deal".to_owned();
                    talk.book.decide(seq, Verdict::Dead { reason: "lime/bound".to_owned(), answer });
                    return Ok(());
                }
                Written::Refused(code) => {
                    let said = talk.settings.texts.preorder_refused(&code);
                    let say = bound.is_refused(seq);
                    self.explain(talk, seq, deal, &bound, (say, said), &code);
                    return Ok(());
                }
                Written::Later { code, after } => {
                    talk.book.decide(seq, Halt { reason: code, after });
                    return Ok(());
                }
            }
        }
        talk.book.decide(seq, Halt::new("lime/stale"));
        Ok(())
    }

    /// Lime cannot have the deal: staff read why, and then its job is a dead letter.
    fn explain(&mut self, talk: &mut Talk, seq: Seq, deal: u64, bound: &Bound, (say, said): (Say, String), code: &str) {
        let letter = Verdict::Dead { reason: code.to_owned(), answer: said.clone() };
        let gone = self.deals.get(&deal).is_none_or(Option::is_none);
        let owed = talk.kept.get(&notes::key(&deal.to_string())).is_some();
        match say {
            Say::Nothing => return talk.book.confirm(seq, Some(format!("deal:{deal}"))),
            _ if gone => return talk.book.decide(seq, letter),
            Say::Letter if !owed => return talk.book.decide(seq, letter),
            Say::Letter => self.bear(seq, deal, bound, None, None),
            Say::All => {
                talk.learn(bound_key(&deal.to_string()), Some(bound.to_json()));
                self.bear(seq, deal, bound, None, Some(said));
            }
        }
        self.letters.push((seq, letter));
    }

    /// Notes what there is to do on the deal. `placed`: Lime's answer, the revision, and whether it was about the content.
    fn bear(&mut self, seq: Seq, deal: u64, bound: &Bound, placed: Option<(&Placed, u64, bool)>, said: Option<String>) {
        let left = self.deals.get(&deal).and_then(Option::as_ref).map(|read| read.left_out.clone()).unwrap_or_default();
        let currency = self.deals.get(&deal).and_then(Option::as_ref).map_or_else(|| "RUB".to_owned(), |read| read.currency.clone());
        let note = Note { currency, placed: placed.filter(|(.., content)| *content).map(|(placed, ..)| placed.clone()), left_out: left, said };
        let preorder = bound.preorder.clone().unwrap_or_default();
        let gone = self.deals.get(&deal).is_none_or(Option::is_none);
        let bearing = self.bearing.entry(deal).or_insert_with(|| Bearing { jobs: Vec::new(), preorder: preorder.clone(), note: None });
        bearing.jobs.push(seq);
        bearing.preorder = preorder;
        if !gone && note.says_something() {
            bearing.note = Some(note);
        }
    }

    /// Gives deals Lime's id of their preorder, and their timelines what Lime made of it.
    pub(super) async fn tell_staff(&mut self, talk: &mut Talk) -> Result<(), Halt> {
        let bearing: Vec<(u64, Bearing)> = std::mem::take(&mut self.bearing).into_iter().collect();
        let field = self.places.field(DealField::Preorder).cloned().unwrap_or_default();
        for chunk in bearing.chunks(LIMIT) {
            let (mut commands, mut learned, mut of) = (Vec::new(), Vec::new(), Vec::new());
            for (deal, one) in chunk {
                let gone = self.deals.get(deal).is_some_and(Option::is_none);
                if gone {
                    continue;
                }
                commands.push(match one.preorder.as_str() {
                    // There is nothing to show but the note.
                    "" => Command::new("crm.item.get", json!({ "entityTypeId": DEAL, "id": deal })),
                    id => as_ours(sale::change(*deal, json!({ field.clone(): id })), &talk.kept),
                });
                of.push((*deal, one));
                for key in [bound_key(&deal.to_string()), deal_key(&one.preorder)] {
                    learned.extend(talk.kept.get(&key).map(|value| Learned { key: key.clone(), value: Some(value.to_owned()) }));
                }
                if let Some(note) = &one.note {
                    let name = |id: &str| product_name(talk, id);
                    let said = warnings(note.placed.as_ref().map_or(&[][..], |placed| &placed.warnings), &note.currency, &name, &talk.settings.texts);
                    let left = left_out(&note.left_out, &talk.settings.texts);
                    let text = note.text(&one.preorder, &[said, left], &talk.settings.texts);
                    let key = notes::key(&deal.to_string());
                    talk.kept.put(key.clone(), Some(text.clone()));
                    learned.push(Learned { key, value: Some(text) });
                }
            }
            // What is owed is in the ledger before the first line leaves.
            let outcomes = if commands.is_empty() { Vec::new() } else { talk.portal.set(&commands, learned).await? };
            for (((deal, one), command), outcome) in of.into_iter().zip(&commands).zip(outcomes) {
                match Ended::of(command, outcome, "refused/deal") {
                    Ended::Done(_) => {}
                    // Without the field the deal is found by the ledger; a deal that is gone needs none.
                    Ended::Gone | Ended::Stale => talk.learn(notes::key(&deal.to_string()), None),
                    Ended::Verdict(verdict) => one.jobs.iter().for_each(|seq| talk.book.decide(*seq, verdict.clone())),
                }
            }
            let due: Vec<(u64, Vec<Seq>)> = chunk.iter().map(|(deal, one)| (*deal, one.jobs.clone())).collect();
            notes::write(talk, due, &self.letters).await?;
        }
        Ok(())
    }
}

fn product_name(talk: &Talk, id: &str) -> Option<String> {
    talk.errands.iter().find_map(|errand| match &errand.change.told {
        Told::Preorder(preorder) => preorder.lines.iter().find(|line| line.good_type_id == id && !line.name.is_empty()).map(|line| line.name.clone()),
        _ => None,
    })
}

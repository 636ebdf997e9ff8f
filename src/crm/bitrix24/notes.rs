//! What staff read in the timeline of a booking's deal: what Lime made of it, what it remarked, what clashed.
//!
//! A note that is owed stands in the ledger as its text, which ends with a token. It is written once: whoever does not know whether it was looks for the token
//! first.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::batch::{Command, LIMIT, Outcome};
use super::book::Halt;
use super::ended::Ended;
use super::fault::{self, Class};
use super::schema::{self, DEAL};
use super::talk::Talk;
use super::wire;
use crate::config::Language;
use crate::crm::texts::{Texts, cut};
use crate::delivery::Verdict;
use crate::domain::{Money, Seq};
use crate::journal::LedgerKey;
use crate::lime::preorders::Placed;

/// Lines of a page of the timeline, and how many are looked through: a deal's notes are few.
const PAGE: usize = 10;
const PAGES: usize = 5;
/// Most characters of a note: it stands in the ledger.
const LONGEST: usize = 900;

/// Where the ledger keeps the note that a deal is owed.
#[must_use]
pub fn key(deal: &str) -> LedgerKey {
    LedgerKey { kind: "bitrix24.note".to_owned(), key: deal.to_owned() }
}

/// A note to be written.
#[derive(Clone, Debug, Default)]
pub struct Note {
    /// What Lime made of the deal's content.
    pub placed: Option<Placed>,
    /// Names of rows that Lime cannot have.
    pub left_out: Vec<String>,
    /// What else there is to say.
    pub said: Option<String>,
    /// The deal's.
    pub currency: String,
}

impl Note {
    /// There is something to say.
    #[must_use]
    pub fn says_something(&self) -> bool {
        self.placed.is_some() || self.said.is_some()
    }

    /// Its text, with its token at the end: the same for the same version of the preorder.
    #[must_use]
    pub fn text(&self, preorder: &str, more: &[Option<String>], texts: &Texts) -> String {
        let ru = texts.language == Language::Ru;
        let mut said: Vec<String> = Vec::new();
        if let Some(placed) = &self.placed {
            let total = texts.money(&Money { minor: placed.total, currency: self.currency.clone() });
            said.push(if ru {
                format!("Предзаказ в Лайме: {preorder}, стоимость {total}.")
            } else {
                format!("Preorder in Lime: {preorder}, cost {total}.")
            });
        }
        said.extend(more.iter().flatten().cloned());
        said.extend(self.said.clone());
        let body = cut(&said.join("\n"), LONGEST);
        let about = format!("{body}\n{preorder}\n{}", self.placed.as_ref().map_or(0, |placed| placed.version));
        let token = Uuid::new_v5(&Uuid::NAMESPACE_OID, about.as_bytes()).simple().to_string();
        format!("{body}\nnote:{token}")
    }
}

fn token(text: &str) -> &str {
    text.lines().last().unwrap_or_default()
}

/// Whether the note that a deal is owed, if it is owed one, is there: then it is owed no more. False where it is owed and not there.
///
/// # Errors
/// When the portal does not answer.
pub(super) async fn find(talk: &mut Talk, deal: u64) -> Result<bool, Halt> {
    let Some(text) = talk.kept.get(&key(&deal.to_string())).map(str::to_owned) else { return Ok(true) };
    let pages: Vec<Command> = (0..PAGES)
        .map(|page| {
            let params = json!({ "entityTypeId": DEAL, "entityId": deal, "order": { "id": "DESC" }, "start": page * PAGE });
            Command::new("crm.timeline.logmessage.list", params)
        })
        .collect();
    for outcome in talk.portal.ask(&pages).await? {
        let result = match outcome {
            Outcome::Done { result, .. } => result,
            Outcome::Unanswered => return Err(Halt::new("crm/unanswered")),
            Outcome::Fault { fault, timing } => match fault::classify(&fault, timing) {
                // A deal that is gone took its notes along.
                Class::Gone => {
                    talk.learn(key(&deal.to_string()), None);
                    return Ok(true);
                }
                class => return Err(schema::halt(&class)),
            },
        };
        let rows = result.get("logMessages").or_else(|| result.get("logMessage")).unwrap_or(&result);
        if wire::rows(rows).into_iter().any(|row| row.get("text").and_then(Value::as_str).is_some_and(|there| there.contains(token(&text)))) {
            talk.learn(key(&deal.to_string()), None);
            return Ok(true);
        }
    }
    Ok(false)
}

/// Writes the notes that deals are owed, and confirms the jobs of each, but for those that are to be dead `letters`.
///
/// # Errors
/// When the batch cannot go on.
pub(super) async fn write(talk: &mut Talk, due: Vec<(u64, Vec<Seq>)>, letters: &[(Seq, Verdict)]) -> Result<(), Halt> {
    let end = |talk: &mut Talk, deal: u64, seq: Seq| match letters.iter().find(|(job, _)| *job == seq) {
        Some((_, letter)) => talk.book.decide(seq, letter.clone()),
        None => talk.book.confirm(seq, Some(format!("deal:{deal}"))),
    };
    let mut owed: BTreeMap<u64, (Vec<Seq>, Command)> = BTreeMap::new();
    for (deal, jobs) in due {
        let open: Vec<Seq> = jobs.into_iter().filter(|seq| talk.book.is_open(*seq)).collect();
        match talk.kept.get(&key(&deal.to_string())) {
            Some(text) if !open.is_empty() => {
                let command = line(deal, text, &talk.settings.texts);
                owed.insert(deal, (open, command));
            }
            _ => open.into_iter().for_each(|seq| end(talk, deal, seq)),
        }
    }
    let owed: Vec<(u64, (Vec<Seq>, Command))> = owed.into_iter().collect();
    for chunk in owed.chunks(LIMIT) {
        let commands: Vec<Command> = chunk.iter().map(|(_, (_, command))| command.clone()).collect();
        let jobs: Vec<Seq> = chunk.iter().flat_map(|(_, (jobs, _))| jobs.clone()).collect();
        let outcomes = match talk.portal.create(&commands, jobs.clone()).await {
            Ok(outcomes) => outcomes,
            Err(broken) => return Err(talk.broken(broken, &jobs)),
        };
        for ((deal, (jobs, command)), outcome) in chunk.iter().zip(outcomes) {
            let verdict = match Ended::of_create(command, outcome, "refused/note") {
                // A note that the portal does not like must not hold the booking up.
                Ended::Done(_) | Ended::Gone | Ended::Stale | Ended::Verdict(Verdict::Dead { .. }) => None,
                Ended::Verdict(verdict) => Some(verdict),
            };
            match verdict {
                None => {
                    talk.learn(key(&deal.to_string()), None);
                    jobs.iter().for_each(|seq| end(talk, *deal, *seq));
                }
                Some(verdict) => jobs.iter().for_each(|seq| talk.book.decide(*seq, verdict.clone())),
            }
        }
    }
    Ok(())
}

fn line(deal: u64, text: &str, texts: &Texts) -> Command {
    let title = if texts.language == Language::Ru { "Лайм: предзаказ" } else { "Lime: preorder" };
    Command::new(
        "crm.timeline.logmessage.add",
        json!({ "fields": { "entityTypeId": DEAL, "entityId": deal, "title": title, "text": text, "iconCode": "info" } }),
    )
}

//! What Lime knows of the guests of a batch: many in one call, one by one where the adapter in front of Lime does not offer that.
//!
//! In a drain hundreds of guests need their cards brought up to date. Two reads for each, one after the other, would let Lime's pace set the CRM's.
//!
//! Never: a guest who is worse off because many were asked for at once. Whoever an answer leaves out or garbles is asked for alone.

use std::collections::BTreeMap;

use http::StatusCode;

use super::card::HISTORY_LINES;
use crate::delivery::Ledger;
use crate::domain::{Client, ClientId, Transaction};
use crate::http::{Answer, Request};
use crate::journal::LedgerKey;
use crate::lime::{ParseProblem, parse, requests};

/// An adapter that lacks the read of many is asked again after a day: it may have been renewed.
const ASK_AGAIN_MS: i64 = 86_400_000;

/// `lime.clients_batch`: `no 1795339920000` when the adapter was seen to lack the read of many, and when that was (wall time, milliseconds since 1970 UTC).
#[must_use]
pub fn ledger_key() -> LedgerKey {
    LedgerKey { kind: "lime.clients_batch".to_owned(), key: "lime".to_owned() }
}

/// A guest and their newest transactions, or why there is nothing to tell.
pub type Told = Result<(Client, Vec<Transaction>), ParseProblem>;

/// Lime, as a conversation with a CRM reaches it.
pub trait AskLime {
    /// Why the conversation goes no further.
    type Stop;

    /// Asks Lime something that may be asked again.
    ///
    /// # Errors
    /// When no answer came.
    fn ask_lime(&mut self, request: Request) -> impl Future<Output = Result<Answer, Self::Stop>> + Send;
}

/// Reads guests for one conversation.
#[derive(Debug)]
pub struct Guests {
    now_wall_ms: i64,
    /// The ledger says that the adapter lacks the read of many.
    noted: bool,
    /// This conversation reads guests one by one.
    one_by_one: bool,
    /// The read of many was answered as something unknown is. A wrong address answers so, too: only a good answer to another read makes it a lesson.
    lacking: bool,
    lesson: Option<Option<String>>,
}

impl Guests {
    /// With what the ledger knows of the adapter. `now_wall_ms` is the best wall time; one that jumps costs at most a request.
    #[must_use]
    pub fn new(ledger: &dyn Ledger, now_wall_ms: i64) -> Self {
        let noted = ledger.get(&ledger_key());
        let at: Option<i64> = noted.as_deref().and_then(|text| text.strip_prefix("no ")?.parse().ok());
        let one_by_one = at.is_some_and(|at| (0..ASK_AGAIN_MS).contains(&now_wall_ms.saturating_sub(at)));
        Self { now_wall_ms, noted: noted.is_some(), one_by_one, lacking: false, lesson: None }
    }

    /// What to keep under [`ledger_key`]; the outer `None` is nothing new, the inner one forgets.
    pub fn lesson(&mut self) -> Option<Option<String>> {
        self.lesson.take()
    }

    /// Asks for guests: an answer for each.
    ///
    /// # Errors
    /// When an answer did not come.
    pub async fn read<L: AskLime>(&mut self, lime: &mut L, guests: &[ClientId]) -> Result<BTreeMap<ClientId, Told>, L::Stop> {
        let mut told = BTreeMap::new();
        for some in guests.chunks(requests::CLIENTS_LIMIT) {
            // A guest alone is asked for alone. Delivery tries jobs that fail in ever smaller company, so this finds the one who spoils it for many.
            if some.len() > 1 && !self.one_by_one {
                self.read_many(lime, some, &mut told).await?;
            }
        }
        for guest in guests {
            if !told.contains_key(guest) {
                let one = read_one(lime, guest).await?;
                if self.lacking && matches!(one, Ok(_) | Err(ParseProblem::NotFound)) {
                    self.lacking = false;
                    self.lesson = Some(Some(format!("no {}", self.now_wall_ms)));
                }
                told.insert(guest.clone(), one);
            }
        }
        Ok(told)
    }

    async fn read_many<L: AskLime>(&mut self, lime: &mut L, guests: &[ClientId], told: &mut BTreeMap<ClientId, Told>) -> Result<(), L::Stop> {
        let answer = lime.ask_lime(requests::clients(guests, HISTORY_LINES)).await?;
        if matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
            (self.one_by_one, self.lacking) = (true, true);
            return Ok(());
        }
        match parse::clients(&answer) {
            Ok(found) => {
                if std::mem::take(&mut self.noted) {
                    self.lesson = Some(None);
                }
                told.extend(found.into_iter().filter(|(id, _)| guests.contains(id)).map(|(id, one)| (id, one.ok_or(ParseProblem::NotFound))));
            }
            Err(later @ ParseProblem::Later { .. }) => told.extend(guests.iter().map(|id| (id.clone(), Err(later.clone())))),
            Err(_) => self.one_by_one = true,
        }
        Ok(())
    }
}

/// The transactions first, so that the balance is not older than they are.
async fn read_one<L: AskLime>(lime: &mut L, guest: &ClientId) -> Result<Told, L::Stop> {
    let answer = lime.ask_lime(requests::transactions(guest, HISTORY_LINES)).await?;
    let transactions = match parse::transactions(&answer) {
        Ok(transactions) => transactions,
        Err(problem) => return Ok(Err(problem)),
    };
    let answer = lime.ask_lime(requests::client(guest)).await?;
    Ok(parse::client(&answer).map(|client| (client, transactions)))
}

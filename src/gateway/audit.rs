//! Asks Lime and the CRM whether they have what the journal says was delivered to them.
//!
//! Works whether the gateway runs or not, and goes at half the pace that the config allows, for a running gateway may be using the rest. Never: a write;
//! a pass or deal called missing because a destination could not be asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

use super::remotes::{SetupError, crm_endpoint, lime_endpoint};
use crate::books::{JobLine, JobState, Jobs};
use crate::clock::{SharedClock, SystemClock};
use crate::config::{Config, CrmKind};
use crate::crm::audit::{DealOf, Finding, Findings, Search, Sought, SoughtDeal};
use crate::crm::script::Script;
use crate::crm::setup::{Manner, SetupError as Trouble, drive_in};
use crate::crm::{amocrm, bitrix24};
use crate::http::{Answer, Endpoint, Request};
use crate::journal::Destination;
use crate::lime::{self, BATCH_LIMIT, ParseProblem, parse, requests};

/// Why a Lime of before the call was added cannot be asked.
const NO_LOOKUP: &str = "the API lacks write-offs:lookup";

/// What one destination says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Side {
    /// Delivered passes that were asked for.
    pub asked: u64,
    /// There, once.
    pub found: u64,
    /// Not there: a pass's business key, `receipt tr-17`, `preorder po-3`.
    pub missing: Vec<String>,
    /// There more than once, likewise.
    pub doubled: Vec<String>,
    /// Why it cannot be asked at all; nothing is wrong with it.
    pub not_askable: Option<String>,
    /// Why it did not answer; another try may help.
    pub failed: Option<String>,
}

impl Side {
    fn of(findings: &Findings) -> Self {
        Self::named(findings, Uuid::to_string)
    }

    fn named(findings: &Findings, name: impl Fn(&Uuid) -> String) -> Self {
        let keys = |wanted| findings.iter().filter(|(_, found)| **found == wanted).map(|(key, _)| name(key)).collect::<Vec<_>>();
        let (missing, doubled) = (keys(Finding::Missing), keys(Finding::Doubled));
        let found = keys(Finding::Found).len() as u64;
        Self { asked: findings.len() as u64, found, missing, doubled, ..Self::default() }
    }

    fn failed(why: String) -> Self {
        Self { failed: Some(why), ..Self::default() }
    }

    /// Everything that it was asked for is there once.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.missing.is_empty() && self.doubled.is_empty()
    }
}

/// What both say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Lime.
    pub lime: Side,
    /// The CRM.
    pub crm: Side,
    /// The CRM's deals of receipts and of preorders that were made at Lime; none where this box does not make any.
    pub deals: Option<Side>,
}

impl Audit {
    /// Nothing that was asked for is missing or doubled. Says nothing of a side that did not answer: see [`Audit::answered`].
    #[must_use]
    pub fn complete(&self) -> bool {
        self.lime.complete() && self.crm.complete() && self.deals.as_ref().is_none_or(Side::complete)
    }

    /// Neither side failed to answer.
    #[must_use]
    pub fn answered(&self) -> bool {
        [Some(&self.lime), Some(&self.crm), self.deals.as_ref()].into_iter().flatten().all(|side| side.failed.is_none())
    }
}

/// Why nothing could be asked.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// Something in the config cannot be set up: a secret, an address.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

/// Asks both destinations, side by side, for the delivered passes from number `from` on, and for the deals that the integration has made since then.
///
/// # Errors
/// When the config's secrets or addresses cannot be used. That a destination does not answer is said in its [`Side`].
pub async fn audit(config: &Config, jobs: &Jobs, from: u64, since_ms: Option<i64>) -> Result<Audit, AuditError> {
    let clock: SharedClock = Arc::new(SystemClock::new());
    let (lime, crm) = (lime_endpoint(config, &clock)?, crm_endpoint(config, &clock)?);
    let delivered = |to| jobs.lines().filter(move |line| line.to == to && line.state == JobState::Delivered);
    let passes = |to| delivered(to).filter(|line| line.number >= from.max(1));
    let keys = passes(Destination::Lime).map(|line| line.key).collect();
    let mut search = crm_search(&config.crm.kind, passes(Destination::Crm).map(sought).collect());
    let of_integration = delivered(Destination::Crm).filter(|line| since_ms.is_none_or(|since| line.wall_ms >= since));
    let deals: Vec<SoughtDeal> = of_integration.filter_map(sought_deal).collect();
    // One after the other: they share what the CRM allows.
    let asked = async {
        let passes = drive_in(&crm, &mut search, manner(config.delivery.crm_rate)).await;
        let passes = passes.map_or_else(|trouble| Side::failed(trouble.to_string()), |findings| Side::of(&findings));
        let deals = if config.hub.is_some() { Some(ask_for_deals(config, &crm, deals).await) } else { None };
        (passes, deals)
    };
    let (lime, (crm, deals)) = tokio::join!(ask_lime(&lime, keys), asked);
    Ok(Audit { lime, crm, deals })
}

async fn ask_for_deals(config: &Config, crm: &Endpoint, deals: Vec<SoughtDeal>) -> Side {
    let name = |one: &SoughtDeal| match &one.of {
        DealOf::Receipt(id) => format!("receipt {id}"),
        DealOf::Preorder(id) => format!("preorder {id}"),
    };
    let names: BTreeMap<Uuid, String> = deals.iter().map(|one| (one.key, name(one))).collect();
    let mut search = match &config.crm.kind {
        CrmKind::AmoCrm(_) => amocrm::audit::deals(deals),
        CrmKind::Bitrix24(_) => bitrix24::audit::deals(deals),
    };
    match drive_in(crm, &mut search, manner(config.delivery.crm_rate)).await {
        Ok(findings) => Side::named(&findings, |key| names.get(key).cloned().unwrap_or_else(|| key.to_string())),
        Err(trouble) => Side::failed(trouble.to_string()),
    }
}

/// A receipt or preorder of which the journal says that it became a deal.
fn sought_deal(line: &JobLine) -> Option<SoughtDeal> {
    let (id, remote) = (line.about.clone()?, line.note.clone()?);
    let of = match line.what {
        "receipt" => DealOf::Receipt(id),
        "preorder" => DealOf::Preorder(id),
        _ => return None,
    };
    Some(SoughtDeal { key: line.key, of, remote: Some(remote) })
}

fn sought(line: &JobLine) -> Sought {
    Sought { key: line.key, remote: line.note.clone(), client: line.client.clone() }
}

/// The CRM's questions for passes.
pub(super) fn crm_search(kind: &CrmKind, sought: Vec<Sought>) -> Search {
    match kind {
        CrmKind::AmoCrm(_) => amocrm::audit::search(sought),
        CrmKind::Bitrix24(bitrix) => bitrix24::audit::search(bitrix.passes.clone(), sought),
    }
}

fn manner(rate: f64) -> Manner {
    Manner { gap: gap(rate), reads_only: true }
}

/// Between two questions, for half of what is allowed.
pub(super) fn gap(rate: f64) -> Duration {
    Duration::try_from_secs_f64(2.0 / rate).unwrap_or(Duration::from_secs(1)).min(Duration::from_secs(60))
}

async fn ask_lime(endpoint: &Endpoint, keys: Vec<Uuid>) -> Side {
    match drive_in(endpoint, &mut lookup(keys), manner(lime::RATE)).await {
        Ok(Ok(Some(findings))) => Side::of(&findings),
        Ok(Ok(None)) => Side { not_askable: Some(NO_LOOKUP.to_owned()), ..Side::default() },
        Ok(Err(problem)) => Side::failed(problem.to_string()),
        Err(Trouble::NotReached(why)) => Side::failed(why),
        Err(trouble) => Side::failed(trouble.to_string()),
    }
}

/// `None`: this Lime does not offer the call.
type Looked = Result<Option<Findings>, ParseProblem>;

fn lookup(keys: Vec<Uuid>) -> Script<Request, Answer, Result<Looked, Trouble>> {
    Script::new(move |line| async move {
        let mut findings = Findings::new();
        for ids in keys.chunks(BATCH_LIMIT) {
            match parse::lookup(&line.ask(requests::lookup(ids)).await) {
                Ok(Some(results)) => match judged(ids, results) {
                    Ok(judged) => findings.extend(judged),
                    Err(problem) => return Ok(Err(problem)),
                },
                Ok(None) => return Ok(Ok(None)),
                Err(problem) => return Ok(Err(problem)),
            }
        }
        Ok(Ok(Some(findings)))
    })
}

/// A key with results of several transactions is doubled; one without a result was not answered, which is not the same as missing.
fn judged(ids: &[Uuid], results: Vec<parse::LookedUp>) -> Result<Findings, ParseProblem> {
    let mut known: BTreeMap<Uuid, BTreeSet<Option<String>>> = BTreeMap::new();
    for result in results {
        let transactions = known.entry(result.id).or_default();
        if result.known {
            transactions.insert(result.transaction);
        }
    }
    let finding = |id: &Uuid| known.get(id).map(|transactions| (*id, Finding::of(transactions.len())));
    ids.iter().map(finding).collect::<Option<_>>().ok_or_else(|| ParseProblem::Unreadable("not every id has a result".to_owned()))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};
    use serde_json::{Value, json};

    use super::*;
    use crate::crm::setup::{Ask, Dialogue};

    fn keys(count: u128) -> Vec<Uuid> {
        (1..=count).map(Uuid::from_u128).collect()
    }

    /// Answers each request by what it asks for, and says how many ids each asked for.
    fn asked(keys: Vec<Uuid>, status: u16, result: impl Fn(&str) -> Vec<Value>) -> (Looked, Vec<usize>) {
        let (mut script, mut sizes) = (lookup(keys), Vec::new());
        let mut step = script.next(None);
        loop {
            match step {
                Ask::Done(looked) => return (looked, sizes),
                Ask::Failed(error) => panic!("{error}"),
                Ask::Call(request) => {
                    let body: Value = serde_json::from_slice(request.body.as_deref().unwrap()).unwrap();
                    let ids: Vec<&str> = body["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
                    sizes.push(ids.len());
                    let results: Vec<Value> = ids.iter().flat_map(|id| result(id)).collect();
                    let body = json!({ "results": results }).to_string().into();
                    step = script.next(Some(&Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body }));
                }
            }
        }
    }

    fn entry(id: &str, status: &str, transaction: &str) -> Value {
        json!({ "write_off_id": id, "status": status, "transaction_id": transaction })
    }

    #[test]
    fn ids_go_two_hundred_at_a_time_and_only_unknown_is_missing() {
        let statuses = ["applied", "applied_with_debt", "recorded", "refused", "something_new", "unknown"];
        let status = |id: &str| statuses[Uuid::parse_str(id).unwrap().as_u128() as usize % statuses.len()];
        let (looked, sizes) = asked(keys(450), 200, |id| vec![entry(id, status(id), id)]);
        assert_eq!(sizes, [200, 200, 50]);
        let side = Side::of(&looked.unwrap().unwrap());
        assert_eq!((side.asked, side.found, side.missing.len(), side.doubled.len()), (450, 375, 75, 0));
        let fifth = |key: &String| Uuid::parse_str(key).is_ok_and(|key| key.as_u128() % 6 == 5);
        assert!(side.missing.iter().all(fifth) && !side.complete());
    }

    #[test]
    fn an_id_with_two_transactions_is_doubled_and_one_told_twice_is_not() {
        let (looked, _) = asked(keys(2), 200, |id| {
            let second = if id.ends_with('1') { "other" } else { "t" };
            vec![entry(id, "applied", "t"), entry(id, "applied", second)]
        });
        assert_eq!(looked, Ok(Some(Findings::from([(keys(2)[0], Finding::Doubled), (keys(2)[1], Finding::Found)]))));
    }

    #[test]
    fn a_lime_without_the_call_is_not_askable_and_a_result_left_out_is_no_missing_pass() {
        for status in [404, 405, 501] {
            assert_eq!(asked(keys(1), status, |_| vec![]).0, Ok(None), "{status}");
        }
        assert!(matches!(
            asked(keys(2), 200, |id| if id.ends_with('1') { vec![entry(id, "applied", "t")] } else { vec![] }).0,
            Err(ParseProblem::Unreadable(_))
        ));
        assert!(matches!(asked(keys(1), 503, |_| vec![]).0, Err(ParseProblem::Later { status: 503, .. })));
        assert_eq!(asked(Vec::new(), 404, |_| vec![]), (Ok(Some(Findings::new())), vec![]));
    }

    #[test]
    fn the_pace_is_half_of_what_is_allowed_and_odd_rates_are_no_panic() {
        assert_eq!(manner(2.0).gap, Duration::from_secs(1));
        assert_eq!(manner(0.001).gap, Duration::from_secs(60));
        assert_eq!(manner(0.0).gap, Duration::from_secs(1));
    }
}

//! Receipts of Lime's become deals, by rule: one receipt, one deal, all its lines.
//!
//! A deal is made in three steps: the deal, its rows, its stage. All three go in one request, the later ones naming what the first has made; whatever of
//! them is not known to have arrived is sent again by itself, for rows and stage are set to fixed values. The deal of a receipt that is not complete stands in
//! the ledger. A refund moves or marks the deal of its sale.
//!
//! Never: a second deal for a receipt; a deal closed before its rows are on their way; history that sets off robots.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use super::batch::{Command, LIMIT, Outcome};
use super::book::Halt;
use super::catalog;
use super::ended::Ended;
use super::errands::LookUp;
use super::places::{self, Place, Places};
use super::record;
use super::sale;
use super::schema::{self, DEAL};
use super::talk::{Talk, item_id};
use super::wire;
use crate::config::{DealRule, Hub};
use crate::delivery::Verdict;
use crate::domain::{Receipt, ReceiptKind, Seq, Told};
use crate::flow::deals::{self, Fit, GivenBack, Leaf, Sold, is_back_fill, sold_key};

/// Looks up in the ledger what delivering can need.
pub(super) fn look_up(receipt: &Receipt, hub: &Hub, look_up: &mut LookUp<'_>) {
    look_up.get(places::ledger_key(hub));
    look_up.get(deals::tree_key());
    look_up.get(sale::unfinished_key(receipt));
    sold_key(receipt).map(|key| look_up.get(key).is_some());
    receipt.service_point.as_ref().map(|point| look_up.get(deals::point_key(point)).is_some());
    for id in receipt.lines.iter().filter_map(|line| line.good_type_id.as_ref()) {
        look_up.get(catalog::product_key(id));
        deals::upwards(id, |key| look_up.get(key.clone()).and_then(Leaf::parse));
    }
}

fn is_receipt(told: &Told) -> bool {
    matches!(told, Told::Receipt(_))
}

/// Finds out what became of creates in doubt: a receipt whose deal is there goes on.
///
/// # Errors
/// When the batch cannot go on.
pub(super) async fn resolve(talk: &mut Talk) -> Result<(), Halt> {
    let doubtful: Vec<(Seq, Receipt)> = talk
        .errands
        .iter()
        .filter(|errand| errand.doubtful && talk.book.is_open(errand.seq))
        .filter_map(|errand| if let Told::Receipt(receipt) = &errand.change.told { Some((errand.seq, receipt.clone())) } else { None })
        .collect();
    if doubtful.is_empty() {
        return Ok(());
    }
    let unknown: Vec<String> = doubtful
        .iter()
        .filter(|(_, receipt)| talk.kept.get(&sale::unfinished_key(receipt)).is_none())
        .map(|(_, receipt)| sale::origin(&receipt.id))
        .collect();
    let found = talk.by_origin(DEAL, &unknown).await?;
    for (seq, receipt) in doubtful {
        let here = found.get(&sale::origin(&receipt.id)).copied();
        if let Some(id) = here {
            talk.learn(sale::unfinished_key(&receipt), Some(id.to_string()));
        }
        if here.is_some() || talk.kept.get(&sale::unfinished_key(&receipt)).is_some() {
            for errand in talk.errands.iter_mut().filter(|errand| errand.seq == seq) {
                errand.doubtful = false;
            }
        } else {
            talk.book.decide(seq, Verdict::NotFound);
        }
    }
    Ok(())
}

/// A sale that becomes a deal.
#[derive(Clone)]
struct Deal {
    seq: Seq,
    receipt: Receipt,
    rule: DealRule,
    /// The number of the rule.
    at: usize,
    /// It is entered as history.
    history: bool,
    /// Its deal, once it is there.
    deal: Option<u64>,
    /// The rows go without their products: the portal does not take one of them.
    plain: bool,
}

/// Delivers the open jobs of its kind. The contacts of the clients that they name are there, where they can be.
///
/// # Errors
/// When the batch cannot go on.
pub(super) async fn deliver(talk: &mut Talk) -> Result<(), Halt> {
    let open = talk.open_errands(is_receipt);
    let Some(hub) = talk.settings.hub.clone().filter(|_| !open.is_empty()) else { return Ok(()) };
    if hub.deals.is_empty() {
        for seq in open {
            talk.book.confirm(seq, None);
        }
        return Ok(());
    }
    let (mut sales, mut refunds) = (Vec::new(), Vec::new());
    for seq in open {
        let Some(errand) = talk.errands.iter().find(|errand| errand.seq == seq) else { continue };
        let Told::Receipt(receipt) = &errand.change.told else { continue };
        if receipt.kind == ReceiptKind::Refund {
            refunds.push((seq, receipt.clone()));
            continue;
        }
        let groups = |key: &crate::journal::LedgerKey| talk.kept.get(key).map(str::to_owned);
        match deals::rule_for(receipt, &hub.deals, &groups, deals::is_new(&errand.change, talk.now_ms)) {
            Fit::Rule(at, rule) => sales.push(Deal {
                seq,
                receipt: receipt.clone(),
                rule: rule.clone(),
                at,
                history: is_back_fill(&errand.change, receipt, hub.back_fill, talk.now_ms),
                deal: talk.kept.get(&sale::unfinished_key(receipt)).and_then(|id| id.parse().ok()),
                plain: false,
            }),
            Fit::Nothing => talk.book.confirm(seq, None),
            Fit::NotYet => talk.book.decide(seq, Halt::after(deals::NOT_YET, deals::NOT_YET_PAUSE)),
        }
    }
    if sales.is_empty() && refunds.is_empty() {
        return Ok(());
    }
    let mut places = talk.places().await?;
    let complete = |places: &Places| crate::crm::deal_fields::DealField::OF_RECEIPTS.into_iter().all(|field| places.field(field).is_some());
    if !complete(&places) {
        for seq in sales.iter().map(|one| one.seq).chain(refunds.iter().map(|(seq, _)| *seq)) {
            talk.book.decide(seq, Halt::person("setup/field"));
        }
        return Ok(());
    }
    sell(talk, &mut places, sales).await?;
    refund(talk, &hub, &places, refunds).await
}

async fn sell(talk: &mut Talk, places: &mut Places, sales: Vec<Deal>) -> Result<(), Halt> {
    find_products(talk, places, &sales).await?;
    let (mut owed, mut new): (Vec<Deal>, Vec<Deal>) = sales.into_iter().partition(|one| one.deal.is_some());
    for again in [false, true] {
        let mut stale = Vec::new();
        for chunk in new.chunks(LIMIT / 3) {
            let (incomplete, unknown) = create(talk, places, chunk).await?;
            owed.extend(incomplete);
            stale.extend(unknown);
        }
        if stale.is_empty() {
            break;
        }
        if again {
            // The names were read a moment ago, so it is not they.
            let answer = "the portal refuses the stage or a field".to_owned();
            for one in stale {
                talk.book.decide(one.seq, Verdict::Dead { reason: "refused/deal".to_owned(), answer: answer.clone() });
            }
            break;
        }
        *places = talk.look_at_places_again().await?;
        new = stale;
    }
    // Rows that were refused for a product go once more as text.
    for _ in 0..2 {
        owed = finish(talk, places, owed).await?;
    }
    Ok(())
}

/// Products of the receipts that the ledger does not know at the portal, by `xmlId`: whoever was there before us may have made them.
async fn find_products(talk: &mut Talk, places: &Places, sales: &[Deal]) -> Result<(), Halt> {
    let Some(shelf) = places.shelf.filter(|_| talk.settings.hub.as_ref().is_some_and(|hub| hub.products)) else { return Ok(()) };
    let of_lines = sales.iter().flat_map(|one| &one.receipt.lines).filter_map(|line| line.good_type_id.clone());
    let unknown: BTreeSet<String> = of_lines.filter(|id| talk.kept.get(&catalog::product_key(id)).is_none()).collect();
    super::products::find(talk, shelf, unknown).await
}

/// Creates deals: each makes up to three commands of one request. Brings those that are there and not complete, and those whose place the portal does not
/// know.
async fn create(talk: &mut Talk, places: &Places, chunk: &[Deal]) -> Result<(Vec<Deal>, Vec<Deal>), Halt> {
    let mut commands = Vec::new();
    let mut asked: Vec<(&Deal, bool)> = Vec::new();
    for one in chunk.iter().filter(|one| talk.book.is_open(one.seq)).collect::<Vec<_>>() {
        let Some(Some(place)) = places.rules.get(one.at) else {
            talk.book.decide(one.seq, Halt::person("setup/pipeline"));
            continue;
        };
        let texts = &talk.settings.texts;
        let at = commands.len();
        let add = sale::add(fields(talk, places, place, one), &one.receipt, place, one.history, texts);
        commands.push(add);
        commands.push(sale::set_rows(None, &sale::rows(&one.receipt, texts).0, &talk.kept, false).referring("ownerId", at, &["item", "id"]));
        let moves = place.closes && !one.history;
        if moves {
            let update = Command::new("crm.item.update", json!({ "entityTypeId": DEAL, "fields": { "stageId": place.stage } }));
            commands.push(update.referring("id", at, &["item", "id"]));
        }
        asked.push((one, moves));
    }
    if commands.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let jobs: Vec<Seq> = asked.iter().map(|(one, _)| one.seq).collect();
    let outcomes = match talk.portal.create(&commands, jobs.clone()).await {
        Ok(outcomes) => outcomes,
        Err(broken) => return Err(talk.broken(broken, &jobs)),
    };
    let mut answers = commands.iter().zip(outcomes);
    let (mut incomplete, mut stale) = (Vec::new(), Vec::new());
    for (one, moves) in asked {
        let (Some((add, added)), Some((_, rows))) = (answers.next(), answers.next()) else { break };
        let moved = if moves { answers.next().map(|(_, outcome)| outcome) } else { None };
        match Ended::of_create(add, added, "refused/deal") {
            Ended::Done(result) => match item_id(&result) {
                Some(id) => {
                    let whole = Command::new(add.method, add.params.clone());
                    let known = result.get("item").is_some_and(|item| item.get("title").is_none() || record::ignored(&whole.params, item).is_empty());
                    if !known {
                        // A field of ours is gone: the next look finds out, and the deal stands without it.
                        if let Some(hub) = talk.settings.hub.clone() {
                            talk.learn(places::ledger_key(&hub), None);
                        }
                    }
                    let there =
                        matches!(&rows, Outcome::Done { result, .. } if sale::arrived(result, &sale::rows(&one.receipt, &talk.settings.texts).0));
                    let moved = moved.is_none_or(|outcome| matches!(outcome, Outcome::Done { .. }));
                    let one = Deal { deal: Some(id), ..one.clone() };
                    if there && moved {
                        complete(talk, &one, id);
                    } else {
                        talk.learn(sale::unfinished_key(&one.receipt), Some(id.to_string()));
                        incomplete.push(one);
                    }
                }
                None => talk.book.decide(one.seq, Verdict::Doubtful),
            },
            Ended::Stale => stale.push(one.clone()),
            Ended::Gone => lose_contact(talk, one),
            Ended::Verdict(Verdict::Dead { answer, .. }) if one.receipt.client_id.is_some() && names_the_contact(&answer) => lose_contact(talk, one),
            Ended::Verdict(verdict) => talk.book.decide(one.seq, verdict),
        }
    }
    Ok((incomplete, stale))
}

fn fields(talk: &Talk, places: &Places, place: &Place, one: &Deal) -> record::Fields {
    let receipt = &one.receipt;
    let contact = receipt.client_id.as_ref().and_then(|client| talk.contact(client));
    let point = receipt.service_point.as_ref().and_then(|point| talk.kept.get(&deals::point_key(point)));
    sale::fields(receipt, &one.rule, places, place, contact, point, &talk.settings.texts)
}

/// The portal names a field by its key or by its title.
fn names_the_contact(answer: &str) -> bool {
    let answer = answer.to_lowercase();
    answer.contains("contact") || answer.contains("контакт")
}

/// The contact that the deal was to be tied to is gone; without one, the portal means something else and a person must look.
fn lose_contact(talk: &mut Talk, one: &Deal) {
    match &one.receipt.client_id {
        Some(client) if talk.contact(client).is_some() => talk.forget(client),
        _ => {
            let answer = "the portal does not find what the deal names".to_owned();
            talk.book.decide(one.seq, Verdict::Dead { reason: "refused/deal".to_owned(), answer });
        }
    }
}

/// Everything of the deal is there.
fn complete(talk: &mut Talk, one: &Deal, id: u64) {
    if talk.kept.get(&sale::unfinished_key(&one.receipt)).is_some() {
        talk.learn(sale::unfinished_key(&one.receipt), None);
    }
    if let Some(key) = sold_key(&one.receipt) {
        talk.learn(key, Some(Sold::new(id.to_string(), &one.receipt, &one.rule).to_json()));
    }
    talk.book.confirm(one.seq, Some(format!("deal:{id}")));
}

/// Sets rows and stage of deals that are there. Brings those whose rows were refused, to go as text.
async fn finish(talk: &mut Talk, places: &Places, owed: Vec<Deal>) -> Result<Vec<Deal>, Halt> {
    let mut again = Vec::new();
    for chunk in owed.chunks(LIMIT / 2) {
        let mut commands = Vec::new();
        let mut asked = Vec::new();
        for one in chunk.iter().filter(|one| talk.book.is_open(one.seq)).collect::<Vec<_>>() {
            let Some(id) = one.deal else { continue };
            let Some(Some(place)) = places.rules.get(one.at) else {
                talk.book.decide(one.seq, Halt::person("setup/pipeline"));
                continue;
            };
            commands.push(sale::set_rows(Some(id), &sale::rows(&one.receipt, &talk.settings.texts).0, &talk.kept, one.plain));
            commands.push(sale::change(id, json!({ "stageId": place.stage })));
            asked.push((one, id));
        }
        let outcomes = talk.portal.ask(&commands).await?;
        let mut answers = commands.iter().zip(outcomes);
        for (one, id) in asked {
            let (Some((set, rows)), Some((update, moved))) = (answers.next(), answers.next()) else { break };
            let rows = match Ended::of(set, rows, "refused/rows") {
                Ended::Done(result) if sale::arrived(&result, &sale::rows(&one.receipt, &talk.settings.texts).0) => None,
                Ended::Done(_) => Some(Halt::new("crm/rows").into()),
                // People have deleted the deal: they meant it.
                Ended::Gone => {
                    talk.learn(sale::unfinished_key(&one.receipt), None);
                    talk.book.confirm(one.seq, Some(format!("deal:{id}")));
                    continue;
                }
                Ended::Stale => Some(Halt::person("setup/field").into()),
                Ended::Verdict(Verdict::Dead { .. }) if !one.plain => {
                    again.push(Deal { plain: true, ..one.clone() });
                    continue;
                }
                Ended::Verdict(verdict) => Some(verdict),
            };
            let moved = match Ended::of(update, moved, "refused/stage") {
                Ended::Done(_) => None,
                Ended::Gone | Ended::Stale => Some(Halt::person("setup/stage").into()),
                Ended::Verdict(verdict) => Some(verdict),
            };
            match rows.or(moved) {
                None => complete(talk, one, id),
                Some(verdict) => talk.book.decide(one.seq, verdict),
            }
        }
    }
    Ok(again)
}

/// Moves or marks the deals of sales that were given back.
async fn refund(talk: &mut Talk, hub: &Hub, places: &Places, refunds: Vec<(Seq, Receipt)>) -> Result<(), Halt> {
    let refunds: Vec<(Seq, Receipt)> = refunds.into_iter().filter(|(seq, _)| talk.book.is_open(*seq)).collect();
    find_sales(talk, hub, places, &refunds).await?;
    let (mut asked, mut commands) = (Vec::new(), Vec::new());
    for (seq, receipt) in refunds {
        let sold = sold_key(&receipt).and_then(|key| talk.kept.get(&key).and_then(Sold::from_json).map(|sold| (key, sold)));
        let Some((key, mut sold)) = sold else {
            let errand = talk.errands.iter().find(|errand| errand.seq == seq);
            let look = errand.and_then(|errand| deals::next_look(&receipt, errand.oldest, errand.attempts, talk.now_ms));
            if sale_is_owed(talk, seq, &receipt) {
                talk.book.decide(seq, Halt::after("crm/order", Duration::ZERO));
            } else if let Some(after) = look {
                talk.book.decide(seq, Halt::after("hub/sale_unknown", after));
            } else {
                // The sale made no deal: there is nothing to mark.
                talk.book.confirm(seq, None);
            }
            continue;
        };
        let given = sold.give_back(&receipt);
        // Counted before anything leaves: the same refund counts once.
        talk.learn(key, Some(sold.to_json()));
        let left = if let GivenBack::Part { left } = given { left } else { 0 };
        let back = sale::given_back(sold.total, left, &receipt.total.currency);
        let mut fields = json!({});
        if let Some(key) = places.field(crate::crm::deal_fields::DealField::Refunded) {
            fields[key] = json!(sale::refunded(back.minor, &back.currency));
        }
        let rule = hub.deals.iter().position(|rule| rule.pipeline == sold.pipeline && rule.refunded == sold.refunded);
        let stage = rule.and_then(|at| places.rules.get(at)?.as_ref()?.refunded.clone());
        if let (GivenBack::Whole, Some(stage)) = (given, stage) {
            fields["stageId"] = json!(stage);
        }
        let Ok(id) = sold.deal.parse() else {
            talk.book.confirm(seq, None);
            continue;
        };
        commands.push(sale::change(id, fields));
        asked.push((seq, id));
    }
    let outcomes = talk.portal.ask(&commands).await?;
    for (((seq, id), command), outcome) in asked.into_iter().zip(&commands).zip(outcomes) {
        match Ended::of(command, outcome, "refused/deal") {
            // People have deleted the deal: they meant it.
            Ended::Done(_) | Ended::Gone => talk.book.confirm(seq, Some(format!("deal:{id}"))),
            Ended::Stale => {
                talk.learn(places::ledger_key(hub), None);
                talk.book.decide(seq, Halt::new("setup/stage"));
            }
            Ended::Verdict(verdict) => talk.book.decide(seq, verdict),
        }
    }
    Ok(())
}

/// An earlier job of the batch is the sale, and it is not done.
fn sale_is_owed(talk: &Talk, refund: Seq, receipt: &Receipt) -> bool {
    talk.errands.iter().any(|errand| {
        let same = matches!(&errand.change.told, Told::Receipt(sale) if sale.kind != ReceiptKind::Refund && sale.receipt_id == receipt.receipt_id);
        same && receipt.receipt_id.is_some() && errand.seq < refund && (talk.book.is_open(errand.seq) || talk.book.waits(errand.seq))
    })
}

/// Sales that the ledger does not know, by their number: this box may be a new one.
async fn find_sales(talk: &mut Talk, hub: &Hub, places: &Places, refunds: &[(Seq, Receipt)]) -> Result<(), Halt> {
    let Some(field) = places.field(crate::crm::deal_fields::DealField::Receipt).cloned() else { return Ok(()) };
    let unknown: Vec<&Receipt> =
        refunds.iter().map(|(_, receipt)| receipt).filter(|receipt| sold_key(receipt).is_some_and(|key| talk.kept.get(&key).is_none())).collect();
    let commands: Vec<Command> = unknown.iter().filter_map(|receipt| Some(sale::ask_by_number(receipt.receipt_id.as_deref()?, &field))).collect();
    for (receipt, outcome) in unknown.into_iter().zip(talk.portal.ask(&commands).await?) {
        let result = schema::done(Some(&outcome))?;
        let rows = result.get("items").map(wire::rows).unwrap_or_default();
        let of_receipt = |row: &&Value| row.get("originId").and_then(Value::as_str).is_some_and(|origin| origin.starts_with("receipt:"));
        let Some(row) = rows.into_iter().find(of_receipt) else { continue };
        let (Some(id), Some(total)) = (row.get("id").and_then(wire::id), row.get("opportunity").and_then(sale::minor)) else { continue };
        let category = row.get("categoryId").and_then(wire::id);
        let at = places.rules.iter().position(|place| place.as_ref().is_some_and(|place| Some(place.category) == category));
        let Some(rule) = at.and_then(|at| hub.deals.get(at)).or(hub.deals.first()) else { continue };
        let mut sold = Sold::new(id.to_string(), receipt, rule);
        sold.total = total;
        if let Some(key) = sold_key(receipt) {
            talk.learn(key, Some(sold.to_json()));
        }
    }
    Ok(())
}

//! Preorders: `PUT /preorders/by-ref/{ref}`, and how Lime shows one. Pure.
//!
//! A reference names one preorder for ever, and each change of the deal has a revision of its own: the same revision with the same content may be sent any
//! number of times.

use http::{Method, StatusCode};
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::{ClientId, Money, Personal, Phone, Preorder, PreorderContact, PreorderEvent, PreorderLine, PreorderStatus};
use crate::http::{Answer, Request};
use crate::journal::{Learned, LedgerKey};

use super::courier::rfc3339;
use super::parse::{DEFAULT_CURRENCY, millis, minor, money, stable};
use super::requests::segment;
use super::wire::{Amount, Id, lenient, lenient_list};
use super::written::{Written, body, refused_with};

/// A preorder as a deal wants it. What is `None` stays as it is in Lime.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreorderDraft {
    /// Lime's id of a preorder without a reference: it gets this one. None where the reference is bound already, or the preorder is new.
    pub bind: Option<String>,
    /// For whom.
    pub client_id: Option<ClientId>,
    /// For whom, where no client is known.
    pub contact: Option<PreorderContact>,
    /// When and where.
    pub event: Option<PreorderEvent>,
    /// All lines.
    pub lines: Option<Vec<PreorderLine>>,
    /// Their sum as the deal has it, minor units: Lime warns where its own differs.
    pub total: Option<i64>,
    /// Paid ahead, minor units.
    pub prepaid: Option<i64>,
    /// How far it has come.
    pub status: Option<PreorderStatus>,
    /// What people wrote about it.
    pub comment: Option<Personal>,
}

/// Something that staff should know of a preorder that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// A stable code: `price_differs`, `inactive_product`, `total_differs`, `ambiguous_contact`, `changed_in_lime`.
    pub code: String,
    /// The product that it is about.
    pub good_type_id: Option<String>,
    /// What Lime has instead, minor units: a price or a total.
    pub instead: Option<i64>,
}

/// What a preorder became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Lime's id.
    pub id: String,
    /// Lime's version.
    pub version: i64,
    /// Lime's sum, minor units.
    pub total: i64,
    /// For staff.
    pub warnings: Vec<Warning>,
}

/// Why a revision is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreorderConflict {
    /// A later revision was carried out already.
    Stale,
    /// This revision was carried out with other content.
    OtherContent,
    /// The preorder that was to be bound has another reference.
    Bound,
}

/// Creates or changes the preorder of a reference: `PUT /preorders/by-ref/{ref}`. Times are written in the venue's zone.
#[must_use]
pub fn put(reference: &str, revision: u64, draft: &PreorderDraft, zone: &TimeZone) -> Request {
    let mut body = json!({ "revision": revision });
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body[name] = value;
        }
    };
    set("preorder_id", draft.bind.as_ref().map(|id| json!(id)));
    set("client_id", draft.client_id.as_ref().map(|id| json!(id)));
    let contact = |contact: &PreorderContact| match &contact.phone {
        Some(phone) => json!({ "name": contact.name.reveal(), "phone": phone.e164() }),
        None => json!({ "name": contact.name.reveal() }),
    };
    set("contact", draft.contact.as_ref().map(contact));
    let event = |event: &PreorderEvent| {
        let mut shown = json!({
            "title": event.title.reveal(), "starts_at": rfc3339(event.starts_ms, zone), "ends_at": rfc3339(event.ends_ms, zone), "staff": event.staff,
        });
        if let Some(room) = &event.room {
            shown["room"] = json!(room);
        }
        shown
    };
    set("event", draft.event.as_ref().map(event));
    let line = |line: &PreorderLine| json!({ "good_type_id": line.good_type_id, "qty": line.quantity, "price": line.price });
    set("lines", draft.lines.as_ref().map(|lines| lines.iter().map(line).collect()));
    set("total", draft.total.map(|total| json!(total)));
    set("prepaid", draft.prepaid.map(|prepaid| json!(prepaid)));
    // What this version does not know it cannot set.
    set("status", draft.status.filter(|status| *status != PreorderStatus::Other).map(|status| json!(status)));
    set("comment", draft.comment.as_ref().map(|comment| json!(comment.reveal())));
    Request::json(Method::PUT, format!("/preorders/by-ref/{}", segment(reference)), &body, "PUT /preorders/by-ref/{ref}")
}

/// The answer to [`put`].
#[must_use]
pub fn placed(answer: &Answer) -> Written<Placed, PreorderConflict> {
    // Any other 409 means "not now".
    match refused_with(answer, StatusCode::CONFLICT).as_deref() {
        Some("stale") => return Written::Conflict(PreorderConflict::Stale),
        Some("revision_conflict") => return Written::Conflict(PreorderConflict::OtherContent),
        Some("bound") => return Written::Conflict(PreorderConflict::Bound),
        _ => {}
    }
    match body::<Reply>(answer) {
        Ok(reply) => Written::Done(Placed {
            id: reply.preorder_id.0,
            version: reply.version.unwrap_or(0),
            total: reply.total.unwrap_or(0),
            warnings: reply.warnings.into_iter().map(WireWarning::read).collect(),
        }),
        Err(problem) => Written::of(&problem),
    }
}

/// What is to be remembered of a preorder that was placed: the feed then tells nobody of what is in it already. To be kept with the verdict.
#[must_use]
pub fn wrote(placed: &Placed) -> Learned {
    Learned { key: wrote_key(&placed.id), value: Some(placed.version.to_string()) }
}

/// Where [`wrote`] stands in the ledger: `lime.placed`, by Lime's id of the preorder.
#[must_use]
pub fn wrote_key(id: &str) -> LedgerKey {
    LedgerKey { kind: "lime.placed".to_owned(), key: id.to_owned() }
}

/// A preorder as a feed shows it; `None` when it cannot be read.
pub(super) fn preorder(value: Value) -> Option<Preorder> {
    let wire: Wire = serde_json::from_value(value).ok()?;
    let lines: Vec<PreorderLine> = wire.lines.into_iter().map(WireLine::read).collect();
    let cost = lines.iter().map(|line| line.quantity.saturating_mul(line.price)).fold(0, i64::saturating_add);
    let currency = wire.currency.unwrap_or_else(|| DEFAULT_CURRENCY.to_owned());
    Some(Preorder {
        id: wire.id.0,
        reference: wire.reference.filter(|text| !text.is_empty()),
        revision: wire.revision.unwrap_or(0),
        version: wire.version.unwrap_or(0),
        client_id: wire.client_id.map(|id| ClientId(id.0)),
        contact: wire.contact.map(|contact| PreorderContact {
            name: contact.name.unwrap_or_default(),
            phone: contact.phone.and_then(|phone| Phone::parse(phone.reveal())),
        }),
        event: wire.event.and_then(WireEvent::read),
        lines,
        total: wire.total.map_or_else(|| Money { minor: cost, currency: currency.clone() }, |total| money(total, Some(currency.clone()))),
        prepaid: wire.prepaid.as_ref().map_or(0, minor),
        status: wire.status.unwrap_or(PreorderStatus::Other),
        comment: wire.comment.filter(|text| !text.is_empty()),
    })
}

#[derive(Deserialize)]
struct Reply {
    preorder_id: Id,
    #[serde(default, deserialize_with = "lenient")]
    version: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    total: Option<i64>,
    #[serde(default, deserialize_with = "lenient_list")]
    warnings: Vec<WireWarning>,
}

/// A code with what it is about, or the code alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum WireWarning {
    Bare(String),
    Full {
        code: String,
        #[serde(default, deserialize_with = "lenient")]
        good_type_id: Option<Id>,
        #[serde(default, deserialize_with = "lenient")]
        price: Option<i64>,
        #[serde(default, deserialize_with = "lenient")]
        total: Option<i64>,
    },
}

impl WireWarning {
    fn read(self) -> Warning {
        match self {
            Self::Bare(code) => Warning { code: stable(&code), good_type_id: None, instead: None },
            Self::Full { code, good_type_id, price, total } => {
                Warning { code: stable(&code), good_type_id: good_type_id.map(|id| id.0), instead: price.or(total) }
            }
        }
    }
}

#[derive(Deserialize)]
struct Wire {
    id: Id,
    #[serde(default, rename = "ref", deserialize_with = "lenient")]
    reference: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    revision: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    version: Option<i64>,
    #[serde(default, deserialize_with = "lenient")]
    client_id: Option<Id>,
    #[serde(default, deserialize_with = "lenient")]
    contact: Option<WireContact>,
    #[serde(default, deserialize_with = "lenient")]
    event: Option<WireEvent>,
    // A preorder with a line less would be another preorder: all of them, or it cannot be read.
    #[serde(default)]
    lines: Vec<WireLine>,
    #[serde(default, deserialize_with = "lenient")]
    total: Option<Amount>,
    #[serde(default, deserialize_with = "lenient")]
    prepaid: Option<Amount>,
    #[serde(default, deserialize_with = "lenient")]
    currency: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    status: Option<PreorderStatus>,
    #[serde(default, deserialize_with = "lenient")]
    comment: Option<Personal>,
}

#[derive(Deserialize)]
struct WireContact {
    #[serde(default, deserialize_with = "lenient")]
    name: Option<Personal>,
    #[serde(default, deserialize_with = "lenient")]
    phone: Option<Personal>,
}

#[derive(Deserialize)]
struct WireEvent {
    #[serde(default, deserialize_with = "lenient")]
    title: Option<Personal>,
    starts_at: String,
    ends_at: String,
    #[serde(default, deserialize_with = "lenient")]
    room: Option<String>,
    #[serde(default, deserialize_with = "lenient_list")]
    staff: Vec<String>,
}

impl WireEvent {
    fn read(self) -> Option<PreorderEvent> {
        let (starts_ms, ends_ms) = (millis(&self.starts_at)?, millis(&self.ends_at)?);
        Some(PreorderEvent { title: self.title.unwrap_or_default(), starts_ms, ends_ms, room: self.room, staff: self.staff })
    }
}

#[derive(Deserialize)]
struct WireLine {
    good_type_id: Id,
    #[serde(default, deserialize_with = "lenient")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    qty: Option<i64>,
    price: Amount,
}

impl WireLine {
    fn read(self) -> PreorderLine {
        PreorderLine {
            good_type_id: self.good_type_id.0,
            name: self.name.unwrap_or_default(),
            quantity: self.qty.unwrap_or(1),
            price: minor(&self.price),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::HeaderMap;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body: Bytes::copy_from_slice(body.as_bytes()) }
    }

    #[test]
    fn a_draft_says_only_what_it_knows() {
        let zone = TimeZone::get("Asia/Yekaterinburg").unwrap();
        let draft = PreorderDraft { status: Some(PreorderStatus::Cancelled), ..PreorderDraft::default() };
        let request = put("amo:deal:123", 4, &draft, &zone);
        assert_eq!(request.path, "/preorders/by-ref/amo%3Adeal%3A123");
        assert_eq!(serde_json::from_slice::<Value>(&request.body.unwrap()).unwrap(), json!({"revision": 4, "status": "cancelled"}));
        let event =
            PreorderEvent { title: Personal::new("ДР"), starts_ms: 1_777_618_800_400, ends_ms: 1_777_618_800_400, room: None, staff: vec![] };
        let draft = PreorderDraft { event: Some(event), ..PreorderDraft::default() };
        let body: Value = serde_json::from_slice(&put("r", 1, &draft, &zone).body.unwrap()).unwrap();
        assert_eq!(body["event"]["starts_at"], "2026-05-01T12:00:00.400+05:00");
    }

    #[test]
    fn each_conflict_is_told_from_not_now_and_warnings_are_read_in_both_forms() {
        let error = |code: &str| format!(r#"{{"error":{{"code":"{code}","message":"x"}}}}"#);
        for (code, conflict) in
            [("stale", PreorderConflict::Stale), ("revision_conflict", PreorderConflict::OtherContent), ("bound", PreorderConflict::Bound)]
        {
            assert_eq!(placed(&answer(409, &error(code))), Written::Conflict(conflict));
        }
        assert!(matches!(placed(&answer(409, &error("in_progress"))), Written::Later { .. }));
        let done = placed(&answer(
            200,
            r#"{"preorder_id":"po-1","version":2,"total":100,"warnings":["total_differs",{"code":"price_differs","good_type_id":"p-1","price":7},5]}"#,
        ));
        let Written::Done(done) = done else { panic!("{done:?}") };
        let price = Warning { code: "price_differs".into(), good_type_id: Some("p-1".into()), instead: Some(7) };
        assert_eq!(done.warnings, [Warning { code: "total_differs".into(), good_type_id: None, instead: None }, price]);
    }

    #[test]
    fn a_preorder_with_a_line_that_cannot_be_read_is_not_read_as_a_smaller_one() {
        assert!(preorder(json!({"id": "po-1", "lines": [{"good_type_id": "p-1", "qty": 2, "price": 50}, {"qty": 1}]})).is_none());
        let read = preorder(json!({"id": 5, "ref": null, "status": "under_review", "event": {"starts_at": "soon"},
            "lines": [{"good_type_id": "p-1", "qty": 2, "price": 50}]}))
        .unwrap();
        assert_eq!((read.id.as_str(), read.total.minor, read.status, read.event), ("5", 100, PreorderStatus::Other, None));
    }
}

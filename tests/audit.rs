//! Asking the CRMs for delivered passes, against the sandbox's accounts: what is found, missing and doubled, with few requests and without a write.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use http::Method;
use jiff::tz::TimeZone;
use limegate::config::{AmoAuth, AmoCrm, Language, PassesAs, SecretSource, StageRef};
use limegate::crm::audit::{DealOf, Finding, Findings, Search, Sought, SoughtDeal};
use limegate::crm::setup::{Ask, Dialogue, Mode, SetupError};
use limegate::crm::texts::Texts;
use limegate::crm::{amocrm, bitrix24};
use limegate::domain::{Change, ClientId};
use limegate::http::{Answer, Request};
use sandbox::{Host, Site, What};
use serde_json::{Value, json};
use uuid::Uuid;

const WALL: i64 = 1_777_636_800_000;

/// One CRM of the sandbox, asked in process.
struct Crm {
    site: Site,
    host: Host,
    base: String,
    now_ms: u64,
    /// Of the search: the labels of its requests.
    labels: Vec<&'static str>,
}

fn key(number: u128) -> Uuid {
    Uuid::from_u128(0x0197_2f3a_0000_7000_8000_0000_0000_0000 + number)
}

fn texts() -> Texts {
    Texts::new(Language::Ru, TimeZone::UTC)
}

fn stage(name: &str) -> StageRef {
    StageRef::Name(name.into())
}

fn sought(number: u128, remote: Option<String>, client: Option<&str>) -> Sought {
    Sought { key: key(number), remote, client: client.map(ClientId::from) }
}

impl Crm {
    fn amocrm() -> Self {
        let mut crm = Self { site: Site::new(5), host: Host::Amocrm, base: String::new(), now_ms: 0, labels: Vec::new() };
        let auth = AmoAuth::Token(SecretSource::Env("T".into()));
        let config = AmoCrm { url: "https://park.amocrm.ru".into(), auth, pipeline: stage("Проходы"), stage: stage("Прошёл") };
        crm.drive(&mut amocrm::setup::errand(config, texts(), Mode::Apply)).unwrap();
        crm
    }

    fn bitrix24() -> Self {
        let site = Site::new(5);
        let webhook = site.bitrix24.webhook();
        let base = webhook[webhook.find("/rest/").unwrap()..].trim_end_matches('/').to_owned();
        let mut crm = Self { site, host: Host::Bitrix24, base, now_ms: 0, labels: Vec::new() };
        crm.drive(&mut bitrix24::setup::errand(both(), texts(), "webhook".into(), Mode::Apply)).unwrap();
        crm
    }

    fn send(&mut self, request: &Request) -> Answer {
        self.now_ms += 1_000;
        let mut plain = http::Request::builder().method(request.method.clone()).uri(format!("{}{}", self.base, request.path));
        if self.host == Host::Amocrm {
            plain = plain.header("authorization", format!("Bearer {}", self.site.amocrm.long_lived_token()));
        }
        let plain = plain.header("content-type", "application/json").body(request.body.clone().unwrap_or_default()).unwrap();
        let What::Whole(response) = self.site.call(self.host, self.now_ms, WALL + i64::try_from(self.now_ms).unwrap(), plain).what else {
            panic!("no whole answer")
        };
        let (head, body) = response.into_parts();
        Answer { status: head.status, headers: head.headers, body }
    }

    fn post(&mut self, path: &str, body: &Value) -> Value {
        let answer = self.send(&Request::json(Method::POST, path, body, "POST"));
        assert!(answer.status.is_success(), "{path} {body}: {}", String::from_utf8_lossy(&answer.body));
        answer.json().unwrap()
    }

    fn drive<T>(&mut self, dialogue: &mut dyn Dialogue<T>) -> Result<T, SetupError> {
        let mut step = dialogue.next(None);
        loop {
            match step {
                Ask::Done(done) => return Ok(done),
                Ask::Failed(error) => return Err(error),
                Ask::Call(request) => {
                    self.labels.push(request.label);
                    let answer = self.send(&request);
                    step = dialogue.next(Some(&answer));
                }
            }
        }
    }

    /// Asks, and sees that nothing was changed by it.
    fn ask(&mut self, mut search: Search) -> Findings {
        let held = |crm: &Self| {
            let mut state = crm.site.state(crm.host);
            for what in ["calls", "limits", "oauth"] {
                state.as_object_mut().unwrap().remove(what);
            }
            state
        };
        let before = held(self);
        self.labels.clear();
        let findings = self.drive(&mut search).unwrap();
        assert_eq!(held(self), before, "asking has changed something");
        findings
    }

    /// Leads in amoCRM, with a pass's id or somebody else's; their ids.
    fn leads(&mut self, numbers: impl IntoIterator<Item = Option<u128>>) -> Vec<u64> {
        self.leads_with(numbers.into_iter().map(|number| number.map(key)))
    }

    fn leads_with(&mut self, keys: impl IntoIterator<Item = Option<Uuid>>) -> Vec<u64> {
        let answer = self.send(&Request::get("/api/v4/leads/custom_fields?limit=250", "GET")).json().unwrap();
        let fields = answer["_embedded"]["custom_fields"].as_array().unwrap().clone();
        let field = fields.iter().find(|field| field["code"] == "LIME_EVENT_UID").unwrap()["id"].clone();
        let lead = |key: Option<Uuid>| match key {
            Some(key) => json!({"name": "Проход", "custom_fields_values": [{"field_id": field, "values": [{"value": key.to_string()}]}]}),
            None => json!({"name": "Праздник"}),
        };
        let leads: Vec<Value> = keys.into_iter().map(lead).collect();
        let mut ids = Vec::new();
        for chunk in leads.chunks(250) {
            let made = self.post("/api/v4/leads", &json!(chunk));
            ids.extend(made["_embedded"]["leads"].as_array().unwrap().iter().map(|lead| lead["id"].as_u64().unwrap()));
        }
        ids
    }

    fn item(&mut self, entity: u64, origin: Option<String>) -> u64 {
        let mut fields = json!({"title": "Проход", "name": "Анна"});
        if let Some(origin) = origin {
            fields["originatorId"] = json!("LIME");
            fields["originId"] = json!(origin);
        }
        self.post("/crm.item.add", &json!({"entityTypeId": entity, "fields": fields}))["result"]["item"]["id"].as_u64().unwrap()
    }

    fn deal(&mut self, number: u128) -> u64 {
        self.item(2, Some(format!("pass:{}", key(number))))
    }

    fn contact(&mut self, client: &str) -> u64 {
        self.item(3, Some(format!("client:{client}")))
    }

    fn line(&mut self, contact: u64, text: &str) -> u64 {
        let fields = json!({"entityTypeId": 3, "entityId": contact, "title": "Проход", "text": text, "iconCode": "info"});
        self.post("/crm.timeline.logmessage.add", &json!({"fields": fields}))["result"]["logMessage"]["id"].as_u64().unwrap()
    }

    fn line_of(&mut self, contact: u64, number: u128) -> u64 {
        self.line(contact, &format!("12:01 · Списано\npass:{}", key(number)))
    }
}

fn both() -> PassesAs {
    PassesAs::Both { pipeline: stage("Проходы"), stage: stage("Прошёл") }
}

fn deals() -> PassesAs {
    PassesAs::Deal { pipeline: stage("Проходы"), stage: stage("Прошёл") }
}

fn of(findings: &Findings, wanted: Finding) -> Vec<Uuid> {
    findings.iter().filter(|(_, finding)| **finding == wanted).map(|(key, _)| *key).collect()
}

fn lead(id: u64) -> Option<String> {
    Some(format!("lead:{id}"))
}

#[test]
fn amocrm_names_the_leads_that_are_gone_or_twice_there_in_a_few_pages() {
    let mut crm = Crm::amocrm();
    let ids = crm.leads((1..=600).map(Some));
    let other = crm.leads([None, Some(599), None, Some(1)]);
    assert!(crm.site.amocrm.remove_lead(ids[9]) && !crm.site.amocrm.remove_lead(3));
    // The journal knows the second one of the pass 1.
    let remote = |number: u128| lead(if number == 1 { other[3] } else { ids[number as usize - 1] });
    let all = (1..=600).map(|number| sought(number, remote(number), None)).collect();
    let findings = crm.ask(amocrm::audit::search(all));
    assert_eq!(findings.len(), 600);
    assert_eq!(of(&findings, Finding::Missing), [key(10)]);
    assert_eq!(of(&findings, Finding::Doubled), [key(1), key(599)]);
    assert_eq!(crm.labels, ["GET /leads/custom_fields", "GET /leads?order", "GET /leads?order", "GET /leads?order"]);
}

#[test]
fn amocrm_is_searched_for_passes_that_lie_deep_under_other_leads() {
    let mut crm = Crm::amocrm();
    let ids = crm.leads([Some(1), Some(2), Some(2), Some(3)]);
    crm.leads((0..1_500).map(|_| None));
    crm.site.amocrm.remove_lead(ids[3]);
    let all = vec![sought(1, lead(ids[0]), None), sought(2, lead(ids[1]), None), sought(3, lead(ids[3]), None)];
    let findings = crm.ask(amocrm::audit::search(all));
    assert_eq!(findings, Findings::from([(key(1), Finding::Found), (key(2), Finding::Doubled), (key(3), Finding::Missing)]));
    assert_eq!(crm.labels.iter().filter(|label| **label == "GET /leads?query").count(), 3);
    assert_eq!(crm.labels.len(), 7, "{:?}", crm.labels);
}

#[test]
fn amocrm_is_read_no_further_than_the_oldest_pass_and_a_page() {
    let mut crm = Crm::amocrm();
    crm.leads((0..1_500).map(|_| None));
    let ids = crm.leads((1..=40).map(Some));
    let all = (1..=40).map(|number| sought(number, lead(ids[number as usize - 1]), None)).collect();
    let findings = crm.ask(amocrm::audit::search(all));
    assert_eq!(of(&findings, Finding::Found).len(), 40);
    assert_eq!(crm.labels.len(), 3, "{:?}", crm.labels);
}

#[test]
fn an_account_without_the_key_field_is_not_said_to_miss_everything() {
    let mut crm = Crm { site: Site::new(5), host: Host::Amocrm, base: String::new(), now_ms: 0, labels: Vec::new() };
    let error = crm.drive(&mut amocrm::audit::search(vec![sought(1, lead(7), None)])).unwrap_err();
    assert!(error.to_string().contains("LIME_EVENT_UID"), "{error}");
    assert_eq!(crm.drive(&mut amocrm::audit::search(Vec::new())), Ok(Findings::new()));
}

#[test]
fn bitrix24_names_the_deals_that_are_gone_or_twice_there_in_one_batch() {
    let mut crm = Crm::bitrix24();
    let ids: Vec<u64> = (1..=120).map(|number| crm.deal(number)).collect();
    for _ in 0..60 {
        crm.deal(7);
    }
    crm.post("/crm.item.delete", &json!({"entityTypeId": 2, "id": ids[99]}));
    let all = (1..=120).map(|number| sought(number, Some(format!("deal:{}", ids[number as usize - 1])), Some("c-1"))).collect();
    let findings = crm.ask(bitrix24::audit::search(deals(), all));
    assert_eq!((findings.len(), of(&findings, Finding::Missing), of(&findings, Finding::Doubled)), (120, vec![key(100)], vec![key(7)]));
    assert!(crm.labels.len() <= 3, "{:?}", crm.labels);
}

#[test]
fn bitrix24_names_the_timeline_lines_that_are_gone_or_twice_there() {
    let mut crm = Crm::bitrix24();
    let (anna, boris) = (crm.contact("c-1"), crm.contact("c-2"));
    let lines: Vec<u64> = (1..=35).map(|number| crm.line_of(anna, number)).collect();
    for _ in 0..25 {
        crm.line(anna, "Звонок");
    }
    crm.line_of(anna, 35);
    crm.line_of(boris, 50);
    crm.post("/crm.timeline.logmessage.delete", &json!({"id": lines[2]}));
    // A contact that was merged into another: the line went along, the origin did not.
    let survivor = crm.item(3, None);
    let moved = crm.line_of(survivor, 60);
    let line = |id: u64| Some(format!("timeline:{id}"));
    let mut all: Vec<Sought> = (1..=35).map(|number| sought(number, line(lines[number as usize - 1]), Some("c-1"))).collect();
    all.extend([sought(50, line(1), Some("c-2")), sought(60, line(moved), Some("c-3")), sought(61, line(moved), Some("c-3"))]);
    // Nobody's pass: there is no card that it could stand on.
    all.extend([sought(70, None, None), sought(71, None, Some("c-9"))]);
    let findings = crm.ask(bitrix24::audit::search(PassesAs::Timeline, all));
    assert_eq!(findings.len(), 38);
    assert_eq!((of(&findings, Finding::Missing), of(&findings, Finding::Doubled)), (vec![key(3), key(61)], vec![key(35)]));
    assert!(crm.labels.len() <= 6, "{:?}", crm.labels);
}

#[test]
fn bitrix24_with_both_records_wants_both_where_the_guest_has_a_contact() {
    let mut crm = Crm::bitrix24();
    let anna = crm.contact("c-1");
    let ids: Vec<u64> = (1..=4).map(|number| crm.deal(number)).collect();
    for number in [1, 3, 3] {
        crm.line_of(anna, number);
    }
    let deal = |at: usize| Some(format!("deal:{}", ids[at]));
    let all = vec![
        sought(1, deal(0), Some("c-1")),
        sought(2, deal(1), Some("c-1")),
        sought(3, deal(2), Some("c-1")),
        sought(4, deal(3), Some("c-2")),
        sought(5, None, None),
    ];
    let findings = crm.ask(bitrix24::audit::search(both(), all));
    let expected = [Finding::Found, Finding::Missing, Finding::Doubled, Finding::Found, Finding::Missing];
    assert_eq!(findings, (1..=5).map(key).zip(expected).collect::<Findings>());
}

/// Three receipts that the journal says are deals.
fn receipts(kind: &str, ids: [u64; 3]) -> Vec<SoughtDeal> {
    let receipt = |(number, id): (u128, u64)| SoughtDeal {
        key: key(number),
        of: DealOf::Receipt(format!("tr-{number}")),
        remote: Some(format!("{kind}:{id}")),
    };
    (1..).zip(ids).map(receipt).collect()
}

fn one_of_each() -> Findings {
    Findings::from([(key(1), Finding::Found), (key(2), Finding::Doubled), (key(3), Finding::Missing)])
}

#[test]
fn amocrm_names_the_deals_of_receipts_that_are_gone_or_twice_there() {
    let mut crm = Crm::amocrm();
    let of = |number: u32| Some(Change::receipt_key(&format!("tr-{number}")));
    let ids = crm.leads_with([of(1), of(2), None, of(3), of(2)]);
    assert!(crm.site.amocrm.remove_lead(ids[3]));
    assert_eq!(crm.ask(amocrm::audit::deals(receipts("lead", [ids[0], ids[1], ids[3]]))), one_of_each());
    assert_eq!(crm.labels, ["GET /leads/custom_fields", "GET /leads?order"]);
}

#[test]
fn bitrix24_names_the_deals_of_receipts_and_preorders_that_are_gone_or_twice_there() {
    let mut crm = Crm::bitrix24();
    let mut deal = |of: &str| crm.item(2, Some(of.to_owned()));
    let ids = [deal("receipt:tr-1"), deal("receipt:tr-2"), deal("receipt:tr-3")];
    deal("receipt:tr-2");
    deal("preorder:po-1");
    crm.post("/crm.item.delete", &json!({"entityTypeId": 2, "id": ids[2]}));
    let mut sought = receipts("deal", ids);
    let preorder = |number: u128, id: &str| SoughtDeal { key: key(number), of: DealOf::Preorder(id.to_owned()), remote: None };
    sought.extend([preorder(4, "po-1"), preorder(5, "po-2")]);
    let mut expected = one_of_each();
    expected.extend([(key(4), Finding::Found), (key(5), Finding::Missing)]);
    assert_eq!(crm.ask(bitrix24::audit::deals(sought)), expected);
    assert_eq!(crm.labels.len(), 1, "{:?}", crm.labels);
}

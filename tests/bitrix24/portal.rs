//! A portal in a hundred lines, for conversations answered by hand: it reads batches the way PHP does, keeps what it is given, and fails on demand.
//! Written from the documents and not from the client, so that a mistake shows.

use std::collections::{BTreeMap, VecDeque};

use http::{HeaderMap, StatusCode};
use limegate::http::{Answer, Request};
use serde_json::{Map, Value, json};

/// One command as the portal saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub params: Value,
}

/// What goes wrong with one whole request.
#[derive(Clone, Copy, Debug)]
pub enum Cut {
    /// Nothing was sent.
    Before,
    /// It was carried out, and the answer was lost.
    After,
    /// It was carried out up to the n-th command, and an HTML page came.
    HalfThen502(usize),
    /// Refused with this status and error.
    Refused(u16, &'static str),
}

#[derive(Default)]
pub struct Portal {
    pub contacts: BTreeMap<u64, Map<String, Value>>,
    pub deals: BTreeMap<u64, Map<String, Value>>,
    /// Contact, id, text.
    pub lines: Vec<(u64, u64, String)>,
    pub contact_fields: Vec<(String, String, String)>,
    pub deal_fields: Vec<(String, String, String)>,
    pub funnels: Vec<(u64, &'static str)>,
    /// Funnel, id, name, semantics.
    pub stages: Vec<(u64, &'static str, &'static str, Value)>,
    /// Commands by request.
    pub requests: Vec<Vec<Seen>>,
    /// The next call of a method fails so.
    pub faults: BTreeMap<String, VecDeque<Value>>,
    /// The next request that has a command of this method is cut.
    pub cuts: VecDeque<(&'static str, Cut)>,
    /// What `time` says after each command of a method.
    pub operating: BTreeMap<String, f64>,
    /// Ids of items that do not show in lists yet.
    pub hidden: Vec<u64>,
    pub last_id: u64,
}

impl Portal {
    /// With our fields, a funnel "Проходы" (9) and its stages.
    pub fn ready() -> Self {
        let mut portal = Self {
            funnels: vec![(0, "Общая"), (9, "Проходы")],
            stages: vec![(0, "NEW", "Новая", Value::Null), (9, "C9:NEW", "Прошёл", Value::Null), (9, "C9:WON", "Готово", json!("S"))],
            last_id: 100,
            ..Self::default()
        };
        for (code, kind) in [
            ("DEPOSIT", "money"),
            ("BONUS", "integer"),
            ("CATEGORY", "string"),
            ("CHILDREN", "string"),
            ("CARD", "string"),
            ("LAST_VISIT", "datetime"),
            ("VISITS", "integer"),
            ("HISTORY", "string"),
            ("UPDATED", "datetime"),
            ("CLIENT_ID", "string"),
        ] {
            portal.contact_fields.push((format!("UF_CRM_LIME_{code}"), kind.into(), if code == "CHILDREN" { "Y" } else { "N" }.into()));
        }
        for code in ["AT", "POINT", "KIND", "TICKET", "LEFT", "MEDIUM", "REMARK", "EVENT_UID"] {
            portal.deal_fields.push((format!("UF_CRM_LIME_{code}"), if code == "AT" { "datetime" } else { "string" }.into(), "N".into()));
        }
        portal
    }

    pub fn contact(&mut self, fields: Value) -> u64 {
        self.last_id += 1;
        self.contacts.insert(self.last_id, fields.as_object().unwrap().clone());
        self.last_id
    }

    pub fn fail(&mut self, method: &str, fault: Value) {
        self.faults.entry(method.to_owned()).or_default().push_back(fault);
    }

    /// All commands of a method, in order.
    pub fn of(&self, method: &str) -> Vec<&Seen> {
        self.requests.iter().flatten().filter(|seen| seen.method == method).collect()
    }

    /// `None` when the answer is lost; the flag says whether the request was.
    pub fn answer(&mut self, request: &Request) -> Result<Answer, bool> {
        assert_eq!(request.path, "/batch");
        let body: Value = serde_json::from_slice(request.body.as_deref().unwrap()).unwrap();
        let commands = body["cmd"].as_object().unwrap();
        assert!(commands.len() <= 50, "{} commands", commands.len());
        let mut keys: Vec<&String> = commands.keys().collect();
        keys.sort();
        let seen: Vec<Seen> = keys.iter().map(|key| decode(commands[*key].as_str().unwrap())).collect();
        self.requests.push(seen.clone());
        let cut = match self.cuts.front() {
            Some((method, cut)) if seen.iter().any(|seen| seen.method == *method) => {
                let cut = *cut;
                self.cuts.pop_front();
                Some(cut)
            }
            _ => None,
        };
        match cut {
            Some(Cut::Before) => return Err(false),
            Some(Cut::Refused(status, error)) => return Ok(reply(status, &json!({"error": error, "error_description": ""}))),
            _ => {}
        }
        let most = if let Some(Cut::HalfThen502(most)) = cut { most } else { usize::MAX };
        let (mut results, mut errors, mut totals, mut times) = (Map::new(), Map::new(), Map::new(), Map::new());
        for (key, seen) in keys.into_iter().zip(&seen).take(most) {
            if let Some(used) = self.operating.get(&seen.method) {
                times.insert(key.clone(), json!({"operating": used, "finish": 1000.0, "operating_reset_at": 1045}));
            }
            match self.faults.get_mut(&seen.method).and_then(VecDeque::pop_front) {
                Some(fault) if fault.is_null() => {}
                // It is done all the same, and said badly or not at all.
                Some(fault) if fault["done"] == true => {
                    let _ = self.carry_out(seen);
                    if fault.get("error").is_some() {
                        errors.insert(key.clone(), fault);
                    }
                    continue;
                }
                Some(fault) => {
                    errors.insert(key.clone(), fault);
                    continue;
                }
                None => {}
            }
            match self.carry_out(seen) {
                Ok((result, total)) => {
                    results.insert(key.clone(), result);
                    if let Some(total) = total {
                        totals.insert(key.clone(), json!(total));
                    }
                }
                Err(error) => {
                    errors.insert(key.clone(), error);
                }
            }
        }
        match cut {
            Some(Cut::After) => Err(true),
            Some(Cut::HalfThen502(_)) => Ok(Answer { status: StatusCode::BAD_GATEWAY, headers: HeaderMap::new(), body: "<html>nginx</html>".into() }),
            _ => {
                let php = |map: Map<String, Value>| if map.is_empty() { json!([]) } else { Value::Object(map) };
                let result = json!({"result": php(results), "result_error": php(errors), "result_total": php(totals), "result_next": [], "result_time": php(times)});
                Ok(reply(200, &json!({"result": result, "time": {"start": 1.0, "finish": 2.0}})))
            }
        }
    }

    fn carry_out(&mut self, seen: &Seen) -> Result<(Value, Option<u64>), Value> {
        let p = &seen.params;
        let number = |value: &Value| value.as_str().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        let entity = number(&p["entityTypeId"]);
        match seen.method.as_str() {
            "profile" => Ok((json!({"ID": "1", "ADMIN": true}), None)),
            "scope" => Ok((json!(["crm", "user_basic"]), None)),
            "method.get" => Ok((json!({"isExisting": true, "isAvailable": true}), None)),
            "crm.item.fields" => {
                let ours = if entity == 3 { &self.contact_fields } else { &self.deal_fields };
                let mut fields: Map<String, Value> =
                    ours.iter().map(|(name, ..)| (camel(name), json!({"upperName": name, "isDynamic": true}))).collect();
                fields.insert("id".into(), json!({"type": "integer", "upperName": "ID"}));
                Ok((json!({"fields": fields}), None))
            }
            "crm.category.list" => {
                let rows: Vec<Value> =
                    self.funnels.iter().map(|(id, name)| json!({"id": id, "name": name, "isDefault": if *id == 0 { "Y" } else { "N" }})).collect();
                Ok((json!({"categories": rows}), Some(rows.len() as u64)))
            }
            "crm.status.list" => {
                let of = p["filter"]["ENTITY_ID"].as_str().unwrap().strip_prefix("DEAL_STAGE").unwrap().trim_start_matches('_').parse().unwrap_or(0);
                let rows = self.stages.iter().filter(|(funnel, ..)| *funnel == of);
                Ok((rows.map(|(_, id, name, s)| json!({"STATUS_ID": id, "NAME": name, "SEMANTICS": s})).collect(), None))
            }
            "crm.item.list" => {
                let filter = &p["filter"];
                let wanted =
                    |key: &str| filter[key].as_object().map(|list| list.values().map(|v| v.as_str().unwrap().to_owned()).collect::<Vec<_>>());
                let (ids, origins, after) = (wanted("@id"), wanted("@originId"), number(&filter[">id"]));
                let items = if entity == 3 { &self.contacts } else { &self.deals };
                let rows: Vec<Value> = items
                    .iter()
                    .filter(|(id, _)| **id > after && !self.hidden.contains(id))
                    .filter(|(id, _)| ids.as_ref().is_none_or(|ids| ids.contains(&id.to_string())))
                    .filter(|(_, item)| {
                        origins.as_ref().is_none_or(|origins| {
                            item.get("originatorId").and_then(Value::as_str) == filter["originatorId"].as_str()
                                && item.get("originId").and_then(Value::as_str).is_some_and(|origin| origins.iter().any(|o| o == origin))
                        })
                    })
                    .take(50)
                    .map(|(id, item)| shown(*id, item))
                    .collect();
                Ok((json!({"items": rows}), None))
            }
            "crm.item.get" => match self.contacts.get(&number(&p["id"])) {
                Some(item) => Ok((json!({"item": shown(number(&p["id"]), item)}), None)),
                None => Err(json!({"error": "NOT_FOUND", "error_description": "Элемент не найден"})),
            },
            "crm.duplicate.findbycomm" => {
                let values: Vec<String> = p["values"].as_object().unwrap().values().map(|v| normal(v.as_str().unwrap())).collect();
                let has = |item: &Map<String, Value>| {
                    let fm = item.get("fm").and_then(Value::as_array).cloned().unwrap_or_default();
                    fm.iter().any(|entry| entry["typeId"] == p["type"] && values.contains(&normal(entry["value"].as_str().unwrap())))
                };
                let ids: Vec<u64> = self.contacts.iter().rev().filter(|(_, item)| has(item)).map(|(id, _)| *id).collect();
                Ok((if ids.is_empty() { json!([]) } else { json!({"CONTACT": ids}) }, None))
            }
            "crm.item.add" => {
                self.last_id += 1;
                let id = self.last_id;
                let mut item = self.known(entity, &p["fields"]);
                if let Some(fm) = p["fields"].get("fm") {
                    item.insert("fm".into(), with_ids(fm.as_object().unwrap().values(), id));
                }
                let result = json!({"item": shown(id, &item)});
                if entity == 3 { &mut self.contacts } else { &mut self.deals }.insert(id, item);
                Ok((result, None))
            }
            "crm.item.update" => {
                let id = number(&p["id"]);
                let changed = self.known(entity, &p["fields"]);
                let Some(item) = self.contacts.get_mut(&id) else {
                    return Err(json!({"error": "NOT_FOUND", "error_description": "Элемент не найден"}));
                };
                item.extend(changed);
                if let Some(fm) = p["fields"].get("fm") {
                    let mut all = item.get("fm").and_then(Value::as_array).cloned().unwrap_or_default();
                    all.extend(with_ids(fm.as_object().unwrap().values(), id).as_array().unwrap().clone());
                    item.insert("fm".into(), Value::Array(all));
                }
                Ok((json!({"item": shown(id, item)}), None))
            }
            "crm.timeline.logmessage.add" => {
                let fields = &p["fields"];
                let contact = number(&fields["entityId"]);
                if !self.contacts.contains_key(&contact) {
                    return Err(json!({"error": "NOT_FOUND", "error_description": "Элемент не найден"}));
                }
                self.last_id += 1;
                self.lines.push((contact, self.last_id, fields["text"].as_str().unwrap().to_owned()));
                Ok((json!({"logMessage": {"id": self.last_id, "created": "2026-11-22T14:32:00+03:00"}}), None))
            }
            "crm.timeline.logmessage.list" => {
                let contact = number(&p["entityId"]);
                let mut all: Vec<Value> = self.lines.iter().filter(|l| l.0 == contact).map(|l| json!({"id": l.1, "text": l.2})).collect();
                all.reverse();
                let start = usize::try_from(number(&p["start"])).unwrap();
                let total = all.len() as u64;
                Ok((json!({"logMessages": all.into_iter().skip(start).take(10).collect::<Vec<_>>()}), Some(total)))
            }
            "crm.contact.userfield.list" | "crm.deal.userfield.list" => {
                let ours = if seen.method.contains("contact") { &self.contact_fields } else { &self.deal_fields };
                let rows = ours.iter().filter(|(name, ..)| p["filter"]["FIELD_NAME"] == json!(name));
                Ok((rows.map(|(n, k, m)| json!({"ID": "7", "FIELD_NAME": n, "USER_TYPE_ID": k, "MULTIPLE": m})).collect(), None))
            }
            "crm.contact.userfield.add" | "crm.deal.userfield.add" => {
                let text = |key: &str| p["fields"][key].as_str().unwrap().to_owned();
                let field = (format!("UF_CRM_{}", text("FIELD_NAME")), text("USER_TYPE_ID"), text("MULTIPLE"));
                let ours = if seen.method.contains("contact") { &mut self.contact_fields } else { &mut self.deal_fields };
                if ours.iter().any(|(name, ..)| *name == field.0) {
                    return Err(json!({"error": "", "error_description": "Поле уже существует"}));
                }
                ours.push(field);
                Ok((json!(77), None))
            }
            other => panic!("the portal has no {other}"),
        }
    }

    /// Unknown keys are ignored without a word.
    fn known(&self, entity: u64, fields: &Value) -> Map<String, Value> {
        let ours = if entity == 3 { &self.contact_fields } else { &self.deal_fields };
        let plain = [
            "name",
            "secondName",
            "lastName",
            "birthdate",
            "typeId",
            "opened",
            "originatorId",
            "originId",
            "title",
            "categoryId",
            "stageId",
            "contactId",
            "opportunity",
            "isManualOpportunity",
            "currencyId",
            "begindate",
            "closedate",
        ];
        let known = |key: &str| plain.contains(&key) || ours.iter().any(|(name, ..)| camel(name) == key);
        fields.as_object().unwrap().iter().filter(|(key, _)| known(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

fn with_ids<'a>(entries: impl Iterator<Item = &'a Value>, seed: u64) -> Value {
    let whole = entries.filter(|entry| entry.get("typeId").is_some() && entry.get("value").is_some());
    whole.enumerate().map(|(n, entry)| json!({"id": seed * 100 + n as u64, "typeId": entry["typeId"], "value": entry["value"]})).collect()
}

fn shown(id: u64, item: &Map<String, Value>) -> Value {
    let mut item = item.clone();
    item.insert("id".into(), json!(id));
    Value::Object(item)
}

/// Phones are compared by their digits, and the 8 of a Russian number is a 7.
fn normal(value: &str) -> String {
    if value.contains('@') {
        return value.to_lowercase();
    }
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    match digits.strip_prefix('8') {
        Some(rest) if digits.len() > 10 => format!("7{rest}"),
        _ => digits,
    }
}

/// `UF_CRM_LIME_AT` -> `ufCrm_LIME_AT`
fn camel(name: &str) -> String {
    format!("ufCrm_{}", name.strip_prefix("UF_CRM_").unwrap())
}

fn reply(status: u16, body: &Value) -> Answer {
    Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body: body.to_string().into() }
}

/// `method?query` with PHP's brackets, as nested objects; lists are objects with numbers for keys.
pub fn decode(command: &str) -> Seen {
    let command = command.split('#').next().unwrap();
    let (method, query) = command.split_once('?').unwrap_or((command, ""));
    let mut params = json!({});
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap();
        let name = undo(name);
        let mut at = &mut params;
        for part in name.split('[').map(|part| part.trim_end_matches(']')) {
            at = at.as_object_mut().unwrap().entry(part.to_owned()).or_insert_with(|| json!({}));
        }
        *at = json!(undo(value));
    }
    Seen { method: method.to_owned(), params }
}

fn undo(text: &str) -> String {
    let (mut out, mut bytes) = (Vec::new(), text.bytes());
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
                out.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
            }
            b'+' => out.push(b' '),
            other => out.push(other),
        }
    }
    String::from_utf8(out).unwrap()
}

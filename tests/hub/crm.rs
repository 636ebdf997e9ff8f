//! A CRM as the people of a venue see it: contacts, deals, products. What amoCRM and Bitrix24 call things is known here and nowhere else in these tests.

use sandbox::Host;
use serde_json::{Value, json};

use crate::manager::list;
use crate::venue::Venue;

/// A contact's card.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contact {
    pub id: u64,
    /// All names, as they stand on the card.
    pub name: String,
    pub phones: Vec<String>,
    pub emails: Vec<String>,
    /// The text about children.
    pub children: String,
    /// The last operations.
    pub history: String,
    /// Child or adult.
    pub category: String,
    /// Cards and wristbands.
    pub cards: String,
    /// What the CRM says of when it was changed.
    pub changed: String,
}

/// A deal.
#[derive(Clone, Debug, PartialEq)]
pub struct Deal {
    pub id: u64,
    pub title: String,
    /// Roubles.
    pub sum: f64,
    pub pipeline: String,
    pub stage: String,
    pub contacts: Vec<u64>,
    /// Lime's id of the product, quantity.
    pub rows: Vec<(String, f64)>,
    /// What was given back of it, roubles.
    pub returned: Option<f64>,
    /// What was written to staff on it.
    pub notes: Vec<String>,
    pub changed: String,
}

/// A product as the CRM shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    pub name: String,
    /// Roubles.
    pub price: Option<f64>,
    pub on_sale: bool,
}

/// A text, a number, or several of them.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(text).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| text(value).split('|').next()?.parse().ok())
}

/// A user field of Bitrix24 by limegate's code.
fn uf<'a>(item: &'a Value, code: &str) -> &'a Value {
    let plain = |name: &str| name.replace('_', "").to_lowercase();
    let wanted = plain(&format!("ufCrm{code}"));
    item.as_object().and_then(|map| map.iter().find(|(name, _)| plain(name) == wanted)).map_or(&Value::Null, |(_, value)| value)
}

impl Venue {
    pub fn contacts(&self) -> Vec<Contact> {
        let state = self.state(self.crm);
        list(&state["contacts"]).iter().map(|item| if self.crm == Host::Bitrix24 { bitrix_contact(item) } else { amo_contact(item) }).collect()
    }

    /// The contacts that bear this client's number.
    pub fn contacts_of(&self, client: &str) -> Vec<Contact> {
        let state = self.state(self.crm);
        let ids = match self.crm {
            Host::Bitrix24 => state["contacts_by_key"]["originId"][format!("client:{client}")].clone(),
            _ => state["contacts_by_key"]["LIME_CLIENT_ID"][client].clone(),
        };
        let ids: Vec<u64> = list(&ids).iter().filter_map(Value::as_u64).collect();
        self.contacts().into_iter().filter(|contact| ids.contains(&contact.id)).collect()
    }

    pub fn contact_of(&self, client: &str) -> Option<Contact> {
        self.contacts_of(client).pop()
    }

    pub fn deals(&self) -> Vec<Deal> {
        let state = self.state(self.crm);
        match self.crm {
            Host::Bitrix24 => list(&state["deals"]).iter().map(|item| bitrix_deal(item, &state)).collect(),
            _ => list(&state["leads"]).iter().map(|item| amo_deal(item, &state)).collect(),
        }
    }

    /// The product of this id of Lime's.
    pub fn product(&self, id: &str) -> Option<Product> {
        let state = self.state(self.crm);
        match self.crm {
            Host::Bitrix24 => {
                let xml_id = json!(format!("lime:{id}"));
                let item = list(&state["catalog"]["products"]).into_iter().find(|item| item["xmlId"] == xml_id)?;
                let price = number(&item["prices"][0]["price"]);
                Some(Product { name: text(&item["name"]), price, on_sale: item["active"] == "Y" })
            }
            _ => {
                let elements: Vec<Value> = list(&state["catalogs"]).iter().flat_map(|catalog| list(&catalog["elements"])).collect();
                let item = elements.into_iter().find(|item| text(&item["fields"]["EXTERNAL_ID"]) == id)?;
                let (name, fields) = (text(&item["name"]), &item["fields"]);
                // A list of amoCRM's has no archive: the name says it.
                Some(Product { on_sale: !name.starts_with('['), name, price: number(&fields["PRICE"][0]) })
            }
        }
    }

    /// Two contacts become the first of them.
    pub fn manager_merges(&self, into: u64, from: u64) {
        self.act(self.crm, "merge", &json!({"kind": "contacts", "into": into, "from": from}));
    }

    pub fn manager_deletes_contact(&self, id: u64) {
        let kind = if self.crm == Host::Bitrix24 { "contact" } else { "contacts" };
        self.act(self.crm, "delete", &json!({"kind": kind, "id": id}));
    }

    /// The deal gets its contact.
    pub fn manager_names(&self, deal: u64, contact: u64) {
        let (kind, body) = match self.crm {
            Host::Bitrix24 => ("deal", json!({"id": deal, "contactId": contact})),
            _ => ("lead", json!({"id": deal, "contacts": [contact]})),
        };
        self.act(self.crm, kind, &body);
    }

    /// The deal goes to its pipeline's lost stage.
    pub fn manager_gives_up(&self, deal: u64) {
        let now = self.deals().into_iter().find(|one| one.id == deal).expect("the deal");
        let state = self.state(self.crm);
        match self.crm {
            Host::Bitrix24 => {
                let funnel = list(&state["funnels"]).into_iter().find(|funnel| funnel["name"] == now.pipeline).expect("the funnel");
                let lost = list(&funnel["stages"]).into_iter().find(|stage| text(&stage["code"]).ends_with("LOSE")).expect("its lost stage");
                self.act(self.crm, "deal", &json!({"id": deal, "stageId": lost["code"]}));
            }
            _ => {
                self.act(self.crm, "lead", &json!({"id": deal, "status_id": 143}));
            }
        }
    }

    /// Contacts and deals that stand there twice, by a key that only one may carry.
    pub fn doubled(&self) -> Vec<String> {
        let state = self.state(self.crm);
        let kinds = match self.crm {
            Host::Bitrix24 => [("contacts_doubled", "originId"), ("deals_doubled", "originId")],
            _ => [("contacts_doubled", "LIME_CLIENT_ID"), ("leads_doubled", "LIME_EVENT_UID")],
        };
        kinds
            .iter()
            .flat_map(|(kind, key)| state[kind][key].as_object().cloned().unwrap_or_default())
            .map(|(key, ids)| format!("{key}: {ids}"))
            .collect()
    }
}

fn amo_contact(item: &Value) -> Contact {
    let fields = &item["fields"];
    let all = |code: &str| list(&fields[code]).iter().map(text).collect();
    Contact {
        id: item["id"].as_u64().unwrap_or(0),
        name: text(&item["name"]),
        phones: all("PHONE"),
        emails: all("EMAIL"),
        children: text(&fields["LIME_CHILDREN"]),
        history: text(&fields["LIME_HISTORY"]),
        category: text(&fields["LIME_CATEGORY"]),
        cards: format!("{}{}", text(&fields["LIME_CARD"]), text(&fields["LIME_CARDS"])),
        changed: item["updated_at"].to_string(),
    }
}

fn bitrix_contact(item: &Value) -> Contact {
    let names: Vec<String> = ["name", "secondName", "lastName"].iter().map(|key| text(&item[*key])).filter(|name| !name.is_empty()).collect();
    let multi = |kind: &str| list(&item["fm"]).iter().filter(|one| one["typeId"] == kind).map(|one| text(&one["value"])).collect();
    Contact {
        id: item["id"].as_u64().unwrap_or(0),
        name: names.join(" "),
        phones: multi("PHONE"),
        emails: multi("EMAIL"),
        children: text(uf(item, "LIME_CHILDREN")),
        history: text(uf(item, "LIME_HISTORY")),
        category: text(uf(item, "LIME_CATEGORY")),
        cards: format!("{}{}", text(uf(item, "LIME_CARD")), text(uf(item, "LIME_CARDS"))),
        changed: text(&item["updatedTime"]),
    }
}

fn amo_deal(item: &Value, state: &Value) -> Deal {
    let pipeline = list(&state["pipelines"]).into_iter().find(|pipeline| pipeline["id"] == item["pipeline_id"]).unwrap_or_default();
    let stage = list(&pipeline["stages"]).into_iter().find(|stage| stage["id"] == item["status_id"]).unwrap_or_default();
    let elements: Vec<Value> = list(&state["catalogs"]).iter().flat_map(|catalog| list(&catalog["elements"])).collect();
    let lime =
        |id: &Value| elements.iter().find(|element| element["id"] == *id).map(|element| text(&element["fields"]["EXTERNAL_ID"])).unwrap_or_default();
    let rows = list(&item["products"]).iter().map(|row| (lime(&row["id"]), number(&row["metadata"]["quantity"]).unwrap_or(0.0))).collect();
    let mine = |note: &&Value| note["entity_type"] == "leads" && note["entity_id"] == item["id"];
    Deal {
        id: item["id"].as_u64().unwrap_or(0),
        title: text(&item["name"]),
        sum: number(&item["price"]).unwrap_or(0.0),
        pipeline: text(&pipeline["name"]),
        stage: text(&stage["name"]),
        contacts: list(&item["contacts"]).iter().filter_map(Value::as_u64).collect(),
        rows,
        returned: number(&item["fields"]["LIME_REFUNDED"]),
        notes: list(&state["notes"]).iter().filter(mine).map(|note| text(&note["params"]["text"])).collect(),
        changed: item["updated_at"].to_string(),
    }
}

fn bitrix_deal(item: &Value, state: &Value) -> Deal {
    let funnel = list(&state["funnels"]).into_iter().find(|funnel| funnel["id"] == item["categoryId"]).unwrap_or_default();
    let stage = list(&funnel["stages"]).into_iter().find(|stage| stage["code"] == item["stageId"]).unwrap_or_default();
    let id = item["id"].as_u64().unwrap_or(0);
    let lime = |row: &Value| text(&row["xmlId"]).strip_prefix("lime:").unwrap_or_default().to_owned();
    let rows = list(&state["product_rows"][id.to_string()]).iter().map(|row| (lime(row), number(&row["quantity"]).unwrap_or(0.0))).collect();
    let mine = |line: &&Value| line["entity"] == "deal" && line["owner"] == id;
    let said = |line: &Value| format!("{} {}", text(&line["title"]), text(&line["text"]));
    let many = list(&item["contactIds"]);
    let contacts = if many.is_empty() { vec![item["contactId"].clone()] } else { many };
    Deal {
        id,
        title: text(&item["title"]),
        sum: number(&item["opportunity"]).unwrap_or(0.0),
        pipeline: text(&funnel["name"]),
        stage: text(&stage["name"]),
        contacts: contacts.iter().filter_map(Value::as_u64).collect(),
        rows,
        returned: number(uf(item, "LIME_REFUNDED")),
        notes: list(&state["timeline"]).iter().filter(mine).map(said).collect(),
        changed: text(&item["updatedTime"]),
    }
}

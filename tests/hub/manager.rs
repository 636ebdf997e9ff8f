//! What a manager does in a CRM, day by day.

use sandbox::Host;
use serde_json::{Map, Value, json};

use crate::venue::Venue;

/// The pipeline of bookings.
pub const BOOKINGS: &str = "Дни рождения";

pub fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

impl Venue {
    /// A manager makes or changes a contact: `phones`, `emails`, `first_name`, `last_name`.
    pub fn manager_edits_contact(&self, id: Option<u64>, fields: &Value) -> u64 {
        let mut body = Map::new();
        for (name, value) in fields.as_object().into_iter().flatten() {
            let name = match (self.crm, name.as_str()) {
                (Host::Bitrix24, "first_name") => "name",
                (Host::Bitrix24, "last_name") => "lastName",
                (_, name) => name,
            };
            body.insert(name.to_owned(), value.clone());
        }
        body.extend(id.map(|id| ("id".to_owned(), json!(id))));
        self.act(self.crm, "contact", &Value::Object(body))["id"].as_u64().expect("a contact's id")
    }

    /// A booking's deal, in the pipeline for bookings at its first stage.
    pub fn manager_books(&self, title: &str, contact: impl Into<Option<u64>>) -> u64 {
        let contact: Option<u64> = contact.into();
        let state = self.state(self.crm);
        let made = match self.crm {
            Host::Bitrix24 => {
                let funnel = list(&state["funnels"]).into_iter().find(|funnel| funnel["name"] == BOOKINGS).expect("the funnel of bookings");
                let body = json!({"title": title, "categoryId": funnel["id"], "stageId": funnel["stages"][0]["code"], "contactId": contact});
                self.act(self.crm, "deal", &body)
            }
            _ => {
                let pipeline = list(&state["pipelines"]).into_iter().find(|pipeline| pipeline["name"] == BOOKINGS).expect("the pipeline of bookings");
                let stages = list(&pipeline["stages"]);
                let first = stages.iter().find(|stage| stage["name"] != "Неразобранное").expect("a stage");
                let body = json!({"name": title, "pipeline_id": pipeline["id"], "status_id": first["id"], "contacts": contact.as_slice()});
                self.act(self.crm, "lead", &body)
            }
        };
        made["id"].as_u64().expect("a deal's id")
    }

    /// Products of Lime's into a deal: quantity 0 takes one away.
    pub fn manager_puts(&self, deal: u64, products: &[(&str, u64)]) {
        let products: Vec<Value> = products
            .iter()
            .map(|(id, quantity)| match self.crm {
                Host::Bitrix24 => json!({"xml_id": format!("lime:{id}"), "quantity": quantity}),
                _ => json!({"external_id": id, "quantity": quantity}),
            })
            .collect();
        self.act(self.crm, "products", &json!({"lead_id": deal, "deal_id": deal, "products": products}));
    }
}

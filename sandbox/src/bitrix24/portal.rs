//! What a client asks first: who am I, and what is there.

use serde_json::json;

use super::{Answer, Bitrix, Done, Parameters, USER, needed};
use crate::wire;

/// The methods that this portal knows, as `methods` lists them.
pub(super) const METHODS: [&str; 40] = [
    "batch",
    "scope",
    "methods",
    "method.get",
    "profile",
    "server.time",
    "app.info",
    "crm.item.add",
    "crm.item.get",
    "crm.item.list",
    "crm.item.update",
    "crm.item.delete",
    "crm.item.fields",
    "crm.duplicate.findbycomm",
    "crm.category.list",
    "crm.category.get",
    "crm.category.add",
    "crm.status.list",
    "crm.status.add",
    "crm.stagehistory.list",
    "crm.timeline.logmessage.add",
    "crm.timeline.logmessage.get",
    "crm.timeline.logmessage.list",
    "crm.timeline.logmessage.delete",
    "crm.timeline.comment.add",
    "crm.timeline.comment.get",
    "crm.timeline.comment.list",
    "crm.contact.add",
    "crm.contact.get",
    "crm.contact.list",
    "crm.contact.update",
    "crm.contact.delete",
    "crm.deal.add",
    "crm.deal.get",
    "crm.deal.list",
    "crm.deal.update",
    "crm.contact.userfield.add",
    "crm.contact.userfield.list",
    "crm.deal.userfield.add",
    "crm.deal.userfield.list",
];

impl Bitrix {
    pub(super) fn profile(&self) -> Done {
        Done::of(json!({"ID": USER.to_string(), "ADMIN": self.admin, "NAME": "Мария", "LAST_NAME": "Администратор", "PERSONAL_GENDER": "F",
                "TIME_ZONE": "Europe/Moscow", "TIME_ZONE_OFFSET": 0}))
    }

    pub(super) fn method_get(&self, parameters: &Parameters) -> Answer {
        let name = wire::text(needed(parameters, "name")?).unwrap_or_default().to_ascii_lowercase();
        let known = METHODS.contains(&name.as_str());
        Ok(Done::of(json!({"isExisting": known, "isAvailable": known})))
    }
}

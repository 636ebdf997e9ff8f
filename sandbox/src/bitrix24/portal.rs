//! What a client asks first: who am I, and what is there.

use serde_json::json;

use super::{Answer, Bitrix, Done, Parameters, USER, needed};
use crate::wire;

/// The methods that this portal knows, as `methods` lists them.
pub(super) const METHODS: [&str; 78] = [
    "batch",
    "scope",
    "methods",
    "method.get",
    "profile",
    "server.time",
    "app.info",
    "user.get",
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
    "crm.item.import",
    "crm.item.batchImport",
    "crm.item.productrow.set",
    "crm.item.productrow.add",
    "crm.item.productrow.get",
    "crm.item.productrow.list",
    "crm.item.productrow.update",
    "crm.item.productrow.delete",
    "crm.category.update",
    "crm.category.delete",
    "crm.status.update",
    "crm.status.delete",
    "crm.deal.productrows.get",
    "crm.deal.productrows.set",
    "catalog.catalog.list",
    "catalog.product.add",
    "catalog.product.get",
    "catalog.product.list",
    "catalog.product.update",
    "catalog.product.service.add",
    "catalog.product.service.list",
    "catalog.product.service.update",
    "catalog.section.add",
    "catalog.section.list",
    "catalog.section.update",
    "catalog.price.modify",
    "catalog.price.list",
    "catalog.price.add",
    "catalog.price.update",
    "catalog.section.get",
    "catalog.priceType.list",
    "event.bind",
    "event.unbind",
    "event.get",
    "event.offline.get",
    "event.offline.clear",
    "event.offline.error",
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

    pub(super) fn feature_get(&self, parameters: &Parameters) -> Answer {
        let has = match wire::text(needed(parameters, "CODE")?).unwrap_or_default().as_str() {
            "rest_offline_extended" => self.plan.offline_extended,
            "rest_auth_connector" => self.plan.auth_connector,
            _ => false,
        };
        Ok(Done::of(json!({"value": if has { "Y" } else { "N" }})))
    }

    pub(super) fn method_get(&self, parameters: &Parameters) -> Answer {
        let name = wire::text(needed(parameters, "name")?).unwrap_or_default().to_ascii_lowercase();
        let known = METHODS.iter().any(|method| method.eq_ignore_ascii_case(&name));
        Ok(Done::of(json!({"isExisting": known, "isAvailable": known})))
    }
}

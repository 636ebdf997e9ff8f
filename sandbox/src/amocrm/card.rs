//! A contact, a lead or an element of a catalog: what they have in common, and how they read.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{ACCOUNT, Amo};

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Contacts,
    Leads,
    /// The elements of a catalog.
    Elements(u64),
}

impl Kind {
    /// Those that stand in paths by their own names.
    pub(super) const ALL: [Self; 2] = [Self::Contacts, Self::Leads];

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// As in paths: `contacts`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Contacts => "contacts",
            Self::Leads => "leads",
            Self::Elements(_) => "elements",
        }
    }

    /// Where its definitions lie: `contacts`, `catalogs/5`.
    pub(super) fn home(self) -> String {
        match self {
            Self::Elements(catalog) => format!("catalogs/{catalog}"),
            own => own.name().to_owned(),
        }
    }

    /// Where its cards lie: `contacts`, `catalogs/5/elements`.
    pub(super) fn path(self) -> String {
        match self {
            Self::Elements(catalog) => format!("catalogs/{catalog}/elements"),
            own => own.name().to_owned(),
        }
    }

    /// As definitions name whose they are.
    pub(super) const fn entity_type(self) -> &'static str {
        if matches!(self, Self::Elements(_)) { "catalogs" } else { self.name() }
    }

    /// As in events: `contact`.
    pub(super) const fn singular(self) -> &'static str {
        match self {
            Self::Contacts => "contact",
            Self::Leads => "lead",
            Self::Elements(_) => "catalog_element",
        }
    }

    /// As in messages: `Contact`.
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Contacts => "Contact",
            Self::Leads => "Lead",
            Self::Elements(_) => "Element",
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Card {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) first_name: String,
    pub(super) last_name: String,
    pub(super) responsible: u64,
    pub(super) created_by: u64,
    pub(super) updated_by: u64,
    pub(super) created_at: i64,
    pub(super) updated_at: i64,
    /// On the monotonic clock: the search index may lag behind it.
    pub(super) born_ms: u64,
    /// Values by field, each as it reads.
    pub(super) values: BTreeMap<u64, Vec<Value>>,
    pub(super) tags: Vec<u64>,
    pub(super) lead: Lead,
}

/// What only a lead has.
#[derive(Clone, Debug, Default)]
pub(super) struct Lead {
    pub(super) price: i64,
    pub(super) pipeline: u64,
    pub(super) status: u64,
    pub(super) closed_at: Option<i64>,
    pub(super) loss_reason: Option<i64>,
}

impl Amo {
    /// The read model. `with` adds linked entities.
    pub(super) fn shown(&self, kind: Kind, card: &Card, with: &str) -> Value {
        let has = |name: &str| with.split(',').any(|part| part.trim() == name);
        let mut value = match kind {
            Kind::Contacts => json!({
                "id": card.id, "name": card.name, "first_name": card.first_name, "last_name": card.last_name, "responsible_user_id": card.responsible,
                "group_id": 0, "created_by": card.created_by, "updated_by": card.updated_by, "created_at": card.created_at,
                "updated_at": card.updated_at,
                "closest_task_at": null, "is_deleted": false, "is_unsorted": false,
            }),
            Kind::Leads => json!({
                "id": card.id, "name": card.name, "price": card.lead.price, "responsible_user_id": card.responsible, "group_id": 0,
                "status_id": card.lead.status, "pipeline_id": card.lead.pipeline, "loss_reason_id": card.lead.loss_reason,
                "created_by": card.created_by,
                "updated_by": card.updated_by, "created_at": card.created_at, "updated_at": card.updated_at, "closed_at": card.lead.closed_at,
                "closest_task_at": null, "is_deleted": self.deleted.contains_key(&(kind, card.id)), "score": null, "labor_cost": null,
                "is_price_computed": false,
            }),
            Kind::Elements(catalog) => json!({
                "id": card.id, "name": card.name, "created_by": card.created_by, "updated_by": card.updated_by, "created_at": card.created_at,
                "updated_at": card.updated_at, "is_deleted": false, "catalog_id": catalog,
            }),
        };
        value["custom_fields_values"] = self.shown_values(kind, card);
        value["account_id"] = json!(ACCOUNT);
        value["_links"] = json!({"self": {"href": self.href(&format!("{}/{}", kind.path(), card.id))}});
        if matches!(kind, Kind::Elements(_)) {
            return value;
        }
        let mut embedded = json!({"tags": self.shown_tags(kind, &card.tags), "companies": []});
        match kind {
            Kind::Contacts if has("leads") => {
                embedded["leads"] = self
                    .leads_of(card.id)
                    .into_iter()
                    .map(|id| json!({"id": id, "_links": {"self": {"href": self.href(&format!("leads/{id}"))}}}))
                    .collect();
            }
            Kind::Leads if has("contacts") => {
                let links = self.links.get(&card.id).into_iter().flatten();
                embedded["contacts"] = links
                    .map(|link| {
                        json!({"id": link.contact, "is_main": link.main,
                    "_links": {"self": {"href": self.href(&format!("contacts/{}", link.contact))}}})
                    })
                    .collect();
            }
            _ => {}
        }
        if has("catalog_elements") {
            embedded["catalog_elements"] = self.shown_products(kind, card.id);
        }
        if kind == Kind::Leads && has("loss_reason") {
            embedded["loss_reason"] = json!([]);
        }
        value["_embedded"] = embedded;
        value
    }
}

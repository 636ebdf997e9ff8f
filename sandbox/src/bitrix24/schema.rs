//! Which fields contacts and deals have, by both of their names, and how a value is taken and read.
//!
//! `crm.item.*` speaks camelCase with real types; the older methods speak upper case with texts. Values are kept in the form that `crm.item.*` reads.

use serde_json::{Value, json};

use super::{Bitrix, OFFSET_MINUTES, userfields::UserField};
use crate::wire;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Entity {
    Deal,
    Contact,
}

impl Entity {
    pub(super) const ALL: [Self; 2] = [Self::Deal, Self::Contact];

    pub(super) fn of_type(id: i64) -> Option<Self> {
        match id {
            2 => Some(Self::Deal),
            3 => Some(Self::Contact),
            _ => None,
        }
    }

    pub(super) fn classic(name: &str) -> Self {
        if name == "deal" { Self::Deal } else { Self::Contact }
    }

    pub(super) const fn type_id(self) -> u64 {
        match self {
            Self::Deal => 2,
            Self::Contact => 3,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Deal => "deal",
            Self::Contact => "contact",
        }
    }

    /// As in `ENTITY_ID` of user fields.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Deal => "CRM_DEAL",
            Self::Contact => "CRM_CONTACT",
        }
    }

    pub(super) const fn fields(self) -> &'static [Field] {
        match self {
            Self::Deal => DEAL,
            Self::Contact => CONTACT,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Integer,
    Double,
    Text,
    Flag,
    Date,
    DateTime,
    /// A list of ids.
    Ids,
}

/// A field that every portal has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) camel: &'static str,
    pub(super) upper: &'static str,
    pub(super) kind: Kind,
    pub(super) read_only: bool,
}

const fn field(camel: &'static str, upper: &'static str, kind: Kind) -> Field {
    Field { camel, upper, kind, read_only: false }
}

const fn read_only(camel: &'static str, upper: &'static str, kind: Kind) -> Field {
    Field { camel, upper, kind, read_only: true }
}

const CONTACT: &[Field] = &[
    read_only("id", "ID", Kind::Integer),
    read_only("createdTime", "DATE_CREATE", Kind::DateTime),
    read_only("updatedTime", "DATE_MODIFY", Kind::DateTime),
    read_only("createdBy", "CREATED_BY_ID", Kind::Integer),
    read_only("updatedBy", "MODIFY_BY_ID", Kind::Integer),
    field("assignedById", "ASSIGNED_BY_ID", Kind::Integer),
    field("opened", "OPENED", Kind::Flag),
    field("companyId", "COMPANY_ID", Kind::Integer),
    field("honorific", "HONORIFIC", Kind::Text),
    field("name", "NAME", Kind::Text),
    field("secondName", "SECOND_NAME", Kind::Text),
    field("lastName", "LAST_NAME", Kind::Text),
    field("birthdate", "BIRTHDATE", Kind::Date),
    field("post", "POST", Kind::Text),
    field("typeId", "TYPE_ID", Kind::Text),
    field("sourceId", "SOURCE_ID", Kind::Text),
    field("sourceDescription", "SOURCE_DESCRIPTION", Kind::Text),
    field("comments", "COMMENTS", Kind::Text),
    field("export", "EXPORT", Kind::Flag),
    field("originatorId", "ORIGINATOR_ID", Kind::Text),
    field("originId", "ORIGIN_ID", Kind::Text),
    field("originVersion", "ORIGIN_VERSION", Kind::Text),
];

const DEAL: &[Field] = &[
    read_only("id", "ID", Kind::Integer),
    field("title", "TITLE", Kind::Text),
    field("typeId", "TYPE_ID", Kind::Text),
    field("categoryId", "CATEGORY_ID", Kind::Integer),
    field("stageId", "STAGE_ID", Kind::Text),
    read_only("stageSemanticId", "STAGE_SEMANTIC_ID", Kind::Text),
    read_only("closed", "CLOSED", Kind::Flag),
    field("opportunity", "OPPORTUNITY", Kind::Double),
    field("isManualOpportunity", "IS_MANUAL_OPPORTUNITY", Kind::Flag),
    field("currencyId", "CURRENCY_ID", Kind::Text),
    field("companyId", "COMPANY_ID", Kind::Integer),
    field("contactId", "CONTACT_ID", Kind::Integer),
    field("contactIds", "CONTACT_IDS", Kind::Ids),
    field("begindate", "BEGINDATE", Kind::Date),
    field("closedate", "CLOSEDATE", Kind::Date),
    field("assignedById", "ASSIGNED_BY_ID", Kind::Integer),
    read_only("createdBy", "CREATED_BY_ID", Kind::Integer),
    read_only("updatedBy", "MODIFY_BY_ID", Kind::Integer),
    read_only("movedBy", "MOVED_BY_ID", Kind::Integer),
    read_only("createdTime", "DATE_CREATE", Kind::DateTime),
    read_only("updatedTime", "DATE_MODIFY", Kind::DateTime),
    read_only("movedTime", "MOVED_TIME", Kind::DateTime),
    field("opened", "OPENED", Kind::Flag),
    field("comments", "COMMENTS", Kind::Text),
    field("additionalInfo", "ADDITIONAL_INFO", Kind::Text),
    field("sourceId", "SOURCE_ID", Kind::Text),
    field("sourceDescription", "SOURCE_DESCRIPTION", Kind::Text),
    field("originatorId", "ORIGINATOR_ID", Kind::Text),
    field("originId", "ORIGIN_ID", Kind::Text),
];

/// A field of either sort.
pub(super) enum Known<'a> {
    Standard(&'static Field),
    User(&'a UserField),
}

impl Known<'_> {
    pub(super) fn camel(&self) -> String {
        match self {
            Self::Standard(field) => field.camel.to_owned(),
            Self::User(field) => field.camel(),
        }
    }

    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Standard(field) => field.kind,
            Self::User(field) => field.kind(),
        }
    }

    pub(super) fn read_only(&self) -> bool {
        matches!(self, Self::Standard(field) if field.read_only)
    }
}

impl Bitrix {
    /// A field by its camelCase or by its upper-case name.
    pub(super) fn field_named(&self, entity: Entity, name: &str) -> Option<Known<'_>> {
        let standard = entity.fields().iter().find(|field| field.camel == name || field.upper == name).map(Known::Standard);
        standard.or_else(|| self.user_fields_of(entity).find(|field| field.name == name || field.camel() == name).map(Known::User))
    }
}

/// A value as it will read. `None`: what was given cannot be understood, and the old value stays.
pub(super) fn taken(kind: Kind, given: &Value) -> Option<Value> {
    if given.is_null() || given.as_str().is_some_and(|text| text.trim().is_empty()) || *given == json!(false) && kind != Kind::Flag {
        return Some(Value::Null);
    }
    match kind {
        Kind::Integer => wire::integer(given).map(|number| json!(number)),
        Kind::Double => {
            let number = given.as_f64().or_else(|| given.as_str().and_then(|text| text.trim().parse().ok()));
            number.filter(|number: &f64| number.is_finite()).map(|number| json!(number))
        }
        Kind::Text => wire::text(given).map(|text| json!(text)),
        Kind::Flag => match wire::text(given).as_deref() {
            Some("Y" | "1" | "true") => Some(json!("Y")),
            Some("N" | "0" | "" | "false") => Some(json!("N")),
            _ => None,
        },
        Kind::Date => given.as_str().and_then(date).map(|date| json!(format!("{date}T03:00:00+03:00"))),
        Kind::DateTime => given.as_str().and_then(instant).map(|ms| json!(super::portal_time(ms))),
        Kind::Ids => Some(wire::members(given).into_iter().filter_map(wire::integer).map(|id| json!(id)).collect()),
    }
}

/// The day that a text names: the first ten characters, as ISO or as `DD.MM.YYYY`.
pub(super) fn date(text: &str) -> Option<jiff::civil::Date> {
    let day = text.get(..10).unwrap_or(text);
    let turned = day.split('.').rev().collect::<Vec<_>>().join("-");
    day.parse().or_else(|_| turned.parse()).ok()
}

/// The instant that a text names: ISO 8601 with an offset, or the portal's own time without one.
pub(super) fn instant(text: &str) -> Option<i64> {
    let offset = jiff::tz::Offset::from_seconds(OFFSET_MINUTES * 60).ok()?;
    let civil = |text: &str| text.replacen(' ', "T", 1).parse::<jiff::civil::DateTime>().ok();
    let local = || {
        civil(text)
            .or_else(|| date(text).map(|date| date.at(0, 0, 0, 0)))
            .and_then(|at| offset.to_timestamp(at).ok())
            .map(jiff::Timestamp::as_millisecond)
    };
    wire::parse_rfc3339(text).or_else(local)
}

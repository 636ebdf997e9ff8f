//! The config as typed. The comments here are the descriptions in the published JSON Schema.

mod crm;
mod door;
mod gates;
pub(super) mod hub;
mod modules;
mod secret;
mod services;

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::Spanned;
use toml::de::DeTable;

use super::diagnostic::Mistakes;
use super::read::{At, Size, Span, choice, table};

pub(super) use crm::{Crm, Kind, OAuth, Passes, PassesAs, PassesTable, Stage};
pub(super) use door::{ContactTable, Door, InputTable, OutputTable, Passage, PassageWord, PolicyWord, WriteOffWord};
pub(super) use gates::{CardLayout, CardOrder, CardText, Direction, EvidenceWord, Gate, Mode, Osdp, OsdpCheck};
pub(super) use modules::{LineParity, Module};
pub(super) use secret::SecretAt;
pub(super) use services::{DeliveryTable, Journal, Lime, Mqtt, WebJson};

table! {
    /// The configuration of limegate, one file: /etc/limegate/limegate.toml
    Root = "" {
        /// Where the journal, the index and the control socket live. Default "/var/lib/limegate".
        state_dir: At<String>,
        /// The box and its place.
        #[schemars(required)]
        site: At<Site>,
        /// One per reader. At least one.
        #[schemars(required, length(min = 1))]
        gate: Vec<At<Gate>>,
        /// I/O modules and gate boards: what opens gates and sees passages.
        module: Vec<At<Module>>,
        /// Lime.
        #[schemars(required)]
        lime: At<Lime>,
        /// The CRM.
        #[schemars(required)]
        crm: At<Crm>,
        /// The MQTT broker: for validators that publish passes, and for remote status.
        mqtt: At<Mqtt>,
        /// The listener for IronLogic Web-JSON controllers.
        web_json: At<WebJson>,
        /// The journal on this box's disk.
        journal: At<Journal>,
        /// How deliveries are paced and repeated.
        delivery: At<DeliveryTable>,
        /// The integration of Lime and the CRM. One box of a venue has it; the others only deliver their passes.
        hub: At<hub::Hub>,
    }
}

table! {
    /// The box and its place.
    Site = "[site]" {
        /// Names the box in topics and at Lime. ASCII letters, digits and hyphens.
        #[schemars(required, regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9-]{0,39}$"))]
        id: At<String>,
        /// The venue in topics. Default: the id's part before the first hyphen.
        #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9-]{0,39}$"))]
        venue: At<String>,
        /// A key that all gateways of the venue share, 32 characters or more. With it gates that decide tell each other over MQTT whom they let in.
        venue_key: At<SecretAt>,
        /// For people.
        #[schemars(required, length(min = 1))]
        title: At<String>,
        /// The venue's time zone, a name of the IANA database.
        #[schemars(required)]
        timezone: At<String>,
        /// Language of texts for people. Default "ru".
        language: At<Language>,
        /// The board the gateway runs on; `limegate check` then knows its serial ports.
        board: At<String>,
    }
}

choice! {
    /// A language.
    Language {
        /// Russian.
        Ru = "ru",
        /// English.
        En = "en",
    }
}

/// Every table and its keys, to say where a misplaced key belongs.
pub(super) const TABLES: &[(&str, &[&str])] = &[
    (Root::TITLE, Root::KEYS),
    (Site::TITLE, Site::KEYS),
    (Gate::TITLE, Gate::KEYS),
    (Osdp::TITLE, Osdp::KEYS),
    (Door::TITLE, Door::KEYS),
    (OutputTable::TITLE, OutputTable::KEYS),
    (ContactTable::TITLE, ContactTable::KEYS),
    (InputTable::TITLE, InputTable::KEYS),
    (Module::TITLE, Module::KEYS),
    (Lime::TITLE, Lime::KEYS),
    (Crm::TITLE, Crm::KEYS),
    (OAuth::TITLE, OAuth::KEYS),
    (Mqtt::TITLE, Mqtt::KEYS),
    (WebJson::TITLE, WebJson::KEYS),
    (Journal::TITLE, Journal::KEYS),
    (DeliveryTable::TITLE, DeliveryTable::KEYS),
    (hub::Hub::TITLE, hub::Hub::KEYS),
    (hub::HubContacts::TITLE, hub::HubContacts::KEYS),
    (hub::HubDeal::TITLE, hub::HubDeal::KEYS),
    (hub::HubPreorders::TITLE, hub::HubPreorders::KEYS),
];

impl Root {
    /// Reads the whole document.
    pub(super) fn read_document(document: &Spanned<DeTable<'_>>, mistakes: &mut Mistakes) -> Self {
        Self::read_table(document.get_ref(), &document.span(), mistakes)
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+ ?(KiB|MiB|GiB)$", "description": "A size, such as \"8MiB\"." })
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+ ?(ms|s|min|h|d)$", "description": "A duration, such as \"120s\"." })
    }
}

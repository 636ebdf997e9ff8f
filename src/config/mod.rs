//! The configuration: as typed (`raw`, unknown keys refused, spans kept) and as checked (ready to use, nothing left to re-check).
//!
//! Never: a default that hides a mistake; a secret in the file; a message that does not say line, key, what was found and what is allowed.

mod addresses;
mod check;
mod checked;
mod crm;
mod diagnostic;
mod door;
mod effective;
mod environment;
mod examples;
mod gates;
mod hub;
mod last_good;
mod load;
mod mask;
mod module;
mod modules;
mod mqtt_modules;
mod osdp;
mod ports;
#[allow(rustdoc::bare_urls, reason = "its comments become the JSON Schema's plain descriptions")]
mod raw;
mod read;
mod readers;
mod render;
mod schema;
mod secret;
mod staff_cards;
mod syntax;
mod units;
mod web_json;

pub use checked::{
    AmoAuth, AmoCrm, Bitrix24, BitrixAuth, ChargeAt, Config, Crm, CrmKind, Delivery, DoorConfig, Gate, InputAt, JournalConfig, Language, LimeConfig,
    MqttConfig, OfReader, OsdpReader, OutputAt, PassageAt, PassageBy, PassesAs, Policy, ReaderConfig, SecretSource, SerialReader, Site, StageRef,
    WebJsonConfig, WebJsonReader, WiredTo,
};
pub use diagnostic::{Code, Diagnostic, Label, Severity, Source};
pub use effective::effective;
pub use environment::Environment;
pub use examples::{AMOCRM, BITRIX24};
pub use hub::{ClientMoments, Contacts, DealRule, Hub, HubWebhook, Preorders};
pub use last_good::{keep as keep_good, last as last_good};
pub use load::{from_bytes, load, text};
pub use module::{BusLine, GpioLines, Module, ModuleKind, Point, WirenBoard};
pub use render::{Style, in_short, language_of, render, to_json};
pub use schema::schema;
pub use secret::SecretError;
pub use staff_cards::StaffCards;

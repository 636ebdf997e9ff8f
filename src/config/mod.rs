//! The configuration: as typed (`raw`, unknown keys refused, spans kept) and as checked (ready to use, nothing left to re-check).
//!
//! Never: a default that hides a mistake; a secret in the file; a message that does not say line, key, what was found and what is allowed.

mod checked;

pub use checked::{
    AmoAuth, AmoCrm, Bitrix24, BitrixAuth, Config, Crm, CrmKind, Delivery, Gate, JournalConfig, Language, LimeConfig, MqttConfig, PassesAs,
    ReaderConfig, SecretSource, SerialReader, Site, StageRef,
};

//! The shipped examples, as `limegate config example` prints them.

/// A venue with serial readers and amoCRM.
pub const AMOCRM: &str = include_str!("../../config/amocrm.toml");

/// A venue with validators on MQTT and Bitrix24.
pub const BITRIX24: &str = include_str!("../../config/bitrix24.toml");

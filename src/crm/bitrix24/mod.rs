//! Bitrix24: contacts, deals and timeline lines through `crm.item.*` and `batch`.

pub mod batch;
pub mod fault;
pub mod operating;
pub mod script;
pub mod wire;

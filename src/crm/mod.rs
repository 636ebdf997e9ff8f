//! The CRM, in the business's words: what a contact's card shows ([`card`]), how it is put ([`texts`]), what has to be there ([`setup`]), and whether
//! what was delivered is still there ([`audit`]). Behind it one folder per CRM: its wire shapes, its conversations, its setup. Who the guests are is read
//! from Lime, the same way for each ([`guests`]).
//!
//! Never: a CRM's wire shape outside its folder; a word that people read outside [`texts`]; a clock or I/O in a conversation.

pub mod amocrm;
pub mod audit;
pub mod bitrix24;
pub mod card;
pub mod deal_fields;
pub mod glance;
pub mod guests;
mod hub_texts;
pub mod login;
pub mod product_groups;
pub mod script;
pub mod setup;
pub mod texts;
pub mod tokens;

//! The worlds in-process, under a clock that the tests set.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test, to stop is to fail")]

mod amocrm;
mod amocrm_integration;
mod bitrix24;
mod bitrix24_integration;
mod faults;
mod lime;
mod lime_integration;
mod robust;
mod support;

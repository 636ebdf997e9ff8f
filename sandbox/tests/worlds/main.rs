//! The worlds in-process, under a clock that the tests set.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "in a test, to stop is to fail")]

mod amocrm;
mod bitrix24;
mod lime;
mod robust;
mod support;

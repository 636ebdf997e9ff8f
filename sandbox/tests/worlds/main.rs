//! The worlds in-process, under a clock that the tests set.

mod amocrm;
mod bitrix24;
mod lime;
mod support;

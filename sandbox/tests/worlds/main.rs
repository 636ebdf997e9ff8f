//! The worlds in-process, under a clock that the tests set.

mod amocrm;
mod lime;
mod support;

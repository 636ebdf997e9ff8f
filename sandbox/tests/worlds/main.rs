//! The worlds in-process, under a clock that the tests set.

mod lime;
mod support;

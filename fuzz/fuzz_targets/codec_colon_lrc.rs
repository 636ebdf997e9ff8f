//! Any bytes, cut anywhere: no panic, and the same frames as in one piece.
#![no_main]

#[path = "common/cut_anywhere.rs"]
mod cut_anywhere;

cut_anywhere::decodes!(["colon-lrc"]);

//! Any bytes, cut anywhere: no panic, and the same frames as in one piece.
#![no_main]

#[path = "common/cut_anywhere.rs"]
mod cut_anywhere;

// Every built-in profile that has no target of its own.
cut_anywhere::decodes!(
    limegate::codec::Profile::builtin_names().into_iter().filter(|name| !name.starts_with("ironlogic") && *name != "rdm6300")
);

//! A gate's `door` as typed.

use schemars::JsonSchema;
use toml::Spanned;
use toml::de::DeValue;

use super::super::diagnostic::Mistakes;
use super::super::read::{At, Place, Read, Span, choice, table, wrong_type};
use crate::words::config as words;

table! {
    /// How this box decides at a gate, what opens it and where a passage is seen. Readers whose doors name one output are one door.
    Door = "door" {
        /// What happens when Lime does not answer in time. Default "snapshot_only".
        policy: At<PolicyWord>,
        /// How long Lime may take to answer while the guest waits. Default "300ms".
        budget: At<Span>,
        /// How long an opened gate waits for the passage. Default "5s".
        wait: At<Span>,
        /// How long the output is on. Default "500ms".
        pulse: At<Span>,
        /// When the guest is charged. Default "passage" where a passage is seen, else "open".
        write_off: At<WriteOffWord>,
        /// A medium that was let through one way is refused the same way for so long, unless it went the other way. Default "0s": not at all.
        antipassback: At<Span>,
        /// A medium that was let through is refused at this door for so long. Default "0s": not at all.
        cooldown: At<Span>,
        /// Money that a deposit may go below zero by while Lime is away, minor units. Default 0.
        max_offline_debt: At<u32>,
        /// An entitlement snapshot older than this is not used. Default "12h".
        max_snapshot_age: At<Span>,
        /// The output that opens: { module = "io1", output = 0 }, or { reader = true, output = 0 } for one of the gate's own reader.
        #[schemars(required)]
        open: At<OutputTable>,
        /// Where a passage is seen: { module = "io1", counter = 0 }, { module = "io1", input = 0 }, the same with reader = true, or "reader" where the device says so itself.
        passage: At<Passage>,
        /// The input that says that the gate is free (fire, or a key): { module = "io1", input = 3 }.
        free: At<InputTable>,
    }
}

choice! {
    /// What happens when Lime does not answer in time.
    PolicyWord {
        /// Nobody goes in.
        Deny = "deny",
        /// Whom the entitlement snapshot lets in; nobody else.
        SnapshotOnly = "snapshot_only",
        /// As the snapshot says; whom it does not know goes in.
        SnapshotThenOpen = "snapshot_then_open",
        /// Everybody goes in.
        Open = "open",
    }
}

choice! {
    /// When the guest is charged.
    WriteOffWord {
        /// When the gate is opened.
        Open = "open",
        /// When the passage is seen.
        Passage = "passage",
    }
}

table! {
    /// An output.
    OutputTable = "door.open" {
        /// The id of one of the file's modules.
        module: At<String>,
        /// True: of the gate's own reader.
        reader: At<bool>,
        /// Its number, from 0. Default 0.
        #[schemars(range(max = 65535))]
        output: At<u32>,
    }
}

table! {
    /// An input.
    InputTable = "door.free" {
        /// The id of one of the file's modules.
        module: At<String>,
        /// True: of the gate's own reader.
        reader: At<bool>,
        /// Its number, from 0. Default 0.
        #[schemars(range(max = 65535))]
        input: At<u32>,
    }
}

table! {
    /// An input or a counter.
    ContactTable = "door.passage" {
        /// The id of one of the file's modules.
        module: At<String>,
        /// True: of the gate's own reader.
        reader: At<bool>,
        /// An input that goes on for each guest: its number, from 0.
        #[schemars(range(max = 65535))]
        input: At<u32>,
        /// A counter that goes up for each guest: its number, from 0.
        #[schemars(range(max = 65535))]
        counter: At<u32>,
    }
}

choice! {
    /// The device that the reader is of says it itself.
    PassageWord {
        /// It reports passages.
        Reader = "reader",
    }
}

/// `passage = "reader"` or `passage = { ... }`.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(untagged)]
pub(in crate::config) enum Passage {
    /// In a word.
    Word(PassageWord),
    /// In full.
    Full(ContactTable),
}

impl Read for Passage {
    fn read(value: &Spanned<DeValue<'_>>, place: Place<'_>, mistakes: &mut Mistakes) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(_) => PassageWord::read(value, place, mistakes).map(Self::Word),
            DeValue::Table(_) => ContactTable::read(value, place, mistakes).map(Self::Full),
            _ => wrong_type(value, place, words::PASSAGE_FORM, mistakes),
        }
    }
}

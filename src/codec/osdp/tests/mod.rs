//! Captured frames; frames among noise; the session against a small model of a reader.

mod captured;
mod framing;
mod model;
mod session;

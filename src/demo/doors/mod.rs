//! `limegate demo --doors`: two gates that the box decides at, and a venue that tries to go through them twice.
//!
//! Guests are in the books before they show anything, and what opened and who went through is counted by the simulated modules. Never: a figure in the
//! closing books that only the gateway vouches for.

mod books;
mod script;
mod stage;
mod turnstile;

pub(super) use script::play;

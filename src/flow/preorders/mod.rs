//! The deal of a booking and the preorder in Lime: two pictures of one thing, kept alike.
//!
//! How it is used: take [`Bound`] from the ledger; a deal that changed goes through [`Bound::to_lime`], a preorder that changed through [`Bound::to_crm`].
//! Put the changed `Bound` into the ledger before anything is sent (`Effect::Sets`), and tell it how that ended ([`Bound::placed`], [`Bound::stale`]).
//!
//! Invariants: the revision grows with the content of the deal and with nothing else, so that the same change may be sent any number of times; what
//! limegate wrote on one side never comes back as a change of that side; a deal made from a preorder is sent back only when a person has changed it; where
//! both were changed the deal's content counts, and staff read in the deal what stood in Lime.
//! Never: a person's data in what is kept; a preorder cancelled because rows could not be read.

mod bound;
mod deal;
mod notes;

pub use bound::{Bound, NOBODY, Say, ToCrm, ToLime, bound_key, deal_key};
pub use deal::{Booking, Keeps, Stage, Wanted};
pub use notes::{clash, left_out, warnings};

#[cfg(test)]
mod tests;

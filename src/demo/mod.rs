//! `limegate demo`: a venue in a terminal. Simulated gates, an embedded broker, stand-ins for Lime and the CRM, and the gateway that `run` starts, as a process
//! of its own with a config file that can be read.
//!
//! Never: a figure in the closing books that only the gateway vouches for; an exit code of 0 when they do not balance.

mod books;
mod child;
mod doors;
mod guests;
mod hub;
mod model;
mod plain;
mod run;
mod screen;
mod stage;
mod view;

pub use run::{CrmChoice, DemoArgs, run};

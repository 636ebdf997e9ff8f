//! `limegate demo --hub`: the two-way integration in scenes. A cashier, a parent and a manager each do something on one side; it is waited for on the other.
//!
//! Never: a scene that counts as arrived because the gateway says so; an exit code of 0 when one has not arrived, or something stands there twice.

mod scenes;
mod stage;
mod view;

pub(super) use scenes::play;

//! Conversations with Bitrix24, answered by a small portal of our own: each branch by hand, and all of them together under random faults.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects")]

mod doubts;
mod guests;
mod many;
mod portal;
mod ready;
mod refusals;
mod world;

use world::World;

fn known(passes: limegate::config::PassesAs) -> World {
    let mut world = World::new(passes);
    world.client("c-1", "Анна", "+7 999 123-45-67");
    world
}

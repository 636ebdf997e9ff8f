//! The broker: one connection, an outbox, subscriptions whose messages are acknowledged by hand.
//!
//! rumqttc does the protocol; what it promises too lightly is done here. It says that it published when a message is in a channel: here a publish is
//! done when its PUBACK came. It forgets what is open when the broker lost its session: here everything open is sent again on each connection, and an
//! event loop lives no longer than its connection. It can hang when the polling task publishes, and its `poll` must not be cancelled: here `poll` runs in
//! its own task, which never awaits the client, and a loop that has heard nothing for 1.5 keep-alives is torn down. Its TLS is old: here a TLS
//! connection is made by tokio-rustls and handed to it over a socket inside the process.
//!
//! An order to a device is withdrawn when it could not be delivered in its time.
//!
//! Never: an acknowledgement that nobody gave; an order delivered after its time because the broker was away; a message accepted into the outbox and lost while the process lives; personal data in a topic.

mod acks;
mod backoff;
#[cfg(feature = "demo")]
pub mod broker;
mod client;
mod connection;
mod driver;
mod incoming;
mod outbox;
mod tls;

pub use client::{Client, ClientHandle, Connection, NotDelivered, Presence, PublishError, Will};
pub use incoming::{Incoming, Subscription};

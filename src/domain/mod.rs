//! What the business talks about: passes, media, write-offs, clients, receipts, products, preorders.
//!
//! Pure data, no I/O. People's data (card numbers, names, phones, birth dates) lives in types whose `Debug` and `Display` are redacted; the only way
//! to the text is a method called `reveal`, so that every place that needs it can be found.

mod change;
mod client;
mod contact;
mod decision;
mod ids;
mod medium;
mod moment;
mod pass;
mod people;
mod preorder;
mod product;
mod receipt;
mod write_off;

pub use change::{Change, Fate, Told};
pub use client::{Balances, Card, Category, CategoryKind, Client, Relation, RelationRole, Transaction, TransactionLine};
pub use contact::{ContactField, Side, Wins};
pub use decision::{AtDoor, Decision, DecisionMode, DoorEvent, DoorEventKind};
pub use ids::{BootId, ClientId, GateId, Seq, ServicePointId};
pub use ids::{optional_uuid_bytes, uuid_bytes};
pub use medium::{Medium, MediumKind, OrderKey};
pub use moment::{Anchor, Moment, Quality, Stamp, Sync};
pub use pass::{DeviceRecord, Direction, Pass, PassageState};
pub use people::{Personal, Phone, Secret};
pub use preorder::{Preorder, PreorderContact, PreorderEvent, PreorderLine, PreorderStatus};
pub use product::{Product, ProductKind};
pub use receipt::{Payment, Receipt, ReceiptKind, ReceiptLine};
pub use write_off::{Charge, Money, Right, RightKind, WriteOff, WriteOffStatus};

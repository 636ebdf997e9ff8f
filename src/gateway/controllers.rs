//! The controllers that come over HTTP, joined from the gates that name them.

use crate::config::{Config, PassageBy, ReaderConfig, WiredTo};
use crate::device::web_json::{Controller, Evidence, WebJson};
use crate::device::{Contact, Wiring};
use crate::domain::Secret;
use crate::door::LetIn;

/// What the driver of [`crate::device::web_json`] needs; nothing when there is no such controller. `let_in`: whom the doors let in shortly before this start.
pub(super) fn of(config: &Config, password: Option<Secret>, let_in: &[LetIn]) -> Option<WebJson> {
    let listener = config.web_json.as_ref()?;
    let mut controllers: Vec<Controller> = Vec::new();
    for gate in &config.gates {
        let ReaderConfig::WebJson(reader) = &gate.reader else { continue };
        let own = |of: &WiredTo| *of == WiredTo::Reader;
        let door = gate.door.as_ref();
        let passage = door.and_then(|door| door.passage.as_ref()).filter(|passage| own(&passage.of));
        let wiring = Wiring {
            gate: gate.id.clone(),
            direction: gate.direction,
            open: door.filter(|door| own(&door.open.of)).map(|door| door.open.output),
            passage: passage.and_then(|passage| match passage.by {
                PassageBy::Input(input) => Some(Contact::Input(input)),
                PassageBy::Counter(counter) => Some(Contact::Counter(counter)),
                PassageBy::Message => None,
            }),
            free: door.and_then(|door| door.free.as_ref()).filter(|free| own(&free.of)).map(|free| free.input),
        };
        let let_in = let_in.iter().filter(|one| one.gate == gate.id && door.is_some_and(|door| own(&door.open.of)));
        let opened_before = let_in.map(|one| (one.direction, one.medium.value.clone()));
        match controllers.iter_mut().find(|controller| controller.serial == reader.serial_number) {
            Some(controller) => {
                controller.online |= door.is_some();
                controller.wirings.push(wiring);
                controller.opened_before.extend(opened_before);
            }
            None => controllers.push(Controller {
                id: format!("web-json-{}", reader.serial_number),
                serial: reader.serial_number,
                evidence: if reader.passage_seen { Evidence::Passage } else { Evidence::None },
                uid_bytes: reader.uid_bytes,
                online: door.is_some(),
                wirings: vec![wiring],
                opened_before: opened_before.collect(),
            }),
        }
    }
    let none = controllers.is_empty();
    (!none).then(|| WebJson { listen: listener.listen, password, timezone: config.site.timezone.clone(), controllers })
}

//! The controllers that come over HTTP, joined from the gates that name them.

use crate::config::{Config, PassageBy, ReaderConfig, WiredTo};
use crate::device::web_json::{Controller, Evidence, WebJson};
use crate::device::{Contact, Wiring};
use crate::domain::Secret;

/// What the driver of [`crate::device::web_json`] needs; nothing when there is no such controller.
pub(super) fn of(config: &Config, password: Option<Secret>) -> Option<WebJson> {
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
        match controllers.iter_mut().find(|controller| controller.serial == reader.serial_number) {
            Some(controller) => {
                controller.online |= door.is_some();
                controller.wirings.push(wiring);
            }
            None => controllers.push(Controller {
                id: format!("web-json-{}", reader.serial_number),
                serial: reader.serial_number,
                evidence: if reader.passage_seen { Evidence::Passage } else { Evidence::None },
                uid_bytes: reader.uid_bytes,
                online: door.is_some(),
                wirings: vec![wiring],
            }),
        }
    }
    let none = controllers.is_empty();
    (!none).then(|| WebJson { listen: listener.listen, password, timezone: config.site.timezone.clone(), controllers })
}

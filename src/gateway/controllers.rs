//! The controllers that come over HTTP, joined from the gates that name them.

use crate::config::{Config, PassageBy, ReaderConfig, SecretError, StaffCards, WiredTo};
use crate::device::web_json::{Controller, Evidence, Staff, WebJson};
use crate::device::{Contact, Wiring};
use crate::domain::Secret;
use crate::door::LetIn;

/// Where in the state folder it is remembered what controllers hold.
const FOLDER: &str = "controllers";

/// What of the config's files is for them.
#[derive(Clone, Debug, Default)]
pub(super) struct Controllers {
    password: Option<Secret>,
    staff: Option<StaffCards>,
}

impl Controllers {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be had.
    pub(super) fn load(config: &Config) -> Result<Self, SecretError> {
        let Some(web_json) = &config.web_json else { return Ok(Self::default()) };
        let password = web_json.password.as_ref().map(|secret| secret.load(&config.file)).transpose()?;
        let staff = web_json.staff_cards.as_ref().map(|cards| StaffCards::load(cards, &config.file)).transpose()?;
        Ok(Self { password, staff })
    }
}

/// What the driver of [`crate::device::web_json`] needs; nothing when there is no such controller. `let_in`: whom the doors let in shortly before this start.
pub(super) fn of(config: &Config, files: &Controllers, let_in: &[LetIn]) -> Option<WebJson> {
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
    let staff = files.staff.clone().map(|cards| Staff { cards, folder: config.state_dir.join(FOLDER) });
    let (password, timezone) = (files.password.clone(), config.site.timezone.clone());
    (!none).then(|| WebJson { listen: listener.listen, password, timezone, controllers, staff })
}

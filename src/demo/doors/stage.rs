//! The stage of gates that decide: Lime, the CRM, two readers, two modules, and the config file that joins them.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sandbox::server::{self, Options, Running};
use sandbox::turnstile::{Family, Gate, Simulator};
use serde_json::json;

use super::turnstile::Turnstile;
use crate::demo::run::CrmChoice;
use crate::demo::stage::{crm_table, secret};

/// The gates: id, service point, what people see.
pub(super) const GATES: [(&str, &str, &str); 2] = [("n1", "sp-1", "turnstile 1"), ("n2", "sp-2", "turnstile 2")];
const PROFILE: &str = "ironlogic-z2";
const ADDRESS: u8 = 1;
/// Of the guests let in, so many go through.
pub(super) const GOES: f64 = 0.93;
/// A guest needs so long from the release to the counter.
const WALKS: Duration = Duration::from_millis(300);
/// Guests who have no ticket.
const WITHOUT: usize = 20;

/// Who comes.
pub(super) struct Guests {
    /// Cards with visits or money on them.
    pub cards: Vec<String>,
    /// Cards with nothing.
    pub without: Vec<String>,
    /// Tickets for one.
    pub tickets: [String; 2],
}

/// Everything around the gateway.
pub(super) struct Stage {
    pub sandbox: Running,
    pub turnstiles: [Turnstile; 2],
    pub guests: Guests,
    pub config: PathBuf,
    pub state_dir: PathBuf,
    pub log: PathBuf,
}

impl Stage {
    /// Sets it up in a fresh folder.
    pub async fn set(folder: &Path, crm: CrmChoice, seed: u64) -> Result<Self, String> {
        let text = |what: &'static str| move |error: std::io::Error| format!("{what}: {error}");
        let sandbox = server::serve(Options { seed, ..Options::default() }).await.map_err(|error| error.to_string())?;
        let guests = guests(&sandbox);
        let family = Family::of_profile(PROFILE).map_err(|error| error.to_string())?;
        let turnstile = |index: usize| {
            let (gate, point, _) = GATES[index];
            let reader = Simulator::pty(family).map_err(text("no pseudo-terminal for a card reader"))?;
            let arm = Gate::pty(ADDRESS, GOES, WALKS, seed + index as u64).map_err(text("no pseudo-terminal for a module"))?;
            Ok::<_, String>(Turnstile::new(gate, point, reader, arm))
        };
        let turnstiles = [turnstile(0)?, turnstile(1)?];
        let (config, state_dir, log) = (folder.join("limegate.toml"), folder.join("state"), folder.join("gateway.log"));
        let stage = Self { sandbox, turnstiles, guests, config, state_dir, log };
        stage.write(folder, crm).map_err(text("the demo's folder cannot be written"))?;
        Ok(stage)
    }

    fn write(&self, folder: &Path, crm: CrmChoice) -> std::io::Result<()> {
        let secrets = folder.join("secrets");
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&secrets)?;
        let addresses = &self.sandbox.addresses;
        secret(&secrets, "lime-token", addresses.lime_token.as_deref().unwrap_or_default())?;
        let crm = crm_table(crm, addresses, &secrets)?;
        let mut text = format!(
            "# Written by `limegate demo --doors`. Everything in it is played by the demo itself.\n\
             state_dir = {:?}\n\n\
             [site]\nid       = \"demo-doors\"\ntitle    = \"Demo park, gates that the box opens\"\ntimezone = \"Europe/Moscow\"\nlanguage = \"en\"\n\n",
            self.state_dir
        );
        for (index, ((id, point, title), turnstile)) in GATES.iter().zip(&self.turnstiles).enumerate() {
            let io = format!("io{}", index + 1);
            // The relay K1, and the input 1 with its counter.
            text.push_str(&format!(
                "[[gate]]\nid            = {id:?}\ntitle         = {title:?}\nservice_point = {point:?}\nreader        = {PROFILE:?}\n\
                 port          = {:?}\nmode          = \"decide\"\n\
                 door          = {{ policy = \"snapshot_only\", wait = \"4s\", open = {{ module = {io:?}, output = 0 }}, passage = {{ module = {io:?}, counter = 1 }} }}\n\n\
                 [[module]]\nid      = {io:?}\nkind    = \"wb-mr6c\"\nport    = {:?}\naddress = {ADDRESS}\n\n",
                turnstile.reader_path(),
                turnstile.arm.path()
            ));
        }
        text.push_str(&format!(
            "[lime]\nurl   = \"{}\"\ntoken = {{ file = \"lime-token\" }}\n\n[crm]\n{crm}\n\
             # A venue keeps the default of two minutes; a demo has none to spare.\n[delivery]\nsettle_window = \"3s\"\n",
            addresses.lime_url.as_deref().unwrap_or_default()
        ));
        std::fs::write(&self.config, text)
    }
}

/// The seeded cards, and some that only this demo has.
fn guests(sandbox: &Running) -> Guests {
    sandbox.with_site(|site, _, _| {
        let cards = site.lime.media().into_iter().filter(|medium| medium.kind == "card_uid").map(|medium| medium.value).collect();
        let without: Vec<String> = (0..WITHOUT).map(|number| format!("D0DE00{number:02X}")).collect();
        for card in &without {
            site.lime.put_medium("card_uid", card, false, &json!([]));
        }
        let tickets = ["D1DE0001", "D1DE0002"].map(str::to_owned);
        for ticket in &tickets {
            site.lime.put_medium("card_uid", ticket, false, &json!([{ "id": format!("demo-{ticket}"), "kind": "ticket", "amount": 1 }]));
        }
        Guests { cards, without, tickets }
    })
}

//! The demo's stage: Lime, the CRM, a broker, two ports, and the config file that joins them.

use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sandbox::Host;
use sandbox::faults::{Down, Mode, Rule};
use sandbox::server::{self, Addresses, Options, Running};
use sandbox::turnstile::{Family, Simulator, Validator};

use crate::mqtt::broker;

use super::run::CrmChoice;

/// The simulated gates: id, profile, service point, what people see.
pub(super) const GATES: [(&str, &str, &str, &str); 3] = [
    ("n1", "ironlogic-z2", "sp-1", "turnstile, IronLogic card reader"),
    ("n2", "scanner-mertech-ack", "sp-2", "turnstile, QR scanner that waits for ACK"),
    ("v1", "mqtt-json", "sp-3", "validator over MQTT"),
];
const TOPIC: &str = "validators/v1/pass";

/// Everything around the gateway.
pub(super) struct Stage {
    /// Lime and the CRM.
    pub sandbox: Running,
    /// The card reader's side of its port.
    pub reader: Simulator,
    /// The scanner's.
    pub scanner: Simulator,
    /// The validator.
    pub validator: Validator,
    /// The config file.
    pub config: PathBuf,
    /// The gateway's state folder.
    pub state_dir: PathBuf,
    /// The gateway's log.
    pub log: PathBuf,
    crm: CrmChoice,
}

impl Stage {
    /// Sets it up in a fresh folder.
    pub async fn set(folder: &Path, crm: CrmChoice, seed: u64) -> Result<Self, String> {
        let text = |what: &'static str| move |error: std::io::Error| format!("{what}: {error}");
        let sandbox = server::serve(Options { seed, ..Options::default() }).await.map_err(|error| error.to_string())?;
        let broker = broker::start().await.map_err(|error| error.to_string())?;
        let family = |profile| Family::of_profile(profile).map_err(|error| error.to_string());
        let reader = Simulator::pty(family(GATES[0].1)?).map_err(text("no pseudo-terminal for the card reader"))?;
        let scanner = Simulator::pty(family(GATES[1].1)?).map_err(text("no pseudo-terminal for the scanner"))?;
        let validator = Validator::start("127.0.0.1", broker.port, "demo-validator", TOPIC);
        let stage = Self {
            config: folder.join("limegate.toml"),
            state_dir: folder.join("state"),
            log: folder.join("gateway.log"),
            sandbox,
            reader,
            scanner,
            validator,
            crm,
        };
        stage.write(folder, broker.port).map_err(text("the demo's folder cannot be written"))?;
        Ok(stage)
    }

    fn write(&self, folder: &Path, broker_port: u16) -> std::io::Result<()> {
        let secrets = folder.join("secrets");
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&secrets)?;
        let addresses = &self.sandbox.addresses;
        let some = |text: &Option<String>| text.clone().unwrap_or_default();
        secret(&secrets, "lime-token", &some(&addresses.lime_token))?;
        let crm = crm_table(self.crm, addresses, &secrets)?;
        let mut text = format!(
            "# Written by `limegate demo`. Everything in it is played by the demo itself.\n\
             state_dir = {:?}\n\n\
             [site]\nid       = \"demo-north\"\ntitle    = \"Demo park, north entrance\"\ntimezone = \"Europe/Moscow\"\nlanguage = \"en\"\n\n",
            self.state_dir
        );
        for (id, profile, point, title) in GATES {
            let place = match id {
                "n1" => format!("port          = {:?}", self.reader.path()),
                "n2" => format!("port          = {:?}", self.scanner.path()),
                _ => format!("topic         = {TOPIC:?}"),
            };
            text.push_str(&format!(
                "[[gate]]\nid            = {id:?}\ntitle         = {title:?}\nservice_point = {point:?}\nreader        = {profile:?}\n{place}\n\n"
            ));
        }
        text.push_str(&format!(
            "[lime]\nurl   = \"{}\"\ntoken = {{ file = \"lime-token\" }}\n\n[crm]\n{crm}\n[mqtt]\nurl = \"mqtt://127.0.0.1:{broker_port}\"\n\n# A venue keeps the default of two minutes; a demo has none to spare.\n[delivery]\nsettle_window = \"3s\"\n",
            some(&addresses.lime_url)
        ));
        std::fs::write(&self.config, text)
    }

    /// The CRM's side of the sandbox.
    pub fn crm_host(&self) -> Host {
        self.crm.host()
    }
}

/// The `[crm]` table, and its secret in the folder.
pub(super) fn crm_table(crm: CrmChoice, addresses: &Addresses, secrets: &Path) -> std::io::Result<String> {
    let some = |text: &Option<String>| text.clone().unwrap_or_default();
    Ok(match crm {
        CrmChoice::Amocrm => {
            secret(secrets, "amocrm-token", &some(&addresses.amocrm_token))?;
            format!(
                "kind   = \"amocrm\"\nurl    = \"{}\"\ntoken  = {{ file = \"amocrm-token\" }}\npasses = {{ pipeline = \"Проходы\", stage = \"Прошёл\" }}\n",
                some(&addresses.amocrm_url)
            )
        }
        CrmChoice::Bitrix24 => {
            secret(secrets, "bitrix24-webhook", &some(&addresses.bitrix24_webhook))?;
            "kind    = \"bitrix24\"\nwebhook = { file = \"bitrix24-webhook\" }\n\
             passes  = { record = \"both\", pipeline = \"Проходы\", stage = \"Прошёл\" }\n"
                .to_owned()
        }
    })
}

/// The faults that take Lime and the CRM away.
pub(super) fn outage(crm: CrmChoice) -> [Rule; 2] {
    [Host::Lime, crm.host()].map(|host| Rule::new(host, Mode::Down { how: Down::Refuse }))
}

/// Writes a secret that only its owner may read.
pub(super) fn secret(folder: &Path, name: &str, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut file = std::fs::OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(folder.join(name))?;
    file.write_all(text.as_bytes())
}

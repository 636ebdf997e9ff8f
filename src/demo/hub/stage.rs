//! The stage: Lime on its first day, a CRM, and a gateway that is the venue's hub.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use sandbox::server::{self, Options, Running};

use crate::demo::run::CrmChoice;
use crate::demo::stage::{crm_table, secret};
use crate::mqtt::broker;

/// The pipeline of bookings.
pub(super) const BOOKINGS: &str = "Дни рождения";

/// Everything around the gateway.
pub(super) struct Stage {
    /// Lime and the CRM.
    pub sandbox: Running,
    /// The config file.
    pub config: PathBuf,
    /// The gateway's state folder.
    pub state_dir: PathBuf,
    /// The gateway's log.
    pub log: PathBuf,
}

impl Stage {
    /// Sets it up in a fresh folder.
    pub async fn set(folder: &Path, crm: CrmChoice, seed: u64) -> Result<Self, String> {
        let sandbox = server::serve(Options { seed, ..Options::default() }).await.map_err(|error| error.to_string())?;
        sandbox.with_site(|site, _, _| site.lime.first_day());
        let broker = broker::start().await.map_err(|error| error.to_string())?;
        let stage = Self { sandbox, config: folder.join("limegate.toml"), state_dir: folder.join("state"), log: folder.join("gateway.log") };
        stage.write(folder, crm, broker.port).map_err(|error| format!("the demo's folder cannot be written: {error}"))?;
        Ok(stage)
    }

    fn write(&self, folder: &Path, crm: CrmChoice, broker_port: u16) -> std::io::Result<()> {
        let secrets = folder.join("secrets");
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&secrets)?;
        let addresses = &self.sandbox.addresses;
        let some = |text: &Option<String>| text.clone().unwrap_or_default();
        secret(&secrets, "lime-token", &some(&addresses.lime_token))?;
        let crm = crm_table(crm, addresses, &secrets)?;
        let text = format!(
            "# Written by `limegate demo --hub`. Everything in it is played by the demo itself.\n\
             state_dir = {:?}\n\n\
             [site]\nid       = \"demo-hub\"\ntitle    = \"Demo park\"\ntimezone = \"Europe/Moscow\"\nlanguage = \"en\"\n\n\
             [[gate]]\nid            = \"v1\"\ntitle         = \"validator\"\nservice_point = \"sp-1\"\nreader        = \"mqtt-json\"\n\
             topic         = \"validators/v1/pass\"\n\n\
             [lime]\nurl   = \"{}\"\ntoken = {{ file = \"lime-token\" }}\n\n[crm]\n{crm}\n\
             [mqtt]\nurl = \"mqtt://127.0.0.1:{broker_port}\"\n\n\
             # A venue asks every 20 s; a demo has no time to spare.\n\
             [hub]\npoll    = \"5s\"\nclients = [\"registration\", \"change\", \"purchase\", \"pass\"]\n\n\
             [hub.preorders]\nto_crm   = true\npipeline = {BOOKINGS:?}\n",
            self.state_dir,
            some(&addresses.lime_url),
        );
        std::fs::write(&self.config, text)
    }
}

//! A park for black-box tests: Lime and a CRM, two readers on ptys, a validator, and the gateway between them.

use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use limegate::clock::{SharedClock, SystemClock};
use limegate::config::{CrmKind, Environment};
use limegate::crm::setup::{Dialogue, Manner, Mode, drive_in};
use limegate::crm::{self, texts::Texts};
use sandbox::Host;
use sandbox::server::{self, Options, Running};
use serde_json::Value;
use serialport::{SerialPort, TTYPort};
use tokio::runtime::Runtime;

use crate::common::{Mosquitto, Venue, wait_for};
use crate::mqtt_device::{Device, Message};

/// A pty: the device's end, where the gateway finds the other, and that one held open so that nothing vanishes while the gateway is away.
pub struct Line {
    pub device: TTYPort,
    port: String,
    held: File,
}

impl Line {
    fn new() -> Self {
        let (device, other) = TTYPort::pair().expect("a pty");
        let port = other.name().expect("the pty's name");
        // A plain handle: the library's own would hold the lock that the gateway asks for.
        let held = File::options().read(true).write(true).open(&port).expect("the pty's other end");
        Self { device, port, held }
    }
}

pub struct Park {
    pub venue: Venue,
    pub broker: Mosquitto,
    pub reader: Line,
    pub scanner: Line,
    sandbox: Option<Running>,
    runtime: Runtime,
    pub crm: Host,
}

impl Park {
    pub fn new(crm: Host) -> Self {
        Self::with(crm, "")
    }

    /// With further lines at the end of the config.
    pub fn with(crm: Host, more: &str) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let sandbox = runtime.block_on(server::serve(Options::default())).expect("the sandbox");
        let park =
            Self { venue: Venue::new(), broker: Mosquitto::start(), reader: Line::new(), scanner: Line::new(), sandbox: Some(sandbox), runtime, crm };
        park.configure(more);
        park
    }

    pub fn configure(&self, more: &str) {
        let addresses = &self.sandbox().addresses;
        let some = |text: &Option<String>| text.clone().unwrap_or_default();
        self.venue.secret("lime-token", &some(&addresses.lime_token));
        let crm = match self.crm {
            Host::Bitrix24 => {
                self.venue.secret("crm", &some(&addresses.bitrix24_webhook));
                "kind = \"bitrix24\"\nwebhook = { file = \"crm\" }\npasses = { record = \"both\", pipeline = \"Проходы\", stage = \"Прошёл\" }"
                    .to_owned()
            }
            _ => {
                self.venue.secret("crm", &some(&addresses.amocrm_token));
                let url = some(&addresses.amocrm_url);
                format!("kind = \"amocrm\"\nurl = {url:?}\ntoken = {{ file = \"crm\" }}\npasses = {{ pipeline = \"Проходы\", stage = \"Прошёл\" }}")
            }
        };
        self.venue.config(&format!(
            "[site]\nid = \"test-north\"\ntitle = \"Test\"\ntimezone = \"Europe/Moscow\"\nlanguage = \"en\"\n\
             [[gate]]\nid = \"n1\"\ntitle = \"Reader\"\nservice_point = \"sp-1\"\nreader = \"ironlogic-z2\"\nport = {:?}\n\
             [[gate]]\nid = \"n2\"\ntitle = \"Scanner\"\nservice_point = \"sp-2\"\nreader = \"scanner-mertech-ack\"\nport = {:?}\n\
             [[gate]]\nid = \"v1\"\ntitle = \"Validator\"\nservice_point = \"sp-3\"\nreader = \"mqtt-json\"\ntopic = \"validators/v1/pass\"\n\
             [lime]\nurl = {:?}\ntoken = {{ file = \"lime-token\" }}\n[crm]\n{crm}\n\
             [mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\n[delivery]\nsettle_window = \"1s\"\nbackoff_cap = \"2s\"\n{more}\n",
            self.reader.port,
            self.scanner.port,
            some(&addresses.lime_url),
            self.broker.port,
        ));
    }

    pub fn sandbox(&self) -> &Running {
        self.sandbox.as_ref().expect("the sandbox runs")
    }

    pub fn fault(&self, rule: sandbox::faults::Rule) {
        self.runtime.block_on(self.sandbox().set_fault(rule));
    }

    pub fn clear_faults(&self) {
        self.runtime.block_on(self.sandbox().clear_faults());
    }

    /// Media that Lime knows.
    pub fn media(&self, kind: &str) -> Vec<String> {
        let media = self.sandbox().with_site(|site, _, _| site.lime.media());
        media.into_iter().filter(|one| one.kind == kind).map(|one| one.value).collect()
    }

    pub fn state(&self, host: Host) -> Value {
        self.sandbox().with_site(|site, _, _| site.state(host))
    }

    /// Fields and stages, as `limegate crm setup` makes them, without its patience with a real CRM.
    pub fn set_up_crm(&self) {
        let (config, _) = limegate::config::load(&self.venue.config_file(), &Environment::of_process()).expect("a config that checks");
        let texts = Texts::new(config.crm.language, config.site.timezone.clone());
        let mut dialogue: Box<dyn Dialogue> = match &config.crm.kind {
            CrmKind::AmoCrm(amo) => Box::new(crm::amocrm::setup::errand(amo.clone(), texts, Mode::Apply)),
            CrmKind::Bitrix24(bitrix) => Box::new(crm::bitrix24::setup::errand(bitrix.passes.clone(), texts, "webhook".to_owned(), Mode::Apply)),
        };
        let clock: SharedClock = Arc::new(SystemClock::new());
        let endpoint = limegate::gateway::crm_endpoint(&config, &clock).expect("the CRM's address");
        let limit = |value: Value| self.sandbox().with_site(|site, _, _| assert!(site.amocrm.switch("limit_per_second", &value)));
        limit(Value::Null);
        let manner = Manner { gap: Duration::ZERO, reads_only: false };
        let plan = self.runtime.block_on(drive_in(&endpoint, dialogue.as_mut(), manner)).expect("a CRM that is set up");
        limit(Value::from(7));
        assert!(plan.is_complete());
    }

    /// Starts the gateway and waits until all gates are open.
    pub fn open(&mut self) {
        self.venue.start();
        self.wait_open();
    }

    pub fn wait_open(&self) {
        self.venue.wait_status("all gates are open", Duration::from_secs(60), |status| {
            status["gates"].as_object().is_some_and(|gates| gates.len() == 3 && gates.values().all(|gate| gate["link"] == "up"))
        });
    }

    /// A killed process leaves the ptys marked as taken; a restarted box would not.
    pub fn forget_owners(&self) {
        for line in [&self.reader, &self.scanner] {
            rustix::termios::ioctl_tiocnxcl(&line.held).expect("TIOCNXCL");
        }
    }

    /// A turnstile behind a Modbus module at address 1: of the guests let in, this share goes through, `walks` after the release.
    pub fn turnstile(&self, goes: f64, walks: Duration) -> sandbox::turnstile::Gate {
        let _entered = self.runtime.enter();
        sandbox::turnstile::Gate::pty(1, goes, walks, 7).expect("a pty for a module")
    }

    /// A barrier behind the broker, below this topic, through which everybody goes who is let in.
    pub fn barrier(&self, topic: &str) -> sandbox::turnstile::Barrier {
        let _entered = self.runtime.enter();
        sandbox::turnstile::Barrier::start("127.0.0.1", self.broker.port, "barrier", topic, 1.0, 7)
    }

    /// A script at the broker that hears these topics and answers each message with others.
    pub fn plays_device(&self, filter: &str, react: impl FnMut(&str, &str) -> Vec<Message> + Send + 'static) -> Device {
        self.runtime.block_on(Device::playing(self.broker.port, filter, react))
    }

    /// A device says something.
    pub fn says(&self, device: &Device, topic: &str, payload: &str, retain: bool) {
        self.runtime.block_on(device.says(topic, payload, retain));
    }

    /// Presents a four-byte Mifare card at the reader, and takes it away.
    pub fn card(&mut self, uid: &str) {
        let family = sandbox::turnstile::Family::of_profile("ironlogic-z2").expect("the family");
        let mut telegram = family.telegram(uid).expect("a card");
        telegram.extend(family.removal().expect("a removal"));
        self.reader.device.write_all(&telegram).expect("the pty takes it");
    }

    /// Presents a code at the scanner; true when the gateway acknowledged within the time.
    pub fn code(&mut self, code: &str, within: Duration) -> bool {
        self.scanner.device.set_timeout(Duration::from_millis(20)).expect("a timeout");
        self.scanner.device.write_all(format!("{code}\r").as_bytes()).expect("the pty takes it");
        let mut acknowledged = false;
        wait_for(within, || {
            let mut byte = [0];
            acknowledged = matches!(self.scanner.device.read(&mut byte), Ok(1)) && byte == [0x06];
            acknowledged
        });
        acknowledged
    }

    /// Whether the scanner was sent an ACK that [`Park::code`] did not wait for. Takes whatever there is, so that no later code is taken for acknowledged by it.
    pub fn late_acknowledgement(&mut self) -> bool {
        self.scanner.device.set_timeout(Duration::from_millis(20)).expect("a timeout");
        let (mut acknowledged, mut byte) = (false, [0]);
        while matches!(self.scanner.device.read(&mut byte), Ok(1)) {
            acknowledged |= byte == [0x06];
        }
        acknowledged
    }

    /// Publishes a pass at the validator's topic; returns when the broker has it.
    pub fn publish(&self, id: &str, kind: &str, value: &str) {
        let message = format!("{{\"v\":1,\"id\":{id:?},\"kind\":\"passed\",\"medium\":{{\"kind\":{kind:?},\"value\":{value:?}}},\"dir\":\"in\"}}");
        let port = self.broker.port.to_string();
        let status = std::process::Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", "validators/v1/pass", "-m", &message])
            .status()
            .expect("mosquitto_pub: `make test` installs it");
        assert!(status.success(), "the broker did not take the message");
    }

    /// Waits until nothing waits at either destination.
    pub fn wait_drained(&self, passes: u64, within: Duration) -> Value {
        self.venue.wait_status("everything is delivered", within, |status| {
            let waiting: u64 = ["lime", "crm"].iter().map(|name| status["destinations"][name]["waiting"].as_u64().unwrap_or(1)).sum();
            status["passes"].as_u64().unwrap_or(0) >= passes && waiting == 0 && status["destinations"]["lime"]["delivered"].as_u64() >= Some(passes)
        })
    }

    /// All passes in the journal, cards shown.
    pub fn journal(&self) -> Vec<Value> {
        let text = self.venue.output(&["journal", "export", "--show-cards"], 0);
        let records = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
        records.filter(|record| record["kind"] == "pass").map(|record| record["pass"].clone()).collect()
    }

    /// Deletes the lead or deal of a pass, as a person would in the CRM.
    pub fn remove_from_crm(&self, key: &str) {
        let state = self.state(self.crm);
        let removed = match self.crm {
            Host::Bitrix24 => {
                let id = &state["deals_by_key"]["originId"][format!("pass:{key}")][0];
                let body = serde_json::json!({"entityTypeId": 2, "id": id}).to_string();
                self.sandbox().with_site(|site, now_ms, wall_ms| {
                    let uri = format!("{}crm.item.delete", site.bitrix24.webhook());
                    let request = http::Request::post(uri).header("content-type", "application/json").body(body.into()).expect("a request");
                    site.call(Host::Bitrix24, now_ms, wall_ms, request).response().is_some_and(|answer| answer.status().is_success())
                })
            }
            _ => {
                let id = state["leads_by_key"]["LIME_EVENT_UID"][key][0].as_u64().expect("a lead");
                self.sandbox().with_site(|site, _, _| site.amocrm.remove_lead(id))
            }
        };
        assert!(removed, "{key} was not removed");
    }

    /// Business keys in the CRM, with how many entries carry each.
    pub fn crm_entries(&self) -> std::collections::BTreeMap<String, usize> {
        let state = self.state(self.crm);
        let (pointer, prefix) = match self.crm {
            Host::Bitrix24 => ("/deals_by_key/originId", "pass:"),
            _ => ("/leads_by_key/LIME_EVENT_UID", ""),
        };
        let map = state.pointer(pointer).and_then(Value::as_object).cloned().unwrap_or_default();
        map.into_iter().filter_map(|(key, ids)| Some((key.strip_prefix(prefix)?.to_owned(), ids.as_array()?.len()))).collect()
    }
}

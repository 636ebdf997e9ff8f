//! From raw to checked: every table looked at, whatever is wrong with the others.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::addresses::{self, Address, Bad};
use super::diagnostic::{Code, Mistakes};
use super::environment::Environment;
use super::gates::{self, unquoted};
use super::raw::{self, SecretAt};
use super::read::{At, Span, missing, nearest, shown};
use super::{
    Config, CrmKind, Delivery, JournalConfig, Language, LimeConfig, MqttConfig, ReaderConfig, SecretError, SecretSource, Site, crm, hub, modules,
    units, web_json,
};
use crate::board::{self, Board};
use crate::domain::Secret;
use crate::words::Word;
use crate::words::config as text;

pub(super) const STATE_DIR: &str = "/var/lib/limegate";
/// A shorter key of the venue can be guessed from what gates tell each other.
const KEY_LENGTH: usize = 32;
const TOKEN_EXAMPLE: &str = "token = { file = \"lime-token\" }";

/// A table, for messages about it.
pub(super) struct Named<'a> {
    pub(super) name: &'static str,
    pub(super) span: &'a Range<usize>,
}

/// What every check needs.
pub(super) struct Checker<'a> {
    pub(super) file: &'a Path,
    pub(super) environment: &'a Environment,
    pub(super) mistakes: &'a mut Mistakes,
}

/// Checks everything. `None` when there is no config to speak of; the mistakes say why.
pub(super) fn check(file: &Path, root: raw::Root, top: Range<usize>, environment: &Environment, mistakes: &mut Mistakes) -> Option<Config> {
    let mut checker = Checker { file, environment, mistakes };
    let site = match &root.site {
        Some(site) => checker.site(site),
        None => checker.no_table("[site]", "site", &top),
    };
    let board = site.as_ref().and_then(|site| site.board.clone());
    let modules = modules::check(root.module.as_deref().unwrap_or_default(), root.gate.as_deref().unwrap_or_default(), board.as_ref(), &mut checker);
    let gates = match root.gate.as_deref() {
        Some(gates) if !gates.is_empty() => Some(gates::check(gates, board.as_ref(), &modules, &mut checker)),
        // `gate = []` and `[[gate]]` of the wrong kind were noted where they were read, unless nothing stood there.
        Some(_) | None => checker.no_table("[[gate]]", "gate", &top),
    };
    let lime = match &root.lime {
        Some(lime) => checker.lime(lime),
        None => checker.no_table("[lime]", "lime", &top),
    };
    let language = site.as_ref().map_or_else(Language::default, |site| site.language);
    let crm = match &root.crm {
        Some(crm) => crm::check(crm, language, &mut checker),
        None => checker.no_table("[crm]", "crm", &top),
    };
    let site_id = site.as_ref().map(|site| site.id.clone()).unwrap_or_default();
    let mqtt = root.mqtt.as_ref().map(|mqtt| checker.mqtt(mqtt, &site_id));
    if root.mqtt.is_none() {
        checker.broker_for(gates.as_deref().unwrap_or_default(), root.gate.as_deref().unwrap_or_default());
        checker.broker_of(&modules.known, root.module.as_deref().unwrap_or_default());
    }
    let web_json =
        web_json::check(root.web_json.as_ref(), gates.as_deref().unwrap_or_default(), root.gate.as_deref().unwrap_or_default(), &mut checker);
    let journal = checker.journal(&root.journal.unwrap_or_default());
    let delivery = checker.delivery(&root.delivery.unwrap_or_default(), crm.as_ref().map(|crm| &crm.kind));
    let hub = hub::check(root.hub.as_ref(), crm.as_ref(), web_json.as_ref().and_then(Option::as_ref), &mut checker);
    let state_dir = match &root.state_dir {
        Some(path) => checker.absolute(path, "state_dir", "state_dir = \"/var/lib/limegate\""),
        None => Some(PathBuf::from(STATE_DIR)),
    };
    let mqtt = match mqtt {
        Some(mqtt) => Some(mqtt?),
        None => None,
    };
    Some(Config {
        file: file.to_owned(),
        state_dir: state_dir?,
        site: site?,
        gates: gates?,
        modules: modules.known,
        lime: lime?,
        crm: crm?,
        mqtt,
        web_json: web_json?,
        journal: journal?,
        delivery: delivery?,
        hub: hub?,
    })
}

impl Checker<'_> {
    fn no_table<T>(&mut self, title: &'static str, key: &str, top: &Range<usize>) -> Option<T> {
        // A table that is there but could not be read has its mistake already.
        if !self.mistakes.is_broken(top, key) {
            let end = top.end..top.end;
            let one = self.mistakes.error(Code::MISSING, text::MISSING_TABLE.with("table", title), &end, text::MISSING_HERE_FILE);
            one.help(text::MISSING_TABLE_HELP);
        }
        None
    }

    fn site(&mut self, site: &At<raw::Site>) -> Option<Site> {
        let table = Named { name: raw::Site::TITLE, span: &site.span };
        let id = self.id(site.id.as_ref(), &table, "id", "id = \"vysota-north\"");
        let venue = match &site.venue {
            Some(_) => self.id(site.venue.as_ref(), &table, "venue", "venue = \"vysota\""),
            None => id.as_ref().map(|id| id.split('-').next().unwrap_or(id).to_owned()),
        };
        let venue_key = match &site.venue_key {
            Some(key) => self.secret_of(key, text::KEY_FORM, |key| key.chars().count() >= KEY_LENGTH).map(Some),
            None => Some(None),
        };
        let title = self.text(site.title.as_ref(), &table, "title", "title = \"Батутный парк «Высота», вход Север\"");
        let zone = self.text(site.timezone.as_ref(), &table, "timezone", "timezone = \"Asia/Yekaterinburg\"");
        let timezone = zone.and_then(|zone| self.zone(&zone, site.timezone.as_ref()));
        let board = match &site.board {
            Some(name) => self.board(name).map(Some),
            None => Some(None),
        };
        let language = site.language.as_ref().map_or_else(Language::default, |language| language.value.into());
        Some(Site { id: id?, venue: venue?, venue_key: venue_key?, title: title?, timezone: timezone?, language, board: board? })
    }

    fn zone(&mut self, zone: &str, at: Option<&At<String>>) -> Option<jiff::tz::TimeZone> {
        // Only names of places: `Local`, POSIX rules and the like would follow the box and not the venue.
        let named = zone.contains('/') || zone == "UTC";
        let found = named.then(|| jiff::tz::TimeZone::get(zone).ok()).flatten();
        if found.is_none() {
            let span = at.map_or(0..0, |at| at.span.clone());
            let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
            let one = self.mistakes.error(Code::UNKNOWN_ZONE, text::UNKNOWN_ZONE.with("zone", unquoted(zone)), &span, text::UNKNOWN_HERE);
            if let Some(near) = nearest(zone, names.iter().map(String::as_str)) {
                one.help(text::DID_YOU_MEAN.with("key", near));
            }
            one.help(text::ZONE_HELP);
        }
        found
    }

    fn board(&mut self, name: &At<String>) -> Option<Board> {
        let found = Board::built_in(&name.value);
        if found.is_none() {
            let message = text::UNKNOWN_BOARD.with("board", unquoted(&name.value));
            let one = self.mistakes.error(Code::UNKNOWN_BOARD, message, &name.span, text::UNKNOWN_HERE);
            if let Some(near) = nearest(&name.value, board::names()) {
                one.help(text::DID_YOU_MEAN.with("key", near));
            }
            one.help(text::KNOWN_BOARDS.with("boards", board::names().collect::<Vec<_>>().join(", ")));
        }
        found
    }

    fn lime(&mut self, lime: &At<raw::Lime>) -> Option<LimeConfig> {
        let table = Named { name: raw::Lime::TITLE, span: &lime.span };
        let url = self.text(lime.url.as_ref(), &table, "url", "url = \"https://lime.example/gw/v1\"");
        let url = match (&lime.url, url) {
            (Some(at), Some(_)) => self.lime_url(at),
            _ => None,
        };
        let token = self.need(lime.token.as_ref(), &table, "token", TOKEN_EXAMPLE).and_then(|token| self.secret(token, |_| true));
        let ca = self.ca(lime.ca.as_ref());
        Some(LimeConfig { url: url?.text(), token: token?, ca: ca? })
    }

    /// The version stands in the address: without it every request would meet a 404.
    fn lime_url(&mut self, at: &At<String>) -> Option<Address> {
        let example = "https://lime.example/gw/v1";
        let address = self.web(at, "url", example)?;
        if address.path.ends_with("/gw/v1") { Some(address) } else { self.bad_address(at, "url", Bad::Form, example) }
    }

    fn mqtt(&mut self, mqtt: &At<raw::Mqtt>, site_id: &str) -> Option<MqttConfig> {
        let table = Named { name: raw::Mqtt::TITLE, span: &mqtt.span };
        let password = match &mqtt.password {
            Some(password) => self.secret(password, |_| true).map(Some),
            None => Some(None),
        };
        let url = self.text(mqtt.url.as_ref(), &table, "url", "url = \"mqtts://broker.example:8883\"");
        let address = match (&mqtt.url, url) {
            (Some(at), Some(_)) => self.broker(at, mqtt.password.as_ref()),
            _ => None,
        };
        let user = match &mqtt.user {
            Some(_) => self.text(mqtt.user.as_ref(), &table, "user", "user = \"limegate\"").map(Some),
            None => Some(mqtt.password.as_ref().map(|_| site_id.to_owned())),
        };
        let client_id = match &mqtt.client_id {
            Some(_) => self.text(mqtt.client_id.as_ref(), &table, "client_id", "client_id = \"limegate-1\""),
            None => Some(format!("limegate-{site_id}")),
        };
        let keep_alive = self.span(mqtt.keep_alive.as_ref(), "keep_alive", Duration::from_secs(30), ("5s", "20min"));
        let ca = self.ca(mqtt.ca.as_ref());
        let address = address?;
        let tls = address.scheme == "mqtts";
        Some(MqttConfig {
            port: address.port.unwrap_or(if tls { 8883 } else { 1883 }),
            host: address.host,
            tls,
            user: user?,
            password: password?,
            ca: ca?,
            keep_alive: keep_alive?,
            client_id: client_id?,
        })
    }

    fn broker(&mut self, url: &At<String>, password: Option<&At<SecretAt>>) -> Option<Address> {
        let example = "mqtts://broker.example:8883";
        let address = match Address::parse(&url.value) {
            Ok(address) if matches!(address.scheme.as_str(), "mqtt" | "mqtts") && address.path.is_empty() => address,
            Ok(_) => return self.bad_address(url, "url", Bad::Form, example),
            Err(bad) => return self.bad_address(url, "url", bad, example),
        };
        if address.scheme == "mqtt" && !address.is_loopback() {
            if let Some(password) = password {
                let message = text::BAD_URL.with("key", "url").with("found", shown(&url.value));
                let one = self.mistakes.error(Code::BAD_URL, message, &url.span, text::MQTT_PLAIN_PASSWORD);
                one.also(&password.span, text::SECRET_HERE).help(text::MQTT_PLAIN_HELP);
                return None;
            }
            self.mistakes.warning(Code::PLAIN_MQTT, text::MQTT_PLAIN, &url.span, text::SYNTAX_HERE).help(text::MQTT_PLAIN_HELP);
        }
        Some(address)
    }

    fn broker_for(&mut self, gates: &[super::Gate], raw: &[At<raw::Gate>]) {
        let Some(gate) = gates.iter().find(|gate| matches!(gate.reader, ReaderConfig::MqttJson { .. })) else { return };
        let reader = raw.iter().find(|raw| raw.id.as_ref().is_some_and(|id| id.value == gate.id.as_str())).and_then(|raw| raw.reader.as_ref());
        let span = reader.map_or(0..0, |reader| reader.span.clone());
        let message = text::NO_BROKER.with("gate", gate.id.as_str());
        self.mistakes.error(Code::NO_BROKER, message, &span, text::SYNTAX_HERE).help(text::NO_BROKER_HELP);
    }

    fn broker_of(&mut self, modules: &[super::Module], raw: &[At<raw::Module>]) {
        let Some(module) = modules.iter().find(|module| module.kind.is_behind_broker()) else { return };
        let kind = raw.iter().find(|raw| raw.id.as_ref().is_some_and(|id| id.value == module.id)).and_then(|raw| raw.kind.as_ref());
        let span = kind.map_or(0..0, |kind| kind.span.clone());
        let message = text::NO_BROKER_OF.with("module", module.id.as_str());
        self.mistakes.error(Code::NO_BROKER, message, &span, text::SYNTAX_HERE).help(text::NO_BROKER_HELP);
    }

    fn journal(&mut self, journal: &At<raw::Journal>) -> Option<JournalConfig> {
        let segment = self.size(journal.segment.as_ref(), "segment", 8 << 20, (64 << 10, 256 << 20));
        let budget = self.size(journal.budget.as_ref(), "budget", 2 << 30, (1 << 20, 1 << 40));
        let index = self.size(journal.index_cache.as_ref(), "index_cache", 8 << 20, (1 << 20, 64 << 20));
        let retain = self.span(journal.retain.as_ref(), "retain", Duration::from_secs(30 * 86_400), ("1h", "3650d"));
        let (segment_bytes, budget_bytes) = (segment?, budget?);
        if budget_bytes < segment_bytes.saturating_mul(4) {
            let at = journal.budget.as_ref().map(|at| &at.span).or(journal.segment.as_ref().map(|at| &at.span));
            self.mistakes.error(Code::CONFLICT, text::SEGMENT_BUDGET, at.unwrap_or(&journal.span), text::SYNTAX_HERE);
            return None;
        }
        Some(JournalConfig { segment_bytes, budget_bytes, retain: retain?, index_cache_bytes: index? })
    }

    fn delivery(&mut self, delivery: &At<raw::DeliveryTable>, kind: Option<&CrmKind>) -> Option<Delivery> {
        let (rate, burst) = if matches!(kind, Some(CrmKind::Bitrix24(_))) { (2.0, 50) } else { (7.0, 7) };
        let settle_window = self.span(delivery.settle_window.as_ref(), "settle_window", Duration::from_secs(120), ("1s", "1h"));
        let base = self.span(delivery.backoff_base.as_ref(), "backoff_base", Duration::from_secs(1), ("100ms", "1min"));
        let cap = self.span(delivery.backoff_cap.as_ref(), "backoff_cap", Duration::from_secs(300), ("1s", "1h"));
        let drain = self.span(delivery.drain.as_ref(), "drain", Duration::from_secs(5), ("0s", "1min"));
        let crm_rate = match &delivery.crm_rate {
            Some(at) => self.between(at, 0.1, 50.0, "crm_rate"),
            None => Some(rate),
        };
        let crm_burst = match &delivery.crm_burst {
            Some(at) => self.between(at, 1, 100, "crm_burst"),
            None => Some(burst),
        };
        let (base, cap) = (base?, cap?);
        if cap < base {
            let at = delivery.backoff_cap.as_ref().or(delivery.backoff_base.as_ref()).map(|at| &at.span);
            self.mistakes.error(Code::CONFLICT, text::CAP_BELOW_BASE, at.unwrap_or(&delivery.span), text::SYNTAX_HERE);
            return None;
        }
        Some(Delivery {
            settle_window: settle_window?,
            backoff_base: base,
            backoff_cap: cap,
            crm_rate: crm_rate?,
            crm_burst: crm_burst?,
            drain: drain?,
        })
    }
}

/// Checks that tables share.
impl Checker<'_> {
    /// A value that must be there.
    pub(super) fn need<'v, T>(&mut self, value: Option<&'v At<T>>, table: &Named<'_>, key: &str, example: &str) -> Option<&'v At<T>> {
        if value.is_none() && !self.mistakes.is_broken(table.span, key) {
            missing(table.name, key, example, table.span, self.mistakes);
        }
        value
    }

    /// A text that must be there, for people: one line, not empty.
    pub(super) fn text(&mut self, value: Option<&At<String>>, table: &Named<'_>, key: &str, example: &str) -> Option<String> {
        let at = self.need(value, table, key, example)?;
        let text = at.value.trim();
        if text.is_empty() || text.chars().any(char::is_control) || text.chars().count() > 500 {
            self.not_allowed(at, key, text::NOT_EMPTY);
            return None;
        }
        Some(text.to_owned())
    }

    /// An id that must be there.
    pub(super) fn id(&mut self, value: Option<&At<String>>, table: &Named<'_>, key: &str, example: &str) -> Option<String> {
        let at = self.need(value, table, key, example)?;
        let text = at.value.as_str();
        let fits = !text.starts_with('-') && !text.is_empty() && text.len() <= 40 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !fits {
            self.not_allowed(at, key, text::ID_FORM);
            return None;
        }
        Some(text.to_owned())
    }

    fn not_allowed(&mut self, at: &At<String>, key: &str, allowed: crate::words::Word) {
        let message = text::NOT_ALLOWED.with("key", key).with("found", shown(&at.value));
        self.mistakes.error(Code::NOT_ALLOWED, message, &at.span, text::ALLOWED.with("allowed", allowed));
    }

    /// A number within bounds.
    pub(super) fn between<T: PartialOrd + Copy + std::fmt::Display>(&mut self, at: &At<T>, from: T, to: T, key: &str) -> Option<T> {
        if at.value >= from && at.value <= to {
            return Some(at.value);
        }
        self.out_of_bounds(key, &at.value.to_string(), (&from.to_string(), &to.to_string()), &at.span);
        None
    }

    fn out_of_bounds(&mut self, key: &str, found: &str, (from, to): (&str, &str), span: &Range<usize>) {
        let message = text::NOT_ALLOWED.with("key", key).with("found", found.to_owned());
        self.mistakes.error(Code::NOT_ALLOWED, message, span, text::BETWEEN.with("from", from).with("to", to));
    }

    pub(super) fn span(&mut self, at: Option<&At<Span>>, key: &str, default: Duration, bounds: (&str, &str)) -> Option<Duration> {
        let Some(at) = at else { return Some(default) };
        let limit = |text| units::duration(text).unwrap_or(Duration::MAX);
        let value = at.value.0;
        if value < limit(bounds.0) || value > limit(bounds.1) {
            self.out_of_bounds(key, &format!("\"{}\"", units::duration_text(value)), bounds, &at.span);
            return None;
        }
        Some(value)
    }

    fn size(&mut self, at: Option<&At<super::read::Size>>, key: &str, default: u64, (from, to): (u64, u64)) -> Option<u64> {
        let Some(at) = at else { return Some(default) };
        let value = at.value.0;
        if value < from || value > to {
            let bounds = (units::size_text(from), units::size_text(to));
            self.out_of_bounds(key, &format!("\"{}\"", units::size_text(value)), (&bounds.0, &bounds.1), &at.span);
            return None;
        }
        Some(value)
    }

    /// An address for HTTP.
    pub(super) fn web(&mut self, at: &At<String>, key: &str, example: &str) -> Option<Address> {
        match addresses::web(&at.value) {
            Ok(address) => Some(address),
            Err(bad) => self.bad_address(at, key, bad, example),
        }
    }

    fn bad_address<T>(&mut self, at: &At<String>, key: &str, bad: Bad, example: &str) -> Option<T> {
        let message = text::BAD_URL.with("key", key).with("found", shown(&at.value));
        let label = match bad {
            Bad::Form => text::URL_FORM.with("example", example),
            Bad::Plain => text::HTTPS_ONLY.into(),
            Bad::UserInfo => text::URL_USERINFO.into(),
        };
        self.mistakes.error(Code::BAD_URL, message, &at.span, label);
        None
    }

    /// A path that must be absolute.
    fn absolute(&mut self, at: &At<String>, key: &str, example: &str) -> Option<PathBuf> {
        let path = PathBuf::from(&at.value);
        if path.is_absolute() && !at.value.chars().any(char::is_control) {
            return Some(path);
        }
        let message = text::NOT_ALLOWED.with("key", key).with("found", shown(&at.value));
        self.mistakes.error(Code::NOT_ALLOWED, message, &at.span, text::MISSING_HELP.with("example", example));
        None
    }

    /// A certificate file, from the config's folder where it is not absolute.
    pub(super) fn ca(&mut self, at: Option<&At<String>>) -> Option<Option<PathBuf>> {
        let Some(at) = at else { return Some(None) };
        let path = self.file.parent().unwrap_or(Path::new("")).join(&at.value);
        let shown_path = path.display().to_string();
        let problem = match std::fs::metadata(&path).and_then(|meta| if meta.len() > 1 << 20 { Ok(Vec::new()) } else { std::fs::read(&path) }) {
            Err(_) => text::NO_CA,
            Ok(bytes) if !String::from_utf8_lossy(&bytes).contains("-----BEGIN CERTIFICATE-----") => text::BAD_CA,
            Ok(_) => return Some(Some(path)),
        };
        self.mistakes.error(Code::BAD_CA, problem.with("path", shown_path), &at.span, text::SYNTAX_HERE);
        None
    }

    /// A secret that can be had now, and whose content passes `fits`.
    pub(super) fn secret(&mut self, at: &At<SecretAt>, fits: impl Fn(&str) -> bool) -> Option<SecretSource> {
        self.secret_of(at, text::WEBHOOK_FORM, fits)
    }

    /// A secret of this form.
    pub(super) fn secret_of(&mut self, at: &At<SecretAt>, form: Word, fits: impl Fn(&str) -> bool) -> Option<SecretSource> {
        let (source, secret) = self.secret_read(at, SecretSource::load_in)?;
        if !fits(secret.reveal()) {
            let message = text::BAD_SECRET.with("name", unquoted(&source.name())).with("why", form);
            self.mistakes.error(Code::BAD_SECRET, message, &at.span, text::SECRET_HERE);
            return None;
        }
        Some(source)
    }

    /// A secret that can be had now, and what is in it.
    pub(super) fn secret_read(
        &mut self,
        at: &At<SecretAt>,
        read: impl Fn(&SecretSource, &Path, &Environment) -> Result<Secret, SecretError>,
    ) -> Option<(SecretSource, Secret)> {
        let source = match &at.value {
            SecretAt::Env(name) => SecretSource::Env(name.clone()),
            SecretAt::File(name) => {
                let path = PathBuf::from(name);
                let plain = path.components().count() == 1 && path.file_name().is_some();
                if !(plain || path.is_absolute()) || name.chars().any(char::is_control) {
                    let message = text::NOT_ALLOWED.with("key", "file").with("found", shown(name));
                    self.mistakes.error(Code::NOT_ALLOWED, message, &at.span, text::SECRET_NAME);
                    return None;
                }
                SecretSource::File(path)
            }
        };
        match read(&source, self.file, self.environment) {
            Ok(secret) => Some((source, secret)),
            Err(error) => {
                let code = match &error {
                    SecretError::Missing { .. } | SecretError::NoVariable(_) => Code::NO_SECRET,
                    SecretError::Open { .. } => Code::OPEN_SECRET,
                    SecretError::Unreadable { .. } | SecretError::Useless { .. } => Code::BAD_SECRET,
                };
                let (message, help) = error.phrases();
                let one = self.mistakes.error(code, message, &at.span, text::SECRET_HERE);
                if let Some(help) = help {
                    one.help(help);
                }
                None
            }
        }
    }
}

impl From<raw::Language> for Language {
    fn from(language: raw::Language) -> Self {
        match language {
            raw::Language::Ru => Self::Ru,
            raw::Language::En => Self::En,
        }
    }
}

//! The demo's script: raise the stage, let guests come, take the destinations away, bring them back, close the books.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::cli::{Exit, Global, notice, out};
use crate::status::{Link, Report};
use crate::tap::Event;

use super::books::{Books, Counted};
use super::child::Gateway;
use super::guests::{Notes, Stream};
use super::model::{DestinationRow, GateRow, Model};
use super::screen::Screen;
use super::stage::{GATES, Stage};

/// Which CRM plays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum CrmChoice {
    /// amoCRM.
    #[default]
    Amocrm,
    /// Bitrix24.
    Bitrix24,
}

impl CrmChoice {
    /// Its side of the sandbox.
    pub(super) fn host(self) -> sandbox::Host {
        match self {
            Self::Amocrm => sandbox::Host::Amocrm,
            Self::Bitrix24 => sandbox::Host::Bitrix24,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Amocrm => "amoCRM",
            Self::Bitrix24 => "Bitrix24",
        }
    }
}

/// `limegate demo`
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// The CRM to play with.
    #[arg(long, value_enum, default_value_t)]
    pub(super) crm: CrmChoice,
    /// How long guests come: `40s`, `5min`.
    #[arg(long = "for", value_name = "TIME", default_value = "40s", value_parser = length)]
    pub(super) length: Duration,
    /// Guests a second, over all gates.
    #[arg(long, default_value_t = 6.0)]
    pub(super) rate: f64,
    /// Leave Lime and the CRM alone.
    #[arg(long)]
    no_outage: bool,
    /// Kill the gateway in the middle, as a power cut would, and start it again.
    #[arg(long)]
    power_cut: bool,
    /// Gates that the box decides at: readers, a simulated I/O module each, guests with and without tickets, an offline spell, tickets that are tried twice.
    /// Plain lines only; Lime alone goes away.
    #[arg(long, conflicts_with_all = ["no_outage", "power_cut"])]
    doors: bool,
    /// The two-way integration: a cashier sells, a parent changes a phone in the CRM, a manager adds products to a birthday, and each arrives on the other
    /// side. Plain lines only; nobody comes to the gates.
    #[arg(long, conflicts_with_all = ["no_outage", "power_cut", "doors"])]
    hub: bool,
    /// Seed of the guests.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
}

fn length(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text.get(..digits).and_then(|digits| digits.parse().ok()).ok_or("a time such as 40s or 5min")?;
    match text.get(digits..) {
        Some("" | "s") => Ok(Duration::from_secs(number)),
        Some("m" | "min") => Ok(Duration::from_secs(number.saturating_mul(60))),
        _ => Err("a time such as 40s or 5min".to_owned()),
    }
}

/// The longest that draining may take after the last guest.
const DRAIN: Duration = Duration::from_secs(300);
/// Between two looks at the gateway.
const LOOK: Duration = Duration::from_millis(250);

/// Runs the demo; 0 only when the books balance.
#[must_use]
pub fn run(_global: &Global, args: &DemoArgs) -> Exit {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            notice(&format!("the kernel gives no threads: {error}"));
            return Exit::TryAgain;
        }
    };
    let played = runtime.block_on(async {
        match (args.doors, args.hub) {
            (true, _) => super::doors::play(args).await,
            (_, true) => super::hub::play(args).await,
            _ => Ok(play(args).await?.balance()),
        }
    });
    match played {
        Ok(true) => Exit::Fine,
        Ok(false) => Exit::Problems,
        Err(error) => {
            notice(&error);
            Exit::TryAgain
        }
    }
}

async fn play(args: &DemoArgs) -> Result<Books, String> {
    let folder = std::env::temp_dir().join(format!("limegate-demo-{}", std::process::id()));
    let stage = Stage::set(&folder, args.crm, args.seed).await?;
    let plain = !std::io::stdout().is_terminal();
    let (config, log) = (stage.config.clone(), stage.log.clone());
    out(&format!("config: {}\nlog:    {}", config.display(), log.display()));
    let binary = std::env::current_exe().map_err(|error| format!("this program cannot find itself: {error}"))?;
    set_up_crm(&binary, &config, plain).await?;
    let mut gateway = Gateway::new(binary, config.clone(), &stage.state_dir, log);
    gateway.start().await?;

    let mut show = Show::begin(args, plain)?;
    let played = show.play(args, &mut gateway, stage).await;
    show.screen.close();
    let (stage, notes, waiting, refused) = played?;
    let stopped = gateway.stop().await;
    let books = Books::of(&count(&stage, &notes, args.crm, waiting, refused));
    out(&books.text(args.crm.name()));
    stage.sandbox.shutdown().await;
    stopped?;
    if books.balance() {
        // What went wrong is worth looking at; what went right is not.
        let _ = std::fs::remove_dir_all(&folder);
    }
    Ok(books)
}

/// `limegate crm setup`, as an integrator would run it.
pub(super) async fn set_up_crm(binary: &std::path::Path, config: &std::path::Path, plain: bool) -> Result<(), String> {
    let output = tokio::process::Command::new(binary).args(["crm", "setup", "--pipelines", "--config"]).arg(config).output().await;
    let output = output.map_err(|error| format!("cannot run `limegate crm setup`: {error}"))?;
    if !output.status.success() {
        return Err(format!("`limegate crm setup` failed:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    if plain {
        out("limegate crm setup: done");
    }
    Ok(())
}

struct Show {
    model: Model,
    screen: Screen,
    begun: Instant,
    notes: Notes,
}

impl Show {
    fn begin(args: &DemoArgs, plain: bool) -> Result<Self, String> {
        let mut model = Model { length_ms: u64::try_from(args.length.as_millis()).unwrap_or(u64::MAX), ..Model::default() };
        model.gates =
            GATES.iter().map(|(id, _, _, title)| GateRow { id: (*id).to_owned(), title: (*title).to_owned(), ..GateRow::default() }).collect();
        model.destinations = ["lime", "crm"].map(|name| DestinationRow { name: name.to_owned(), ..DestinationRow::default() }).to_vec();
        let screen = Screen::open(plain).map_err(|error| format!("the terminal cannot be used: {error}"))?;
        Ok(Self { model, screen, begun: Instant::now(), notes: Notes::default() })
    }

    fn say(&mut self, text: &str) {
        self.model.say(text);
        self.screen.say(self.model.elapsed_ms, text);
    }

    async fn play(&mut self, args: &DemoArgs, gateway: &mut Gateway, mut stage: Stage) -> Result<(Stage, Notes, u64, u64), String> {
        let (lit, lit_seen) = watch::channel([false; 3]);
        let (restarted, restarts) = watch::channel(0_u64);
        let (end_guests, guests_stop) = watch::channel(false);
        let (heard, mut events) = mpsc::unbounded_channel();
        let listener = tokio::spawn(listen(gateway.client().clone(), heard));

        let mut chance = fastrand::Rng::with_seed(args.seed);
        let pause = Duration::from_secs_f64(3.0 / args.rate.clamp(0.1, 300.0));
        let media = stage.sandbox.with_site(|site, _, _| site.lime.media());
        let mut stream = |index: usize, kinds: &[&str]| {
            let media: Vec<_> =
                media.iter().filter(|one| kinds.contains(&one.kind.as_str())).map(|one| (one.kind.clone(), one.value.clone())).collect();
            let (gate, _, point, _) = GATES[index];
            let lit = one_light(lit_seen.clone(), index);
            Stream::new((gate, point), media, pause, chance.fork(), self.notes.clone(), lit, guests_stop.clone())
        };
        let (reader, scanner, validator) = (stream(0, &["card_uid"]), stream(1, &["qr"]), stream(2, &["card_uid", "qr"]));
        let parts = (stage.reader, stage.scanner, stage.validator);
        let mut reader = tokio::spawn(reader.at_reader(parts.0, restarts.clone()));
        let scanner = tokio::spawn(scanner.at_scanner(parts.1));
        let validator = tokio::spawn(validator.at_validator(parts.2));

        self.say(&format!("the gateway runs with {}", stage.config.display()));
        self.say("guests are coming");
        let end = self.begun + args.length;
        let (away_at, back_at) = (self.begun + args.length.mul_f64(0.35), self.begun + args.length.mul_f64(0.6));
        let cut_at = self.begun + args.length.mul_f64(0.5);
        let (mut away, mut cut, mut last_line) = (false, false, 0);
        let mut open = true;
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let sandbox = &stage.sandbox;
        let drained = loop {
            tokio::select! {
                _ = look.tick() => {}
                Some(event) = events.recv() => { self.hear(&event); continue; }
                _ = tokio::signal::ctrl_c() => { open = false; end_guests.send_replace(true); }
            }
            let now = Instant::now();
            self.model.elapsed_ms = u64::try_from((now - self.begun).as_millis()).unwrap_or(u64::MAX);
            let report = gateway.client().get::<Report>("/v1/status").await.ok();
            self.look(report.as_ref(), &lit);
            if !args.no_outage && !away && open && now >= away_at && now < back_at {
                away = true;
                for rule in super::stage::outage(args.crm) {
                    sandbox.set_fault(rule).await;
                }
                self.say("Lime and the CRM are gone; guests go on passing");
            }
            if away && now >= back_at {
                away = false;
                sandbox.clear_faults().await;
                self.say("Lime and the CRM are back; the backlog drains");
            }
            if args.power_cut && !cut && now >= cut_at {
                cut = true;
                gateway.kill().await;
                self.model.gateway_gone();
                lit.send_replace([false; 3]);
                self.say("power cut: the gateway was killed");
                restarted.send_modify(|count| *count += 1);
                gateway.start().await?;
                self.say("power is back: the gateway runs again");
            }
            if open && now >= end {
                open = false;
                end_guests.send_replace(true);
                self.say("no more guests; waiting until everything has arrived");
            }
            self.screen.draw(&self.model).map_err(|error| format!("the terminal cannot be drawn on: {error}"))?;
            if self.model.elapsed_ms >= last_line + 5_000 {
                last_line = self.model.elapsed_ms;
                self.screen.line(&self.model);
            }
            if !open && !away {
                if let Some(state) = settled(report.as_ref(), &self.notes, &mut reader) {
                    break state;
                }
                if now > end + DRAIN {
                    break report.as_ref().map_or((0, 0), left);
                }
            }
        };
        listener.abort();
        let gone = |error: tokio::task::JoinError| format!("a simulator ended badly: {error}");
        stage.reader = reader.await.map_err(gone)?;
        stage.scanner = scanner.await.map_err(gone)?;
        stage.validator = validator.await.map_err(gone)?;
        while let Ok(event) = events.try_recv() {
            self.hear(&event);
        }
        Ok((stage, self.notes.clone(), drained.0, drained.1))
    }

    fn hear(&mut self, event: &Event) {
        if let Event::Pass(pass) = event {
            // The card reader waits for no answer: that its pass is on disk is seen here.
            if pass.gate == GATES[0].0 {
                let value = pass.card.as_ref().map(|card| card.reveal().to_owned()).unwrap_or_default();
                self.notes.open().acknowledged(GATES[0].0, &(value, GATES[0].2.to_owned()));
            }
        }
        self.screen.event(event);
        self.model.event(event);
    }

    fn look(&mut self, report: Option<&Report>, lit: &watch::Sender<[bool; 3]>) {
        match report {
            Some(report) => {
                self.model.status(&report.snapshot);
                let up = [0, 1, 2].map(|index| report.snapshot.gates.get(GATES[index].0).is_some_and(|gate| gate.link == Link::Up));
                lit.send_if_modified(|now| std::mem::replace(now, up) != up);
            }
            None => self.model.gateway_gone(),
        }
        for gate in &mut self.model.gates {
            (gate.made, gate.acknowledged) = self.notes.open().of(&gate.id);
        }
    }
}

/// Follows the tap over restarts of the gateway.
pub(super) async fn listen(client: crate::control::Client, heard: mpsc::UnboundedSender<Event>) {
    loop {
        // Ends when the gateway does.
        let _ = client.lines("/v1/tap?cards=true", |event: Event| heard.send(event).is_ok()).await;
        if heard.is_closed() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One gate's light out of three.
fn one_light(mut lights: watch::Receiver<[bool; 3]>, index: usize) -> watch::Receiver<bool> {
    let (light, seen) = watch::channel(false);
    tokio::spawn(async move {
        loop {
            let now = lights.borrow_and_update().get(index).copied().unwrap_or(false);
            light.send_if_modified(|before| std::mem::replace(before, now) != now);
            tokio::select! {
                changed = lights.changed() => if changed.is_err() { return },
                () = light.closed() => return,
            }
        }
    });
    seen
}

/// What waits and what was refused, as the gateway says.
pub(super) fn left(report: &Report) -> (u64, u64) {
    let all = report.snapshot.destinations.values();
    all.fold((0, 0), |(waiting, refused), one| (waiting + one.waiting, refused + one.refused))
}

/// Nothing waits any more, and what was acknowledged is stored.
fn settled(report: Option<&Report>, notes: &Notes, reader: &mut tokio::task::JoinHandle<sandbox::turnstile::Simulator>) -> Option<(u64, u64)> {
    let report = report?;
    let (waiting, refused) = left(report);
    let acknowledged: u64 = notes.open().acknowledged.values().sum();
    (reader.is_finished() && waiting == 0 && report.snapshot.passes >= acknowledged).then_some((waiting, refused))
}

/// Counts both sides.
fn count(stage: &Stage, notes: &Notes, crm: CrmChoice, waiting: u64, refused: u64) -> Counted {
    let notes = notes.open();
    let mut counted = Counted { made: notes.made.clone(), acknowledged: notes.acknowledged.clone(), waiting, refused, ..Counted::default() };
    let (lime, far) = stage.sandbox.with_site(|site, _, _| (site.state(sandbox::Host::Lime), site.state(stage.crm_host())));
    for (id, stored) in lime.get("write_offs").and_then(Value::as_object).into_iter().flatten() {
        let text = |key: &str| stored.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        *counted.lime.entry((text("medium"), text("service_point_id"))).or_default() += 1;
        // A write-off that moved nothing counts once, one that moved twice counts twice.
        counted.lime_effects.insert(id.clone(), stored.get("applied").and_then(Value::as_u64).unwrap_or(0).max(1));
        if matches!(text("status").as_str(), "applied" | "applied_with_debt") {
            counted.owed_to_crm.push(id.clone());
        }
    }
    counted.crm = in_crm(crm, &far);
    counted
}

/// Business keys of passes in the CRM, with how many things carry each.
pub(super) fn in_crm(crm: CrmChoice, far: &Value) -> BTreeMap<String, u64> {
    match crm {
        CrmChoice::Amocrm => keys(far, "/leads_by_key/LIME_EVENT_UID", ""),
        CrmChoice::Bitrix24 => keys(far, "/deals_by_key/originId", "pass:"),
    }
}

/// Business keys with how many things carry each.
fn keys(state: &Value, pointer: &str, prefix: &str) -> BTreeMap<String, u64> {
    let map = state.pointer(pointer).and_then(Value::as_object);
    map.into_iter()
        .flatten()
        .filter_map(|(key, ids)| Some((key.strip_prefix(prefix)?.to_owned(), ids.as_array().map_or(0, |ids| ids.len() as u64))))
        .collect()
}

//! The script: guests come to both gates, Lime goes away and comes back, tickets for one are tried again, a person opens, the books are closed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sandbox::Host;
use sandbox::faults::{Down, Mode, Rule};
use serde_json::Value;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::books::{Books, Counted, Held};
use super::stage::{GATES, GOES, Guests, Stage};
use super::turnstile::Turnstile;
use crate::cli::out;
use crate::demo::child::Gateway;
use crate::demo::run::{DemoArgs, in_crm, left, listen, set_up_crm};
use crate::domain::{DecisionMode, PassageState};
use crate::status::{Link, Report};
use crate::tap::Event;

/// The longest that readers, modules and the snapshot take to be there, and that draining takes.
const PATIENCE: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(250);
/// Of so many guests, one has no ticket.
const WITHOUT_EVERY: usize = 7;

type Gates = [Arc<Mutex<Turnstile>>; 2];

/// Plays it; whether the books balance.
pub(in crate::demo) async fn play(args: &DemoArgs) -> Result<bool, String> {
    let folder = std::env::temp_dir().join(format!("limegate-demo-{}", std::process::id()));
    let Stage { sandbox, turnstiles, guests, config, state_dir, log } = Stage::set(&folder, args.crm, args.seed).await?;
    out(&format!("config: {}\nlog:    {}", config.display(), log.display()));
    let binary = std::env::current_exe().map_err(|error| format!("this program cannot find itself: {error}"))?;
    set_up_crm(&binary, &config, true).await?;
    let mut gateway = Gateway::new(binary.clone(), config.clone(), &state_dir, log);
    gateway.start().await?;
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    let (heard, events) = mpsc::unbounded_channel();
    tasks.spawn(listen(gateway.client().clone(), heard));
    let lights = turnstiles.iter().map(|turnstile| (turnstile.gate.to_owned(), turnstile.lights())).collect();
    tasks.spawn(tell(events, lights));

    let gates = turnstiles.map(|turnstile| Arc::new(Mutex::new(turnstile)));
    let mut venue = Venue { begun, args, sandbox, gates, guests, tried_again: BTreeMap::new(), by_hand: 0 };
    venue.ready(&gateway).await?;
    venue.guests_come(&binary, &config).await?;
    let played = venue.drain(&gateway).await;
    let stopped = gateway.stop().await;
    let (waiting, given_up) = played?;
    let books = Books::of(&venue.count(waiting, given_up).await);
    out(&books.text(args.crm.name()));
    venue.sandbox.shutdown().await;
    stopped?;
    if books.balance() {
        // What went wrong is worth looking at; what went right is not.
        let _ = std::fs::remove_dir_all(&folder);
    }
    Ok(books.balance())
}

struct Venue<'a> {
    begun: Instant,
    args: &'a DemoArgs,
    sandbox: sandbox::server::Running,
    gates: Gates,
    guests: Guests,
    tried_again: BTreeMap<String, u64>,
    by_hand: u64,
}

impl Venue<'_> {
    fn say(&self, text: &str) {
        out(&format!("{:>4} s  {text}", self.begun.elapsed().as_secs()));
    }

    /// Waits until readers and modules are up and the gateway has the snapshot.
    async fn ready(&mut self, gateway: &Gateway) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let report = gateway.client().get::<Report>("/v1/status").await.ok();
            let up = report.is_some_and(|report| {
                let gates = GATES.iter().all(|(id, ..)| report.snapshot.gates.get(*id).is_some_and(|gate| gate.link == Link::Up));
                gates && report.snapshot.modules.len() == GATES.len() && report.snapshot.modules.values().all(|module| module.link == Link::Up)
            });
            let lime = self.sandbox.with_site(|site, _, _| site.state(Host::Lime));
            if up && lime.pointer("/entitlements/whole").and_then(Value::as_u64) > Some(0) {
                self.begun = Instant::now();
                self.say("readers and modules are up, the entitlement snapshot is fetched");
                return Ok(());
            }
            sleep(LOOK).await;
        }
        Err("readers, modules and the entitlement snapshot were not there in time".to_owned())
    }

    async fn guests_come(&mut self, binary: &Path, config: &Path) -> Result<(), String> {
        let (end, ended) = watch::channel(false);
        let mut streams = JoinSet::new();
        let mut chance = fastrand::Rng::with_seed(self.args.seed);
        let mut cards = self.guests.cards.clone();
        chance.shuffle(&mut cards);
        let half = cards.len() / 2;
        let pause = Duration::from_secs_f64(2.0 / self.args.rate.clamp(0.1, 300.0));
        for (index, gate) in self.gates.iter().enumerate() {
            // No card comes to both gates: whoever is in the way at one is not at the other.
            let (cards, without) = if index == 0 { (cards.get(..half), 0) } else { (cards.get(half..), 1) };
            let without: Vec<String> = self.guests.without.iter().skip(without).step_by(2).cloned().collect();
            let cards = cards.unwrap_or_default().to_vec();
            streams.spawn(stream(Arc::clone(gate), cards, without, pause, chance.fork(), ended.clone()));
        }
        drop(ended);
        self.say("guests are coming; Lime decides");
        tokio::select! {
            scene = self.scenes(binary, config) => scene?,
            _ = tokio::signal::ctrl_c() => self.say("told to end"),
        }
        self.sandbox.clear_faults().await;
        end.send_replace(true);
        while let Some(ended) = streams.join_next().await {
            ended.map_err(|error| format!("the guests of a gate ended badly: {error}"))??;
        }
        Ok(())
    }

    async fn scenes(&mut self, binary: &Path, config: &Path) -> Result<(), String> {
        let (begun, length) = (self.begun, self.args.length);
        let at = |share: f64| sleep_until(begun + length.mul_f64(share));
        let [online, offline] = self.guests.tickets.clone();
        at(0.15).await;
        self.say("a ticket for one goes in, and is tried again at both gates");
        self.goes_in(0, &online).await?;
        self.tries_again(&[0, 1], &online).await?;
        at(0.35).await;
        self.sandbox.set_fault(Rule::new(Host::Lime, Mode::Down { how: Down::Refuse })).await;
        self.say("Lime is gone; the box decides by the snapshot");
        at(0.45).await;
        self.say("another ticket for one goes in, and is tried again at both gates");
        self.goes_in(0, &offline).await?;
        self.tries_again(&[0, 1], &offline).await?;
        self.opens_by_hand(binary, config).await?;
        at(0.65).await;
        self.sandbox.clear_faults().await;
        self.say("Lime is back");
        at(1.0).await;
        self.say("no more guests; waiting until everything has arrived");
        Ok(())
    }

    async fn goes_in(&mut self, gate: usize, ticket: &str) -> Result<(), String> {
        self.tried_again.entry(ticket.to_owned()).or_default();
        self.gates[gate].lock().await.show_and_go(ticket, GOES).await
    }

    async fn tries_again(&mut self, gates: &[usize], ticket: &str) -> Result<(), String> {
        for gate in gates {
            *self.tried_again.entry(ticket.to_owned()).or_default() += 1;
            self.gates[*gate].lock().await.show(ticket).await?;
        }
        Ok(())
    }

    /// `limegate door open`, as a member of staff would.
    async fn opens_by_hand(&mut self, binary: &Path, config: &Path) -> Result<(), String> {
        let gate = self.gates[0].lock().await;
        let before = gate.arm.books().passed;
        gate.arm.set_goes(1.0);
        let mut command = tokio::process::Command::new(binary);
        command.args(["door", "open", "--point", gate.point, "--reason", "a pram", "--config"]).arg(config);
        let output = command.output().await.map_err(|error| format!("cannot run `limegate door open`: {error}"))?;
        if !output.status.success() {
            return Err(format!("`limegate door open` failed:\n{}", String::from_utf8_lossy(&output.stderr)));
        }
        self.by_hand += 1;
        self.say(&format!("a person opened {}: limegate door open --point {} --reason \"a pram\"", gate.gate, gate.point));
        gate.passed_beyond(before).await?;
        gate.arm.set_goes(GOES);
        Ok(())
    }

    /// Waits until nothing waits; then the ticket that was used while Lime was away is tried once more. What waits and what was given up.
    async fn drain(&mut self, gateway: &Gateway) -> Result<(u64, u64), String> {
        self.arrived(gateway).await;
        let [_, offline] = self.guests.tickets.clone();
        if self.tried_again.contains_key(&offline) {
            self.say("everything has arrived; the ticket that was used without Lime is tried once more");
            self.tries_again(&[1], &offline).await?;
        }
        Ok(self.arrived(gateway).await)
    }

    async fn arrived(&self, gateway: &Gateway) -> (u64, u64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let report = gateway.client().get::<Report>("/v1/status").await.ok();
            let (waiting, given_up) = report.as_ref().map_or((0, 0), left);
            let counted = self.count(waiting, given_up).await;
            let owed = counted.lime.iter().filter(|held| held.written_off).count();
            let all = counted.lime.len() as u64 >= counted.shown.values().sum() && counted.crm.len() >= owed && counted.on == 0;
            if (report.is_some() && all && waiting == 0) || Instant::now() > deadline {
                return (waiting, given_up);
            }
            sleep(LOOK).await;
        }
    }

    /// Counts both sides.
    async fn count(&self, waiting: u64, given_up: u64) -> Counted {
        let crm = self.args.crm;
        let (lime, far) = self.sandbox.with_site(|site, _, _| (site.state(Host::Lime), site.state(crm.host())));
        let asked = lime.get("holds").and_then(Value::as_object).map_or(0, |holds| holds.len() as u64);
        let (tried_again, by_hand) = (self.tried_again.clone(), self.by_hand);
        let mut counted =
            Counted { tried_again, by_hand, lime: Held::all(&lime), asked, crm: in_crm(crm, &far), waiting, given_up, ..Counted::default() };
        for gate in &self.gates {
            let gate = gate.lock().await;
            let arm = gate.arm.books();
            counted.opened += arm.opened;
            counted.passed += arm.passed;
            counted.on += arm.on;
            counted.shown.extend(gate.shown.clone());
        }
        counted
    }
}

/// Guests at a gate, one after another, until told to stop.
async fn stream(
    gate: Arc<Mutex<Turnstile>>,
    cards: Vec<String>,
    without: Vec<String>,
    pause: Duration,
    mut chance: fastrand::Rng,
    mut end: watch::Receiver<bool>,
) -> Result<(), String> {
    let (mut with, mut without) = (cards.iter().cycle(), without.iter().cycle());
    for number in 1_usize.. {
        tokio::select! {
            () = sleep(pause.mul_f64(0.5 + chance.f64())) => {}
            _ = end.wait_for(|end| *end) => break,
        }
        let card = if number.is_multiple_of(WITHOUT_EVERY) { without.next() } else { with.next() };
        if let Some(card) = card {
            gate.lock().await.show(card).await?;
        }
    }
    Ok(())
}

/// Prints what happens at the gates and lights their lights.
async fn tell(mut events: mpsc::UnboundedReceiver<Event>, lights: BTreeMap<String, watch::Sender<u64>>) {
    let mut inside: BTreeMap<uuid::Uuid, (String, String)> = BTreeMap::new();
    while let Some(event) = events.recv().await {
        match event {
            Event::Pass(pass) => drop(inside.insert(pass.id, (pass.gate, pass.medium))),
            Event::Decided { id, mode, admitted, code } => {
                if let Some((gate, medium)) = inside.get(&id) {
                    let who = if mode == DecisionMode::Online { "Lime" } else { "the box" };
                    let what = if admitted { "goes in".to_owned() } else { format!("REFUSED, {code}") };
                    out(&format!("        {gate}  {medium:<12} {what}, says {who}"));
                }
            }
            Event::Passage { id, state } => {
                if let Some((gate, medium)) = inside.remove(&id) {
                    let what = match state {
                        PassageState::Passed => Some("went through"),
                        PassageState::Unknown => Some("may have gone through"),
                        PassageState::NotPassed => None,
                    };
                    if let Some(what) = what {
                        out(&format!("        {gate}  {medium:<12} {what}"));
                    }
                    if let Some(light) = lights.get(&gate) {
                        light.send_modify(|ended| *ended += 1);
                    }
                }
            }
            Event::WriteOff { .. } | Event::Crm { .. } | Event::Refused { .. } => {}
        }
    }
}

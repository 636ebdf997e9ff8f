//! The scenes, one after the other, and the books at the end.

use std::time::Duration;

use sandbox::Host;
use sandbox::server::Running;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::stage::{BOOKINGS, Stage};
use super::view;
use crate::cli::out;
use crate::demo::child::Gateway;
use crate::demo::run::{CrmChoice, DemoArgs, left, set_up_crm};
use crate::status::Report;

/// The longest that a scene may take to arrive.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(200);
/// Longer than two rounds of asking: what goes back and forth would be seen.
const QUIET: Duration = Duration::from_secs(12);

/// Plays it; whether the books balance.
pub(in crate::demo) async fn play(args: &DemoArgs) -> Result<bool, String> {
    let folder = std::env::temp_dir().join(format!("limegate-demo-{}", std::process::id()));
    let Stage { sandbox, config, state_dir, log } = Stage::set(&folder, args.crm, args.seed).await?;
    out(&format!("config: {}\nlog:    {}", config.display(), log.display()));
    let binary = std::env::current_exe().map_err(|error| format!("this program cannot find itself: {error}"))?;
    set_up_crm(&binary, &config, true).await?;
    let mut gateway = Gateway::new(binary, config, &state_dir, log);
    gateway.start().await?;
    feeds_are_read(&gateway).await?;
    let mut venue = Venue { begun: Instant::now(), crm: args.crm, sandbox, told: 0, arrived: 0 };
    let played = venue.day().await;
    let balanced = match played {
        Ok(()) => venue.close(&gateway).await,
        Err(missing) => {
            venue.say("      ", &missing);
            false
        }
    };
    let stopped = gateway.stop().await;
    venue.sandbox.shutdown().await;
    stopped?;
    if balanced {
        // What went wrong is worth looking at; what went right is not.
        let _ = std::fs::remove_dir_all(&folder);
    }
    Ok(balanced)
}

/// Transactions are told of from the first reading on: nobody sells before it.
async fn feeds_are_read(gateway: &Gateway) -> Result<(), String> {
    let since = Instant::now();
    while since.elapsed() < PATIENCE {
        let status: Value = gateway.client().get("/v1/status").await.unwrap_or_default();
        let feeds = status.get("feeds").and_then(Value::as_object).cloned().unwrap_or_default();
        let mut of_lime = feeds.iter().filter(|(name, _)| name.starts_with("lime.")).map(|(_, feed)| feed).peekable();
        if of_lime.peek().is_some() && of_lime.all(|feed| feed.get("last_read_boot_ms").is_some_and(|at| !at.is_null())) {
            return Ok(());
        }
        sleep(LOOK).await;
    }
    Err("Lime's feeds are not read".to_owned())
}

struct Venue {
    begun: Instant,
    crm: CrmChoice,
    sandbox: Running,
    told: u32,
    arrived: u32,
}

impl Venue {
    fn say(&self, who: &str, text: &str) {
        out(&format!("{:>4} s  {who:<9} {text}", self.begun.elapsed().as_secs()));
    }

    fn act(&mut self, who: &str, host: Host, (action, body): (&str, Value), text: &str) -> Result<Value, String> {
        self.say(who, text);
        self.told += 1;
        self.sandbox.with_site(|site, now_ms, wall_ms| site.act(host, action, now_ms, wall_ms, &body)).map_err(|error| format!("{action}: {error}"))
    }

    fn state(&self, host: Host) -> Value {
        self.sandbox.with_site(|site, _, _| site.state(host))
    }

    fn far(&self) -> Value {
        self.state(self.crm.host())
    }

    /// Waits until the other side shows it, and says what it shows.
    async fn arrives<T>(&mut self, who: &str, what: &str, look: impl Fn(&Self) -> Option<T>, text: impl Fn(&T) -> String) -> Result<T, String> {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            if let Some(seen) = look(self) {
                self.arrived += 1;
                let after = since.elapsed();
                self.say(who, &format!("{}  ({:.1} s later)", text(&seen), after.as_secs_f64()));
                return Ok(seen);
            }
            sleep(LOOK).await;
        }
        let deals: Vec<String> =
            view::deals(self.crm, &self.far()).iter().map(|deal| format!("{} for {:.2}, {} pieces", deal.title, deal.sum, deal.rows)).collect();
        Err(format!("NOT ARRIVED within {} s: {what}; deals: {}", PATIENCE.as_secs(), deals.join("; ")))
    }

    async fn day(&mut self) -> Result<(), String> {
        let (crm, host, name) = (self.crm, self.crm.host(), self.crm.name());
        let family = json!({"last_name": "Соколова", "first_name": "Анна", "middle_name": "Петровна", "phones": ["+79161112233"],
            "children": [{"first_name": "Пётр", "birth_date": "2018-05-06"}, {"first_name": "Ольга", "birth_date": "2020-01-02", "gender": "female"}]});
        let made = self.act("cashier", Host::Lime, ("register", family), "registers Анна Соколова with two children")?;
        let anna = made.get("client_id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let card = |venue: &Self| view::contacts(crm, &venue.far(), &anna).pop();
        let shown = self.arrives(
            name,
            "her card",
            |venue| card(venue).filter(|card| card.children.contains("Ольга")),
            |card| format!("has her card, with the children: {}", card.children),
        );
        let contact = shown.await?.id;

        let sale = json!({"client_id": anna, "lines": [{"good_type_id": "p-3", "qty": 2}, {"good_type_id": "p-4", "qty": 1}]});
        self.act("cashier", Host::Lime, ("sell", sale), "sells her two pizzas and a juice")?;
        let deal = |venue: &Self, sum: f64| view::deals(crm, &venue.far()).into_iter().find(|deal| (deal.sum - sum).abs() < 0.01 && deal.rows > 0.0);
        self.arrives(
            name,
            "the receipt's deal",
            |venue| deal(venue, 1_550.0),
            |deal| format!("has one deal with all lines: {} for {:.2}", deal.title, deal.sum),
        )
        .await?;
        let line = |history: &str| history.lines().next().unwrap_or_default().to_owned();
        self.arrives(
            name,
            "the history",
            |venue| card(venue).filter(|card| card.history.contains("Пицца")),
            |card| format!("shows in her card: {}", line(&card.history)),
        )
        .await?;

        self.act(
            "parent",
            host,
            view::new_phone(contact, "8 (916) 444-55-66"),
            &format!("tells the manager a new phone, who writes it into {name}: 8 (916) 444-55-66"),
        )?;
        let phones = |venue: &Self| venue.sandbox.with_site(|site, _, _| site.lime.client(&anna)).and_then(|client| client.get("phones").cloned());
        self.arrives(
            "Lime",
            "the new phone",
            |venue| phones(venue).filter(|phones| *phones == json!(["+79164445566"])),
            |phones| format!("has it: {phones}"),
        )
        .await?;

        self.arrives(name, "the products", |venue| view::shows(crm, &venue.far(), "p-6").then_some(()), |()| "shows what Lime sells".to_owned())
            .await?;
        let booking = view::booking(crm, &self.far(), contact, "День рождения Пети").ok_or_else(|| format!("there is no pipeline {BOOKINGS}"))?;
        let made = self.act("manager", host, booking, "opens a deal for Петя's birthday")?;
        let deal = made.get("id").and_then(Value::as_u64).unwrap_or(0);
        self.act("manager", host, view::products(deal, &[("p-5", 1), ("p-6", 1)]), "adds the birthday package and an entertainer")?;
        let total = |venue: &Self, total: i64| preorders(&venue.state(Host::Lime)).into_iter().find(|one| one.get("total") == Some(&json!(total)));
        let shown = |preorder: &Value| format!("has the preorder {} for 19 000.00", preorder.get("id").and_then(Value::as_str).unwrap_or_default());
        let preorder = self.arrives("Lime", "the preorder", |venue| total(venue, 1_900_000), shown).await?;

        let id = preorder.get("id").cloned().unwrap_or_default();
        let lines = json!([{"good_type_id": "p-5", "qty": 1}, {"good_type_id": "p-6", "qty": 1}, {"good_type_id": "p-3", "qty": 5}]);
        self.act("cashier", Host::Lime, ("preorder", json!({"id": id, "lines": lines})), "adds five pizzas to it in Lime")?;
        let full =
            |venue: &Self| view::deals(crm, &venue.far()).into_iter().find(|one| one.id == deal && one.bookings && (one.rows - 7.0).abs() < 0.01);
        self.arrives(name, "the pizzas", full, |deal| format!("has them in the deal: {} for {:.2}", deal.title, deal.sum)).await?;
        Ok(())
    }

    /// The books, once nothing moves any more.
    async fn close(&self, gateway: &Gateway) -> bool {
        let since = Instant::now();
        let mut calm = Instant::now();
        let (mut waiting, mut refused) = (u64::MAX, 0);
        while since.elapsed() < PATIENCE && calm.elapsed() < QUIET {
            if let Ok(report) = gateway.client().get::<Report>("/v1/status").await {
                (waiting, refused) = left(&report);
            }
            if waiting > 0 {
                calm = Instant::now();
            }
            sleep(LOOK).await;
        }
        let (far, preorders) = (self.far(), preorders(&self.state(Host::Lime)).len());
        let doubled = view::doubled(self.crm, &far) + preorders.saturating_sub(1);
        let balanced = self.arrived >= self.told && waiting == 0 && refused == 0 && doubled == 0;
        let verdict = if balanced { "the books balance" } else { "THE BOOKS DO NOT BALANCE" };
        out(&format!(
            "done by people             {:>7}\nseen on the other side     {:>7}\nwaiting                    {waiting:>7}\nrefused                    {refused:>7}\n\
             doubled                    {doubled:>7}\n{verdict}",
            self.told, self.arrived
        ));
        balanced
    }
}

fn preorders(lime: &Value) -> Vec<Value> {
    lime.get("preorders").and_then(Value::as_object).into_iter().flat_map(|all| all.values().cloned()).collect()
}

//! The first synchronisation of a venue with the real binary, in real time: what it costs, how much of the account's limit it uses, and how the gateway's
//! memory stands meanwhile. `LIMEGATE_CLIENTS` sets how many adults Lime knows; with more than a few thousand the figures are judged, too.

use std::time::Duration;

use sandbox::Host;

use crate::common::{now, wait_for};
use crate::park::Park;

/// From so many on the figures say something.
const LONG: usize = 20_000;
/// The account's own limit, requests a second.
const LIMIT: f64 = 7.0;

/// How things stood.
#[derive(Clone, Copy, Debug)]
struct Mark {
    at: std::time::Instant,
    requests: u64,
    delivered: u64,
    waiting: u64,
    /// kB in memory, as Linux counts them.
    resident: u64,
}

fn resident(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}

fn mark(park: &Park) -> Option<Mark> {
    let status = park.venue.status()?;
    let crm = &status["destinations"]["crm"];
    let (delivered, waiting) = (crm["delivered"].as_u64()?, crm["waiting"].as_u64()?);
    let requests = park.sandbox().with_site(|site, _, _| site.log.requests(Host::Amocrm));
    Some(Mark { at: now(), requests, delivered, waiting, resident: resident(park.venue.pid()) })
}

#[test]
fn a_first_synchronisation_uses_the_limit_and_a_constant_memory() {
    let adults: usize = std::env::var("LIMEGATE_CLIENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(300);
    let children = adults / 5 * 3;
    let hub = "[hub]\nenabled = true\nclients = [\"registration\", \"change\"]\nproducts = false\ndeal = []\n";
    let mut park = Park::with(Host::Amocrm, &format!("{hub}preorders = {{ to_lime = false, to_crm = false }}\n"));
    park.set_up_crm();
    let people = park.sandbox().with_site(|site, _, _| {
        site.lime.first_day();
        site.lime.add_families(adults, children);
        adults + children
    }) as u64;
    park.venue.start();
    let begun = now();
    let mut course: Vec<Mark> = Vec::new();
    let patience = Duration::from_secs(120 + people / 40);
    let done = wait_for(patience, || {
        if course.last().is_none_or(|mark| now().duration_since(mark.at) >= Duration::from_millis(250)) {
            course.extend(mark(&park));
        }
        course.last().is_some_and(|mark| mark.delivered >= people && mark.waiting == 0)
    });
    assert!(done, "{:?}\n{}", course.last(), park.venue.log());
    let books = park.state(Host::Amocrm);
    let clients = books["contacts_by_key"]["LIME_CLIENT_ID"].as_object().map(serde_json::Map::len);
    assert_eq!((clients, &books["contacts_doubled"]["LIME_CLIENT_ID"]), (Some(adults), &serde_json::json!({})), "each adult has a contact, and one");
    let at = |share: u64| *course.iter().find(|mark| mark.delivered * 100 >= people * share).expect("it went on to its end");
    let spent = |from: Mark, until: Mark| (until.requests - from.requests) as f64;
    let (first, until) = (at(5), at(90));
    let share = spent(first, until) / (LIMIT * until.at.duration_since(first.at).as_secs_f64());
    let (early, late) = (spent(at(5), at(45)), spent(at(50), at(90)));
    let memory = (at(10).resident, at(50).resident, at(95).resident);
    println!(
        "{people} people in {} s: {} requests, {:.4} a person; the first {early} and the second {late} for 40 % of them; {:.3} of the limit; {} / {} / {} kB \
         resident at 10, 50 and 95 %",
        begun.elapsed().as_secs(),
        course.last().map_or(0, |mark| mark.requests),
        spent(course[0], at(100)) / people as f64,
        share,
        memory.0,
        memory.1,
        memory.2,
    );
    if adults >= LONG {
        assert!(share >= 0.95, "{share}");
        assert!(late <= early * 1.1, "{late} after {early}");
        assert!(memory.2 <= memory.1 + 16 * 1024, "{memory:?}");
    }
}

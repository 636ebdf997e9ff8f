//! Many passes at once: what they cost, and what becomes of them under random faults.

use std::collections::{BTreeMap, BTreeSet};

use limegate::delivery::{Job, Verdict};
use limegate::domain::Seq;
use serde_json::{Value, json};

use crate::portal::Cut;
use crate::world::{World, both, confirmed, deal, doubtful, job, timeline};

#[test]
fn ten_thousand_passes_of_two_thousand_known_guests_cost_few_requests() {
    // The other way of recording costs the same per pass, and is shown at a fifth of the size.
    for (passes, guests) in [(timeline(), 2_000), (both(), 400)] {
        let mut world = World::new(passes.clone());
        for guest in 0..guests {
            world.client(&format!("g-{guest}"), "Имя", &format!("+7999{guest:07}"));
            world.portal.contact(json!({"name": "Имя", "originatorId": "LIME", "originId": format!("client:g-{guest}")}));
        }
        // The runner gathers what waits for one guest, and takes guests in the order of their oldest pass.
        let passes_of = |guest: u64| (0..5).map(move |n| job(1 + guest * 5 + n, Some(&format!("g-{guest}"))));
        let all: Vec<Job> = (0..guests).flat_map(passes_of).collect();
        for batch in all.chunks(250) {
            assert!(world.deliver(batch.to_vec()).values().all(confirmed));
        }
        let cold = world.requests();
        for batch in all.chunks(250) {
            let later = batch.iter().map(|one| job(one.seq + 10_000, Some(&format!("g-{}", (one.seq - 1) / 5))));
            assert!(world.deliver(later.collect()).values().all(confirmed));
        }
        let warm = world.requests() - cold;
        println!(
            "{passes:?}: {} requests a pass when the ledger knows the guests, {} when it does not",
            a_pass(warm, all.len()),
            a_pass(cold, all.len())
        );
        assert!(warm * 20 <= all.len(), "{warm}");
        // One look by origin and one at the phones for fifty guests, once in their life at this box, and the schema.
        assert!(cold - warm <= 2 * all.len() / 250 + 2, "{cold}");
        assert_eq!(u64::try_from(world.portal.contacts.len()).unwrap(), guests);
    }
}

fn a_pass(requests: usize, passes: usize) -> f64 {
    f64::from(u32::try_from(requests).unwrap()) / f64::from(u32::try_from(passes).unwrap())
}

/// Holds conversations until nothing waits, as the runner does: doubt stays until resolved, and "not found" twice starts afresh.
fn settle(world: &mut World, jobs: Vec<Job>, chance: &mut fastrand::Rng) {
    let mut open: BTreeMap<Seq, (Job, u8)> = jobs.into_iter().map(|job| (job.seq, (job, 0))).collect();
    for _ in 0..400 {
        if open.is_empty() {
            return;
        }
        let mut batch: Vec<Job> = open.values().map(|(job, _)| job.clone()).collect();
        batch.truncate(chance.usize(1..=batch.len()));
        for (seq, verdict) in world.deliver(batch) {
            match verdict {
                Verdict::Confirmed(_) => {
                    open.remove(&seq);
                }
                Verdict::NotFound => {
                    let (job, missed) = open.get_mut(&seq).unwrap();
                    *missed += 1;
                    if *missed >= 2 {
                        (job.doubt, *missed) = (None, 0);
                    }
                }
                Verdict::Doubtful => {
                    let (job, missed) = open.get_mut(&seq).unwrap();
                    (*job, *missed) = (doubtful(job.clone()), 0);
                }
                Verdict::Retry { .. } => {}
                Verdict::Dead { reason, answer } => panic!("{seq} died: {reason} {answer}"),
            }
        }
        world.now_ms += 120_000;
    }
    panic!("{} passes never arrived", open.len());
}

#[test]
fn every_pass_arrives_once_whatever_breaks_off() {
    for round in 0..60 {
        let seed = 0x5eed_0000 + round;
        let mut chance = fastrand::Rng::with_seed(seed);
        let mut world = World::new([timeline(), deal(), both()][chance.usize(0..3)].clone());
        for guest in 0..6 {
            // Some share a phone, some are there already.
            world.client(&format!("g-{guest}"), "Имя", &format!("+7999000000{}", guest / 2));
            if chance.bool() {
                world.portal.contact(json!({"fm": [{"id": 1, "typeId": "PHONE", "value": format!("8999000000{}", guest / 2)}]}));
            }
        }
        let there = world.portal.contacts.len();
        let methods =
            ["crm.item.add", "crm.timeline.logmessage.add", "crm.item.update", "crm.item.list", "crm.timeline.logmessage.list", "crm.item.fields"];
        for _ in 0..12 {
            let method = methods[chance.usize(0..methods.len())];
            let cut =
                [Cut::Before, Cut::After, Cut::HalfThen502(chance.usize(0..4)), Cut::Refused(503, "QUERY_LIMIT_EXCEEDED"), Cut::Refused(502, "x")]
                    [chance.usize(0..5)];
            world.portal.cuts.push_back((method, cut));
            let fault = [
                Value::Null,
                Value::Null,
                json!({"error": "QUERY_LIMIT_EXCEEDED"}),
                json!({"error": "INTERNAL_SERVER_ERROR"}),
                json!({"error": "INTERNAL_SERVER_ERROR", "done": true}),
                json!({"done": true}),
            ][chance.usize(0..6)]
            .clone();
            world.portal.fail(method, fault);
        }
        let jobs: Vec<Job> = (1..=40).map(|seq| job(seq, (seq % 7 != 0).then(|| format!("g-{}", chance.u32(0..6))).as_deref())).collect();
        println!("seed {seed:#x}, {there} contacts are there");
        settle(&mut world, jobs, &mut chance);

        let origins: Vec<&Value> = world.portal.deals.values().map(|deal| &deal["originId"]).collect();
        let distinct: BTreeSet<String> = origins.iter().map(|origin| origin.to_string()).collect();
        assert_eq!(origins.len(), distinct.len(), "a deal was doubled, seed {seed:#x}");
        let lines: Vec<&str> = world.portal.lines.iter().filter_map(|line| line.2.lines().last()).collect();
        assert_eq!(lines.len(), lines.iter().collect::<BTreeSet<_>>().len(), "a line was doubled, seed {seed:#x}");
        if !origins.is_empty() {
            assert_eq!(origins.len(), 40, "a deal was lost, seed {seed:#x}");
        }
        if !lines.is_empty() {
            assert_eq!(lines.len(), 40 - 40 / 7, "a line was lost, seed {seed:#x}");
        }
        let clients: Vec<&Value> = world.portal.contacts.values().filter_map(|item| item.get("originId")).collect();
        assert_eq!(
            clients.len(),
            clients.iter().map(|origin| origin.to_string()).collect::<BTreeSet<_>>().len(),
            "a contact was doubled, seed {seed:#x}"
        );
    }
}

#[test]
fn nothing_personal_is_in_labels_reasons_or_the_ledger() {
    let canaries = ["Зинаида", "Иванова", "Пётр", "Ольга", "9995550101", "example.ru", "1990", "AC11A1A3", "Батуты"];
    let mut world = World::new(both());
    world.client("c-1", "Зинаида", "+7 999 555-01-01");
    world.portal.fail("crm.item.add", json!({"error": "ERROR_CORE", "error_description": "Зинаида c-1@example.ru"}));
    world.deliver(vec![job(1, Some("c-1"))]);
    world.portal.cuts.push_back(("crm.item.add", Cut::After));
    world.deliver(vec![job(2, Some("c-1"))]);
    world.deliver(vec![doubtful(job(2, Some("c-1")))]);
    assert!(world.shown.len() > 20);
    for shown in &world.shown {
        assert!(canaries.iter().all(|canary| !shown.contains(canary)), "{shown}");
    }
}

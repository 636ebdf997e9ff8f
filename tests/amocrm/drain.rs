//! A deep backlog costs few requests.

use std::collections::BTreeMap;

use http::Method;
use limegate::delivery::Host;
use serde_json::json;

use crate::hand::*;

const PASSES: u32 = 10_000;
const GUESTS: u32 = 2_000;

/// Drains the backlog in batches; Lime lists passes below what `listed` makes of the batch's end. Returns requests to amoCRM per pass.
fn drain(seed: u64, listed: impl Fn(u32) -> u32) -> f64 {
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let guests: Vec<u32> = (0..PASSES).map(|_| random.u32(0..GUESTS)).collect();
    let mut passes_of: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for (pass, guest) in (0..).zip(&guests) {
        passes_of.entry(format!("c-{guest}")).or_default().push(pass);
    }
    let notes = Notes::with_schema();
    for guest in 0..GUESTS {
        notes.put("amocrm.contact", &format!("c-{guest}"), (7_000 + guest).to_string());
    }
    let (mut requests, mut made) = (0, BTreeMap::new());
    for from in (0..PASSES).step_by(250) {
        let jobs = (from..(from + 250).min(PASSES)).map(|n| job(n, Some(&format!("c-{}", guests[n as usize])))).collect();
        let outcome = run_at(&notes, jobs, AT + 4 * 3_600_000, |asked| match (asked.host, asked.method, asked.path) {
            (Host::Lime, ..) if asked.path.contains("/transactions") => {
                let client = asked.path.split('/').nth(2).unwrap();
                let newest = passes_of[client].iter().rev().filter(|n| **n < listed(from + 250)).take(10);
                let items: Vec<_> = newest
                    .map(|n| json!({"id": format!("t-{n}"), "type": "write_off", "occurred_at": "2026-11-22T10:00:00Z", "write_off_id": key(*n)}))
                    .collect();
                Reply::Json(200, json!({"items": items}))
            }
            (Host::Lime, ..) => lime(asked, "+7 999 123-45-67"),
            (_, &Method::POST, "/api/v4/leads") => {
                for lead in &asked.body {
                    *made.entry(lead["request_id"].as_str().unwrap().to_owned()).or_insert(0) += 1;
                }
                created("leads", &asked.body, 1_000_000 + u64::from(from))
            }
            (_, &Method::PATCH, "/api/v4/contacts") => changed(&asked.body),
            (_, method, path) => panic!("{method} {path}"),
        });
        requests += outcome.calls.iter().filter(|call| call.host == Host::Crm).count();
        assert!(outcome.calls.iter().all(|call| call.request.body.as_ref().is_none_or(|body| body.len() < 512 * 1024)));
    }
    assert_eq!((made.len(), made.values().max()), (PASSES as usize, Some(&1)), "every pass once");
    requests as f64 / f64::from(PASSES)
}

#[test]
fn ten_thousand_passes_of_two_thousand_known_guests_cost_at_most_a_twentieth_of_a_request_each() {
    // Only the CRM was away: Lime lists all of them from the start.
    let crm_away = drain(crate::seed(), |_| PASSES);
    // Lime was away, too, and is just ahead: it lists what the batch holds, and no more.
    let both_away = drain(crate::seed(), |until| until);
    println!("requests a pass: CRM away {crm_away:.4}, both away {both_away:.4}");
    assert!(crm_away <= 0.05 && both_away <= 0.05, "{crm_away} {both_away}");
}

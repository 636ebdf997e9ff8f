//! What is promised, as scenarios.

use std::time::Duration;

use limegate::delivery::{Limit, revive};
use limegate::journal::{Destination, Record, Store};
use sandbox::Host;
use sandbox::faults::{Mode, Rule};
use tokio::time::sleep;

use crate::crm::Trouble;
use crate::rig::Rig;
use crate::{campaign, seed, trials};

const ALL_KINDS: Trouble = Trouble {
    drop_before: 40,
    drop_after: 60,
    half_answer: 30,
    bad_gateway: 30,
    bad_gateway_after: 20,
    late: 20,
    late_ms: 60_000,
    lag_ms: 30_000,
    junk: 0,
};

/// A fifth of all exchanges with Lime ends badly, each in one of these ways.
fn trouble_at_lime(rig: &Rig, seed: u64) {
    let mut site = rig.site.lock().unwrap();
    let modes = [
        Mode::DropAfterCommit,
        Mode::DropBeforeCommit,
        Mode::HalfAnswer,
        Mode::BadGateway { committed: true },
        Mode::LateCommit { ms: 20_000 },
        Mode::MissingItems { count: 3, committed: true },
        Mode::RetryItems { count: 5, retry_after_ms: 2_000 },
        Mode::Unavailable { retry_after_s: Some(3) },
        Mode::Junk { bytes: 1 << 20 },
        Mode::Hang { committed: true },
    ];
    for (at, mode) in modes.into_iter().enumerate() {
        site.faults.set(0, Rule::new(Host::Lime, mode).chance(0.02, seed + at as u64));
    }
}

/// Seconds that so many passes may take: the cards are the same however many there are, and each doubt holds its card for two settle windows.
fn patience(passes: usize) -> u64 {
    7_200 * (passes as u64).div_ceil(5_000)
}

#[tokio::test(start_paused = true)]
async fn a_pass_becomes_a_write_off_and_a_deal() {
    let mut rig = Rig::new(seed());
    let running = rig.start();
    for _ in 0..20 {
        rig.pass().await;
    }
    rig.drained(30).await;
    running.stop().await;
    assert_eq!((rig.lime_books(), rig.crm_books()), ((0, 0), (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn campaign_passes_through_a_fifth_of_faults_and_restarts_are_neither_lost_nor_doubled() {
    let seed = seed();
    let mut rig = Rig::new(seed);
    trouble_at_lime(&rig, seed);
    rig.crm.lock().unwrap().trouble = ALL_KINDS;
    let mut running = rig.start();
    let count = trials(5_000);
    for at in 0..count {
        rig.pass().await;
        if at % 10 == 0 {
            sleep(Duration::from_millis(rig.chance.u64(0..1_500))).await;
        }
        // Killed wherever it stands: before, in and after a request, between an answer and its record.
        if rig.chance.u32(0..250) == 0 {
            running.kill().await;
            running = rig.start();
        }
    }
    rig.drained(patience(count)).await;
    rig.settled().await;
    running.stop().await;
    let (lime, crm, order) = (rig.lime_books(), rig.crm_books(), rig.inversions());
    campaign("delivery", count, lime.0 + lime.1 + crm.0 + crm.1 + order.0 + order.1, seed);
    assert_eq!((lime, crm, order), ((0, 0), (0, 0), (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn campaign_a_commit_that_comes_late_is_found_and_not_repeated() {
    let (seed, count) = (seed(), trials(1_000));
    let mut rig = Rig::new(seed);
    rig.crm.lock().unwrap().trouble = Trouble { late: 500, late_ms: 60_000, lag_ms: 50_000, ..Trouble::default() };
    let running = rig.start();
    for _ in 0..count {
        rig.pass().await;
        sleep(Duration::from_millis(100)).await;
    }
    rig.drained(patience(count)).await;
    rig.settled().await;
    running.stop().await;
    let (lost, doubled) = rig.crm_books();
    campaign("late-commits", count, lost + doubled, seed);
    assert_eq!((lost, doubled), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_day_without_the_crm_delays_lime_by_nothing_and_loses_nothing() {
    let seed = seed();
    let mut lime_delay = Vec::new();
    for down in [false, true] {
        let mut rig = Rig::new(seed);
        let running = rig.start();
        rig.crm.lock().unwrap().down = down;
        let mut delays = Vec::new();
        for _ in 0..1_440 {
            rig.pass().await;
            let before = rig.clock.now_ms();
            while rig.store.pending_count(Destination::Lime) > 0 {
                sleep(Duration::from_millis(5)).await;
            }
            delays.push(rig.clock.now_ms() - before);
            sleep(Duration::from_secs(60)).await;
        }
        rig.crm.lock().unwrap().down = false;
        rig.drained(900).await;
        running.stop().await;
        assert_eq!((rig.lime_books(), rig.crm_books(), rig.inversions()), ((0, 0), (0, 0), (0, 0)));
        lime_delay.push(delays.iter().sum::<u64>());
    }
    assert!(lime_delay[1] * 100 <= lime_delay[0] * 110, "{lime_delay:?}");
}

#[tokio::test(start_paused = true)]
async fn a_drain_keeps_the_limit_and_uses_it() {
    let mut rig = Rig::new(seed());
    for _ in 0..20_000 {
        rig.pass().await;
    }
    let running = rig.start();
    let from = rig.clock.now_ms();
    while rig.crm.lock().unwrap().deals.len() < 15_000 {
        sleep(Duration::from_millis(100)).await;
    }
    let took = rig.clock.now_ms() - from;
    running.kill().await;
    let crm = rig.crm.lock().unwrap();
    let most = crm.arrivals.iter().enumerate().map(|(at, time)| crm.arrivals[..=at].iter().rev().take_while(|other| *time - **other < 1_000).count());
    assert!(most.max().unwrap() <= 7, "more than seven in a second");
    // The first second is Lime's, for nothing is owed to the CRM yet, and a start begins without a token.
    let allowed = (took - 2_500) * 7 / 1_000;
    assert!(crm.requests * 100 >= allowed * 95, "{} of {allowed}", crm.requests);
}

#[tokio::test(start_paused = true)]
async fn fresh_passes_overtake_a_backlog_but_not_their_own_card() {
    let mut rig = Rig::new(seed());
    for _ in 0..10_000 {
        rig.pass().await;
    }
    // They are from this morning.
    sleep(Duration::from_secs(3_600)).await;
    let running = rig.start();
    let mut waits = Vec::new();
    let (mut open, mut seen): (Vec<(String, u64)>, usize) = (Vec::new(), 0);
    for second in 0..150 {
        if second < 60 {
            let id = rig.pass().await;
            open.push((id.to_string(), rig.clock.now_ms()));
        }
        for _ in 0..20 {
            sleep(Duration::from_millis(50)).await;
            let crm = rig.crm.lock().unwrap();
            for deal in &crm.deals[seen..] {
                if let Some(at) = open.iter().position(|(id, _)| *id == deal.key) {
                    waits.push(rig.clock.now_ms() - open.remove(at).1);
                }
            }
            seen = crm.deals.len();
        }
    }
    assert!(open.is_empty(), "{} fresh passes still wait", open.len());
    waits.sort_unstable();
    let p95 = waits[waits.len() * 95 / 100];
    println!("fresh p50 {} ms, p95 {p95} ms; {} of the backlog still wait", waits[waits.len() / 2], rig.store.pending_count(Destination::Crm));
    assert!(p95 <= 5_000, "p95 {p95} ms");
    rig.drained(3_600).await;
    running.stop().await;
    assert_eq!((rig.crm_books(), rig.inversions()), ((0, 0), (0, 0)));
}

/// Seconds of virtual time that a drain of `count` takes, and the rig afterwards.
async fn drain(count: usize, seed: u64, poison: bool) -> (f64, Rig) {
    let mut rig = Rig::new(seed);
    for _ in 0..count {
        rig.pass().await;
    }
    if poison {
        let bad: Vec<String> = rig.made.iter().step_by(100).map(|(id, ..)| id.to_string()).collect();
        rig.crm.lock().unwrap().refused.extend(bad);
        rig.crm.lock().unwrap().trouble.junk = 5;
    }
    let from = rig.clock.now_ms();
    let running = rig.start();
    rig.drained(7_200).await;
    let took = (rig.clock.now_ms() - from) as f64 / 1_000.0;
    running.stop().await;
    (took, rig)
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_good_is_listed_and_can_be_sent_again() {
    let seed = seed();
    let (clean, _) = drain(5_000, seed, false).await;
    let (poisoned, mut rig) = drain(5_000, seed, true).await;
    println!("{clean} s without, {poisoned} s with 1 % refusals and unreadable answers");
    let letters = rig.store.dead(Destination::Crm);
    assert_eq!(letters.len(), 50);
    let deals = rig.crm.lock().unwrap().deals.len();
    assert_eq!(deals, 4_950);
    // The integrator mends it; a person sends them again.
    rig.crm.lock().unwrap().refused.clear();
    let running = rig.start();
    let jobs = letters.iter().map(|letter| letter.job).collect();
    revive(rig.store.as_ref(), rig.clock.as_ref(), Destination::Crm, jobs, "the field is back".into()).await.unwrap();
    rig.drained(600).await;
    running.stop().await;
    assert_eq!(rig.crm_books(), (0, 0));
    assert!(rig.store.dead(Destination::Crm).is_empty());
}

#[tokio::test(start_paused = true)]
async fn refusals_and_unreadable_answers_cost_lime_hardly_any_throughput() {
    let seed = seed();
    let mut took = Vec::new();
    for poison in [false, true] {
        let mut rig = Rig::new(seed);
        // Slow enough that requests are what counts.
        rig.lime_limit = Limit::of(0.5, 1);
        rig.settings.crm_rate = 1_000.0;
        rig.settings.crm_burst = 1_000;
        for at in 0..20_000 {
            let point = if poison && at % 100 == 50 { "nowhere" } else { "sp-4" };
            rig.pass_at(point).await;
        }
        if poison {
            let mut site = rig.site.lock().unwrap();
            site.faults.set(0, Rule { after: 40, ..Rule::new(Host::Lime, Mode::Junk { bytes: 1 << 20 }).times(1) });
        }
        let from = rig.clock.now_ms();
        let running = rig.start();
        rig.drained(3_600).await;
        took.push(rig.clock.now_ms() - from);
        running.stop().await;
        assert_eq!(rig.store.dead(Destination::Lime).len(), if poison { 200 } else { 0 });
    }
    println!("{} ms without, {} ms with", took[0], took[1]);
    assert!(took[0] * 100 >= took[1] * 98, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_spoils_every_answer_ends_up_alone_and_blocks_nobody() {
    let mut rig = Rig::new(seed());
    for _ in 0..400 {
        rig.pass().await;
    }
    let bad = rig.made[7].0;
    rig.crm.lock().unwrap().poison.insert(bad.to_string());
    let running = rig.start();
    // What waits behind it on its own card waits; all others pass.
    let card = |rig: &Rig, seq| match rig.store.get(seq).unwrap().unwrap().record {
        Record::Pass(pass) => pass.medium.order_key(),
        other => panic!("{other:?}"),
    };
    let own = rig.made.iter().filter(|(_, seq, _)| *seq >= rig.made[7].1 && card(&rig, *seq) == card(&rig, rig.made[7].1)).count();
    for _ in 0..1_800 {
        sleep(Duration::from_secs(1)).await;
        if rig.store.pending_count(Destination::Crm) <= own as u64 {
            break;
        }
    }
    let left = rig.store.pending_count(Destination::Crm);
    // One client may have several cards, so a few more may stand in its queue.
    assert!(left <= own as u64 + 20, "{left} of 400 are held up, {own} of its own card");
    // It is never given up: when the CRM can read it again, it arrives.
    rig.crm.lock().unwrap().poison.clear();
    rig.drained(3_600).await;
    running.stop().await;
    assert_eq!((rig.crm_books(), rig.inversions()), ((0, 0), (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_keeps_the_queue_and_says_so() {
    let mut rig = Rig::new(seed());
    let running = rig.start();
    let token = rig.site.lock().unwrap().lime.token().to_owned();
    rig.site.lock().unwrap().lime.set_token("another");
    for _ in 0..10 {
        rig.pass().await;
    }
    sleep(Duration::from_secs(3_600)).await;
    let state = rig.hub.snapshot().destinations["lime"].clone();
    assert_eq!((state.error.as_deref(), state.waiting), (Some("auth"), 10));
    assert!(state.requests <= 70, "{} requests in an hour of a refused token", state.requests);
    rig.site.lock().unwrap().lime.set_token(&token);
    rig.drained(120).await;
    running.stop().await;
    assert_eq!((rig.lime_books(), rig.crm_books()), ((0, 0), (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_refuses_for_a_while_doubles_nothing() {
    let mut rig = Rig::new(seed());
    for _ in 0..200 {
        rig.pass().await;
    }
    rig.store.refuse.store(25, std::sync::atomic::Ordering::SeqCst);
    let running = rig.start();
    rig.drained(600).await;
    running.stop().await;
    assert_eq!((rig.lime_books(), rig.crm_books()), ((0, 0), (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_within_its_deadline_and_the_rest_is_delivered_after_the_start() {
    let mut rig = Rig::new(seed());
    rig.site.lock().unwrap().faults.set(0, Rule::new(Host::Lime, Mode::Hang { committed: true }).times(4));
    for _ in 0..1_000 {
        rig.pass().await;
    }
    let running = rig.start();
    sleep(Duration::from_millis(200)).await;
    let from = rig.clock.now_ms();
    running.stop().await;
    assert!(rig.clock.now_ms() - from <= 5_100);
    let running = rig.start();
    rig.drained(600).await;
    running.stop().await;
    assert_eq!((rig.lime_books(), rig.crm_books()), ((0, 0), (0, 0)));
}

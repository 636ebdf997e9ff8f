//! When a pass was, as Lime is told: boots whose clock was never synchronised among those whose clock was.

use std::sync::Arc;

use limegate::clock::Clock;
use limegate::domain::{Anchor, BootId, Stamp, Sync};
use limegate::journal::{Record, Store};
use sandbox::Host;
use serde_json::Value;
use uuid::Uuid;

use crate::clock::{VirtualClock, WALL_0};
use crate::rig::Rig;
use crate::seed;

/// A box without a battery: it wakes in 1970, and nobody tells it the time.
struct Wakes1970(Arc<VirtualClock>);

impl Clock for Wakes1970 {
    fn stamp(&self) -> Stamp {
        let now = self.0.now_ms();
        unsynced(33, 1_000 + now)
    }
}

fn stamp(boot: u128, boot_ms: u64, wall_ms: i64, sync: Sync) -> Stamp {
    Stamp { boot: BootId(Uuid::from_u128(boot)), boot_ms, wall_ms, sync }
}

/// Its wall clock counts from 1970.
fn unsynced(boot: u128, boot_ms: u64) -> Stamp {
    stamp(boot, boot_ms, i64::try_from(boot_ms).unwrap(), Sync::Unsynced)
}

/// What Lime was told of each pass, in the order of the passes.
fn told(rig: &Rig) -> Vec<Value> {
    let site = rig.site.lock().unwrap();
    let calls = site.log.calls().filter(|call| call.service == Host::Lime && call.path.contains("write-offs:batch"));
    let bodies: Vec<Value> = calls.map(|call| serde_json::from_str(&call.body).unwrap()).collect();
    let items = || bodies.iter().flat_map(|body| body["items"].as_array().unwrap());
    let of = |id: &Uuid| items().find(|item| item["write_off_id"] == id.to_string()).unwrap().clone();
    rig.made.iter().map(|(id, ..)| of(id)).collect()
}

fn ms(item: &Value, key: &str) -> Option<i64> {
    item[key].as_str().map(|text| text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

fn quality(item: &Value) -> &str {
    item["clock_quality"].as_str().unwrap()
}

async fn one_more_and_all_is_delivered(rig: &mut Rig) {
    let running = rig.start();
    rig.pass().await;
    rig.drained(30).await;
    running.stop().await;
    assert_eq!((rig.lime_books(), rig.crm_books()), ((0, 0), (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn passes_of_a_boot_that_never_synchronised_are_sent_with_bounds_that_hold() {
    const HOUR: u64 = 3_600_000;
    let mut rig = Rig::new(seed());
    let a_started = WALL_0 - 10 * 3_600_000;
    // Boot 11 synchronises after a minute; boot 22 (a night without the internet) never does; now boot 1 runs, with the right time.
    rig.pass_stamped(unsynced(11, 10_000)).await;
    let anchor = Anchor { stamp: stamp(11, 60_000, a_started + 60_000, Sync::Synced), error_ms: 5 };
    rig.store.append(vec![Record::Anchor(anchor)]).await.unwrap();
    rig.pass_stamped(stamp(11, HOUR, a_started + 3_600_000, Sync::Synced)).await;
    rig.pass_stamped(unsynced(22, 5_000)).await;
    rig.pass_stamped(unsynced(22, 2 * HOUR)).await;
    one_more_and_all_is_delivered(&mut rig).await;

    let items = told(&rig);
    assert_eq!(items.iter().map(quality).collect::<Vec<_>>(), ["holdover", "synced", "unsynced", "unsynced", "synced"]);
    let seqs: Vec<u64> = items.iter().map(|item| item["seq"].as_u64().unwrap()).collect();
    assert!(seqs.is_sorted(), "the order is that of the journal: {seqs:?}");
    // Corrected by its boot's anchor.
    assert_eq!(ms(&items[0], "occurred_at"), Some(a_started + 10_000));
    assert!(items[0]["occurred_not_before"].is_null() && items[0]["occurred_not_after"].is_null());
    for (item, gone_ms) in [(&items[2], 5_000), (&items[3], 2 * 3_600_000)] {
        let (from, until) = (ms(item, "occurred_not_before").unwrap(), ms(item, "occurred_not_after").unwrap());
        // Not before the last that is known of boot 11 and what had gone by of boot 22; not after boot 1 began.
        assert_eq!(from, a_started + 3_600_000 - 5 + gone_ms);
        assert!(from < until && until <= WALL_0, "{from} {until}");
        let at = ms(item, "occurred_at").unwrap();
        assert!(from <= at && at <= until, "never 1970: {item}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_box_that_does_not_know_the_time_delivers_at_once_and_says_what_it_knows() {
    let mut rig = Rig::new(seed());
    let anchor = Anchor { stamp: stamp(11, 60_000, WALL_0 - 7_200_000, Sync::Synced), error_ms: 5 };
    rig.store.append(vec![Record::Anchor(anchor)]).await.unwrap();
    rig.shown = Arc::new(Wakes1970(rig.clock.clone()));
    one_more_and_all_is_delivered(&mut rig).await;
    let items = told(&rig);
    assert_eq!(quality(&items[0]), "unsynced");
    assert!(items[0]["occurred_not_after"].is_null(), "nobody knows how late it is: {}", items[0]);
    let from = ms(&items[0], "occurred_not_before").unwrap();
    assert!(from >= WALL_0 - 7_200_000 - 5 && ms(&items[0], "occurred_at").unwrap() >= from, "{}", items[0]);
}

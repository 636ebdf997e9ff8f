//! The gateway killed at random moments: what was acknowledged is there afterwards, and once in effect.
//!
//! The ledger stands outside: codes that the scanner got an ACK for, messages that the broker took. `LIMEGATE_KILLS` and `LIMEGATE_SEED` make the long form.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sandbox::Host;

use crate::common::wait_for;
use crate::park::Park;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn an_acknowledged_pass_survives_kill_9() {
    let kills = number("LIMEGATE_KILLS", 100);
    let seed = number("LIMEGATE_SEED", u64::from(std::process::id()));
    println!("kills {kills}, seed {seed}");
    let mut chance = fastrand::Rng::with_seed(seed);
    // Each life begins a segment: small ones, so that a late life does not spend itself on reading empty space.
    let mut park = Park::with(Host::Amocrm, "[journal]\nsegment = \"64KiB\"\n");
    park.set_up_crm();
    let (mut acknowledged, mut published) = (BTreeSet::new(), BTreeSet::new());
    let mut count = 0;
    for kill in 0..kills {
        park.venue.start();
        // Some are killed before the gates are open, most while passes come.
        let early = chance.u8(..10) == 0;
        let mut last = None;
        if !early {
            park.wait_open();
            for _ in 0..chance.u8(1..4) {
                count += 1;
                let (code, id) = (format!("KILL-{seed}-{count}"), format!("m-{seed}-{count}"));
                park.publish(&id, "qr", &code);
                published.insert(id);
                // The kill may come at any moment of the dialogue.
                let patience = if chance.bool() { Duration::from_secs(5) } else { Duration::from_millis(chance.u64(..4)) };
                last = Some(code.clone());
                if park.code(&code, patience) {
                    acknowledged.insert(code);
                } else {
                    // An ACK that comes now is this code's; a further code would take it for its own.
                    break;
                }
            }
        }
        park.venue.kill();
        // Said while nobody listened any more, and said all the same.
        if park.late_acknowledgement() {
            acknowledged.extend(last);
        }
        park.forget_owners();
        assert!(kill < kills);
    }
    park.open();
    let stored = |park: &Park| {
        let (mut codes, mut ids): (BTreeMap<String, u64>, BTreeMap<String, u64>) = (BTreeMap::new(), BTreeMap::new());
        for pass in park.journal() {
            let value = pass["medium"]["value"].as_str().unwrap_or_default().to_owned();
            match pass["device"]["record"].as_str() {
                Some(id) => *ids.entry(id.to_owned()).or_default() += 1,
                None => *codes.entry(value).or_default() += 1,
            }
        }
        (codes, ids)
    };
    // What the broker holds for us arrives now.
    let all_stored = wait_for(Duration::from_secs(120), || {
        let (_, ids) = stored(&park);
        published.iter().all(|id| ids.contains_key(id))
    });
    assert!(all_stored, "seed {seed}: messages of the broker are lost");
    let (codes, ids) = stored(&park);
    let lost: Vec<_> = acknowledged.iter().filter(|code| !codes.contains_key(*code)).collect();
    assert!(lost.is_empty(), "seed {seed}: acknowledged and lost: {lost:?}");
    let doubled: Vec<_> = ids.iter().filter(|(_, times)| **times > 1).collect();
    assert!(doubled.is_empty(), "seed {seed}: stored twice: {doubled:?}");
    println!("trials {kills}, acknowledged {}, published {}, violations 0, seed {seed}", acknowledged.len(), published.len());

    // And everything that is stored takes effect once in Lime.
    let total = u64::try_from(park.journal().len()).unwrap_or(0);
    park.wait_drained(total, Duration::from_secs(120));
    let lime = park.state(Host::Lime);
    let write_offs = lime["write_offs"].as_object().cloned().unwrap_or_default();
    assert_eq!(write_offs.len() as u64, total, "seed {seed}");
    assert!(write_offs.values().all(|one| one["applied"].as_u64() <= Some(1)), "seed {seed}: applied twice");
}

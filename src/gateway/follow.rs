//! Follows the journal and tells the tap what became of passes. Reads only while somebody listens.

use std::sync::Arc;

use tokio::sync::{broadcast, watch};

use crate::domain::Seq;
use crate::journal::{Destination, Entry, Record, Store};
use crate::tap::Event;

/// Records read at a time.
const PAGE: usize = 512;

/// Tells the tap until the gateway stops.
pub async fn follow(store: Arc<dyn Store>, tap: broadcast::Sender<Event>, mut stop: watch::Receiver<bool>) {
    let mut head = store.head();
    let mut told = *head.borrow_and_update();
    loop {
        tokio::select! {
            changed = head.changed() => if changed.is_err() { return },
            _ = stop.wait_for(|stop| *stop) => return,
        }
        let newest = *head.borrow_and_update();
        if tap.receiver_count() == 0 {
            told = newest;
            continue;
        }
        while told < newest {
            // What cannot be read now is not told; the journal itself reports the disk.
            let Ok(entries) = store.read(told + 1, PAGE) else { break };
            let Some(last) = entries.last() else { break };
            told = last.seq;
            for event in entries.iter().flat_map(|entry| events(entry, store.as_ref())) {
                let _ = tap.send(event);
            }
        }
    }
}

fn events(entry: &Entry, store: &dyn Store) -> Vec<Event> {
    match &entry.record {
        Record::WriteOff(write_off) => {
            vec![Event::WriteOff { id: write_off.pass_id, status: write_off.status, code: write_off.code.clone() }]
        }
        Record::Settled(settled) if settled.to == Destination::Crm => {
            settled.items.iter().filter_map(|item| Some(Event::Crm { id: pass_of(item.job, store)?, remote: item.remote.clone() })).collect()
        }
        Record::Dead(letter) => vec![Event::Refused { id: letter.key, by: letter.to, reason: letter.reason.clone() }],
        _ => Vec::new(),
    }
}

fn pass_of(job: Seq, store: &dyn Store) -> Option<uuid::Uuid> {
    match store.get(job).ok()??.record {
        Record::WriteOff(write_off) => Some(write_off.pass_id),
        Record::Pass(pass) => Some(pass.id),
        _ => None,
    }
}

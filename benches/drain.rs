//! What a drain costs: requests per pass when 10 000 passes of 2 000 known guests have waited. `cargo bench --bench drain`.
//!
//! The real runners and couriers against the sandbox's services in-process, in virtual time, over a journal in memory. `LIMEGATE_SEED` repeats a run.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "shared with the tests of delivery")]

#[path = "../tests/delivery/accounts.rs"]
mod accounts;
#[path = "../tests/delivery/clock.rs"]
mod clock;
#[path = "../tests/delivery/crm.rs"]
#[allow(dead_code, reason = "shared with the tests of delivery")]
mod crm;
#[path = "../tests/delivery/rig.rs"]
#[allow(dead_code, reason = "shared with the tests of delivery")]
mod rig;
#[path = "../tests/delivery/store.rs"]
#[allow(dead_code, reason = "shared with the tests of delivery")]
mod store;
#[allow(dead_code, reason = "shared by the benches")]
mod table;

use std::process::ExitCode;

use accounts::{Away, books, drain, host, with_amocrm, with_bitrix24};
use limegate::config::{PassesAs, StageRef};
use rig::Rig;
use table::{Promised, Table};

const PASSES: usize = 10_000;
const GUESTS: usize = 2_000;

/// One drain; the sandbox's own books and limits must agree, whatever it cost.
async fn measured(table: &mut Table, name: &str, mut rig: Rig, away: Away, promised: Promised) {
    let (rate, burst) = (rig.settings.crm_rate, f64::from(rig.settings.crm_burst));
    let drained = drain(&mut rig, PASSES, GUESTS, away).await;
    let who = if away == Away::Both { "both were away" } else { "the CRM was away" };
    let sent = drained.to_crm as f64;
    table.row(&format!("requests a pass to {name}, {who}"), sent / PASSES as f64, 4, promised);
    if away == Away::Crm {
        table.row("  of the allowance used (a remark)", sent / (burst + rate * drained.seconds), 2, Promised::Nothing);
    } else {
        table.row("  requests a pass to Lime (a remark)", drained.to_lime as f64 / PASSES as f64, 4, Promised::Nothing);
    }
    let (lost, doubled) = books(&rig);
    table.row("  passes lost or doubled", (lost + doubled) as f64, 0, Promised::AtMost(0.0));
    let breaches = rig.site.lock().unwrap().state(host(&rig))["limits"]["breaches"].as_f64().unwrap();
    table.row("  breaches of its limit", breaches, 0, Promised::AtMost(0.0));
}

fn main() -> ExitCode {
    let seed = std::env::var("LIMEGATE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| fastrand::u64(..1_000_000));
    let mut table = Table::new("benches/drain.rs");
    let twentieth = Promised::AtMost(0.05);
    // Time begins anew for each.
    let virtual_time = || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    for away in [Away::Both, Away::Crm] {
        virtual_time().block_on(async { measured(&mut table, "amoCRM", with_amocrm(seed).await, away, twentieth).await });
        virtual_time().block_on(async { measured(&mut table, "Bitrix24", with_bitrix24(seed, PassesAs::Timeline).await, away, twentieth).await });
    }
    let both = PassesAs::Both { pipeline: StageRef::Name("Проходы".to_owned()), stage: StageRef::Default };
    virtual_time().block_on(async {
        measured(&mut table, "Bitrix24 with deals", with_bitrix24(seed, both).await, Away::Crm, Promised::Nothing).await;
    });
    println!("seed {seed}");
    table.end()
}

//! The real couriers against the sandbox's CRMs: a drain in few requests, at the pace that is allowed.

use limegate::config::PassesAs;
use sandbox::Host;

use crate::accounts::{Away, books, drain, with_amocrm, with_bitrix24};
use crate::rig::Rig;
use crate::seed;

/// How much of seven a second was used, from the first request to amoCRM since `from_ms` to the last.
fn share(rig: &Rig, from_ms: u64) -> f64 {
    let site = rig.site.lock().unwrap();
    let at: Vec<u64> = site.log.calls().filter(|call| call.service == Host::Amocrm && call.at_ms >= from_ms).map(|call| call.at_ms).collect();
    (at.len() - 1) as f64 * 1_000.0 / (7.0 * (at[at.len() - 1] - at[0]) as f64)
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_passes_of_two_thousand_guests_drain_into_amocrm_in_few_requests() {
    let mut rig = with_amocrm(seed()).await;
    let drained = drain(&mut rig, 10_000, 2_000, Away::Both).await;
    println!("{} requests to the CRM, {} to Lime, {} s", drained.to_crm, drained.to_lime, drained.seconds);
    assert_eq!(books(&rig), (0, 0));
    let most = rig.site.lock().unwrap().log.max_in_a_second(Host::Amocrm);
    assert!(most <= 7, "{most} in a second");
    assert!(drained.to_crm <= 500, "{drained:?}");
    let share = share(&rig, drained.from_ms);
    println!("{share:.4} of the allowance");
    assert!(share >= 0.95, "{share} of the allowance");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_passes_of_two_thousand_guests_drain_into_bitrix24_in_few_calls() {
    let mut rig = with_bitrix24(seed(), PassesAs::Timeline).await;
    let drained = drain(&mut rig, 10_000, 2_000, Away::Both).await;
    println!("{} requests to the CRM, {} to Lime, {} s", drained.to_crm, drained.to_lime, drained.seconds);
    assert_eq!(books(&rig), (0, 0));
    assert_eq!(rig.site.lock().unwrap().state(Host::Bitrix24)["limits"]["breaches"], 0);
    assert!(drained.to_crm <= 500, "{drained:?}");
}

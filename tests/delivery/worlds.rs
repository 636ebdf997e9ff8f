//! The real couriers against the sandbox's CRMs: a drain in few requests, at the pace that is allowed.

use limegate::config::PassesAs;
use sandbox::Host;

use crate::accounts::{Away, books, drain, with_amocrm, with_bitrix24};
use crate::seed;

#[tokio::test(start_paused = true)]
async fn ten_thousand_passes_of_two_thousand_guests_drain_into_amocrm_in_few_requests() {
    let mut rig = with_amocrm(seed()).await;
    let drained = drain(&mut rig, 10_000, 2_000, Away::Both).await;
    println!("{} requests to the CRM, {} to Lime, {} s", drained.to_crm, drained.to_lime, drained.seconds);
    assert_eq!(books(&rig), (0, 0));
    let most = rig.site.lock().unwrap().log.max_in_a_second(Host::Amocrm);
    assert!(most <= 7, "{most} in a second");
    assert!(drained.to_crm <= 500, "{drained:?}");
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

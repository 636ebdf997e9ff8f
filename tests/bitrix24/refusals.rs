//! What the portal refuses, limits or lacks.

use std::time::Duration;

use limegate::delivery::Verdict;
use serde_json::{Value, json};

use crate::known;
use crate::portal::Portal;
use crate::world::{both, confirmed, deal, job, remote, retry, timeline};

#[test]
fn what_is_missing_at_the_portal_holds_passes_up_and_loses_none() {
    let missing_stage = |portal: &mut Portal| portal.stages.retain(|stage| stage.1 != "C9:WON");
    let missing_funnel = |portal: &mut Portal| portal.funnels.retain(|funnel| funnel.0 != 9);
    let twin_funnel = |portal: &mut Portal| portal.funnels.push((12, "проходы"));
    let missing_field = |portal: &mut Portal| portal.deal_fields.retain(|field| field.0 != "UF_CRM_LIME_LEFT");
    type Spoil = fn(&mut Portal);
    let cases: [(Spoil, &str); 4] =
        [(missing_stage, "setup/stage"), (missing_funnel, "setup/pipeline"), (twin_funnel, "setup/pipeline"), (missing_field, "setup/field")];
    for (spoil, wanted) in cases {
        let mut world = known(both());
        spoil(&mut world.portal);
        for _ in 0..5 {
            assert_eq!(retry(&world.deliver(vec![job(1, Some("c-1"))])[&1]), wanted);
        }
        let ready = Portal::ready();
        (world.portal.stages, world.portal.funnels, world.portal.deal_fields) = (ready.stages, ready.funnels, ready.deal_fields);
        assert!(confirmed(&world.deliver(vec![job(1, Some("c-1"))])[&1]), "{wanted}");
    }
}

#[test]
fn a_stage_that_went_away_is_looked_up_once_and_then_a_person_decides() {
    let stale = json!({"error": "CRM_FIELD_ERROR_VALUE_NOT_VALID", "error_description": "Стадия не найдена"});
    let mut world = known(deal());
    world.deliver(vec![job(1, Some("c-1"))]);
    world.portal.stages = vec![(9, "C9:DONE", "Готово", json!("S"))];
    world.portal.fail("crm.item.add", stale.clone());
    assert!(confirmed(&world.deliver(vec![job(2, Some("c-1"))])[&2]));
    assert_eq!(world.portal.deals.last_key_value().unwrap().1["stageId"], "C9:DONE");
    // The stage is gone for good: the pass waits.
    world.portal.stages.clear();
    world.portal.fail("crm.item.add", stale.clone());
    assert_eq!(retry(&world.deliver(vec![job(3, Some("c-1"))])[&3]), "setup/stage");
    // The stage is there, and the portal says the same again: not the names are at fault.
    world.portal.stages = vec![(9, "C9:DONE", "Готово", json!("S"))];
    world.portal.fail("crm.item.add", stale.clone());
    assert!(matches!(&world.deliver(vec![job(3, Some("c-1"))])[&3], Verdict::Dead { reason, .. } if reason == "refused/deal"));
}

#[test]
fn a_limit_inside_a_batch_stops_the_batch_and_says_when() {
    for (code, after) in [("QUERY_LIMIT_EXCEEDED", 2), ("OPERATION_TIME_LIMIT", 60), ("OVERLOAD_LIMIT", 300)] {
        let mut world = known(deal());
        world.deliver(vec![job(1, Some("c-1"))]);
        world.portal.fail("crm.item.add", Value::Null);
        world.portal.fail("crm.item.add", json!({"error": code, "error_description": ""}));
        let before = world.requests();
        let verdicts = world.deliver((2..80).map(|seq| job(seq, None)).collect());
        assert!(confirmed(&verdicts[&2]));
        for seq in [3, 60, 79] {
            assert!(
                matches!(&verdicts[&seq], Verdict::Retry { after: Some(pause), .. } if *pause == Duration::from_secs(after)),
                "{seq} {:?}",
                verdicts[&seq]
            );
        }
        assert_eq!(world.requests() - before, 1, "nothing more is sent");
    }
}

#[test]
fn a_method_near_its_operating_budget_rests_until_the_portal_gives_some_back() {
    let mut world = known(deal());
    world.portal.operating.insert("crm.item.add".to_owned(), 361.0);
    world.deliver(vec![job(1, None)]);
    let before = world.requests();
    let verdicts = world.deliver(vec![job(2, None)]);
    assert!(
        matches!(&verdicts[&2], Verdict::Retry { reason, after: Some(pause) } if reason == "crm/operating_time" && *pause == Duration::from_secs(45))
    );
    assert_eq!(world.requests(), before);
    world.now_ms += 45_000;
    assert!(confirmed(&world.deliver(vec![job(2, None)])[&2]));
}

#[test]
fn a_record_refused_for_good_is_dead_without_the_guests_words_and_holds_up_nobody() {
    let mut world = known(deal());
    world.deliver(vec![job(1, None)]);
    world.portal.fail("crm.item.add", json!({"error": 0, "error_description": "«Вход Север» и +79991234567 не годятся"}));
    let verdicts = world.deliver(vec![job(2, None), job(3, None)]);
    let Verdict::Dead { reason, answer } = &verdicts[&2] else { panic!("{verdicts:?}") };
    assert_eq!(reason, "refused/deal");
    assert!(answer.starts_with("0: ") && !answer.contains("Север") && !answer.contains("9991234567"), "{answer}");
    assert!(confirmed(&verdicts[&3]));
}

#[test]
fn a_pass_of_nobody_is_a_deal_or_nothing_to_write() {
    let mut world = known(timeline());
    assert_eq!(remote(&world.deliver(vec![job(1, None)])[&1]), None);
    assert_eq!(world.requests(), 0);
    let mut world = known(both());
    assert!(remote(&world.deliver(vec![job(1, None)])[&1]).unwrap().starts_with("deal:"));
    assert_eq!((world.portal.deals.len(), world.portal.lines.len()), (1, 0));
    // A client whom Lime does not know any more has no card, either.
    assert!(remote(&world.deliver(vec![job(2, Some("gone"))])[&2]).unwrap().starts_with("deal:"));
    assert_eq!((world.portal.deals.len(), world.portal.contacts.len()), (2, 0));
    let mut world = known(timeline());
    assert_eq!(remote(&world.deliver(vec![job(1, Some("gone"))])[&1]), None);
}

//! Creates whose outcome is unknown.

use limegate::delivery::{Job, Verdict};
use serde_json::json;

use crate::known;
use crate::portal::Cut;
use crate::world::{both, confirmed, deal, doubtful, job, remote, retry, timeline};

#[test]
fn a_create_whose_answer_is_lost_is_asked_for_and_not_repeated() {
    let mut world = known(deal());
    world.deliver(vec![job(1, Some("c-1"))]);
    world.portal.cuts.push_back(("crm.item.add", Cut::After));
    let jobs: Vec<Job> = (2..5).map(|seq| job(seq, Some("c-1"))).collect();
    let verdicts = world.deliver(jobs.clone());
    assert!(verdicts.values().all(|verdict| *verdict == Verdict::Doubtful), "{verdicts:?}");
    assert!((2..5).all(|seq| world.sent.contains(&seq)), "`sending` was asked for");
    let asked = world.requests();
    let verdicts = world.deliver(jobs.into_iter().map(doubtful).collect());
    assert!(verdicts.values().all(confirmed));
    assert_eq!((world.requests() - asked, world.portal.deals.len()), (1, 4));
}

#[test]
fn what_is_not_found_is_said_and_created_afresh_later() {
    let mut world = known(both());
    world.deliver(vec![job(1, Some("c-1"))]);
    let verdicts = world.deliver(vec![doubtful(job(2, Some("c-1"))), job(3, Some("c-1"))]);
    assert_eq!(verdicts[&2], Verdict::NotFound);
    assert_eq!(retry(&verdicts[&3]), "crm/order", "a pass waits for the one before it");
    assert!(world.deliver(vec![job(2, Some("c-1")), job(3, Some("c-1"))]).values().all(confirmed));
    assert_eq!((world.portal.deals.len(), world.portal.lines.len()), (3, 3));
}

#[test]
fn a_line_in_doubt_is_found_by_its_token_behind_other_programs_lines() {
    let mut world = known(timeline());
    world.deliver(vec![job(1, Some("c-1"))]);
    world.portal.cuts.push_back(("crm.timeline.logmessage.add", Cut::After));
    assert_eq!(world.deliver(vec![job(2, Some("c-1"))])[&2], Verdict::Doubtful);
    let contact = *world.portal.contacts.first_key_value().unwrap().0;
    for n in 0..37 {
        world.portal.lines.push((contact, 9_000 + n, "звонок".to_owned()));
    }
    let verdicts = world.deliver(vec![doubtful(job(2, Some("c-1")))]);
    assert!(remote(&verdicts[&2]).unwrap().starts_with("timeline:"));
    let verdicts = world.deliver(vec![doubtful(job(3, Some("c-1")))]);
    assert_eq!(verdicts[&3], Verdict::NotFound);
}

#[test]
fn a_deal_that_is_there_is_not_created_again_for_a_line_that_is_not() {
    for (cut, wanted) in [(Cut::Before, "not_sent"), (Cut::Refused(503, "QUERY_LIMIT_EXCEEDED"), "crm/rate")] {
        let mut world = known(both());
        world.deliver(vec![job(1, Some("c-1"))]);
        world.portal.cuts.push_back(("crm.timeline.logmessage.add", cut));
        assert_eq!(retry(&world.deliver(vec![job(2, Some("c-1"))])[&2]), wanted);
        assert!(world.ledger_kinds().contains(&"bitrix24.deal".to_owned()));
        let verdicts = world.deliver(vec![job(2, Some("c-1"))]);
        assert!(remote(&verdicts[&2]).unwrap().starts_with("deal:"));
        assert_eq!((world.portal.deals.len(), world.portal.lines.len()), (2, 2));
        assert!(!world.ledger_kinds().contains(&"bitrix24.deal".to_owned()));
    }
}

#[test]
fn with_both_each_half_in_doubt_is_asked_for_by_itself() {
    // The deal arrived, the line did not, and the power went before either was known.
    let mut world = known(both());
    world.deliver(vec![job(1, Some("c-1"))]);
    world.portal.cuts.push_back(("crm.item.add", Cut::After));
    world.deliver(vec![job(2, Some("c-1"))]);
    assert_eq!(world.deliver(vec![doubtful(job(2, Some("c-1")))])[&2], Verdict::NotFound);
    assert!(confirmed(&world.deliver(vec![job(2, Some("c-1"))])[&2]));
    assert_eq!((world.portal.deals.len(), world.portal.lines.len()), (2, 2));
    // Both arrived.
    world.portal.cuts.push_back(("crm.timeline.logmessage.add", Cut::After));
    assert_eq!(world.deliver(vec![job(3, Some("c-1"))])[&3], Verdict::Doubtful);
    assert!(confirmed(&world.deliver(vec![doubtful(job(3, Some("c-1")))])[&3]));
    assert_eq!((world.portal.deals.len(), world.portal.lines.len()), (3, 3));
}

#[test]
fn a_contact_whose_creation_is_in_doubt_is_not_created_twice() {
    let mut world = known(timeline());
    world.portal.cuts.push_back(("crm.item.add", Cut::After));
    assert_eq!(world.deliver(vec![job(1, Some("c-1"))])[&1], Verdict::Doubtful);
    assert_eq!(world.deliver(vec![doubtful(job(1, Some("c-1")))])[&1], Verdict::NotFound);
    assert!(confirmed(&world.deliver(vec![job(1, Some("c-1"))])[&1]));
    assert_eq!((world.portal.contacts.len(), world.portal.lines.len()), (1, 1));
}

#[test]
fn a_request_refused_as_a_whole_did_nothing_and_one_that_broke_off_is_in_doubt() {
    let cases = [
        (Cut::Refused(503, "QUERY_LIMIT_EXCEEDED"), Some("crm/rate")),
        (Cut::Refused(429, "OPERATION_TIME_LIMIT"), Some("crm/operating_time")),
        (Cut::Refused(401, "expired_token"), Some("auth")),
        (Cut::Refused(403, "ACCESS_DENIED"), Some("setup/access")),
        (Cut::Refused(404, "ERROR_METHOD_NOT_FOUND"), Some("setup/method")),
        (Cut::Refused(500, "INTERNAL_SERVER_ERROR"), None),
        (Cut::HalfThen502(1), None),
        (Cut::Before, Some("not_sent")),
        (Cut::After, None),
    ];
    for (cut, wanted) in cases {
        let mut world = known(deal());
        world.deliver(vec![job(1, None)]);
        world.portal.cuts.push_back(("crm.item.add", cut));
        for verdict in world.deliver(vec![job(2, None), job(3, None)]).values() {
            match wanted {
                Some(reason) => assert_eq!(retry(verdict), reason, "{cut:?}"),
                None => assert_eq!(*verdict, Verdict::Doubtful, "{cut:?}"),
            }
        }
    }
}

#[test]
fn a_command_that_stumbled_or_was_not_mentioned_is_in_doubt() {
    for passes in [deal(), both()] {
        for method in ["crm.item.add", "crm.timeline.logmessage.add"] {
            for fault in [json!({"error": "INTERNAL_SERVER_ERROR", "done": true}), json!({"done": true})] {
                let mut world = known(passes.clone());
                world.deliver(vec![job(1, Some("c-1"))]);
                world.portal.fail(method, fault);
                let first = world.deliver(vec![job(2, Some("c-1")), job(3, None)]);
                let second = if first[&2] == Verdict::Doubtful { world.deliver(vec![doubtful(job(2, Some("c-1")))]) } else { first };
                if second[&2] == Verdict::NotFound {
                    // The deal is there, and its line was never written.
                    world.deliver(vec![job(2, Some("c-1"))]);
                }
                let lines = if world.portal.lines.is_empty() { 0 } else { 2 };
                assert_eq!((world.portal.deals.len(), world.portal.lines.len()), (3, lines), "{method}");
            }
        }
    }
}

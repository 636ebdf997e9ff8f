//! Birthdays: the deal in the CRM and the preorder in Lime.

use serde_json::{Value, json};

use crate::manager::BOOKINGS;
use crate::story::Story;
use crate::venue::Venue;

fn lines(preorder: &Value) -> Vec<(String, i64)> {
    let all = preorder["lines"].as_array().cloned().unwrap_or_default();
    let mut lines: Vec<(String, i64)> =
        all.iter().map(|line| (line["good_type_id"].as_str().unwrap_or_default().to_owned(), line["qty"].as_i64().unwrap_or(0))).collect();
    lines.sort();
    lines
}

fn holds(preorder: &Value, wanted: &[(&str, i64)]) -> bool {
    let wanted: Vec<(String, i64)> = wanted.iter().map(|(id, quantity)| ((*id).to_owned(), *quantity)).collect();
    lines(preorder) == wanted
}

/// A family whose card and the products of Lime are in the CRM, and a birthday's deal of theirs with two products, which Lime has.
async fn booked(story: &mut Story) -> (String, u64) {
    let anna = story.given("a family whose card is in the CRM").family();
    let card = story.then_card("the card is there", &anna, |_| true).await;
    story.then("the products are there", |venue: &Venue| venue.product("p-5"), Option::is_some).await;
    story.everything_has_arrived().await;
    let deal = story.given("a birthday's deal of hers").manager_books("День рождения Пети", card.id);
    story.when("a manager adds the package and two pizzas").manager_puts(deal, &[("p-5", 1), ("p-3", 2)]);
    story
        .then_preorder("Lime has a preorder of them for her", |preorder| {
            holds(preorder, &[("p-3", 2), ("p-5", 1)]) && preorder["client_id"] == json!(anna)
        })
        .await;
    (anna, deal)
}

fn preorders(venue: &Venue) -> Vec<Value> {
    venue.state(sandbox::Host::Lime)["preorders"].as_object().cloned().unwrap_or_default().values().cloned().collect()
}

stories! {
    a_manager_adds_products_to_a_birthday_and_lime_has_a_preorder(story) {
        let (_, deal) = booked(&mut story).await;
        story.then_preorder("it names the deal and costs what the products cost", |preorder| {
            preorder["ref"].as_str().is_some_and(|reference| reference.ends_with(&format!(":deal:{deal}"))) && preorder["total"] == json!(1_630_000)
        }).await;
    }

    a_manager_changes_a_birthday_and_the_preorder_changes(story) {
        let (_, deal) = booked(&mut story).await;
        story.when("the manager adds an entertainer and takes a pizza away").manager_puts(deal, &[("p-6", 1), ("p-3", 1)]);
        story.then_preorder("the preorder has that", |preorder| holds(preorder, &[("p-3", 1), ("p-5", 1), ("p-6", 1)])).await;
        story.then_still("and there is no second one", preorders, |all| all.len() == 1).await;
    }

    a_birthday_that_is_given_up_cancels_the_preorder(story) {
        let (_, deal) = booked(&mut story).await;
        story.when("the manager gives the deal up").manager_gives_up(deal);
        story.then_preorder("the preorder is cancelled", |preorder| preorder["status"] == "cancelled").await;
    }

    a_birthday_of_nobody_says_so_in_the_deal_and_goes_to_lime_with_its_contact(story) {
        let anna = story.given("a family whose card is in the CRM").family();
        let card = story.then_card("the card is there", &anna, |_| true).await;
        story.then("the products are there", |venue: &Venue| venue.product("p-5"), Option::is_some).await;
        story.everything_has_arrived().await;
        let deal = story.given("a birthday's deal without a contact").manager_books("День рождения", None);
        story.when("a manager adds the package").manager_puts(deal, &[("p-5", 1)]);
        story.then_given_up("operators see that Lime cannot have it", "lime/nobody").await;
        let notes = move |venue: &Venue| venue.deals().into_iter().find(|one| one.id == deal).map(|deal| deal.notes).unwrap_or_default();
        let says = |notes: &Vec<String>| notes.iter().filter(|note| note.contains("нет контакта")).count() == 1;
        story.then("the deal says why", notes, says).await;
        story.when("the manager adds a pizza").manager_puts(deal, &[("p-3", 1)]);
        story.then_still("it is said once", notes, says).await;
        story.when("the manager names the mother").manager_names(deal, card.id);
        story.then_preorder("Lime has it for her", |preorder| {
            holds(preorder, &[("p-3", 1), ("p-5", 1)]) && preorder["client_id"] == json!(anna)
        }).await;
    }

    a_preorder_made_in_lime_becomes_a_deal_of_the_contact_who_is_there(story) {
        let anna = story.given("a family whose card is in the CRM").family();
        let card = story.then_card("the card is there", &anna, |_| true).await;
        story.then("the products are there", |venue: &Venue| venue.product("p-5"), Option::is_some).await;
        let body = json!({"client_id": anna, "status": "confirmed", "lines": [{"good_type_id": "p-5", "qty": 1}, {"good_type_id": "p-4", "qty": 4}],
            "event": {"title": "День рождения Оли", "starts_at": "2026-06-01T12:00:00+03:00", "ends_at": "2026-06-01T14:00:00+03:00", "room": "Зал 1", "staff": []}});
        story.when("a cashier takes a preorder").cashier("preorder", &body);
        let deal = story.then_deal("there is a deal in the pipeline of bookings", |deal| deal.pipeline == BOOKINGS && deal.sum == 16_000.0).await;
        assert_eq!((deal.contacts.as_slice(), deal.title.contains("Оли")), ([card.id].as_slice(), true), "{deal:#?}");
        story.then_preorder("the preorder names its deal", |preorder| {
            preorder["ref"].as_str().is_some_and(|reference| reference.ends_with(&format!(":deal:{}", deal.id)))
        }).await;
        story.then_still("the deal is not sent back as new", preorders, |all| all.len() == 1).await;
        story.when("a manager adds pizzas to it").manager_puts(deal.id, &[("p-3", 3)]);
        story.then_preorder("Lime has them", |preorder| holds(preorder, &[("p-3", 3), ("p-4", 4), ("p-5", 1)])).await;
    }

    a_preorder_changed_in_lime_changes_the_deal(story) {
        let (_, deal) = booked(&mut story).await;
        story.everything_has_arrived().await;
        let id = preorders(&story.venue)[0]["id"].clone();
        story.when("a cashier makes it five pizzas").cashier("preorder", &json!({"id": id, "lines": [{"good_type_id": "p-5", "qty": 1}, {"good_type_id": "p-3", "qty": 5}]}));
        story.then_deal("the deal has five", |one| one.id == deal && one.rows.contains(&("p-3".to_owned(), 5.0))).await;
    }

    a_birthday_that_both_change_is_the_managers_and_staff_read_what_lime_had(story) {
        let (_, deal) = booked(&mut story).await;
        story.everything_has_arrived().await;
        story.when("the box is off").stop().await;
        let id = preorders(&story.venue)[0]["id"].clone();
        story.when("a cashier makes it five pizzas").cashier("preorder", &json!({"id": id, "lines": [{"good_type_id": "p-5", "qty": 1}, {"good_type_id": "p-3", "qty": 5}]}));
        story.when("a manager makes it three").manager_puts(deal, &[("p-3", 3)]);
        story.when("the box is back").start();
        story.then_preorder("Lime has three", |preorder| holds(preorder, &[("p-3", 3), ("p-5", 1)])).await;
        story.then("the deal says what happened", move |venue: &Venue| venue.deals().into_iter().find(|one| one.id == deal), |deal| {
            deal.as_ref().is_some_and(|deal| deal.notes.iter().any(|note| note.contains("Лайм")))
        }).await;
    }
}

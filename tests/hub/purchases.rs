//! What a cashier sells, and what the CRM shows of it.

use serde_json::json;

use crate::venue::Venue;

stories! {
    a_client_with_two_children_buys_and_the_card_shows_them(story) {
        let anna = story.given("a client with two children, new in Lime").family();
        story.when("she buys a ticket").sells(Some(&anna), &[("p-1", 1)]);
        story.then_card("her card shows both children with their birth dates", &anna, |card| {
            card.children.contains("Пётр") && card.children.contains("06.05.2018") && card.children.contains("Ольга") && card.children.contains("02.01.2020")
        }).await;
        story.then_card("and the purchase in the history", &anna, |card| card.history.contains("Билет на 1 час")).await;
    }

    one_receipt_is_one_deal_with_all_its_lines(story) {
        let anna = story.given("a client in Lime").family();
        story.when("she buys two pizzas and a juice").sells(Some(&anna), &[("p-3", 2), ("p-4", 1)]);
        let deal = story.then_deal("there is one deal with both lines and the receipt's sum", |deal| deal.sum == 1_550.0).await;
        story.then("its rows are the receipt's", move |venue: &Venue| venue.deals().into_iter().find(|one| one.id == deal.id).map(|deal| {
            let mut rows = deal.rows;
            rows.sort_by(|one, two| one.0.cmp(&two.0));
            rows
        }), |rows| *rows == Some(vec![("p-3".to_owned(), 2.0), ("p-4".to_owned(), 1.0)])).await;
        let client = anna.clone();
        story.then("it is her deal", move |venue: &Venue| (venue.deals(), venue.contact_of(&client)), |(deals, contact)| {
            let contact = contact.as_ref().map_or(0, |contact| contact.id);
            deals.iter().filter(|deal| deal.sum == 1_550.0).all(|deal| deal.contacts == [contact])
        }).await;
    }

    a_purchase_of_nobody_known_is_a_deal_too(story) {
        story.when("somebody without a card buys a juice").sells(None, &[("p-4", 3)]);
        story.then_deal("there is a deal for it", |deal| deal.sum == 750.0 && deal.rows == [("p-4".to_owned(), 3.0)]).await;
    }

    a_top_up_is_a_deal_and_stands_in_the_history(story) {
        let anna = story.given("a client in Lime").family();
        story.when("she puts 3 000 on her deposit").cashier("top-up", &json!({"client_id": anna, "amount": 300_000}));
        story.then_deal("there is a deal of 3 000", |deal| deal.sum == 3_000.0).await;
        story.then_card("and a line in the history", &anna, |card| card.history.contains("Пополнение")).await;
    }

    the_card_shows_the_last_ten_operations(story) {
        let anna = story.given("a client in Lime").family();
        for number in 1..=12 {
            story.time_passes(60).await;
            story.when(&format!("she buys for the {number}. time")).sells(Some(&anna), &[(if number == 12 { "p-3" } else { "p-4" }, 1)]);
        }
        story.then_card("her card shows the last ten, the newest first", &anna, |card| {
            card.history.lines().count() == 10 && card.history.lines().next().is_some_and(|line| line.contains("Пицца"))
        }).await;
    }

    a_receipt_that_is_given_back_is_marked_on_its_deal(story) {
        let anna = story.given("a client in Lime").family();
        let sold = story.when("she buys three pizzas").sells(Some(&anna), &[("p-3", 3)]);
        let deal = story.then_deal("there is a deal", |deal| deal.sum == 1_950.0).await;
        story.when("she gives them back").cashier("refund", &json!({"transaction_id": sold["transaction_id"]}));
        let id = deal.id;
        story.then("the deal says how much", move |venue: &Venue| venue.deals().into_iter().find(|deal| deal.id == id), |deal| {
            deal.as_ref().is_some_and(|deal| deal.returned == Some(1_950.0))
        }).await;
        story.then_still("there is no second deal for it", Venue::deals, |deals| deals.iter().filter(|deal| deal.sum == 1_950.0).count() <= 1).await;
    }

    a_pass_of_a_client_brings_the_card_up_to_date(story) {
        let anna = story.given("a client in Lime with a wristband").family();
        story.when("she passes the gate").pass("A1B2C3D4").await;
        story.then_card("her card shows the children and the pass", &anna, |card| card.children.contains("Пётр") && !card.history.is_empty()).await;
    }

    products_of_lime_are_shown_with_their_prices(story) {
        story.when("Lime gets a new product").cashier("product", &json!({"id": "p-77", "name": "Носки", "kind": "goods", "price": 15_000, "parent_id": "g-2"}));
        story.then("the CRM shows it", |venue: &Venue| venue.product("p-77"), |product| {
            product.as_ref().is_some_and(|product| product.name.contains("Носки") && product.price == Some(150.0) && product.on_sale)
        }).await;
        story.when("it gets another price and name").cashier("product", &json!({"id": "p-77", "name": "Носки с котом", "price": 20_000}));
        story.then("the CRM shows that", |venue: &Venue| venue.product("p-77"), |product| {
            product.as_ref().is_some_and(|product| product.name.contains("с котом") && product.price == Some(200.0))
        }).await;
        story.when("it is no longer sold").cashier("product", &json!({"id": "p-77", "active": false}));
        story.then("the CRM no longer offers it", |venue: &Venue| venue.product("p-77"), |product| {
            product.as_ref().is_some_and(|product| !product.on_sale)
        }).await;
    }

    what_is_sold_through_a_power_cut_arrives_once(story) {
        let anna = story.given("a client in Lime").family();
        story.when("she buys").sells(Some(&anna), &[("p-3", 4)]);
        story.when("the power goes").power_cut().await;
        story.when("she buys again").sells(Some(&anna), &[("p-4", 7)]);
        story.when("the power goes again").power_cut().await;
        story.then("both purchases are there, each once", Venue::deals, |deals| {
            [2_600.0, 1_750.0].iter().all(|sum| deals.iter().filter(|deal| deal.sum == *sum).count() == 1)
        }).await;
    }

    purchases_go_where_the_rules_say(story, "[[hub.deal]]
group = \"Кафе\"
pipeline = \"Кафе\"
title = \"Кафе: {what}\"
[[hub.deal]]
kinds = [\"sale\"]
at_least = 400000
pipeline = \"Продажи\"
title = \"{sum} за {what}\"
") {
        let anna = story.given("a venue with rules for the café and for what costs 4 000 and more, and a client").family();
        story.when("she buys a juice").sells(Some(&anna), &[("p-4", 3)]);
        story.then_deal("it is in the café's pipeline, under its title", |deal| {
            deal.pipeline == "Кафе" && deal.title == "Кафе: Морс, 1 л ×3" && deal.sum == 750.0
        }).await;
        story.when("she buys a subscription").sells(Some(&anna), &[("p-2", 1)]);
        story.then_deal("it is among the sales", |deal| deal.pipeline == "Продажи" && deal.title.contains("Абонемент") && deal.sum == 4_800.0).await;
        story.when("she buys a ticket").sells(Some(&anna), &[("p-1", 1)]);
        story.then_still("for that no rule is made, so there is no deal", Venue::deals, |deals| deals.iter().all(|deal| deal.sum != 500.0)).await;
    }

    what_is_sold_the_moment_it_is_there_has_its_rows_all_the_same(story) {
        let anna = story.given("a client in Lime").family();
        story.when("Lime gets a new product").cashier("product", &json!({"id": "p-78", "name": "Кепка", "kind": "goods", "price": 90_000, "parent_id": "g-2"}));
        story.when("it is sold in the same breath").sells(Some(&anna), &[("p-78", 2)]);
        story.then_deal("its deal has the row", |deal| deal.sum == 1_800.0 && deal.rows == [("p-78".to_owned(), 2.0)]).await;
    }

    what_is_sold_before_a_new_box_knows_the_products_waits_for_its_rule(story, "[[hub.deal]]
group = \"Кафе\"
pipeline = \"Кафе\"
[[hub.deal]]
pipeline = \"Продажи\"
") {
        let anna = story.given("a venue with a rule for the café and one for all else, and a client").family();
        story.when("the box is replaced by a new one").new_box().await;
        story.given("a Lime that does not tell of its products yet").lime_is_silent_about("products");
        story.when("the new box starts").start();
        story.time_passes(60).await;
        story.when("she buys a juice").sells(Some(&anna), &[("p-4", 3)]);
        story.time_passes(180).await;
        story.then("it is neither among the sales nor lost: it waits", |venue: &Venue| (venue.waiting(), venue.deals()), |(waiting, deals)| {
            *waiting == 1 && deals.is_empty()
        }).await;
        story.when("Lime tells of its products").lime_tells_everything();
        story.then_deal("it is in the café's pipeline", |deal| deal.pipeline == "Кафе" && deal.sum == 750.0).await;
        story.then_still("and nowhere else", Venue::deals, |deals| deals.len() == 1).await;
    }
}

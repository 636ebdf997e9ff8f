//! One person, two cards.

use sandbox::Host;
use serde_json::{Value, json};

use crate::venue::Venue;

fn phones(client: &Value) -> Vec<&str> {
    client["phones"].as_array().map(|all| all.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

fn has(phones: &[String], phone: &str) -> bool {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    phones.iter().any(|one| digits(one).ends_with(&digits(phone)[1..]))
}

stories! {
    a_client_registered_in_lime_gets_a_contact(story) {
        let anna = story.when("a family registers at the counter").family();
        story.then_card("the CRM has her with name, phone, address and children", &anna, |card| {
            card.name.contains("Анна") && card.name.contains("Соколова") && has(&card.phones, "+79161112233")
                && card.emails == ["anna@example.ru"] && card.children.contains("Ольга")
        }).await;
    }

    a_parent_changes_a_phone_in_the_crm_and_lime_has_it(story) {
        let anna = story.given("a family whose card is in the CRM").family();
        let card = story.then_card("the card is there", &anna, |_| true).await;
        story.when("she tells the manager her new phone").manager_edits_contact(Some(card.id), &json!({"phones": ["8 (916) 444-55-66"]}));
        story.then_client("Lime has the new phone and no longer the old one", &anna, |client| phones(client) == ["+79164445566"]).await;
        story.then_still("the children are as they were", |venue: &Venue| venue.client(&anna), |client| {
            client.as_ref().is_some_and(|client| client["relations"].as_array().is_some_and(|all| all.len() == 2))
        }).await;
    }

    a_cashier_changes_a_name_and_the_crm_has_it(story) {
        let anna = story.given("a family whose card is in the CRM").family();
        story.then_card("the card is there", &anna, |_| true).await;
        story.when("she marries").cashier("change", &json!({"client_id": anna, "last_name": "Орлова"}));
        story.then_card("the card says so", &anna, |card| card.name.contains("Орлова") && !card.name.contains("Соколова")).await;
    }

    a_phone_added_in_lime_and_another_in_the_crm_are_both_on_both(story) {
        let anna = story.given("a family whose card is in the CRM").family();
        let card = story.then_card("the card is there", &anna, |card| has(&card.phones, "+79161112233")).await;
        story.when("the box is off").stop().await;
        story.when("a cashier adds a phone").cashier("change", &json!({"client_id": anna, "phones": ["+79161112233", "+79160000001"]}));
        story.when("a manager adds another").manager_edits_contact(Some(card.id), &json!({"phones": ["+79161112233", "+79160000002"]}));
        story.when("the box is back").start();
        story.then_client("Lime has all three", &anna, |client| phones(client).len() == 3).await;
        story.then_card("and so has the card", &anna, |card| card.phones.len() == 3 && has(&card.phones, "+79160000001")).await;
    }

    both_change_the_name_and_what_gives_way_is_recorded(story) {
        let anna = story.given("a family whose card is in the CRM").family();
        let card = story.then_card("the card is there", &anna, |_| true).await;
        story.everything_has_arrived().await;
        story.when("the box is off").stop().await;
        story.when("a cashier writes one name").cashier("change", &json!({"client_id": anna, "last_name": "Орлова"}));
        story.when("a manager writes another").manager_edits_contact(Some(card.id), &json!({"last_name": "Белова"}));
        story.when("the box is back").start();
        let client = anna.clone();
        let both = move |venue: &Venue| {
            let lime = venue.client(&client).map(|client| client["last_name"].as_str().unwrap_or_default().to_owned()).unwrap_or_default();
            (lime, venue.contact_of(&client).map(|card| card.name).unwrap_or_default())
        };
        story.then("both say the same", both, |(lime, crm)| !lime.is_empty() && lime != "Соколова" && crm.contains(lime.as_str())).await;
        let client = anna.clone();
        story.then("the other name is on record", move |venue: &Venue| venue.ledger("hub.overruled", &client), |record| {
            record.as_ref().is_some_and(|record| record.contains("Орлова") != record.contains("Белова"))
        }).await;
    }

    what_is_kept_between_two_changes_names_nobody(story) {
        let anna = story.given("a family whose card is in the CRM").family();
        let client = anna.clone();
        story.then("what the box keeps holds no name and no phone", move |venue: &Venue| venue.ledger("hub.link", &client), |link| {
            link.as_ref().is_some_and(|link| !link.contains("Анна") && !link.contains("9161112233") && link.contains("phones"))
        }).await;
    }

    a_contact_whom_the_manager_knew_already_is_the_clients(story) {
        let contact = story.given("a contact in the CRM").manager_edits_contact(None, &json!({"first_name": "Анна", "last_name": "Соколова", "phones": ["8 916 111-22-33"]}));
        let anna = story.when("she registers at the counter with the same phone").family();
        story.then_card("her card is the contact that was there", &anna, |card| card.id == contact).await;
    }

    two_clients_with_one_phone_get_a_card_each(story) {
        let anna = story.given("a mother").family();
        story.then_card("her card is there", &anna, |_| true).await;
        let boris = story.when("the father registers with the same phone").guest("Борис", "Соколов", "+79161112233");
        story.then_card("he gets a card of his own", &boris, |card| card.name.contains("Борис")).await;
        story.then_card("and hers is still hers", &anna, |card| card.name.contains("Анна")).await;
    }

    contacts_that_a_manager_merges_stay_the_clients(story) {
        let anna = story.given("a family whose card is in the CRM").family();
        let card = story.then_card("the card is there", &anna, |_| true).await;
        let twin = story.given("a second card of hers, made by hand").manager_edits_contact(None, &json!({"first_name": "Аня", "phones": ["+79160000003"]}));
        story.everything_has_arrived().await;
        story.when("a manager merges hers into the second").manager_merges(twin, card.id);
        story.then_card("the second is her card now", &anna, |card| card.id == twin).await;
        // Over a webhook Bitrix24 does not say that a contact is gone; whoever looks for it finds out.
        story.when("she buys again").sells(Some(&anna), &[("p-1", 1)]);
        story.then_card("the purchase stands on it", &anna, |card| card.id == twin && card.history.contains("Билет")).await;
        story.then_client("and Lime has both phones", &anna, |client| phones(client).len() == 2).await;
    }

    a_contact_deleted_in_the_crm_does_not_delete_the_client(story) {
        let anna = story.given("a family whose card is in the CRM").family();
        let card = story.then_card("the card is there", &anna, |_| true).await;
        story.everything_has_arrived().await;
        story.when("a manager deletes the card").manager_deletes_contact(card.id);
        story.then_still("Lime still has her", |venue: &Venue| venue.client(&anna), |client| {
            client.as_ref().is_some_and(|client| client["first_name"] == "Анна" && phones(client) == ["+79161112233"])
        }).await;
        story.when("she buys again").sells(Some(&anna), &[("p-1", 1)]);
        story.then_card("she has a new card", &anna, |new| new.id != card.id && new.history.contains("Билет")).await;
    }

    a_child_who_becomes_an_adult_has_a_card_of_their_own(story) {
        let anna = story.given("a family whose card is in the CRM").family();
        story.then_card("the card is there", &anna, |card| card.children.contains("Пётр")).await;
        let child = format!("{anna}-1");
        story.when("the son becomes an adult with a phone of his own").cashier("change", &json!({"client_id": child, "category": "adult", "phones": ["+79160000004"]}));
        story.then_card("he has a card", &child, |card| card.name.contains("Пётр") && has(&card.phones, "+79160000004")).await;
        story.then_card("and his mother keeps hers", &anna, |card| card.name.contains("Анна")).await;
    }

    a_card_replaced_at_the_counter_is_the_one_shown(story) {
        let anna = story.given("a family whose card is in the CRM").family();
        story.then_card("the wristband is shown by its end", &anna, |card| card.cards.contains("C3D4")).await;
        story.when("she gets another wristband").cashier("card", &json!({"client_id": anna, "uid": "11223344"}));
        story.then_card("the new one is shown", &anna, |card| card.cards.contains("3344")).await;
    }

    an_address_cleared_in_the_crm_is_cleared_in_lime(story) {
        let anna = story.given("a family whose card is in the CRM").family();
        let card = story.then_card("the card is there", &anna, |card| !card.emails.is_empty()).await;
        story.everything_has_arrived().await;
        story.when("a manager takes the address away").manager_edits_contact(Some(card.id), &json!({"emails": []}));
        story.then_client("Lime has none either", &anna, |client| client["emails"].as_array().is_none_or(Vec::is_empty)).await;
    }

    a_client_deleted_in_lime_leaves_the_contact_to_the_manager(story) {
        let anna = story.given("a family whose card is in the CRM").family();
        let card = story.then_card("the card is there", &anna, |_| true).await;
        story.everything_has_arrived().await;
        story.when("Lime deletes her").act(Host::Lime, "delete", &json!({"client_id": anna}));
        story.then_still("the contact is still there", Venue::contacts, |all| all.iter().any(|one| one.id == card.id)).await;
    }
}

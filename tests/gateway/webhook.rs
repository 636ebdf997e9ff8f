//! The CRM calls the box, where it can: what a manager changed is at Lime at once, and not only when the CRM is asked the next time, an hour from now.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use sandbox::{Host, What};
use serde_json::{Value, json};

use crate::common::{free_port, wait_for};
use crate::park::Park;

const LONG: Duration = Duration::from_secs(90);
const SECRET: &str = "0123456789abcdefXYZ";

/// A hub that asks the CRM once an hour, with the card of `c-1` in the CRM. The contact's id there.
fn hub(crm: Host) -> (Park, u16, u64) {
    let port = free_port();
    let more = format!(
        "[hub]\nclients = [\"registration\", \"change\"]\nreceipts = false\npoll = \"1h\"\n\
         [hub.webhook]\nlisten = \"127.0.0.1:{port}\"\nsecret = {{ file = \"hub-webhook\" }}\n"
    );
    let mut park = Park::with(crm, "");
    park.venue.secret("hub-webhook", SECRET);
    park.configure(&more);
    // Whatever else a person would have to do for bookings: contacts do not need it.
    park.venue.command(&["crm", "setup"]).output().expect("the limegate binary");
    park.venue.start();
    let feed = if crm == Host::Bitrix24 { "bitrix24.contacts" } else { "amocrm.contacts" };
    let mut contact = Value::Null;
    let there = wait_for(LONG, || {
        let state = park.state(crm);
        contact = match crm {
            Host::Bitrix24 => state["contacts_by_key"]["originId"]["client:c-1"][0].clone(),
            _ => state["contacts_by_key"]["LIME_CLIENT_ID"]["c-1"][0].clone(),
        };
        contact.is_u64()
    });
    assert!(there, "no card; the log:\n{}", park.venue.log());
    park.venue.wait_status("the contacts have been read once, and nothing waits", LONG, |status| {
        !status["feeds"][feed]["last_read_boot_ms"].is_null() && status["destinations"]["crm"]["waiting"] == 0
    });
    (park, port, contact.as_u64().expect("an id"))
}

/// The status that a POST is answered with; none when nobody listens yet.
fn post(port: u16, path: &str, body: &[u8]) -> Option<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).ok()?;
    // An answer may come before the body has been read.
    let _ = stream.write_all(body);
    let mut line = [0; 12];
    stream.read_exact(&mut line).ok()?;
    String::from_utf8_lossy(&line).split(' ').nth(1)?.parse().ok()
}

fn edit(park: &Park, fields: &Value) {
    park.sandbox().with_site(|site, now_ms, wall_ms| site.act(park.crm, "contact", now_ms, wall_ms, fields).expect("a manager's edit"));
}

fn name_at_lime(park: &Park) -> String {
    let client = park.sandbox().with_site(|site, _, _| site.lime.client("c-1")).expect("the client");
    client["last_name"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn amocrm_calls_and_what_a_manager_changed_is_at_lime_at_once() {
    let (park, port, contact) = hub(Host::Amocrm);
    let destination = format!("http://127.0.0.1:{port}/amocrm/{SECRET}");
    let token = park.sandbox().addresses.amocrm_token.clone().expect("a token");
    let body = json!({"destination": destination, "settings": ["add_contact", "update_contact", "update_lead", "status_lead"]}).to_string();
    let subscribe = http::Request::post("/api/v4/webhooks").header("authorization", format!("Bearer {token}")).body(body.into()).expect("a request");
    let answered = park.sandbox().with_site(|site, now_ms, wall_ms| site.call(Host::Amocrm, now_ms, wall_ms, subscribe));
    assert!(matches!(&answered.what, What::Whole(answer) if answer.status() == 201), "{:?}", answered.what);

    edit(&park, &json!({"id": contact, "last_name": "Белова"}));
    assert!(wait_for(LONG, || name_at_lime(&park) == "Белова"), "Lime has {}; the log:\n{}", name_at_lime(&park), park.venue.log());
    // The sandbox waits two seconds for each answer, as amoCRM does, and counts those that are none.
    let hooks = || park.state(Host::Amocrm)["hooks"].clone();
    assert!(wait_for(LONG, || hooks()["waiting"] == 0), "{}", hooks());
    assert!(hooks()["delivered"].as_u64() >= Some(1) && hooks()["failed_tries"] == 0, "{}", hooks());

    assert_eq!(post(port, "/amocrm/0123456789abcdefXY", b"contacts[update][0][id]=1"), Some(404));
    assert_eq!(post(port, "/bitrix24", b"event=ONCRMCONTACTUPDATE"), Some(404));
    // Too large to be read: all the same, somebody who knows the address has called.
    assert_eq!(post(port, &format!("/amocrm/{SECRET}"), &vec![b'x'; 1_100_000]), Some(204));
    assert!(!park.venue.log().contains(SECRET), "a secret in the log");
}

#[test]
fn bitrix24_calls_with_its_token_and_a_stranger_is_sent_away() {
    let (park, port, contact) = hub(Host::Bitrix24);
    let event = |token: &str| {
        format!("event=ONCRMCONTACTUPDATE&event_handler_id=12&data%5BFIELDS%5D%5BID%5D={contact}&ts=1724697689&auth%5Bapplication_token%5D={token}")
    };
    edit(&park, &json!({"id": contact, "lastName": "Белова"}));
    assert_eq!(post(port, "/bitrix24", event("0123456789abcdefXYz").as_bytes()), Some(404));
    assert_eq!(post(port, "/bitrix24", b"event=ONCRMCONTACTUPDATE"), Some(404));
    assert_ne!(name_at_lime(&park), "Белова");
    assert_eq!(post(port, "/bitrix24", event(SECRET).as_bytes()), Some(200));
    assert!(wait_for(LONG, || name_at_lime(&park) == "Белова"), "Lime has {}; the log:\n{}", name_at_lime(&park), park.venue.log());
    assert_eq!(post(port, "/bitrix24", &vec![b'x'; 1_100_000]), Some(413));
}

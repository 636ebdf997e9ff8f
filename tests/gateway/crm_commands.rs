//! What an integrator does once: `crm check`, `crm setup`, `crm login`, against an account where nothing is there yet.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use sandbox::Host;
use serde_json::Value;

use crate::park::Park;

/// What the account holds, without what it counts of those who ask.
fn held(park: &Park) -> Value {
    let mut state = park.state(park.crm);
    for counted in ["limits", "requests", "calls"] {
        state.as_object_mut().unwrap().remove(counted);
    }
    state
}

/// The parts of two states that are not alike.
fn differ(one: &Value, two: &Value) -> Vec<String> {
    let (one, two) = (one.as_object().unwrap(), two.as_object().unwrap());
    one.keys().chain(two.keys()).filter(|key| one.get(*key) != two.get(*key)).cloned().collect()
}

fn an_empty_account_is_checked_planned_set_up_and_found_complete(crm: Host) {
    let park = Park::new(crm);
    let empty = held(&park);
    let missing = park.venue.output(&["crm", "check"], 1);
    assert!(missing.contains("Lime"), "{missing}");
    let planned = park.venue.output(&["crm", "setup", "--dry-run"], 0);
    assert_eq!(differ(&held(&park), &empty), [""; 0], "a plan changes nothing");
    let plan: Value = serde_json::from_str(&park.venue.output(&["crm", "setup", "--dry-run", "--json"], 0)).unwrap();
    assert!(plan.is_object() && planned.lines().count() > 3, "{planned}");
    park.venue.output(&["crm", "setup"], 0);
    let ready = held(&park);
    assert_ne!(ready, empty);
    park.venue.output(&["crm", "setup"], 0);
    assert_eq!(differ(&held(&park), &ready), [""; 0], "the second run finds all of it");
    park.venue.output(&["crm", "check"], 0);
}

#[test]
fn an_empty_amocrm_is_checked_planned_set_up_and_found_complete() {
    an_empty_account_is_checked_planned_set_up_and_found_complete(Host::Amocrm);
}

#[test]
fn an_empty_bitrix24_is_checked_planned_set_up_and_found_complete() {
    an_empty_account_is_checked_planned_set_up_and_found_complete(Host::Bitrix24);
}

/// The browser's part: where it is sent after the person has agreed.
fn log_in(park: &Park, back: impl FnOnce(&str) -> String) -> (Option<i32>, String) {
    let mut login = park.venue.command(&["crm", "login"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(login.stdout.take().unwrap());
    let mut address = String::new();
    while !address.contains("state=") {
        address.clear();
        assert!(said.read_line(&mut address).unwrap() > 0, "no address to open is shown");
    }
    let state = address.trim().split("state=").nth(1).and_then(|rest| rest.split('&').next()).unwrap().to_owned();
    writeln!(login.stdin.take().unwrap(), "{}", back(&state)).unwrap();
    let rest: String = said.lines().map_while(Result::ok).collect();
    let ended = login.wait_with_output().unwrap();
    (ended.status.code(), format!("{rest}{}", String::from_utf8_lossy(&ended.stderr)))
}

#[test]
fn a_login_walks_through_the_browser_keeps_the_pair_and_refuses_what_another_page_sent() {
    let park = Park::new(Host::Amocrm);
    let app = park.sandbox().addresses.amocrm_oauth.clone().unwrap();
    let of_app = |key: &str| app[key].as_str().unwrap().to_owned();
    park.venue.secret("client-secret", &of_app("client_secret"));
    let config = std::fs::read_to_string(park.venue.config_file()).unwrap();
    let oauth = format!(
        "oauth = {{ client_id = {:?}, client_secret = {{ file = \"client-secret\" }}, redirect_uri = {:?} }}",
        of_app("client_id"),
        of_app("redirect_uri")
    );
    let config = config.replace("token = { file = \"crm\" }", &oauth);
    std::fs::write(park.venue.config_file(), config).unwrap();
    let back = |state: &str, host: &str| format!("{}?code={}&state={state}&referer={host}", of_app("redirect_uri"), of_app("code"));

    let (code, said) = log_in(&park, |_| back("of-somebody-else", "127.0.0.1"));
    assert_eq!(code, Some(1), "{said}");
    let (code, said) = log_in(&park, |state| back(state, "other.amocrm.ru"));
    assert!(code == Some(1) && said.contains("other.amocrm.ru"), "{said}");
    let (code, said) = log_in(&park, |_| String::new());
    assert_eq!(code, Some(1), "{said}");
    let (code, said) = log_in(&park, |state| back(state, "127.0.0.1"));
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains(&of_app("code")) && !said.contains(&of_app("client_secret")), "{said}");
    // The pair is there, and works.
    park.venue.output(&["crm", "setup"], 0);
    park.venue.output(&["crm", "check"], 0);
    let (code, said) = log_in(&park, |state| back(state, "127.0.0.1"));
    assert_eq!(code, Some(1), "a code works once: {said}");
    park.venue.output(&["crm", "check"], 0);
}

//! OAuth: the refresh pair rotates, and neither a kill nor a lost answer costs more than it must.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use limegate::crm::amocrm::oauth::{Integration, OAuth, STORE, authorize_url, redeem};
use limegate::crm::tokens::TokenStore;
use limegate::domain::Secret;
use limegate::http::{Answer, Authorizer, BoxFuture, Exchange, Failure, RenewError, Request, Transport};
use serde_json::{Value, json};

/// A token server whose refresh tokens work once.
#[derive(Default)]
struct Server {
    used: Mutex<BTreeSet<String>>,
    issued: Mutex<u32>,
    asked: Mutex<u32>,
    faults: Mutex<Vec<Fault>>,
}

#[derive(Clone, Copy)]
enum Fault {
    /// The pair is issued, and the answer lost.
    AnswerLost,
    /// The request never arrived, and nobody knows.
    RequestLost,
    NotSent,
    Status(u16),
}

impl Transport for Server {
    fn send(&self, request: Request) -> BoxFuture<'_, Exchange> {
        Box::pin(async move {
            *self.asked.lock().unwrap() += 1;
            let fault = self.faults.lock().unwrap().pop();
            match fault {
                Some(Fault::NotSent) => return Err(Failure::NotSent("refused".into())),
                Some(Fault::RequestLost) => return Err(Failure::Unknown("timeout".into())),
                Some(Fault::Status(status)) => return Ok(answer(status, json!({}))),
                _ => {}
            }
            assert_eq!(request.path, "/oauth2/access_token");
            let body: Value = serde_json::from_slice(request.body.as_deref().unwrap()).unwrap();
            let token = ["refresh_token", "code"].into_iter().find_map(|key| body[key].as_str()).unwrap().to_owned();
            if !self.used.lock().unwrap().insert(token) || body["client_secret"] != json!("s3cret") {
                return Ok(answer(400, json!({"hint": "Token has been revoked", "status": 400})));
            }
            let mut issued = self.issued.lock().unwrap();
            *issued += 1;
            let pair = json!({"token_type": "Bearer", "expires_in": 86_400, "server_time": 1_000, "access_token": format!("a{issued}"), "refresh_token": format!("r{issued}")});
            if matches!(fault, Some(Fault::AnswerLost)) { Err(Failure::Unknown("reset".into())) } else { Ok(answer(200, pair)) }
        })
    }
}

fn answer(status: u16, body: Value) -> Answer {
    Answer { status: http::StatusCode::from_u16(status).unwrap(), headers: http::HeaderMap::new(), body: body.to_string().into() }
}

fn integration() -> Integration {
    Integration { client_id: "id".into(), client_secret: Secret::new("s3cret"), redirect_uri: "https://park.example/back".into() }
}

struct Box_ {
    home: tempfile::TempDir,
    server: Arc<Server>,
}

impl Box_ {
    async fn logged_in() -> Self {
        let this = Self { home: tempfile::tempdir().unwrap(), server: Arc::new(Server::default()) };
        redeem(this.server.as_ref(), &this.store(), &integration(), &Secret::new("code-1")).await.unwrap();
        this
    }

    fn store(&self) -> TokenStore {
        TokenStore::new(self.home.path(), STORE)
    }

    /// The gateway after a (re)start.
    fn start(&self) -> OAuth {
        OAuth::new(self.store(), self.store().load().unwrap(), self.server.clone(), integration())
    }

    fn fault(&self, fault: Fault) {
        self.server.faults.lock().unwrap().push(fault);
    }
}

fn bearer(oauth: &OAuth) -> String {
    let mut request = Request::get("/api/v4/account", "GET /account");
    oauth.authorize(&mut request);
    request.headers[0].1.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_renewed_pair_is_on_disk_and_survives_a_restart() {
    let this = Box_::logged_in().await;
    let oauth = this.start();
    assert_eq!(bearer(&oauth), "Bearer a1");
    for turn in 2..6 {
        assert_eq!(oauth.renew().await, Ok(()));
        assert_eq!(bearer(&oauth), format!("Bearer a{turn}"));
        assert_eq!(bearer(&this.start()), format!("Bearer a{turn}"), "whoever starts now has the new pair");
    }
}

#[tokio::test]
async fn many_refusals_at_once_cost_one_refresh_token() {
    let this = Box_::logged_in().await;
    let oauth = Arc::new(this.start());
    let renewals: Vec<_> = (0..16)
        .map(|_| {
            let oauth = Arc::clone(&oauth);
            tokio::spawn(async move { oauth.renew().await })
        })
        .collect();
    for renewal in renewals {
        assert_eq!(renewal.await.unwrap(), Ok(()));
    }
    assert_eq!(*this.server.asked.lock().unwrap(), 2, "the login and one renewal");
}

#[tokio::test]
async fn an_answer_lost_after_the_pair_was_issued_ends_with_a_person_and_a_clear_word() {
    let this = Box_::logged_in().await;
    this.fault(Fault::AnswerLost);
    assert!(matches!(this.start().renew().await, Err(RenewError::Later(_))));
    // A restart in between changes nothing: what was done with the token is on disk.
    let Err(RenewError::Person(said)) = this.start().renew().await else { panic!("a used token was taken for a good one") };
    assert!(said.contains("the answer was lost") && said.contains("limegate crm login"), "{said}");
    redeem(this.server.as_ref(), &this.store(), &integration(), &Secret::new("code-2")).await.unwrap();
    assert_eq!(bearer(&this.start()), "Bearer a3");
}

#[tokio::test]
async fn a_request_that_never_arrived_is_repeated_with_measure() {
    let this = Box_::logged_in().await;
    this.fault(Fault::RequestLost);
    assert!(matches!(this.start().renew().await, Err(RenewError::Later(_))));
    assert_eq!(this.start().renew().await, Ok(()), "the token was never used");
    for _ in 0..3 {
        this.fault(Fault::RequestLost);
    }
    for _ in 0..3 {
        assert!(matches!(this.start().renew().await, Err(RenewError::Later(_))));
    }
    let asked = *this.server.asked.lock().unwrap();
    assert!(matches!(this.start().renew().await, Err(RenewError::Person(_))));
    assert_eq!(*this.server.asked.lock().unwrap(), asked, "it is not sent for ever");
}

#[tokio::test]
async fn a_network_that_is_away_costs_no_attempt() {
    let this = Box_::logged_in().await;
    for _ in 0..10 {
        this.fault(Fault::NotSent);
        assert!(matches!(this.start().renew().await, Err(RenewError::Later(_))));
    }
    assert_eq!(this.start().renew().await, Ok(()));
}

#[tokio::test]
async fn a_refused_refresh_token_is_for_a_person_and_a_stumbling_server_is_not() {
    for status in [400, 401, 404] {
        let this = Box_::logged_in().await;
        this.fault(Fault::Status(status));
        assert!(matches!(this.start().renew().await, Err(RenewError::Person(_))), "{status}");
    }
    for status in [403, 429, 500, 502] {
        let this = Box_::logged_in().await;
        this.fault(Fault::Status(status));
        assert!(matches!(this.start().renew().await, Err(RenewError::Later(_))), "{status}");
    }
}

#[tokio::test]
async fn a_save_that_was_cut_leaves_the_old_pair_or_the_new_one() {
    let this = Box_::logged_in().await;
    let folder = this.home.path().join("oauth");
    let before = std::fs::read(folder.join("amocrm.json")).unwrap();
    this.start().renew().await.unwrap();
    let after = std::fs::read(folder.join("amocrm.json")).unwrap();
    // Killed while the new file was being written, at every byte; and after it was renamed.
    for cut in 0..=after.len() {
        std::fs::write(folder.join("amocrm.json"), &before).unwrap();
        std::fs::write(folder.join("amocrm.json.new"), &after[..cut]).unwrap();
        assert_eq!(bearer(&this.start()), "Bearer a1", "cut at {cut}");
    }
    std::fs::write(folder.join("amocrm.json"), &after).unwrap();
    assert_eq!(bearer(&this.start()), "Bearer a2");
    assert_eq!(this.start().renew().await, Ok(()), "and what the cut left lies in nobody's way");
}

#[tokio::test]
async fn no_token_is_in_what_the_disk_notes_or_an_error_says() {
    let this = Box_::logged_in().await;
    this.fault(Fault::AnswerLost);
    let first = format!("{:?}", this.start().renew().await);
    let second = format!("{:?}", this.start().renew().await);
    let note = std::fs::read_to_string(this.home.path().join("oauth/amocrm.note.json")).unwrap();
    for told in [first, second, note] {
        assert!(!told.contains("s3cret") && !told.contains("\"r1\"") && !told.contains("a1"), "{told}");
    }
}

#[tokio::test]
async fn before_the_first_login_a_person_is_asked_for() {
    let this = Box_ { home: tempfile::tempdir().unwrap(), server: Arc::new(Server::default()) };
    let Err(RenewError::Person(said)) = this.start().renew().await else { panic!() };
    assert!(said.contains("limegate crm login"), "{said}");
    assert_eq!(*this.server.asked.lock().unwrap(), 0);
}

#[test]
fn the_page_to_open_is_the_vendors_own() {
    assert!(authorize_url("https://park.amocrm.ru", "id x", "s").starts_with("https://www.amocrm.ru/oauth?client_id=id%20x&state=s"));
    assert!(authorize_url("https://park.kommo.com", "id", "s").starts_with("https://www.kommo.com/oauth"));
}

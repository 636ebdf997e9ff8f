//! Authorisation at Bitrix24: an inbound webhook, whose whole address is the secret, or a local OAuth app.
//!
//! The vendor blocks apps that renew on a timer, so the pair is renewed only when an answer says `expired_token`. The token travels in the body: a
//! query ends up in logs.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::wire::{self, Fault};
use crate::crm::tokens::{Pair, Rotating, TokenStore};
use crate::domain::Secret;
use crate::http::{Answer, Authorizer, DEFAULT_TIMEOUT, RenewError, Request, Standing, Transport};
use crate::journal::BoxFuture;

/// The token server's path below its address.
const TOKEN_PATH: &str = "/oauth/token/";

/// An inbound webhook.
#[derive(Debug, Default)]
pub struct Webhook;

impl Authorizer for Webhook {
    fn authorize(&self, _request: &mut Request) {}

    fn standing(&self, answer: &Answer) -> Standing {
        match standing(answer) {
            Standing::Good => Standing::Good,
            Standing::Expired | Standing::Refused => Standing::Refused,
        }
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), RenewError>> {
        Box::pin(async { Err(RenewError::Person("the webhook is refused: it was deleted, has expired, or its owner was dismissed".to_owned())) })
    }
}

/// A local OAuth app.
pub struct App {
    pair: Rotating,
    token_server: Arc<dyn Transport>,
    client_id: String,
    client_secret: Secret,
}

impl App {
    /// An app with the pair on disk. `token_server` is a transport to the token server's address.
    #[must_use]
    pub fn new(store: TokenStore, pair: Pair, token_server: Arc<dyn Transport>, client_id: String, client_secret: Secret) -> Self {
        Self { pair: Rotating::new(store, pair), token_server, client_id, client_secret }
    }
}

impl Authorizer for App {
    fn authorize(&self, request: &mut Request) {
        let auth = json!(self.pair.access().reveal()).to_string();
        let rest = request.body.as_deref().and_then(|body| body.strip_prefix(b"{")).unwrap_or(b"}");
        let comma = if rest.first() == Some(&b'}') { "" } else { "," };
        let mut body = format!("{{\"auth\":{auth}{comma}").into_bytes();
        body.extend_from_slice(rest);
        request.body = Some(Bytes::from(body));
    }

    fn standing(&self, answer: &Answer) -> Standing {
        standing(answer)
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), RenewError>> {
        Box::pin(self.pair.renew(move |old| async move {
            let form = [("grant_type", "refresh_token"), ("refresh_token", old.refresh.as_str())];
            buy(self.token_server.as_ref(), &self.client_id, &self.client_secret, &form).await
        }))
    }
}

/// Buys the first pair with the code that the portal gave for a login; it lives for thirty seconds.
///
/// # Errors
/// When the token server refuses or cannot be reached.
pub async fn login(token_server: &dyn Transport, client_id: &str, client_secret: &Secret, code: &Secret) -> Result<Pair, RenewError> {
    buy(token_server, client_id, client_secret, &[("grant_type", "authorization_code"), ("code", code.reveal())]).await
}

/// The address at the portal where a person allows the app, below `https://<portal>`.
#[must_use]
pub fn authorize_path(client_id: &str, state: &str) -> String {
    format!("/oauth/authorize/?client_id={}&state={}", super::batch::encoded(client_id), super::batch::encoded(state))
}

async fn buy(server: &dyn Transport, client_id: &str, client_secret: &Secret, grant: &[(&str, &str)]) -> Result<Pair, RenewError> {
    let who = [("client_id", client_id), ("client_secret", client_secret.reveal())];
    let form: Vec<String> = grant.iter().chain(&who).map(|(key, value)| format!("{key}={}", super::batch::encoded(value))).collect();
    let request = Request {
        method: Method::POST,
        path: TOKEN_PATH.to_owned(),
        headers: vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))],
        body: Some(Bytes::from(form.join("&"))),
        timeout: DEFAULT_TIMEOUT,
        label: "POST /oauth/token",
    };
    let answer = server.send(request).await.map_err(|failure| RenewError::Later(failure.to_string()))?;
    read_pair(&answer)
}

/// What the token server answered. It has been seen to answer errors with status 200.
fn read_pair(answer: &Answer) -> Result<Pair, RenewError> {
    let later = || RenewError::Later(format!("the token server answered {}", answer.status.as_u16()));
    let body: Value = answer.json().ok_or_else(later)?;
    if let Some(fault) = Fault::read(&body) {
        let said = fault.show();
        return Err(match fault.code.to_ascii_lowercase().as_str() {
            "invalid_grant" | "invalid_client" | "wrong_client" | "invalid_scope" | "insufficient_scope" | "not_installed" | "payment_required"
            | "invalid_request" | "no_auth_found" => RenewError::Person(format!("{said}; run `limegate crm login`")),
            _ => RenewError::Later(said),
        });
    }
    let text = |key: &str| body.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    match (text("access_token"), text("refresh_token")) {
        (Some(access), Some(refresh)) if answer.status.is_success() => {
            let expires = body.get("expires").and_then(wire::id).and_then(|at| i64::try_from(at).ok()).unwrap_or(0);
            Ok(Pair { access, refresh, expires })
        }
        _ => Err(later()),
    }
}

/// What an answer says of the authorisation. Statuses differ between the documents and the server, so the code decides.
fn standing(answer: &Answer) -> Standing {
    if !matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        return Standing::Good;
    }
    let code = answer.json().as_ref().and_then(Fault::read).map(|fault| fault.code.to_ascii_lowercase());
    match code.as_deref() {
        Some("expired_token") => Standing::Expired,
        Some("no_auth_found" | "invalid_token" | "authorization_error" | "invalid_credentials") => Standing::Refused,
        _ if answer.status == StatusCode::UNAUTHORIZED => Standing::Refused,
        _ => Standing::Good,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http::HeaderMap;

    use super::*;
    use crate::http::{Exchange, Failure};

    struct Server(Mutex<Vec<Exchange>>, Mutex<Vec<Request>>);

    impl Transport for Server {
        fn send(&self, request: Request) -> std::pin::Pin<Box<dyn Future<Output = Exchange> + Send + '_>> {
            self.1.lock().unwrap().push(request);
            let next = self.0.lock().unwrap().remove(0);
            Box::pin(async move { next })
        }
    }

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new(), body: body.to_owned().into() }
    }

    fn app(home: &std::path::Path, answers: Vec<Exchange>) -> (App, Arc<Server>, TokenStore) {
        let store = TokenStore::new(home, "bitrix24");
        let pair = Pair { access: "acc\"1".to_owned(), refresh: "ref+1".to_owned(), expires: 0 };
        store.save(&pair).unwrap();
        let server = Arc::new(Server(Mutex::new(answers), Mutex::default()));
        (App::new(store.clone(), pair, Arc::clone(&server) as _, "local.1".to_owned(), Secret::new("s3cret")), server, store)
    }

    #[test]
    fn the_token_travels_in_the_body_beside_the_parameters() {
        let home = tempfile::tempdir().unwrap();
        let (app, ..) = app(home.path(), Vec::new());
        for (body, wanted) in [
            (Some(json!({"halt": 0})), json!({"auth": "acc\"1", "halt": 0})),
            (Some(json!({})), json!({"auth": "acc\"1"})),
            (None, json!({"auth": "acc\"1"})),
        ] {
            let mut request = Request::get("/batch", "POST batch");
            request.body = body.map(|body| Bytes::from(body.to_string()));
            app.authorize(&mut request);
            assert_eq!(serde_json::from_slice::<Value>(request.body.as_deref().unwrap()).unwrap(), wanted);
            assert_eq!(request.path, "/batch");
        }
    }

    #[test]
    fn only_an_expired_token_is_renewed() {
        for (status, body, wanted) in [
            (401, r#"{"error":"expired_token"}"#, Standing::Expired),
            (401, r#"{"error":"NO_AUTH_FOUND"}"#, Standing::Refused),
            (403, r#"{"error":"INVALID_CREDENTIALS"}"#, Standing::Refused),
            (401, "<html>", Standing::Refused),
            (403, r#"{"error":"insufficient_scope"}"#, Standing::Good),
            (200, r#"{"result":1}"#, Standing::Good),
        ] {
            assert_eq!(standing(&answer(status, body)), wanted, "{status} {body}");
        }
        assert_eq!(Webhook.standing(&answer(401, r#"{"error":"expired_token"}"#)), Standing::Refused);
    }

    #[tokio::test]
    async fn a_new_pair_is_on_disk_and_in_use_after_a_renewal() {
        let home = tempfile::tempdir().unwrap();
        let good = answer(200, r#"{"access_token":"acc2","refresh_token":"ref2","expires":1700000000,"scope":"crm"}"#);
        let (app, server, store) = app(home.path(), vec![Ok(good)]);
        app.renew().await.unwrap();
        assert_eq!(store.load().unwrap().unwrap(), Pair { access: "acc2".to_owned(), refresh: "ref2".to_owned(), expires: 1_700_000_000 });
        assert_eq!(app.pair.access().reveal(), "acc2");
        let sent = server.1.lock().unwrap().remove(0);
        assert_eq!(sent.path, "/oauth/token/", "no secret in the address");
        assert_eq!(sent.body.unwrap(), "grant_type=refresh_token&refresh_token=ref%2B1&client_id=local.1&client_secret=s3cret");
    }

    #[tokio::test]
    async fn a_dead_refresh_token_needs_a_person_and_a_stumbling_server_does_not() {
        let home = tempfile::tempdir().unwrap();
        let dead = answer(200, r#"{"error":"invalid_grant","error_description":"gone"}"#);
        let answers = vec![Ok(dead), Ok(answer(502, "<html>")), Ok(answer(200, r#"{"access_token":"a"}"#)), Err(Failure::Unknown("cut".to_owned()))];
        let (app, ..) = app(home.path(), answers);
        assert!(matches!(app.renew().await, Err(RenewError::Person(_))));
        for _ in 0..3 {
            assert!(matches!(app.renew().await, Err(RenewError::Later(_))));
        }
        assert_eq!(app.pair.access().reveal(), "acc\"1");
    }
}

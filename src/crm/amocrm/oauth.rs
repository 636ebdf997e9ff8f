//! Authorisation by OAuth: a refresh token that can be used once and lives three months, an access token of a day.
//!
//! Almost every dead integration died of a refresh token used twice: by two processes, or again because an answer was lost. So the pair is renewed by one
//! caller at a time and only when amoCRM has refused the access token; that the refresh token is about to be used is noted on disk first; and one whose
//! answer was lost is tried again twice at most, for it may never have arrived, and then a person is asked.
//!
//! Never: a pair used before it is durable; a code or token sent to a host that is not the configured account; a refused refresh token sent again.

use std::sync::Arc;

use http::{HeaderValue, Method, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::crm::login;
use crate::crm::tokens::{Pair, Rotating, TokenStore};
use crate::domain::Secret;
use crate::http::{Answer, Authorizer, BoxFuture, Failure, RenewError, Request, Transport};

use super::wire;

/// The name of the pair's file.
pub const STORE: &str = "amocrm";
/// A refresh token is sent so often at most.
const SENDS: u32 = 3;
/// Tells one refresh token from another without holding it.
const NAMESPACE: Uuid = Uuid::from_u128(0x1c1b_1a0e_65f5_4f2b_8c6d_6f61_7574_6821);

/// The integration, as it was registered.
#[derive(Clone, Debug)]
pub struct Integration {
    /// Its id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret,
    /// Must match the registered one exactly.
    pub redirect_uri: String,
}

/// An OAuth integration with its pair on disk.
pub struct OAuth {
    pair: Rotating,
    store: TokenStore,
    server: Arc<dyn Transport>,
    integration: Integration,
}

/// What has been done with a refresh token.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Note {
    /// Which one.
    of: String,
    /// How often it was sent without an answer.
    sent: u32,
}

impl OAuth {
    /// With the pair that `limegate crm login` left; without one every request is refused until it has run. `server` is a transport to the account.
    #[must_use]
    pub fn new(store: TokenStore, pair: Option<Pair>, server: Arc<dyn Transport>, integration: Integration) -> Self {
        let pair = pair.unwrap_or(Pair { access: String::new(), refresh: String::new(), expires: 0 });
        Self { pair: Rotating::new(store.clone(), pair), store, server, integration }
    }

    async fn refresh(&self, old: &Pair) -> Result<Pair, RenewError> {
        if old.refresh.is_empty() {
            return Err(RenewError::Person("nobody has logged in yet; run `limegate crm login`".to_owned()));
        }
        let of = Uuid::new_v5(&NAMESPACE, old.refresh.as_bytes()).to_string();
        let sent = self.note().filter(|note| note.of == of).map_or(0, |note| note.sent);
        if sent >= SENDS {
            return Err(RenewError::Person("the answers to its renewal were lost on the way; run `limegate crm login`".to_owned()));
        }
        self.keep(&Note { of: of.clone(), sent: sent + 1 })?;
        let grant = json!({ "grant_type": "refresh_token", "refresh_token": old.refresh });
        match self.server.send(token_request(&self.integration, grant)).await {
            Ok(answer) => read_pair(&answer, sent > 0),
            Err(Failure::NotSent(why)) => {
                self.keep(&Note { of, sent })?;
                Err(RenewError::Later(why))
            }
            Err(Failure::Unknown(why)) => Err(RenewError::Later(why)),
        }
    }

    fn note(&self) -> Option<Note> {
        serde_json::from_str(&self.store.note()?).ok()
    }

    fn keep(&self, note: &Note) -> Result<(), RenewError> {
        let text = serde_json::to_string(note).unwrap_or_default();
        self.store.keep_note(&text).map_err(|error| RenewError::Later(format!("that the renewal was begun could not be kept: {error}")))
    }
}

impl Authorizer for OAuth {
    fn authorize(&self, request: &mut Request) {
        if let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {}", self.pair.access().reveal())) {
            value.set_sensitive(true);
            request.headers.push((header::AUTHORIZATION, value));
        }
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), RenewError>> {
        Box::pin(self.pair.renew(move |old| async move { self.refresh(&old).await }))
    }
}

fn token_request(integration: &Integration, mut grant: Value) -> Request {
    grant["client_id"] = json!(integration.client_id);
    grant["client_secret"] = json!(integration.client_secret.reveal());
    grant["redirect_uri"] = json!(integration.redirect_uri);
    Request::json(Method::POST, "/oauth2/access_token", &grant, "POST /oauth2/access_token")
}

/// What the token server answered. Its own words are not repeated: they may hold what was sent.
fn read_pair(answer: &Answer, again: bool) -> Result<Pair, RenewError> {
    let status = answer.status.as_u16();
    let body = answer.json().unwrap_or_default();
    let text = |key: &str| body.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    match (status, text("access_token"), text("refresh_token")) {
        (200..=299, Some(access), Some(refresh)) => {
            let at = wire::number(body.get("server_time")).unwrap_or(0);
            let lives = wire::number(body.get("expires_in")).unwrap_or(0);
            Ok(Pair { access, refresh, expires: at.saturating_add(lives) })
        }
        (400 | 401 | 404, ..) if again => {
            Err(RenewError::Person(format!("it was used before, and the answer was lost on the way (HTTP {status}); run `limegate crm login`")))
        }
        (400 | 401 | 404, ..) => Err(RenewError::Person(format!("amoCRM does not know it any longer (HTTP {status}); run `limegate crm login`"))),
        _ => Err(RenewError::Later(format!("amoCRM answered the renewal with HTTP {status}"))),
    }
}

/// The page on which an administrator allows the integration.
#[must_use]
pub fn authorize_url(account_url: &str, client_id: &str, state: &str) -> String {
    let home = if login::host_of(account_url).is_some_and(|host| host.ends_with(".kommo.com")) { "www.kommo.com" } else { "www.amocrm.ru" };
    format!("https://{home}/oauth?client_id={}&state={}&mode=popup", wire::encoded(client_id), wire::encoded(state))
}

/// Redeems a code, which lives for twenty minutes and works once, and keeps the pair.
///
/// # Errors
/// When amoCRM refuses or cannot be reached, or the disk refuses.
pub async fn redeem(server: &dyn Transport, store: &TokenStore, integration: &Integration, code: &Secret) -> Result<(), RenewError> {
    let grant = json!({ "grant_type": "authorization_code", "code": code.reveal() });
    let answer = server.send(token_request(integration, grant)).await.map_err(|failure| RenewError::Later(failure.to_string()))?;
    let pair = match read_pair(&answer, false) {
        Err(RenewError::Person(_)) => {
            let status = answer.status.as_u16();
            return Err(RenewError::Person(format!(
                "amoCRM does not take this code (HTTP {status}): it works once and for twenty minutes, and integration id, secret and redirect address must match"
            )));
        }
        other => other?,
    };
    store.save(&pair).map_err(|error| RenewError::Later(error.to_string()))
}

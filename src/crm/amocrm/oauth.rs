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
/// Hosts of accounts.
const HOSTS: [&str; 3] = [".amocrm.ru", ".amocrm.com", ".kommo.com"];

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
    let home = if host_of(account_url).is_some_and(|host| host.ends_with(".kommo.com")) { "www.kommo.com" } else { "www.amocrm.ru" };
    format!("https://{home}/oauth?client_id={}&state={}&mode=popup", wire::encoded(client_id), wire::encoded(state))
}

/// Why what was pasted is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasteError {
    /// There is no code in it.
    #[error("there is no `code=` in that; paste the whole address to which the browser was sent, or the code alone")]
    NoCode,
    /// It is the answer to another login.
    #[error("that is the answer to another login (its `state` is not ours); open the address above once more")]
    OtherState,
    /// It comes from a host that is not the configured account.
    #[error("that is for the account {0}, and the config names {1}")]
    OtherAccount(String, String),
}

/// The code in what a person pasted: the address to which the browser was sent, or the code itself.
///
/// # Errors
/// When there is none, or it is not for this login and account.
pub fn pasted_code(pasted: &str, state: &str, account_url: &str) -> Result<Secret, PasteError> {
    let pasted = pasted.trim();
    let Some((_, query)) = pasted.split_once('?') else {
        let is_code = pasted.len() >= 20 && pasted.chars().all(|character| character.is_ascii_alphanumeric() || "-_.~=".contains(character));
        return if is_code { Ok(Secret::new(pasted)) } else { Err(PasteError::NoCode) };
    };
    let query = query.split('#').next().unwrap_or_default();
    let parameter = |name: &str| {
        let found = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
        found.map(|(_, value)| decoded(value)).filter(|value| !value.is_empty())
    };
    if parameter("state").is_some_and(|other| other != state) {
        return Err(PasteError::OtherState);
    }
    let own = host_of(account_url).unwrap_or_default();
    // `referer` is where the code may be redeemed; it came through a browser, so it is only ever compared.
    if let Some(host) = parameter("referer")
        && HOSTS.iter().any(|suffix| own.ends_with(suffix))
        && !(host.eq_ignore_ascii_case(&own) && HOSTS.iter().any(|suffix| host.to_ascii_lowercase().ends_with(suffix)))
    {
        return Err(PasteError::OtherAccount(host.chars().take(80).collect(), own));
    }
    parameter("code").map(Secret::new).ok_or(PasteError::NoCode)
}

/// Redeems a code, which lives for twenty minutes and works once, and keeps the pair.
///
/// # Errors
/// When amoCRM refuses or cannot be reached, or the disk refuses.
pub async fn login(server: &dyn Transport, store: &TokenStore, integration: &Integration, code: &Secret) -> Result<(), RenewError> {
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

fn host_of(url: &str) -> Option<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next()?.rsplit('@').next()?.split(':').next()?;
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

/// Percent-decoding of a query value.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let mut ahead = rest.clone();
                let half = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16)).and_then(|digit| u8::try_from(digit).ok());
                match (half(ahead.next()), half(ahead.next())) {
                    (Some(high), Some(low)) => {
                        bytes.push(high * 16 + low);
                        rest = ahead;
                    }
                    _ => bytes.push(byte),
                }
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

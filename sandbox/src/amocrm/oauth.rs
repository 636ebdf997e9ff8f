//! OAuth 2.0 of an amoCRM integration: one-time code, one-time refresh token, JWTs that name the sandbox as their API's home.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::{Value, json};

use super::errors::{Problem, Refused};
use super::{ACCOUNT, Amo, Call, USER};
use crate::wire;

const ACCESS_S: i64 = 86_400;
const CODE_MS: u64 = 20 * 60 * 1_000;
const LONG_LIVED_S: i64 = 5 * 365 * 86_400;
const REDIRECT: &str = "http://127.0.0.1/oauth";

#[derive(Debug)]
pub(super) struct Oauth {
    client_id: String,
    client_secret: String,
    key: [u8; 32],
    random: fastrand::Rng,
    first_code: String,
    /// Code, and when it ends.
    codes: BTreeMap<String, u64>,
    /// Access token, and when it ends.
    access: BTreeMap<String, u64>,
    /// Refresh token; false once it was used.
    refresh: BTreeMap<String, bool>,
    long_lived_revoked: bool,
    refreshes: u64,
    reused: u64,
}

impl Oauth {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed ^ 0x616d_6f63_726d);
        let key = std::array::from_fn(|_| random.u8(..));
        let first_code = token(&mut random, 64);
        Self {
            client_id: "5a9b0c6e-1111-4222-8333-444455556666".to_owned(),
            client_secret: token(&mut random, 48),
            key,
            codes: BTreeMap::from([(first_code.clone(), u64::MAX)]),
            first_code,
            random,
            access: BTreeMap::new(),
            refresh: BTreeMap::new(),
            long_lived_revoked: false,
            refreshes: 0,
            reused: 0,
        }
    }

    pub(super) fn shown(&self) -> Value {
        json!({"client_id": self.client_id, "client_secret": self.client_secret, "redirect_uri": REDIRECT, "code": self.first_code})
    }

    pub(super) fn issue_code(&mut self, now_ms: u64) -> String {
        let code = token(&mut self.random, 64);
        self.codes.insert(code.clone(), now_ms.saturating_add(CODE_MS));
        code
    }

    pub(super) fn long_lived(&self, base: &str) -> String {
        // Times that never change, so that the token can be made again to compare.
        self.jwt(base, 1_760_000_000, 1_760_000_000 + LONG_LIVED_S, "long-lived")
    }

    pub(super) fn accepts(&self, token: &str, base: &str, now_ms: u64) -> bool {
        self.access.get(token).is_some_and(|until| now_ms < *until) || (!self.long_lived_revoked && token == self.long_lived(base))
    }

    pub(super) fn revoke(&mut self) {
        self.access.clear();
        self.long_lived_revoked = true;
    }

    pub(super) fn state(&self) -> Value {
        json!({"refreshes": self.refreshes, "refresh_tokens_reused": self.reused, "access_tokens": self.access.len()})
    }

    fn jwt(&self, base: &str, issued: i64, expires: i64, id: &str) -> String {
        let api_domain = base.split_once("://").map_or(base, |(_, host)| host);
        let header = json!({"typ": "JWT", "alg": "HS256"});
        let claims = json!({
            "aud": self.client_id, "jti": id, "iat": issued, "nbf": issued, "exp": expires, "sub": USER.to_string(), "grant_type": "",
            "account_id": ACCOUNT,
            "base_domain": api_domain, "version": 2, "scopes": ["crm", "files", "notifications"], "user_flags": 0, "api_domain": api_domain,
        });
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &self.key);
        let signature = ring::hmac::sign(&key, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    fn pair(&mut self, base: &str, now_ms: u64, at: i64) -> Value {
        let id = token(&mut self.random, 16);
        let access = self.jwt(base, at, at + ACCESS_S, &id);
        let refresh = token(&mut self.random, 64);
        self.access.insert(access.clone(), now_ms.saturating_add(ACCESS_S.unsigned_abs() * 1_000));
        self.refresh.insert(refresh.clone(), true);
        json!({"token_type": "Bearer", "expires_in": ACCESS_S, "server_time": at, "access_token": access, "refresh_token": refresh})
    }
}

impl Amo {
    pub(super) fn oauth(&mut self, call: &Call<'_>, path: &str) -> Result<Response<Bytes>, Refused> {
        match (call.method(), path) {
            (&Method::POST, "access_token") => self.access_token(call),
            (&Method::GET, "account/current/subdomain") => self.subdomain(call),
            (_, "access_token" | "account/current/subdomain") => Err(Problem::method_not_allowed()),
            _ => Err(self.no_route(call)),
        }
    }

    fn access_token(&mut self, call: &Call<'_>) -> Result<Response<Bytes>, Refused> {
        let given = wire::parameters(call.request);
        let text = |key: &str| given.get(key).and_then(wire::text).unwrap_or_default();
        let oauth = &mut self.oauth;
        if text("client_id") != oauth.client_id || text("client_secret") != oauth.client_secret {
            return Err(refused("Client authentication failed"));
        }
        if text("redirect_uri") != REDIRECT {
            return Err(refused("The redirect URI is not the integration's"));
        }
        match text("grant_type").as_str() {
            "authorization_code" => match oauth.codes.remove(&text("code")) {
                Some(until) if call.now_ms < until => {}
                Some(_) => return Err(refused("Authorization code has expired")),
                None => return Err(refused("Authorization code has been revoked")),
            },
            "refresh_token" => match oauth.refresh.get_mut(&text("refresh_token")) {
                Some(fresh) if *fresh => {
                    *fresh = false;
                    oauth.refreshes += 1;
                }
                Some(_) => {
                    oauth.reused += 1;
                    return Err(refused("Token has been revoked"));
                }
                None => return Err(refused("Cannot decrypt the refresh token")),
            },
            _ => return Err(refused("Check the `grant_type` parameter")),
        }
        let pair = oauth.pair(&self.base, call.now_ms, call.at);
        Ok(wire::json(StatusCode::OK, &pair))
    }

    fn subdomain(&self, call: &Call<'_>) -> Result<Response<Bytes>, Refused> {
        let known = call
            .request
            .headers()
            .get("x-refresh-token")
            .and_then(|token| token.to_str().ok())
            .is_some_and(|token| self.oauth.refresh.contains_key(token));
        if !known {
            return Err(Problem::unauthorized());
        }
        let host = self.base.split_once("://").map_or(self.base.as_str(), |(_, host)| host);
        Ok(wire::json(StatusCode::OK, &json!({"id": ACCOUNT, "subdomain": "park", "domain": host, "top_level_domain": "ru"})))
    }
}

fn refused(hint: &str) -> Refused {
    Problem::new(StatusCode::UNAUTHORIZED, "Некорректный запрос", "В запросе отсутствует ряд параметров или параметры невалидны")
        .with("type", json!("https://developers.amocrm.ru/v3/errors/OAuthProblemJson"))
        .with("hint", json!(hint))
}

fn token(random: &mut fastrand::Rng, length: usize) -> String {
    std::iter::repeat_with(|| random.alphanumeric()).take(length).collect()
}

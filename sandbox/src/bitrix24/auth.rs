//! Who may ask: an inbound webhook's secret, or a local app's access token with its rotating refresh token.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::errors::Fault;
use super::{Bitrix, Done, Parameters, USER};
use crate::wire;

const ACCESS_MS: u64 = 3_600_000;

#[derive(Debug)]
pub(super) struct Auth {
    secret: String,
    pub(super) webhook_lives: bool,
    client_id: String,
    client_secret: String,
    member: String,
    first: (String, String),
    random: fastrand::Rng,
    /// Access token, and when it ends.
    access: BTreeMap<String, u64>,
    refresh: BTreeMap<String, bool>,
    refreshes: u64,
    reused: u64,
}

impl Auth {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed ^ 0x6232_3462_3234);
        let first = (token(&mut random, 70), token(&mut random, 70));
        Self {
            secret: token(&mut random, 16),
            webhook_lives: true,
            client_id: format!("local.{}.{}", token(&mut random, 14), 10_000_001),
            client_secret: token(&mut random, 50),
            member: token(&mut random, 32),
            access: BTreeMap::from([(first.0.clone(), ACCESS_MS)]),
            refresh: BTreeMap::from([(first.1.clone(), true)]),
            first,
            random,
            refreshes: 0,
            reused: 0,
        }
    }

    pub(super) fn secret(&self) -> &str {
        &self.secret
    }

    pub(super) fn shown(&self, base: &str) -> Value {
        json!({
            "client_id": self.client_id, "client_secret": self.client_secret, "access_token": self.first.0, "refresh_token": self.first.1,
            "token_url": format!("{base}/oauth/token/"), "client_endpoint": format!("{base}/rest/"), "member_id": self.member,
        })
    }

    pub(super) fn webhook(&self, user: &str, secret: &str) -> Result<(), Fault> {
        if self.webhook_lives && user == USER.to_string() && secret == self.secret {
            return Ok(());
        }
        Err(Fault::new(StatusCode::UNAUTHORIZED, "INVALID_CREDENTIALS", "Invalid request credentials"))
    }

    pub(super) fn token(&self, token: Option<&str>, now_ms: u64) -> Result<(), Fault> {
        let Some(token) = token else { return Err(Fault::new(StatusCode::UNAUTHORIZED, "NO_AUTH_FOUND", "Wrong authorization data")) };
        match self.access.get(token) {
            Some(until) if now_ms < *until => Ok(()),
            Some(_) => Err(Fault::new(StatusCode::UNAUTHORIZED, "expired_token", "The access token provided has expired.")),
            None => Err(Fault::new(StatusCode::UNAUTHORIZED, "invalid_token", "Unable to get application by token")),
        }
    }

    pub(super) fn expire(&mut self) {
        self.access.values_mut().for_each(|until| *until = 0);
    }

    pub(super) fn app_info(&self) -> Done {
        Done::of(json!({"ID": 1, "CODE": self.client_id, "VERSION": 1, "STATUS": "L", "INSTALLED": true, "PAYMENT_EXPIRED": "N", "DAYS": null,
                "LANGUAGE_ID": "ru", "LICENSE": "ru_pro100"}))
    }

    pub(super) fn state(&self) -> Value {
        json!({"refreshes": self.refreshes, "refresh_tokens_reused": self.reused})
    }
}

impl Bitrix {
    /// `/oauth/token/`, by GET or POST. Refreshing spends the refresh token.
    pub(super) fn token(&mut self, now_ms: u64, wall_ms: i64, given: &Parameters) -> Response<Bytes> {
        let text = |key: &str| given.get(key).and_then(wire::text).unwrap_or_default();
        let refused = |code: &str| Fault::bad(code, "").response();
        let auth = &mut self.auth;
        if text("client_id") != auth.client_id || text("client_secret") != auth.client_secret {
            return refused("invalid_client");
        }
        if text("grant_type") != "refresh_token" {
            return refused("invalid_request");
        }
        match auth.refresh.get_mut(&text("refresh_token")) {
            Some(fresh) if *fresh => *fresh = false,
            Some(_) => {
                auth.reused += 1;
                return refused("invalid_grant");
            }
            None => return refused("invalid_grant"),
        }
        auth.refreshes += 1;
        let (access, refresh) = (token(&mut auth.random, 70), token(&mut auth.random, 70));
        auth.access.insert(access.clone(), now_ms.saturating_add(ACCESS_MS));
        auth.refresh.insert(refresh.clone(), true);
        let domain = self.base.split_once("://").map_or(self.base.as_str(), |(_, host)| host);
        wire::json(
            StatusCode::OK,
            &json!({
                "access_token": access, "refresh_token": refresh, "expires": wall_ms.div_euclid(1_000) + 3_600, "expires_in": 3_600,
                "scope": "crm,user_basic",
                "domain": domain, "client_endpoint": format!("{}/rest/", self.base), "server_endpoint": format!("{}/rest/", self.base), "status": "L",
                "member_id": self.auth.member, "user_id": USER,
            }),
        )
    }
}

fn token(random: &mut fastrand::Rng, length: usize) -> String {
    std::iter::repeat_with(|| random.alphanumeric().to_ascii_lowercase()).take(length).collect()
}

//! Authorisation of requests, behind one seam, so that delivery need not know whose tokens rotate.
//!
//! Never: a token in a log, an error or a `Debug`; a new pair used before it is durable; two renewals at once.

use http::{HeaderValue, StatusCode, header};

use crate::domain::Secret;

use super::{Answer, BoxFuture, Request};

/// What an answer says of our authorisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was accepted, or the answer is about something else.
    Good,
    /// Refused; renewing it once may help. Nothing was done over there.
    Expired,
    /// Refused, and only a person can help: the queue is kept, an alarm is raised, and the remote is asked again slowly.
    Refused,
}

/// Why a renewal failed. The texts are free of secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenewError {
    /// The token server could not be reached or was not in the mood: try again later.
    #[error("the authorisation could not be renewed now: {0}")]
    Later(String),
    /// A person must authorise again.
    #[error("the authorisation cannot be renewed: {0}")]
    Person(String),
}

/// Puts the present authorisation on requests and renews it. Implementations serialise `renew` themselves: of two callers at once one renews and the
/// other finds it done.
pub trait Authorizer: Send + Sync {
    /// Adds what the remote wants to see: a header, a query parameter or a path in front.
    fn authorize(&self, request: &mut Request);

    /// What the answer says of the authorisation. Default: 401 means that renewing may help.
    fn standing(&self, answer: &Answer) -> Standing {
        if answer.status == StatusCode::UNAUTHORIZED { Standing::Expired } else { Standing::Good }
    }

    /// Gets a new authorisation and makes it durable before it is used.
    ///
    /// # Errors
    /// When it cannot be had now, or not without a person.
    fn renew(&self) -> BoxFuture<'_, Result<(), RenewError>>;
}

/// A token that does not change while the gateway runs: Lime's device token, amoCRM's long-lived one.
#[derive(Debug)]
pub struct Bearer {
    token: Secret,
    forbidden_is_refusal: bool,
}

impl Bearer {
    /// `Authorization: Bearer <token>`; 401 is a refusal, 403 is for the conversation.
    #[must_use]
    pub fn new(token: Secret) -> Self {
        Self { token, forbidden_is_refusal: false }
    }

    /// The same, and 403 is a refusal, too, as the Lime gateway API says.
    #[must_use]
    pub fn refused_by_forbidden(token: Secret) -> Self {
        Self { token, forbidden_is_refusal: true }
    }
}

impl Authorizer for Bearer {
    fn authorize(&self, request: &mut Request) {
        // A token that is no header value is sent nowhere: the remote answers 401, and that is reported.
        if let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {}", self.token.reveal())) {
            value.set_sensitive(true);
            request.headers.push((header::AUTHORIZATION, value));
        }
    }

    fn standing(&self, answer: &Answer) -> Standing {
        match answer.status {
            StatusCode::UNAUTHORIZED => Standing::Refused,
            StatusCode::FORBIDDEN if self.forbidden_is_refusal => Standing::Refused,
            _ => Standing::Good,
        }
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), RenewError>> {
        Box::pin(async { Err(RenewError::Person("this token does not renew itself; put a new one in its file".to_owned())) })
    }
}

/// The address itself is the secret (a Bitrix24 inbound webhook), or nothing is needed.
#[derive(Debug, Default)]
pub struct NoAuthorization;

impl Authorizer for NoAuthorization {
    fn authorize(&self, _request: &mut Request) {}

    fn standing(&self, answer: &Answer) -> Standing {
        if answer.status == StatusCode::UNAUTHORIZED { Standing::Refused } else { Standing::Good }
    }

    fn renew(&self) -> BoxFuture<'_, Result<(), RenewError>> {
        Box::pin(async { Err(RenewError::Person("there is nothing to renew here; the address itself is refused".to_owned())) })
    }
}

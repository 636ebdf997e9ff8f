//! A remote as requests see it: a transport that knows the base address, and the authorisation.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Answer, Authorizer, Exchange, RenewError, Request, Standing, Transport};

/// Where requests of one remote go, and with what authorisation. Cheap to clone.
#[derive(Clone)]
pub struct Endpoint {
    transport: Arc<dyn Transport>,
    authorizer: Arc<dyn Authorizer>,
}

impl Endpoint {
    /// Joins the two. The transport holds the base address: a [`super::Client`], or a simulated world.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>, authorizer: Arc<dyn Authorizer>) -> Self {
        Self { transport, authorizer }
    }

    /// One exchange, authorised. No retry of any kind: that is delivery's business.
    ///
    /// # Errors
    /// When there is no complete answer: certainly not sent, or unknown.
    pub async fn exchange(&self, mut request: Request) -> Exchange {
        self.authorizer.authorize(&mut request);
        self.transport.send(request).await
    }

    /// One exchange, authorised, whose answer may be larger than memory should hold: see [`Transport::stream`].
    ///
    /// # Errors
    /// As [`Endpoint::exchange`].
    pub async fn stream(&self, mut request: Request, body: mpsc::Sender<Bytes>) -> Exchange {
        self.authorizer.authorize(&mut request);
        self.transport.stream(request, body).await
    }

    /// What an answer says of the authorisation.
    #[must_use]
    pub fn standing(&self, answer: &Answer) -> Standing {
        self.authorizer.standing(answer)
    }

    /// Renews the authorisation.
    ///
    /// # Errors
    /// When it cannot be had now, or not without a person.
    pub async fn renew(&self) -> Result<(), RenewError> {
        self.authorizer.renew().await
    }
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Endpoint")
    }
}

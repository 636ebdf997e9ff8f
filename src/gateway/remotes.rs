//! Connects what the config names: Lime, the CRM, their authorisation and pace, and the couriers that speak with them.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::SharedClock;
use crate::config::{AmoAuth, BitrixAuth, Config, CrmKind, SecretError, SecretSource};
use crate::crm::amocrm::AmoCourier;
use crate::crm::amocrm::oauth::{self, Integration, OAuth};
use crate::crm::bitrix24::Bitrix24Courier;
use crate::crm::bitrix24::auth::{App, Webhook};
use crate::crm::bitrix24::renamed::Renamed;
use crate::crm::texts::Texts;
use crate::crm::tokens::{Pair, TokenError, TokenStore};
use crate::delivery::{Courier, Limit, Remote, Remotes};
use crate::domain::Secret;
use crate::flow::contacts::{KEY_FILE, Keyer};
use crate::http::tls::{self, TlsError};
use crate::http::{Authorizer, Bearer, Client, Endpoint, SetupError as AddressError, Transport};
use crate::lime::{self, LimeCourier};

use super::controllers::Controllers;

/// A connection to Lime is kept between requests for so long: longer than the rhythm of the entitlements, so that a guest's question finds one. All that is sent
/// there may be sent again, so that a connection which the server has closed meanwhile costs a repetition and nothing else.
const LIME_IDLE: Duration = Duration::from_secs(60);

/// Why something in the config cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A certificate authority.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An address.
    #[error("{0}: {1}")]
    Address(&'static str, AddressError),
    /// The OAuth pair.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// The key for marks of people's data.
    #[error("{0}: {1}")]
    Marks(PathBuf, std::io::Error),
}

/// All that the config connects to.
pub(super) struct Connected {
    pub remotes: Remotes,
    pub couriers: Vec<Arc<dyn Courier>>,
    /// The key for marks of people's data, where this box runs the integration.
    pub keyer: Option<Keyer>,
    pub mqtt_password: Option<Secret>,
    pub controllers: Controllers,
    /// What a webhook of the CRM's has to know, where it calls.
    pub webhook_secret: Option<Secret>,
}

/// Makes the remotes; nothing is sent yet.
pub(super) fn connect(config: &Config, clock: &SharedClock) -> Result<Connected, SetupError> {
    let backoff = (config.delivery.backoff_base, config.delivery.backoff_cap);
    let remote = |endpoint, rate, burst| remote(endpoint, (rate, burst), backoff, clock);
    let lime = remote(lime_endpoint(config, clock)?, lime::RATE, lime::BURST);
    let crm = remote(crm_endpoint(config, clock)?, config.delivery.crm_rate, config.delivery.crm_burst);
    let mqtt_password = config.mqtt.as_ref().and_then(|mqtt| mqtt.password.as_ref()).map(|secret| secret.load(&config.file)).transpose()?;
    let webhook = config.hub.as_ref().and_then(|hub| hub.webhook.as_ref());
    let webhook_secret = webhook.map(|webhook| webhook.secret.load(&config.file)).transpose()?;
    let zone = config.site.timezone.clone();
    let keyer = keyer(config)?;
    let lime_courier = LimeCourier::new(config.site.id.clone(), clock.stamp().boot, zone);
    let couriers: Vec<Arc<dyn Courier>> = vec![Arc::new(lime_courier), crm_courier(config, keyer.clone())];
    let controllers = Controllers::load(config)?;
    Ok(Connected { remotes: Remotes { lime, crm: Some(crm) }, couriers, keyer, mqtt_password, controllers, webhook_secret })
}

fn remote(endpoint: Endpoint, (rate, burst): (f64, u32), backoff: (Duration, Duration), clock: &SharedClock) -> Arc<Remote> {
    Arc::new(Remote::new(endpoint, Limit::of(rate, burst), backoff, Arc::clone(clock), fastrand::Rng::new()))
}

/// Lime, as the config names it.
///
/// # Errors
/// When the token, the authority or the address cannot be used.
pub fn lime_endpoint(config: &Config, clock: &SharedClock) -> Result<Endpoint, SetupError> {
    let tls = tls::config(config.lime.ca.as_deref(), Arc::clone(clock))?;
    let transport = Client::with_idle(&config.lime.url, tls, LIME_IDLE).map_err(|error| SetupError::Address("lime.url", error))?;
    Ok(Endpoint::new(Arc::new(transport), Arc::new(Bearer::refused_by_forbidden(config.lime.token.load(&config.file)?))))
}

/// The CRM, as the config names it.
///
/// # Errors
/// When a secret, the authority, the address or the OAuth pair cannot be used.
pub fn crm_endpoint(config: &Config, clock: &SharedClock) -> Result<Endpoint, SetupError> {
    let load = |secret: &SecretSource| secret.load(&config.file);
    let ca = config.crm.ca.as_ref();
    let (transport, authorizer): (_, Arc<dyn Authorizer>) = match &config.crm.kind {
        CrmKind::AmoCrm(amo) => {
            let transport = transport("crm.account", &amo.url, ca, clock)?;
            let authorizer: Arc<dyn Authorizer> = match &amo.auth {
                AmoAuth::Token(token) => Arc::new(Bearer::new(load(token)?)),
                AmoAuth::OAuth { client_id, client_secret, redirect_uri } => {
                    let store = TokenStore::new(&config.state_dir, oauth::STORE);
                    let pair = store.load()?;
                    let integration =
                        Integration { client_id: client_id.clone(), client_secret: load(client_secret)?, redirect_uri: redirect_uri.clone() };
                    Arc::new(OAuth::new(store, pair, Arc::clone(&transport), integration))
                }
            };
            (transport, authorizer)
        }
        CrmKind::Bitrix24(bitrix) => match &bitrix.auth {
            BitrixAuth::Webhook(webhook) => (portal("crm.webhook", load(webhook)?, ca, clock)?, Arc::new(Webhook)),
            BitrixAuth::OAuth { portal: address, token_server, client_id, client_secret } => {
                let store = TokenStore::new(&config.state_dir, "bitrix24");
                // Without a login every request is refused, and status says so.
                let pair = store.load()?.unwrap_or(Pair { access: String::new(), refresh: String::new(), expires: 0 });
                let server = transport("crm.token_server", token_server, ca, clock)?;
                let app = App::new(store, pair, server, client_id.clone(), load(client_secret)?);
                (portal("crm.portal", Secret::new(format!("{address}/rest")), ca, clock)?, Arc::new(app))
            }
        },
    };
    Ok(Endpoint::new(transport, authorizer))
}

/// A way to an address of the CRM, without authorisation: for `crm login`.
///
/// # Errors
/// When the authority or the address cannot be used.
pub fn crm_transport(config: &Config, url: &str, clock: &SharedClock) -> Result<Arc<dyn Transport>, SetupError> {
    transport("crm", url, config.crm.ca.as_ref(), clock)
}

fn transport(key: &'static str, url: &str, ca: Option<&PathBuf>, clock: &SharedClock) -> Result<Arc<dyn Transport>, SetupError> {
    let tls = tls::config(ca.map(PathBuf::as_path), Arc::clone(clock))?;
    Ok(Arc::new(Client::new(url, tls).map_err(|error| SetupError::Address(key, error))?))
}

/// A Bitrix24 portal, which may be renamed while we run.
fn portal(key: &'static str, address: Secret, ca: Option<&PathBuf>, clock: &SharedClock) -> Result<Arc<dyn Transport>, SetupError> {
    let first = transport(key, address.reveal(), ca, clock)?;
    let (ca, clock) = (ca.cloned(), Arc::clone(clock));
    let connect = Box::new(move |address: &str| transport(key, address, ca.as_ref(), &clock).ok());
    Ok(Arc::new(Renamed::new(first, address, connect)))
}

/// The box's own key for marks of people's data: made at the first start, and only where this box runs the integration.
///
/// # Errors
/// When the disk does not give it or take it.
pub fn keyer(config: &Config) -> Result<Option<Keyer>, SetupError> {
    if config.hub.is_none() {
        return Ok(None);
    }
    let path = config.state_dir.join(KEY_FILE);
    let key = crate::files::own_key(&path).map_err(|error| SetupError::Marks(path, error))?;
    Ok(Some(Keyer::new(&key)))
}

/// The CRM's courier.
pub(super) fn crm_courier(config: &Config, keyer: Option<Keyer>) -> Arc<dyn Courier> {
    let zone = config.site.timezone.clone();
    match &config.crm.kind {
        CrmKind::AmoCrm(amo) => Arc::new(AmoCourier::new(amo.clone(), config.hub.clone(), Texts::new(config.crm.language, zone)).with_marks(keyer)),
        CrmKind::Bitrix24(bitrix) => Arc::new(Bitrix24Courier::new(bitrix, config.crm.language, zone).with_hub(config.hub.clone()).with_marks(keyer)),
    }
}

//! A portal that was renamed: it answers each call with a redirect to its new host.
//!
//! A client that follows redirects would turn the POST into a GET and lose its body, so the one HTTP client follows none. Here the same request goes
//! once to the host that the redirect names, and that host is used from then on, with a warning until a person has changed the config.
//!
//! Never: the webhook's secret or a token to a host that is not Bitrix24's own.

use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use http::header::LOCATION;
use http::{StatusCode, Uri};

use crate::domain::Secret;
use crate::http::{Answer, Exchange, Request, Transport};

/// Makes the transport to an address, which may hold the webhook's secret.
pub type Connect = Box<dyn Fn(&str) -> Option<Arc<dyn Transport>> + Send + Sync>;

/// A transport that moves along with its portal.
pub struct Renamed {
    now: RwLock<Arc<dyn Transport>>,
    /// The address in the config: its path stays the same at the new host.
    address: Secret,
    connect: Connect,
}

impl Renamed {
    /// Begins at the host that the config names: `first` is the transport to `address`.
    #[must_use]
    pub fn new(first: Arc<dyn Transport>, address: Secret, connect: Connect) -> Self {
        Self { now: RwLock::new(first), address, connect }
    }

    fn moved(&self, host: &str) -> Option<Arc<dyn Transport>> {
        let (_, rest) = self.address.reveal().trim().split_once("://")?;
        let path = rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default();
        (self.connect)(Secret::new(format!("https://{host}{path}")).reveal())
    }
}

impl Transport for Renamed {
    fn send(&self, request: Request) -> Pin<Box<dyn Future<Output = Exchange> + Send + '_>> {
        Box::pin(async move {
            let now = Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner));
            let answer = now.send(request.clone()).await?;
            let Some(host) = new_host(&answer) else { return Ok(answer) };
            let Some(next) = self.moved(&host) else { return Ok(answer) };
            tracing::warn!(host, "the Bitrix24 portal was renamed; put its new address into the config");
            *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&next);
            next.send(request).await
        })
    }
}

/// The host that a redirect names, where it may be trusted with our secret.
fn new_host(answer: &Answer) -> Option<String> {
    let moved = [StatusCode::MOVED_PERMANENTLY, StatusCode::FOUND, StatusCode::TEMPORARY_REDIRECT, StatusCode::PERMANENT_REDIRECT];
    if !moved.contains(&answer.status) {
        return None;
    }
    let to: Uri = answer.headers.get(LOCATION)?.to_str().ok()?.parse().ok()?;
    let host = to.host()?.to_ascii_lowercase();
    (to.scheme_str() == Some("https") && to.port_u16().is_none_or(|port| port == 443) && is_cloud(&host)).then_some(host)
}

/// `<portal>.bitrix24.<zone>`: names that only the vendor gives out.
fn is_cloud(host: &str) -> bool {
    const ZONES: [&str; 20] =
        ["ru", "com", "by", "kz", "ua", "eu", "de", "fr", "it", "pl", "es", "in", "cn", "jp", "vn", "id", "com.br", "com.tr", "mx", "uk"];
    let Some((portal, zone)) = host.split_once(".bitrix24.") else { return false };
    !portal.is_empty() && portal.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') && ZONES.contains(&zone)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use http::{HeaderMap, HeaderValue, Method};
    use serde_json::json;

    use super::*;

    /// Answers with a redirect, or with 200 where there is none, and keeps what it was sent.
    #[derive(Default)]
    struct Host {
        redirect: Option<&'static str>,
        got: Mutex<Vec<Request>>,
    }

    impl Transport for Host {
        fn send(&self, request: Request) -> Pin<Box<dyn Future<Output = Exchange> + Send + '_>> {
            self.got.lock().unwrap().push(request);
            let mut headers = HeaderMap::new();
            if let Some(to) = self.redirect {
                headers.insert(LOCATION, HeaderValue::from_static(to));
            }
            let status = if self.redirect.is_some() { StatusCode::FOUND } else { StatusCode::OK };
            Box::pin(async move { Ok(Answer { status, headers, body: "{}".into() }) })
        }
    }

    type World = (Renamed, Arc<Host>, Arc<Host>, Arc<Mutex<Vec<String>>>);

    fn world(redirect: &'static str) -> World {
        let (old, new) = (Arc::new(Host { redirect: Some(redirect), ..Host::default() }), Arc::new(Host::default()));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (to, heard) = (Arc::clone(&new), Arc::clone(&asked));
        let connect: Connect = Box::new(move |address| {
            heard.lock().unwrap().push(address.to_owned());
            Some(Arc::clone(&to) as Arc<dyn Transport>)
        });
        (Renamed::new(Arc::clone(&old) as Arc<dyn Transport>, Secret::new("https://vysota.bitrix24.ru/rest/1/secret"), connect), old, new, asked)
    }

    #[tokio::test]
    async fn the_same_post_goes_to_the_new_host_and_all_later_ones_go_there_at_once() {
        let (renamed, old, new, asked) = world("https://vysota-new.bitrix24.ru/rest/1/secret/batch");
        let request = Request::json(Method::POST, "/batch", &json!({"halt": 0}), "POST batch");
        for _ in 0..2 {
            assert_eq!(renamed.send(request.clone()).await.unwrap().status, StatusCode::OK);
        }
        assert_eq!(*asked.lock().unwrap(), ["https://vysota-new.bitrix24.ru/rest/1/secret"]);
        assert_eq!(old.got.lock().unwrap().len(), 1);
        assert_eq!(*new.got.lock().unwrap(), [request.clone(), request]);
    }

    #[tokio::test]
    async fn a_secret_goes_to_no_host_that_is_not_bitrix24s_own() {
        for to in [
            "https://evil.example/rest/",
            "https://x.bitrix24.ru.evil.example/",
            "https://bitrix24.ru/",
            "https://a.b.bitrix24.ru.evil/",
            "http://x.bitrix24.ru/",
            "https://x.bitrix24.ru:8443/",
            "/relative",
        ] {
            let (renamed, _, new, asked) = world(to);
            let request = Request::json(Method::POST, "/batch", &json!({}), "POST batch");
            assert_eq!(renamed.send(request).await.unwrap().status, StatusCode::FOUND, "{to}");
            assert!(asked.lock().unwrap().is_empty() && new.got.lock().unwrap().is_empty(), "{to}");
        }
    }
}

//! Bitrix24's events, as an outgoing webhook posts them: a form with the event's name, the id of what changed, and the webhook's `application_token`. Pure.
//!
//! Source: Bitrix24's description of events. They are not repeated: whoever misses one reads the portal all the same.

use crate::domain::Secret;

use super::{feed_contacts, feed_deals};

/// What a call says. Nothing of it is believed but that something has changed, and that only with the right token.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// `auth[application_token]`.
    pub token: Option<Secret>,
    /// The feed that it concerns, by name.
    pub feed: Option<&'static str>,
}

impl Call {
    /// Reads a form.
    #[must_use]
    pub fn read(body: &[u8]) -> Self {
        let mut call = Self::default();
        for (key, value) in form_urlencoded::parse(body) {
            match key.as_ref() {
                "auth[application_token]" => call.token = Some(Secret::new(value)),
                "event" if value.starts_with("ONCRMCONTACT") => call.feed = Some(feed_contacts::NAME),
                "event" if value.starts_with("ONCRMDEAL") => call.feed = Some(feed_deals::NAME),
                _ => {}
            }
        }
        call
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_names_its_feed_and_carries_its_token() {
        let call =
            Call::read(b"event=ONCRMCONTACTUPDATE&event_handler_id=12&data%5BFIELDS%5D%5BID%5D=82&ts=1724697689&auth%5Bapplication_token%5D=s3cret");
        assert_eq!((call.feed, call.token.as_ref().map(Secret::reveal)), (Some("bitrix24.contacts"), Some("s3cret")));
        assert_eq!(Call::read(b"event=ONCRMDEALADD").feed, Some("bitrix24.deals"));
        for nothing in [&b""[..], b"event=ONTASKADD", b"event", &[0xFF, b'=', 0xFF]] {
            let call = Call::read(nothing);
            assert!(call.feed.is_none() && call.token.is_none(), "{nothing:?}");
        }
    }
}

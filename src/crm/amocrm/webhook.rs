//! amoCRM's webhooks: forms in the shape of its old API, unsigned. Who knows the address may call, so its end is the secret. Pure.
//!
//! Source: amoCRM's description of webhooks. An answer is waited for two seconds; more than a hundred bad ones in two hours switch the subscription off.

use std::collections::BTreeSet;

use super::{feed_contacts, feed_deals};

/// The feeds that a call concerns, by name. Nothing of it is believed but that something has changed.
#[must_use]
pub fn feeds(body: &[u8]) -> BTreeSet<&'static str> {
    let feed = |key: &str| match key.split('[').next() {
        Some("contacts") => Some(feed_contacts::NAME),
        Some("leads") => Some(feed_deals::NAME),
        _ => None,
    };
    form_urlencoded::parse(body).filter_map(|(key, _)| feed(&key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_concerns_the_feeds_of_what_it_names() {
        let contacts = b"contacts%5Bupdate%5D%5B0%5D%5Bid%5D=82&contacts%5Bupdate%5D%5B0%5D%5Bname%5D=leads&account%5Bid%5D=1";
        assert_eq!(feeds(contacts), BTreeSet::from(["amocrm.contacts"]));
        assert_eq!(feeds(b"leads[status][0][id]=1&contacts[add][0][id]=2"), BTreeSet::from(["amocrm.contacts", "amocrm.leads"]));
        for nothing in [&b""[..], b"catalogs[add][0][id]=1", b"%%%", b"{\"contacts\":1}", &[0xFF, 0xFE, b'=', 0x80]] {
            assert_eq!(feeds(nothing), BTreeSet::new(), "{nothing:?}");
        }
    }
}

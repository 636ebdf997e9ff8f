//! The remotes, the listener, the journal and the pace as typed.

use super::super::read::{At, Size, Span, table};
use super::SecretAt;

table! {
    /// Lime.
    Lime = "[lime]" {
        /// Base address of the Lime gateway API, ending in /gw/v1. https, or http to this machine.
        #[schemars(required)]
        url: At<String>,
        /// The box's token.
        #[schemars(required)]
        token: At<SecretAt>,
        /// A PEM file with a further certificate authority to trust.
        ca: At<String>,
    }
}

table! {
    /// The MQTT broker.
    Mqtt = "[mqtt]" {
        /// mqtts://host:8883, or mqtt://127.0.0.1:1883
        #[schemars(required)]
        url: At<String>,
        /// User name. Default: the site's id, when there is a password.
        user: At<String>,
        /// Password.
        password: At<SecretAt>,
        /// A PEM file with a further certificate authority to trust.
        ca: At<String>,
        /// Default "30s".
        keep_alive: At<Span>,
        /// Default "limegate-" and the site's id. Keep it: the broker queues under it while the gateway restarts.
        client_id: At<String>,
    }
}

table! {
    /// The listener for IronLogic Web-JSON controllers. They speak plain HTTP: keep them on a network of their own.
    WebJson = "[web_json]" {
        /// The address and port that the controllers are told to connect to.
        #[schemars(required)]
        listen: At<String>,
        /// What they have to name. Needed unless `listen` is this machine alone.
        password: At<SecretAt>,
        /// Cards of staff that every controller lets in by itself, also while the box is away: up to twelve hex digits a line, anything behind a #.
        staff_cards: At<SecretAt>,
    }
}

table! {
    /// The journal on this box's disk.
    Journal = "[journal]" {
        /// Size of a segment file. Default "8MiB".
        segment: At<Size>,
        /// Most bytes the journal may take. Default "2GiB".
        budget: At<Size>,
        /// How long delivered passes are kept, budget permitting. Default "30d".
        retain: At<Span>,
        /// Memory for the index. Default "8MiB".
        index_cache: At<Size>,
    }
}

table! {
    /// How deliveries are paced and repeated.
    DeliveryTable = "[delivery]" {
        /// After an unknown outcome, two looks are at least this far apart before a create is repeated. Default "120s".
        settle_window: At<Span>,
        /// The first wait after a failure. Default "1s".
        backoff_base: At<Span>,
        /// The longest wait. Default "5min".
        backoff_cap: At<Span>,
        /// Requests a second to the CRM. Default 7 (amoCRM) or 2 (Bitrix24).
        #[schemars(range(min = 0.1, max = 50))]
        crm_rate: At<f64>,
        /// Requests at once to the CRM. Default 7 or 50.
        #[schemars(range(min = 1, max = 100))]
        crm_burst: At<u32>,
        /// How long a stop waits for deliveries under way; the rest is on disk. Default "5s".
        drain: At<Span>,
    }
}

//! The two-way integration in the business's words: each story runs on both CRMs, in virtual time, with the real feeds, couriers and runners between the
//! sandbox's Lime and the sandbox's amoCRM or Bitrix24.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what it expects")]

/// A story, with what its venue has in `[hub]`, and a test of it with each CRM.
macro_rules! stories {
    ($($(#[$doc:meta])* $name:ident($story:ident $(, $more:literal)?) $body:block)*) => {
        $(
            async fn $name(mut $story: crate::story::Story) {
                $body
                $story.ends_well().await;
            }

            mod $name {
                use super::$name as tell;

                #[tokio::test(start_paused = true)]
                async fn with_amocrm() {
                    tell(crate::story::Story::begin(sandbox::Host::Amocrm, stringify!($name), concat!($($more)?)).await).await;
                }

                #[tokio::test(start_paused = true)]
                async fn with_bitrix24() {
                    tell(crate::story::Story::begin(sandbox::Host::Bitrix24, stringify!($name), concat!($($more)?)).await).await;
                }
            }
        )*
    };
}

mod bookings;
#[path = "../delivery/clock.rs"]
mod clock;
mod contacts;
mod crm;
mod manager;
mod purchases;
#[path = "../delivery/store.rs"]
mod store;
mod story;
mod venue;

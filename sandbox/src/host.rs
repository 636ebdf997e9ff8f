//! The three services.

use serde::{Deserialize, Serialize};

/// A service that the sandbox stands in for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Host {
    /// The Lime gateway API v1.
    Lime,
    /// amoCRM's REST API v4.
    Amocrm,
    /// Bitrix24's REST.
    Bitrix24,
}

impl Host {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Lime, Self::Amocrm, Self::Bitrix24];

    /// The name that the command line, the faults and the log use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lime => "lime",
            Self::Amocrm => "amocrm",
            Self::Bitrix24 => "bitrix24",
        }
    }

    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Lime => 0,
            Self::Amocrm => 1,
            Self::Bitrix24 => 2,
        }
    }
}

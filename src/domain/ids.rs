//! Names of things, as types, so that a gate is never taken for a service point.

use std::fmt;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Position of a record in the journal. Monotone over the life of the box; never reused.
pub type Seq = u64;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Encode, Decode, schemars::JsonSchema)]
        #[serde(transparent)]
        #[cbor(transparent)]
        pub struct $name(#[n(0)] pub String);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

text_id!(
    /// A gate of this box, as named in the config (`n1`).
    GateId
);
text_id!(
    /// Lime's id of the place where a pass is taken (`sp-4`).
    ServicePointId
);
text_id!(
    /// Lime's id of a client.
    ClientId
);

/// The kernel's boot id: tells which boot a monotonic time belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Encode, Decode)]
#[serde(transparent)]
#[cbor(transparent)]
pub struct BootId(
    #[n(0)]
    #[cbor(with = "super::ids::uuid_bytes")]
    pub Uuid,
);

/// CBOR form of a UUID: its 16 bytes.
pub mod uuid_bytes {
    use minicbor::decode::Error as DecodeError;
    use minicbor::encode::{Error as EncodeError, Write};
    use minicbor::{Decoder, Encoder};
    use uuid::Uuid;

    /// Writes the 16 bytes.
    ///
    /// # Errors
    /// What the writer reports.
    pub fn encode<C, W: Write>(id: &Uuid, e: &mut Encoder<W>, _: &mut C) -> Result<(), EncodeError<W::Error>> {
        e.bytes(id.as_bytes())?.ok()
    }

    /// Reads the 16 bytes.
    ///
    /// # Errors
    /// When there are not exactly 16.
    pub fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<Uuid, DecodeError> {
        Uuid::from_slice(d.bytes()?).map_err(|_| DecodeError::message("a UUID has 16 bytes"))
    }
}

/// CBOR form of an optional UUID: null or 16 bytes.
pub mod optional_uuid_bytes {
    use minicbor::data::Type;
    use minicbor::decode::Error as DecodeError;
    use minicbor::encode::{Error as EncodeError, Write};
    use minicbor::{Decoder, Encoder};
    use uuid::Uuid;

    /// Writes null or the 16 bytes.
    ///
    /// # Errors
    /// What the writer reports.
    pub fn encode<C, W: Write>(id: &Option<Uuid>, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), EncodeError<W::Error>> {
        match id {
            Some(id) => super::uuid_bytes::encode(id, e, ctx),
            None => e.null()?.ok(),
        }
    }

    /// Reads null or 16 bytes.
    ///
    /// # Errors
    /// When there is something else.
    pub fn decode<C>(d: &mut Decoder<'_>, ctx: &mut C) -> Result<Option<Uuid>, DecodeError> {
        if d.datatype()? == Type::Null {
            d.skip()?;
            return Ok(None);
        }
        super::uuid_bytes::decode(d, ctx).map(Some)
    }
}

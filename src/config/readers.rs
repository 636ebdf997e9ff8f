//! Which readers there are: the shipped profiles, a profile of one's own by its path, and `mqtt-json`.

use std::path::Path;

use crate::codec::{Profile, ProfileError};

/// The reader that is no serial profile: a validator that publishes the gateway's own JSON.
pub(super) const MQTT_JSON: &str = "mqtt-json";

/// Names that `reader` may have, for messages.
pub(super) fn names() -> Vec<&'static str> {
    Profile::builtin_names().into_iter().chain([MQTT_JSON, super::web_json::WEB_JSON]).collect()
}

/// A profile that cannot be had.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoProfile {
    /// Nobody knows the name.
    Unknown,
    /// The file cannot be used.
    Bad {
        /// The file.
        path: String,
        /// Why.
        why: crate::words::Value,
    },
}

/// The profile of that name, or in that file: whatever holds a slash is a path, from the folder of the config.
pub(super) fn find(reader: &str, config_file: &Path) -> Result<Profile, NoProfile> {
    if !reader.contains('/') {
        return Profile::builtin(reader).ok_or(NoProfile::Unknown);
    }
    let path = config_file.parent().unwrap_or(Path::new("")).join(reader);
    Profile::load(&path).map_err(|error| {
        let why = match error {
            ProfileError::Unreadable { source, .. } => super::secret::why_not(source.kind()),
            other => other.to_string().into(),
        };
        NoProfile::Bad { path: path.display().to_string(), why }
    })
}

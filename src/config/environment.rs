//! What a config depends on besides its file: credentials, variables and device names. A seam, so that tests need neither.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::domain::Secret;

/// Where secrets and devices are looked up.
#[derive(Clone, Debug)]
pub struct Environment {
    /// systemd's `$CREDENTIALS_DIRECTORY`.
    pub credentials: Option<PathBuf>,
    /// The variables that `{ env = "X" }` may name.
    pub variables: BTreeMap<String, Secret>,
    /// What `/dev` is.
    pub devices: PathBuf,
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, Secret::new(value.into_string().ok()?))));
        Self {
            credentials: std::env::var_os("CREDENTIALS_DIRECTORY").filter(|path| !path.is_empty()).map(PathBuf::from),
            variables: variables.collect(),
            devices: PathBuf::from("/dev"),
        }
    }

    /// Nothing at all: no credentials, variables or devices.
    #[must_use]
    pub fn empty() -> Self {
        Self { credentials: None, variables: BTreeMap::new(), devices: PathBuf::from("/nonexistent") }
    }

    /// A device's path as it is here: `/dev/x` below [`Environment::devices`].
    #[must_use]
    pub fn device(&self, port: &Path) -> PathBuf {
        match port.strip_prefix("/dev") {
            Ok(rest) => self.devices.join(rest),
            Err(_) => port.to_owned(),
        }
    }
}

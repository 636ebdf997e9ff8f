//! The one TLS set-up, for HTTP and MQTT: rustls with ring, the system's authorities, one more by config, and a time that is not before the floor.
//!
//! Never: a certificate that is not verified; a good one refused because the box woke in 1970.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};

use crate::clock::SharedClock;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The extra authority's file.
    #[error("the certificate authority in {file} cannot be read: {reason}. It must be a PEM file with at least one certificate")]
    Authority {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// rustls refuses its own set-up.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// The time that certificates are judged by: the wall clock, but never before the clock's floor.
struct FlooredTime(SharedClock);

impl std::fmt::Debug for FlooredTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FlooredTime")
    }
}

impl TimeProvider for FlooredTime {
    fn current_time(&self) -> Option<UnixTime> {
        let ms = self.0.stamp().wall_ms.max(self.0.floor_ms());
        Some(UnixTime::since_unix_epoch(Duration::from_millis(u64::try_from(ms).unwrap_or(0))))
    }
}

/// Trusts the system's authorities and those in `ca`.
///
/// # Errors
/// When `ca` cannot be read. A system without authorities is no error: then only `ca` is trusted.
pub fn config(ca: Option<&Path>, clock: SharedClock) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    // Single certificates of the system that do not parse are left out, as every TLS stack does.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = ca {
        let problem = |reason: String| TlsError::Authority { file: file.to_owned(), reason };
        let before = roots.len();
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| problem(error.to_string()))? {
            let certificate = certificate.map_err(|error| problem(error.to_string()))?;
            roots.add(certificate).map_err(|error| problem(error.to_string()))?;
        }
        if roots.len() == before {
            return Err(problem("no certificate in it".to_owned()));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_details(provider, Arc::new(FlooredTime(clock)))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

//! A certificate authority for one run, and a certificate for 127.0.0.1 and localhost.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::StartError;

pub(super) struct Identity {
    config: Arc<ServerConfig>,
}

impl Identity {
    /// Makes both, and writes the authority's certificate to `file`. Its key is forgotten.
    pub(super) fn create(file: &Path) -> Result<Self, StartError> {
        let failed = |error: &dyn std::fmt::Display| StartError::Tls(error.to_string());
        let mut params = CertificateParams::new(Vec::new()).map_err(|error| failed(&error))?;
        params.distinguished_name.push(DnType::CommonName, "limegate sandbox CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(|error| failed(&error))?;
        let authority = CertifiedIssuer::self_signed(params, key).map_err(|error| failed(&error))?;

        let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).map_err(|error| failed(&error))?;
        params.distinguished_name.push(DnType::CommonName, "limegate sandbox");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate().map_err(|error| failed(&error))?;
        let leaf = params.signed_by(&key, &authority).map_err(|error| failed(&error))?;

        std::fs::write(file, authority.pem()).map_err(|error| StartError::Tls(format!("{}: {error}", file.display())))?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .map_err(|error| failed(&error))?;
        Ok(Self { config: Arc::new(config) })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.clone())
    }
}

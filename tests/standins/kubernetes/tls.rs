//! Certificates: checked as a Go program would, issued as k3s and kubeadm
//! issue theirs.

use crate::Result;
use p256::{
    SecretKey,
    pkcs8::{EncodePrivateKey, LineEnding},
};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig,
    SignatureScheme,
    client::danger::{
        HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
    },
    crypto::ring,
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject,
    },
    server::WebPkiClientVerifier,
};
use std::{fs, path::Path, sync::Arc};
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer, X509Certificate};

pub const YEAR: Duration = Duration::days(365);

/// A certificate and its key, PEM.
#[derive(Clone)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Pair {
    /// Reads an authority that was laid down, and checks it.
    pub fn authority(certificate: &Path, key: &Path) -> Result<Self> {
        let this = Self { certificate: read(certificate)?, key: read(key)? };
        let at = |why: &str| format!("{}: {why}", certificate.display());
        let der = CertificateDer::from_pem_slice(this.certificate.as_bytes())?;
        let (_, parsed) = X509Certificate::from_der(&der)?;
        if !parsed.is_ca() {
            return Err(at("no authority").into());
        }
        if !parsed.validity().is_valid() {
            return Err(
                at(&format!("not valid now: {:?}", parsed.validity())).into()
            );
        }
        let usage = parsed.key_usage()?.ok_or_else(|| at("no key usage"))?;
        if !usage.value.key_cert_sign() {
            return Err(at("may not sign certificates").into());
        }
        let public = key_pair(&this.key)?.subject_public_key_info();
        if parsed.public_key().raw != public.as_slice() {
            return Err(at("the key beside it is another's").into());
        }
        Ok(this)
    }

    /// Issues a certificate for a year, as k3s and kubeadm do.
    pub fn issue(
        &self,
        common_name: &str,
        organization: Option<&str>,
        names: &[String],
    ) -> Result<Self> {
        self.issue_for(YEAR, common_name, organization, names)
    }

    /// Issues a certificate that is good for so long.
    pub fn issue_for(
        &self,
        period: Duration,
        common_name: &str,
        organization: Option<&str>,
        names: &[String],
    ) -> Result<Self> {
        let mut params = CertificateParams::new(names)?;
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, common_name);
        if let Some(organization) = organization {
            name.push(DnType::OrganizationName, organization);
        }
        params.distinguished_name = name;
        let now = OffsetDateTime::now_utc();
        params.not_before = now - Duration::minutes(5);
        params.not_after = now + period;
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        let issuer =
            Issuer::from_ca_cert_pem(&self.certificate, key_pair(&self.key)?)?;
        let key = KeyPair::generate()?;
        Ok(Self {
            certificate: params.signed_by(&key, &issuer)?.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// The SubjectPublicKeyInfo of a certificate, DER.
pub fn public_key(certificate: &str) -> Result<Vec<u8>> {
    let der = CertificateDer::from_pem_slice(certificate.as_bytes())?;
    let (_, parsed) = X509Certificate::from_der(&der)?;
    Ok(parsed.public_key().raw.to_vec())
}

pub fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path)
        .map_err(|error| format!("{}: {error}", path.display()).into())
}

/// Go reads both forms of EC keys, rcgen only one.
fn key_pair(pem: &str) -> Result<KeyPair> {
    if pem.contains("BEGIN EC PRIVATE KEY") {
        let key = SecretKey::from_sec1_pem(pem)?;
        return Ok(KeyPair::from_pem(&key.to_pkcs8_pem(LineEnding::LF)?)?);
    }
    Ok(KeyPair::from_pem(pem)?)
}

fn roots(authority: &str) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(authority.as_bytes()) {
        roots.add(certificate?)?;
    }
    Ok(roots)
}

fn chain(
    pair: &Pair,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let certificates =
        CertificateDer::pem_slice_iter(pair.certificate.as_bytes())
            .collect::<std::result::Result<_, _>>()?;
    Ok((certificates, PrivateKeyDer::from_pem_slice(pair.key.as_bytes())?))
}

/// A server that takes clients of one authority, and strangers.
pub fn server(
    pair: &Pair,
    client_authority: &str,
) -> Result<Arc<ServerConfig>> {
    let provider = Arc::new(ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(
        Arc::new(roots(client_authority)?),
        Arc::clone(&provider),
    )
    .allow_unauthenticated()
    .build()?;
    let (certificates, key) = chain(pair)?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients)
        .with_single_cert(certificates, key)?;
    Ok(Arc::new(config))
}

/// A client that believes one authority; without one it believes anybody.
pub fn client(
    authority: Option<&str>,
    pair: Option<&Pair>,
) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?;
    let builder = match authority {
        Some(pem) => builder.with_root_certificates(roots(pem)?),
        None => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody)),
    };
    let config = match pair {
        Some(pair) => {
            let (certificates, key) = chain(pair)?;
            builder.with_client_auth_cert(certificates, key)?
        }
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// For the one request that asks for the authority itself.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Common name and organizations of a client's certificate.
pub fn subject(der: &[u8]) -> Result<(String, Vec<String>)> {
    let (_, certificate) = X509Certificate::from_der(der)?;
    let name = certificate
        .subject()
        .iter_common_name()
        .find_map(|part| part.as_str().ok())
        .unwrap_or_default()
        .to_owned();
    let organizations = certificate
        .subject()
        .iter_organization()
        .filter_map(|part| part.as_str().ok().map(str::to_owned))
        .collect();
    Ok((name, organizations))
}

//! Certificate authorities that exist before the node that will use them.
//!
//! Keys are EC P-256 in SEC 1 PEM, as Kubernetes' own tools write them;
//! every certificate is X.509 v3 (RFC 5280).

use std::fmt;

use p256::{
    NistP256, SecretKey,
    elliptic_curve::sec1::ToEncodedPoint,
    pkcs8::{AssociatedOid, EncodePrivateKey, LineEnding},
};
use rand_core::OsRng;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData,
};
use sec1::{EcParameters, EcPrivateKey, der::EncodePem};
use sha2::{Digest, Sha256};
use time::{Duration, OffsetDateTime};
use x509_parser::{certificate::X509Certificate, pem::Pem};

use super::secret::Secret;

/// A Raspberry Pi has no clock of its own, and a builder's may be ahead.
const BACK_DATED: Duration = Duration::days(7);
/// As long as k3s and kubeadm make theirs.
const VALID: Duration = Duration::days(3650);

/// A certificate with its private key, both as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certified {
    /// One certificate.
    pub certificate: String,
    /// Its private key.
    pub key: Secret,
}

/// A self-signed certificate authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority(Certified);

/// Why a certificate cannot be made, or one that was read is of no use.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The certificate is not one in PEM.
    #[error("the certificate is not an X.509 certificate in PEM")]
    NoCertificate,
    /// It may sign nothing.
    #[error("the certificate is not that of a certificate authority")]
    NoAuthority,
    /// The key is no EC P-256 key in PEM.
    #[error("the key is not an EC P-256 private key in PEM")]
    NoKey,
    /// Certificate and key are not of one pair.
    #[error("the key does not belong to the certificate")]
    OtherKey,
    /// Another authority has signed the certificate.
    #[error("the certificate is not signed by the authority beside it")]
    OtherIssuer,
    /// The library could not make it.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// The time has no place in a certificate.
    #[error("the time of the build, {0} s since 1970, is out of range")]
    Time(i64),
}

impl Authority {
    /// Makes an authority with a new key; `now` is in seconds since 1970.
    ///
    /// It is valid from seven days before `now` for ten years.
    ///
    /// # Errors
    /// [`AuthorityError::Time`] where `now` is no time of a calendar.
    pub fn make(common_name: &str, now: i64) -> Result<Self, AuthorityError> {
        let mut params = params(common_name, None, now)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
            KeyUsagePurpose::KeyCertSign,
        ];
        let (pair, key) = new_pair()?;
        let certificate = params.self_signed(&pair)?.pem();
        Ok(Self(Certified { certificate, key }))
    }

    /// Takes an authority that was made before.
    ///
    /// # Errors
    /// Whatever is wrong with it.
    pub fn read(certified: Certified) -> Result<Self, AuthorityError> {
        let der = der(&certified.certificate)?;
        let certificate = parse(&der)?;
        if !certificate.is_ca() {
            return Err(AuthorityError::NoAuthority);
        }
        check_pair(&certificate, &certified.key)?;
        Ok(Self(certified))
    }

    /// Returns the certificate as PEM, with a line feed at the end.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.0.certificate
    }

    /// Returns certificate and key.
    #[must_use]
    pub fn certified(&self) -> &Certified {
        &self.0
    }

    /// Returns the private key as PEM.
    #[must_use]
    pub fn key(&self) -> &Secret {
        &self.0.key
    }

    /// Makes a client's certificate with a new key, valid as long as an
    /// authority made at the same time.
    ///
    /// # Errors
    /// As [`Authority::make`].
    pub fn client(
        &self,
        common_name: &str,
        organization: &str,
        now: i64,
    ) -> Result<Certified, AuthorityError> {
        let mut params = params(common_name, Some(organization), now)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let issuer =
            Issuer::from_ca_cert_pem(self.certificate(), pair(self.key())?)?;
        let (pair, key) = new_pair()?;
        let certificate = params.signed_by(&pair, &issuer)?.pem();
        Ok(Certified { certificate, key })
    }

    /// Takes a client that was made before.
    ///
    /// # Errors
    /// Whatever is wrong with it.
    pub fn read_client(
        &self,
        client: Certified,
    ) -> Result<Certified, AuthorityError> {
        let (own, der) = (der(self.certificate())?, der(&client.certificate)?);
        let (own, certificate) = (parse(&own)?, parse(&der)?);
        check_pair(&certificate, &client.key)?;
        certificate
            .verify_signature(Some(own.public_key()))
            .map_err(|_| AuthorityError::OtherIssuer)?;
        Ok(client)
    }

    /// Returns the SHA-256 of the certificate's SubjectPublicKeyInfo in hex:
    /// what kubeadm calls `caCertHashes`, after `sha256:` (RFC 7469).
    ///
    /// # Errors
    /// [`AuthorityError::NoKey`], which [`Authority::read`] has ruled out.
    pub fn public_key_digest(&self) -> Result<String, AuthorityError> {
        let info = pair(self.key())?.subject_public_key_info();
        Ok(hex(&Sha256::digest(info)))
    }

    /// Returns the SHA-256 of the certificate's file in hex: what follows
    /// `K10` in a token of k3s where the file has one certificate.
    #[must_use]
    pub fn file_digest(&self) -> String {
        hex(&Sha256::digest(self.certificate()))
    }
}

fn params(
    common_name: &str,
    organization: Option<&str>,
    now: i64,
) -> Result<CertificateParams, AuthorityError> {
    let time = OffsetDateTime::from_unix_timestamp(now).ok();
    let bounds = time.and_then(|time| {
        let begin = time.checked_sub(BACK_DATED)?;
        Some((begin, begin.checked_add(VALID)?))
    });
    let (begin, end) = bounds.ok_or(AuthorityError::Time(now))?;
    let mut name = DistinguishedName::new();
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name.push(DnType::CommonName, common_name);
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.not_before = begin;
    params.not_after = end;
    Ok(params)
}

/// Makes a key from the system's randomness.
fn new_pair() -> Result<(KeyPair, Secret), AuthorityError> {
    let key = SecretKey::random(&mut OsRng);
    let (secret, public) =
        (key.to_bytes(), key.public_key().to_encoded_point(false));
    // With the curve's name, without which OpenSSL and Go do not know what
    // it is: `SecretKey::to_sec1_pem` leaves it out.
    let pem = EcPrivateKey {
        private_key: &secret,
        parameters: Some(EcParameters::NamedCurve(NistP256::OID)),
        public_key: Some(public.as_bytes()),
    }
    .to_pem(LineEnding::LF)
    .map_err(|_| AuthorityError::NoKey)?;
    let key = Secret::new(&pem);
    Ok((pair(&key)?, key))
}

fn pair(key: &Secret) -> Result<KeyPair, AuthorityError> {
    let key = SecretKey::from_sec1_pem(key.reveal())
        .map_err(|_| AuthorityError::NoKey)?;
    // rcgen reads no other form.
    let pem =
        key.to_pkcs8_pem(LineEnding::LF).map_err(|_| AuthorityError::NoKey)?;
    KeyPair::from_pem(&pem).map_err(AuthorityError::Make)
}

/// Returns the one certificate of a PEM file.
fn der(pem: &str) -> Result<Vec<u8>, AuthorityError> {
    let mut blocks = Pem::iter_from_buffer(pem.as_bytes());
    match (blocks.next(), blocks.next()) {
        (Some(Ok(block)), None) if block.label == "CERTIFICATE" => {
            Ok(block.contents)
        }
        _ => Err(AuthorityError::NoCertificate),
    }
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, AuthorityError> {
    match x509_parser::parse_x509_certificate(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(AuthorityError::NoCertificate),
    }
}

fn check_pair(
    certificate: &X509Certificate<'_>,
    key: &Secret,
) -> Result<(), AuthorityError> {
    let public = pair(key)?.subject_public_key_info();
    match certificate.public_key().raw == public.as_slice() {
        true => Ok(()),
        false => Err(AuthorityError::OtherKey),
    }
}

/// Writes bytes as lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

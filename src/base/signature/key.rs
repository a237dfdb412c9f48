//! Whether a key may have made a signature: bindings, flags, expiry and
//! revocation, judged for the time of the signature.

use pgp::{
    composed::{SignedPublicKey, SignedPublicSubKey},
    crypto::hash::HashAlgorithm,
    packet::{
        RevocationCode, Signature, SignatureType, Subpacket, SubpacketData,
    },
    types::{KeyDetails, Tag, Timestamp},
};

use super::{SignatureError, error::Day, keyring::hex};

/// A primary key, and the part of it that made a signature.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signer<'a> {
    pub(super) key: &'a SignedPublicKey,
    /// `None`: the primary key itself.
    pub(super) subkey: Option<&'a SignedPublicSubKey>,
}

impl Signer<'_> {
    /// Returns the primary key's fingerprint.
    pub(super) fn fingerprint(&self) -> String {
        hex(&self.key.primary_key.fingerprint())
    }

    /// Checks that the key could sign files at the time `at`.
    pub(super) fn check(&self, at: Timestamp) -> Result<(), SignatureError> {
        self.check_primary(at)?;
        match self.subkey {
            Some(subkey) => self.check_subkey(subkey, at),
            None => Ok(()),
        }
    }

    fn check_primary(&self, at: Timestamp) -> Result<(), SignatureError> {
        let primary = &self.key.primary_key;
        let details = &self.key.details;
        for revocation in &details.revocation_signatures {
            // By whichever digest: a revocation does no harm.
            if revocation.typ() == Some(SignatureType::KeyRevocation)
                && revocation.verify_key(primary).is_ok()
            {
                self.check_revocation(revocation, at)?;
            }
        }

        let direct = newest(details.direct_signatures.iter().filter(|s| {
            s.typ() == Some(SignatureType::Key)
                && is_usable_on_primary(s)
                && s.verify_key(primary).is_ok()
        }));
        let of_users = details.users.iter().filter_map(|user| {
            let valid = |s: &&Signature| {
                is_usable_on_primary(s)
                    && s.verify_certification(primary, Tag::UserId, &user.id)
                        .is_ok()
            };
            let signatures = || user.signatures.iter().filter(valid);
            let revokes =
                |s: &&Signature| s.typ() == Some(SignatureType::CertRevocation);
            let certified = newest(signatures().filter(|s| !revokes(s)))?;
            let revoked = newest(signatures().filter(revokes));
            let stands = revoked
                .is_none_or(|revoked| revoked.created() < certified.created());
            stands.then_some(certified)
        });
        let user = newest(of_users);
        if direct.is_none() && user.is_none() {
            return Err(self.unusable("it has no valid signature of its own"));
        }
        for own in [direct, user].into_iter().flatten() {
            self.check_expiry(primary.created_at(), own, at)?;
            let may_sign = flags(own).is_none_or(|flags| flags.sign());
            if self.subkey.is_none() && !may_sign {
                return Err(self.unusable("it is not for signing files"));
            }
        }
        Ok(())
    }

    fn check_subkey(
        &self,
        subkey: &SignedPublicSubKey,
        at: Timestamp,
    ) -> Result<(), SignatureError> {
        let primary = &self.key.primary_key;
        for revocation in &subkey.signatures {
            if revocation.typ() == Some(SignatureType::SubkeyRevocation)
                && revocation
                    .verify_subkey_binding(primary, &subkey.key)
                    .is_ok()
            {
                self.check_revocation(revocation, at)?;
            }
        }
        let binding = newest(subkey.signatures.iter().filter(|s| {
            s.typ() == Some(SignatureType::SubkeyBinding)
                && is_strong(s)
                && knows_all(s)
                && s.verify_subkey_binding(primary, &subkey.key).is_ok()
        }));
        let Some(binding) = binding else {
            return Err(self.unusable("its subkey has no valid binding"));
        };
        if !flags(binding).is_some_and(|flags| flags.sign()) {
            return Err(self.unusable("its subkey is not for signing files"));
        }
        // Else the subkey could be another's, who never agreed.
        let back = binding.embedded_signature().is_some_and(|back| {
            is_strong(back)
                && knows_all(back)
                && back.verify_primary_key_binding(&subkey.key, primary).is_ok()
        });
        if !back {
            return Err(self.unusable("its subkey has not signed it"));
        }
        self.check_expiry(subkey.key.created_at(), binding, at)
    }

    /// Checks that `at` lies in the life of a key made at `created`.
    fn check_expiry(
        &self,
        created: Timestamp,
        own: &Signature,
        at: Timestamp,
    ) -> Result<(), SignatureError> {
        if at < created {
            return Err(self.unusable("it is younger than the signature"));
        }
        let life = own.key_expiration_time().map_or(0, |life| life.as_secs());
        let expired =
            u64::from(created.as_secs()).saturating_add(u64::from(life));
        if life != 0 && u64::from(at.as_secs()) >= expired {
            return Err(SignatureError::KeyExpired {
                fingerprint: self.fingerprint(),
                expired: Day(expired),
            });
        }
        Ok(())
    }

    /// A key that was replaced made good signatures until then; one that was
    /// compromised, or nobody says why, makes none good.
    fn check_revocation(
        &self,
        revocation: &Signature,
        at: Timestamp,
    ) -> Result<(), SignatureError> {
        let (is_soft, reason) = match revocation.revocation_reason_code() {
            Some(RevocationCode::KeySuperseded) => (true, "it was superseded"),
            Some(RevocationCode::KeyRetired) => (true, "it was retired"),
            Some(RevocationCode::KeyCompromised) => {
                (false, "it was compromised")
            }
            _ => (false, "no reason is given"),
        };
        let revoked = revocation.created();
        if is_soft && revoked.is_some_and(|revoked| at < revoked) {
            return Ok(());
        }
        let day = revoked.map_or(0, |time| u64::from(time.as_secs()));
        Err(SignatureError::Revoked {
            fingerprint: self.fingerprint(),
            revoked: Day(day),
            reason,
        })
    }

    fn unusable(&self, reason: &'static str) -> SignatureError {
        let fingerprint = self.fingerprint();
        SignatureError::Unusable { fingerprint, reason }
    }
}

/// Whether no forgery of the signature's digest is known or near.
pub(super) fn is_strong(signature: &Signature) -> bool {
    matches!(
        signature.hash_alg(),
        Some(
            HashAlgorithm::Sha256
                | HashAlgorithm::Sha384
                | HashAlgorithm::Sha512
                | HashAlgorithm::Sha3_256
                | HashAlgorithm::Sha3_512
        )
    )
}

/// A primary key signs its own expiry and flags. Old keys did so by SHA-1;
/// as their fingerprint, which is believed, is a SHA-1 as well, that makes
/// nothing worse.
fn is_usable_on_primary(signature: &Signature) -> bool {
    let sha1 = signature.hash_alg() == Some(HashAlgorithm::Sha1);
    (sha1 || is_strong(signature)) && knows_all(signature)
}

/// Whether every critical part of a signature is one that is heeded here
/// (RFC 9580, 5.2.3.7).
pub(super) fn knows_all(signature: &Signature) -> bool {
    let heeded = |subpacket: &Subpacket| {
        !matches!(
            subpacket.data,
            SubpacketData::Notation(_)
                | SubpacketData::RegularExpression(_)
                | SubpacketData::Experimental(..)
                | SubpacketData::Other(..)
        )
    };
    signature.config().is_some_and(|config| {
        config.hashed_subpackets().all(|s| !s.is_critical || heeded(s))
    })
}

fn newest<'a>(
    signatures: impl Iterator<Item = &'a Signature>,
) -> Option<&'a Signature> {
    signatures.max_by_key(|signature| signature.created())
}

/// Returns the key flags, where the signature has any.
fn flags(signature: &Signature) -> Option<pgp::packet::KeyFlags> {
    signature.config()?.hashed_subpackets().find_map(|subpacket| {
        match &subpacket.data {
            SubpacketData::KeyFlags(flags) => Some(flags.clone()),
            _ => None,
        }
    })
}

//! Sealing of providers' keys, so that the store does not hold them in clear text: AES-256-GCM under a key made of
//! the salt key. Each sealed text is bound to what it belongs to.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use tagway_core::secret;

/// What a sealed text begins with, in the store.
const MARK: &str = "sealed:1:";
const NONCE: usize = 12;

/// The variables that may hold the salt key.
const VARIABLES: [&str; 2] = ["TAGWAY_SALT_KEY", "LITELLM_SALT_KEY"];

/// Why something could not be sealed or unsealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsealable {
    /// No salt key.
    #[error(
        "No salt key: set TAGWAY_SALT_KEY (or LITELLM_SALT_KEY) and keep it, so that secrets can be stored encrypted."
    )]
    NoKey,
    /// Sealed under another salt key, or changed.
    #[error("A stored secret cannot be read: it was sealed with another salt key, or was changed.")]
    Foreign,
}

/// Seals and unseals.
pub(crate) struct Seal {
    key: Option<RandomizedNonceKey>,
}

impl Seal {
    /// With the salt key of the environment, if there is one.
    pub(crate) fn from_environment() -> Self {
        let salt =
            VARIABLES.into_iter().find_map(|name| std::env::var(name).ok().filter(|salt| !salt.is_empty()));
        Self::new(salt.as_deref())
    }

    fn new(salt: Option<&str>) -> Self {
        let key = salt.and_then(|salt| {
            let key = secret::digest(&format!("tagway sealed secrets\n{salt}"));
            RandomizedNonceKey::new(&AES_256_GCM, &key).ok()
        });
        Self { key }
    }

    /// Whether this text is sealed.
    pub(crate) fn is_sealed(text: &str) -> bool {
        text.starts_with(MARK)
    }

    /// Seals `text` for `owner`.
    ///
    /// # Errors
    /// There is no salt key.
    pub(crate) fn seal(&self, text: &str, owner: &str) -> Result<String, Unsealable> {
        let key = self.key.as_ref().ok_or(Unsealable::NoKey)?;
        let mut sealed = text.as_bytes().to_vec();
        let nonce = key
            .seal_in_place_append_tag(Aad::from(owner.as_bytes()), &mut sealed)
            .map_err(|_| Unsealable::NoKey)?;
        let whole = [nonce.as_ref().as_slice(), &sealed].concat();
        Ok(format!("{MARK}{}", BASE64.encode(whole)))
    }

    /// What was sealed for `owner`; a text that is not sealed is itself.
    ///
    /// # Errors
    /// There is no salt key, or it is another one.
    pub(crate) fn unseal(&self, text: &str, owner: &str) -> Result<String, Unsealable> {
        let Some(coded) = text.strip_prefix(MARK) else { return Ok(text.to_owned()) };
        let key = self.key.as_ref().ok_or(Unsealable::NoKey)?;
        let whole = BASE64.decode(coded).map_err(|_| Unsealable::Foreign)?;
        let (nonce, sealed) = whole.split_first_chunk::<NONCE>().ok_or(Unsealable::Foreign)?;
        let mut sealed = sealed.to_vec();
        let opened = key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(owner.as_bytes()), &mut sealed)
            .map_err(|_| Unsealable::Foreign)?;
        String::from_utf8(opened.to_vec()).map_err(|_| Unsealable::Foreign)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_unsealed_by_the_same_salt_for_the_same_owner_alone() {
        let seal = Seal::new(Some("salt"));
        let sealed = seal.seal("sk-provider", "m1").unwrap();
        assert!(Seal::is_sealed(&sealed) && !sealed.contains("provider"));
        assert_ne!(sealed, seal.seal("sk-provider", "m1").unwrap());
        assert_eq!(seal.unseal(&sealed, "m1").unwrap(), "sk-provider");
        assert_eq!(seal.unseal(&sealed, "m2"), Err(Unsealable::Foreign));
        assert_eq!(Seal::new(Some("pepper")).unseal(&sealed, "m1"), Err(Unsealable::Foreign));
        assert_eq!(Seal::new(None).unseal(&sealed, "m1"), Err(Unsealable::NoKey));
        assert_eq!(Seal::new(None).seal("x", "m1"), Err(Unsealable::NoKey));
        assert_eq!(seal.unseal("os.environ/KEY", "m1").unwrap(), "os.environ/KEY");
        assert_eq!(seal.unseal("sealed:1:!", "m1"), Err(Unsealable::Foreign));
    }
}

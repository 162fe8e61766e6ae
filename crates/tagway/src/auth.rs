//! Who is calling: reads the key from the request's headers and compares it in constant time. Knows nothing of
//! what the caller wants.

use http::{HeaderMap, HeaderName, header};
use subtle::ConstantTimeEq as _;
use tagway_core::secret;
use tagway_core::snapshot::Snapshot;

/// Why a caller is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    /// No key at all.
    #[error("Authentication Error, No api key passed in.")]
    Missing,
    /// A header that holds no key.
    #[error("Authentication Error, Malformed API Key passed in. Ensure Key has `Bearer ` prefix.")]
    Malformed,
    /// A key nobody knows.
    #[error("Authentication Error, Invalid proxy server token passed. The key is not known to this gateway.")]
    Unknown,
}

impl Denied {
    /// `error.type` of the answer.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Missing | Self::Malformed => "auth_error",
            Self::Unknown => "token_not_found_in_db",
        }
    }
}

/// Somebody whose request may proceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// The bearer of the master key.
    Master,
    /// Anybody: the gateway has no master key.
    Open,
}

impl Caller {
    /// How the log names the key; never the key.
    pub(crate) fn alias(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Open => "none",
        }
    }
}

/// Finds out who is calling.
///
/// # Errors
/// No key, a malformed one, or one that is not known.
pub(crate) fn identify(snapshot: &Snapshot, headers: &HeaderMap) -> Result<Caller, Denied> {
    let Some(master) = &snapshot.master_digest else { return Ok(Caller::Open) };
    let key = presented(snapshot.config.general.key_header.as_ref(), headers)?;
    if key.is_empty() {
        return Err(Denied::Missing);
    }
    // Digests have one length, so that the comparison tells nothing of the key's.
    let known = secret::digest(key).ct_eq(master);
    if bool::from(known) { Ok(Caller::Master) } else { Err(Denied::Unknown) }
}

/// The key a request presents. LiteLLM's own header goes before `Authorization`, other SDKs' after it, so that a
/// client with a foreign `Authorization` can still name its key.
fn presented<'h>(own: Option<&HeaderName>, headers: &'h HeaderMap) -> Result<&'h str, Denied> {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().map_err(|_| Denied::Unknown));
    for name in own.into_iter().chain(&[HeaderName::from_static("x-litellm-api-key")]) {
        if let Some(value) = text(name) {
            let value = value?;
            return Ok(bearer(value).unwrap_or(value));
        }
    }
    if let Some(value) = text(&header::AUTHORIZATION) {
        let value = value?.trim();
        if !value.is_empty() {
            return bearer(value).filter(|key| !key.is_empty()).ok_or(Denied::Malformed);
        }
    }
    for name in ["x-api-key", "api-key", "x-goog-api-key", "ocp-apim-subscription-key"] {
        if let Some(value) = text(&HeaderName::from_static(name)) {
            return value;
        }
    }
    Err(Denied::Missing)
}

/// What follows `Bearer `, whatever its case.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, key) = value.split_at_checked("bearer".len())?;
    let separated = key.is_empty() || key.starts_with(' ');
    (scheme.eq_ignore_ascii_case("bearer") && separated).then(|| key.trim())
}

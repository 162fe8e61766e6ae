//! A string that must never be shown. Knows nothing of what it protects; printing it in any way prints `***`.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// A credential. `Debug` and `Display` print `***`; only [`Secret::expose`] gives the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps a credential.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// `text` with the credential, wherever it stands there, replaced by `***`.
    pub fn hide_in(&self, text: String) -> String {
        if self.0.is_empty() || !text.contains(&*self.0) { text } else { text.replace(&*self.0, "***") }
    }

    /// The credential itself: for the wire, never for a log, an error or an answer.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// SHA-256 of a credential, so that two of them can be compared in constant time whatever their lengths.
pub fn digest(credential: &str) -> [u8; 32] {
    Sha256::digest(credential.as_bytes()).into()
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

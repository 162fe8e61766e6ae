//! Whether a JSON Web Token is what it says: signed by a key of an issuer that is configured, for this gateway, and in
//! time. The keys of issuers are read by a task of their own; requests look at what is there, and wait for it once where
//! a token names a key that nobody knows yet. Knows neither users nor teams, and logs nothing of a token.

mod keys;
mod proof;
mod reader;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tagway_core::claims::{Identity, UnfitClaims};
use tagway_core::config::{Issuer, Jwt};
use tokio::sync::{mpsc, oneshot};

use keys::Key;
pub(crate) use reader::read;

/// A request waits for a key that is not known yet for so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// As many requests may wait for keys at once.
const MOST_WAITING: usize = 1024;
/// Longer tokens are nobody's.
const LONGEST: usize = 16 << 10;

/// Why a token does not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Wrong {
    /// It cannot be read.
    #[error("Authentication Error, Validation fails: Invalid token, its {0} cannot be read.")]
    Malformed(&'static str),
    /// It is signed with something that proves nothing here: `none`, or a secret.
    #[error("Authentication Error, Validation fails: The algorithm of the token is not allowed.")]
    Algorithm,
    /// It demands something of its reader.
    #[error(
        "Authentication Error, Validation fails: The token demands extensions (crit) that are not supported."
    )]
    Critical,
    /// Its issuer is not configured.
    #[error("Authentication Error, Validation fails: Invalid issuer, no token of it is taken.")]
    Issuer,
    /// It is for somebody else.
    #[error("Authentication Error, Validation fails: Invalid audience, the token is not for this gateway.")]
    Audience,
    /// A claim is missing that every token must have.
    #[error("Authentication Error, Validation fails: Token is missing the \"{0}\" claim.")]
    Missing(&'static str),
    /// Its key is not among the issuer's.
    #[error(
        "Authentication Error, No matching public key found: the identity provider has none with the token's kid for its algorithm."
    )]
    UnknownKey,
    /// The signature is not of that key.
    #[error("Authentication Error, Validation fails: Signature verification failed.")]
    Signature,
    /// It is past its end.
    #[error("Token Expired")]
    Expired,
    /// It is not valid yet.
    #[error("Authentication Error, Validation fails: The token is not yet valid (nbf).")]
    Early,
    /// What it says does not do.
    #[error("Authentication Error, {0}")]
    Unfit(#[from] UnfitClaims),
    /// The issuer's keys cannot be read.
    #[error(
        "Service Unavailable, the identity provider's JWKS endpoint is temporarily unreachable, so the JWT signature could not be verified. Please retry shortly."
    )]
    NoKeys,
}

/// A token that is what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proven {
    pub(crate) identity: Identity,
    /// Names whoever the token is about, and nobody by it: a digest of issuer and subject.
    pub(crate) subject: Box<str>,
    /// Seconds since 1970 from which on it is not valid, differences of clocks allowed for.
    pub(crate) ends: i64,
    /// The keys by which it was verified.
    pub(crate) keys: u64,
}

/// What is read at one address.
#[derive(Clone)]
struct Source {
    /// As it came.
    text: Arc<str>,
    keys: Arc<[Key]>,
    read: Instant,
}

/// Everybody's keys.
#[derive(Default)]
struct Ring {
    /// Counts changes: what was verified by other keys is verified again.
    number: u64,
    sources: HashMap<String, Source>,
}

impl Ring {
    /// The keys of an issuer.
    fn of<'r>(&'r self, issuer: &'r Issuer) -> impl Iterator<Item = &'r Key> {
        issuer.key_urls.iter().filter_map(|url| self.sources.get(url)).flat_map(|source| source.keys.iter())
    }

    /// Whether something is known of an issuer.
    fn knows(&self, issuer: &Issuer) -> bool {
        issuer.key_urls.iter().any(|url| self.sources.contains_key(url))
    }
}

/// A request waits for keys at these addresses.
pub(crate) struct Wanted {
    urls: Vec<String>,
    done: oneshot::Sender<()>,
}

/// Verifies tokens by the keys of their issuers.
pub(crate) struct Verifier {
    ring: ArcSwap<Ring>,
    wanted: mpsc::Sender<Wanted>,
}

impl Verifier {
    /// One without keys, and what their reader listens to.
    pub(crate) fn new() -> (Arc<Self>, mpsc::Receiver<Wanted>) {
        let (wanted, inbox) = mpsc::channel(MOST_WAITING);
        (Arc::new(Self { ring: ArcSwap::default(), wanted }), inbox)
    }

    /// Counts changes of the keys.
    pub(crate) fn number(&self) -> u64 {
        self.ring.load().number
    }

    /// Verifies a token; `now` in seconds since 1970.
    ///
    /// # Errors
    /// It is not what it says, or nobody can tell.
    pub(crate) async fn verify(&self, jwt: &Jwt, token: &str, now: i64) -> Result<Proven, Wrong> {
        let claimed = proof::claimed(token)?;
        let issuer = claimed.issuer(jwt)?;
        if !self.ring.load().of(issuer).any(|key| key.fits(&claimed.head)) {
            self.ask(issuer).await;
        }
        let ring = self.ring.load();
        if !ring.knows(issuer) {
            return Err(Wrong::NoKeys);
        }
        proof::prove(jwt, issuer, token, &claimed, ring.of(issuer), now)
            .map(|proven| Proven { keys: ring.number, ..proven })
    }

    /// Has the keys of an issuer read again, unless that was done just now, and waits for it.
    async fn ask(&self, issuer: &Issuer) {
        let (done, finished) = oneshot::channel();
        if self.wanted.try_send(Wanted { urls: issuer.key_urls.clone(), done }).is_ok() {
            // Whatever comes of it, the keys are looked at once more.
            let _ = tokio::time::timeout(PATIENCE, finished).await;
        }
    }
}

/// Whether a key is none of the gateway's, but a token: three parts with dots between them.
pub(crate) fn is_token(key: &str) -> bool {
    key.len() <= LONGEST && !key.starts_with("sk-") && memchr::memchr_iter(b'.', key.as_bytes()).count() == 2
}

//! The proof itself: the token's head and issuer as it claims them, then its signature, its audience and its times. What
//! is read before the signature is verified chooses a key, and is believed by nobody.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation};
use serde::Deserialize;
use serde_json::Value;
use tagway_core::claims::Identity;
use tagway_core::config::{Issuer, Jwt};
use tagway_core::secret;

use super::keys::Key;
use super::{Proven, Wrong};

/// What proves something with a public key.
const ALLOWED: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// What a token says of itself before anything is verified.
pub(super) struct Claimed {
    pub(super) head: Header,
    issuer: String,
}

#[derive(Deserialize)]
struct Said {
    iss: Option<Value>,
}

#[derive(Deserialize)]
struct Head {
    alg: Option<Value>,
}

/// Reads what chooses the key.
pub(super) fn claimed(token: &str) -> Result<Claimed, Wrong> {
    let head = match jsonwebtoken::decode_header(token) {
        Ok(head) => head,
        // A word for an algorithm that is no algorithm for us: `none`.
        Err(_) if names_algorithm(token) => return Err(Wrong::Algorithm),
        Err(_) => return Err(Wrong::Malformed("header")),
    };
    if !ALLOWED.contains(&head.alg) {
        return Err(Wrong::Algorithm);
    }
    // The signer demands that its reader knows these (RFC 7515, 4.1.11).
    if head.crit.is_some() {
        return Err(Wrong::Critical);
    }
    let said: Said =
        jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| Wrong::Malformed("payload"))?;
    match said.iss {
        Some(Value::String(issuer)) => Ok(Claimed { head, issuer }),
        Some(_) => Err(Wrong::Issuer),
        None => Err(Wrong::Missing("iss")),
    }
}

/// Whether the header is one, and names some algorithm.
fn names_algorithm(token: &str) -> bool {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let head = token.split('.').next().and_then(|head| URL_SAFE_NO_PAD.decode(head).ok());
    let head = head.and_then(|head| serde_json::from_slice::<Head>(&head).ok());
    head.is_some_and(|head| head.alg.is_some_and(|alg| alg.is_string()))
}

impl Claimed {
    /// Whose token it says it is.
    pub(super) fn issuer<'j>(&self, jwt: &'j Jwt) -> Result<&'j Issuer, Wrong> {
        jwt.issuers.iter().find(|issuer| issuer.name == self.issuer).ok_or(Wrong::Issuer)
    }
}

/// Verifies a token by the keys of its issuer.
pub(super) fn prove<'k>(
    jwt: &Jwt,
    issuer: &Issuer,
    token: &str,
    claimed: &Claimed,
    keys: impl Iterator<Item = &'k Key>,
    now: i64,
) -> Result<Proven, Wrong> {
    let fitting: Vec<&Key> = keys.filter(|key| key.fits(&claimed.head)).collect();
    // Which of several keys has signed a token must be said.
    if fitting.is_empty() || claimed.head.kid.is_none() && 1 < fitting.len() {
        return Err(Wrong::UnknownKey);
    }
    let mut validation = Validation::new(claimed.head.alg);
    validation.set_issuer(&[&issuer.name]);
    validation.set_audience(&issuer.audiences);
    validation.set_required_spec_claims(&["iss", "aud"]);
    // Times are compared below: by the clock that is given, and with words of our own.
    (validation.validate_exp, validation.validate_nbf) = (false, false);
    let mut wrong = Wrong::Signature;
    for key in fitting {
        match jsonwebtoken::decode::<Value>(token, &key.key, &validation) {
            Ok(sound) => return proven(jwt, issuer, &sound.claims, now),
            Err(error) => {
                wrong = match error.kind() {
                    ErrorKind::InvalidIssuer => Wrong::Issuer,
                    ErrorKind::InvalidAudience => Wrong::Audience,
                    ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => Wrong::Missing("aud"),
                    ErrorKind::MissingRequiredClaim(_) => Wrong::Missing("iss"),
                    ErrorKind::Json(_) | ErrorKind::Utf8(_) => Wrong::Malformed("payload"),
                    _ => Wrong::Signature,
                }
            }
        }
    }
    Err(wrong)
}

fn proven(jwt: &Jwt, issuer: &Issuer, claims: &Value, now: i64) -> Result<Proven, Wrong> {
    let leeway = i64::try_from(jwt.leeway.as_secs()).unwrap_or(0);
    let end = time(claims, "exp")?.ok_or(Wrong::Missing("exp"))?;
    let ends = end.saturating_add(leeway);
    if ends <= now {
        return Err(Wrong::Expired);
    }
    if time(claims, "nbf")?.is_some_and(|begin| now.saturating_add(leeway) < begin) {
        return Err(Wrong::Early);
    }
    let identity = Identity::read(jwt, issuer, claims)?;
    let about = claims.get("sub").and_then(Value::as_str).or(identity.user.as_deref()).unwrap_or_default();
    // LiteLLM's form in logs. Its digest is of the token, which is another one every few minutes.
    let digest = secret::hex(&secret::digest(&format!("{}\n{about}", issuer.name)));
    let subject = format!("hashed-jwt-{digest}").into();
    Ok(Proven { identity, subject, ends, keys: 0 })
}

/// A time in whole seconds since 1970, which may have been written with a fraction.
fn time(claims: &Value, name: &'static str) -> Result<Option<i64>, Wrong> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => {
            let whole = number.as_i64().or_else(|| {
                let number = number.as_f64().filter(|number| number.abs() < 9e15)?;
                Some(number.floor() as i64)
            });
            whole.map(Some).ok_or(Wrong::Malformed(name))
        }
        Some(_) => Err(Wrong::Malformed(name)),
    }
}

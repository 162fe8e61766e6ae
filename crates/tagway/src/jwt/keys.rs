//! Public keys as issuers publish them (RFC 7517), and what each may verify. A secret is no public key: what is verified
//! by one (`HS256`) has no place here, so that no token can have a public key taken for a secret.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde_json::Value;

/// More keys are nobody's.
const MOST: usize = 256;

/// A public key.
pub(super) struct Key {
    id: Option<Box<str>>,
    algorithms: Vec<Algorithm>,
    pub(super) key: DecodingKey,
}

impl Key {
    /// Whether it may have signed a token with this head. Without a name any key may have.
    pub(super) fn fits(&self, head: &Header) -> bool {
        self.algorithms.contains(&head.alg)
            && head.kid.as_deref().is_none_or(|named| self.id.as_deref() == Some(named))
    }
}

/// The keys of a document: a set, or a list of them. What is no key for signatures is passed over.
///
/// # Errors
/// It is no such document.
pub(super) fn of(document: &str) -> Result<Vec<Key>, &'static str> {
    let mut document: Value = serde_json::from_str(document).map_err(|_| "no JSON")?;
    let list = match document.get_mut("keys") {
        Some(keys) => keys.take(),
        None => document,
    };
    let Value::Array(list) = list else { return Err("no list of keys") };
    if MOST < list.len() {
        return Err("too many keys");
    }
    Ok(list.into_iter().filter_map(key).collect())
}

fn key(value: Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    if matches!(&jwk.common.public_key_use, Some(of) if *of != PublicKeyUse::Signature) {
        return None;
    }
    if matches!(&jwk.common.key_operations, Some(may) if !may.contains(&KeyOperations::Verify)) {
        return None;
    }
    let mut algorithms = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => vec![
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ],
        AlgorithmParameters::EllipticCurve(of) if of.curve == EllipticCurve::P256 => vec![Algorithm::ES256],
        AlgorithmParameters::EllipticCurve(of) if of.curve == EllipticCurve::P384 => vec![Algorithm::ES384],
        AlgorithmParameters::OctetKeyPair(of) if of.curve == EllipticCurve::Ed25519 => vec![Algorithm::EdDSA],
        _ => return None,
    };
    if let Some(only) = &jwk.common.key_algorithm {
        algorithms.retain(|algorithm| only.to_string() == format!("{algorithm:?}"));
    }
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    let id = jwk.common.key_id.map(Into::into);
    (!algorithms.is_empty()).then_some(Key { id, algorithms, key })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RSA: &str = r#""kty":"RSA","e":"AQAB","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw""#;

    fn head(algorithm: Algorithm, id: Option<&str>) -> Header {
        Header { kid: id.map(str::to_owned), ..Header::new(algorithm) }
    }

    #[test]
    fn a_key_verifies_what_its_kind_and_its_alg_allow() {
        let keys =
            of(&format!(r#"{{"keys":[{{"kid":"a",{RSA}}},{{"kid":"b","alg":"RS512",{RSA}}}]}}"#)).unwrap();
        let fits = |index: usize, algorithm, id| keys[index].fits(&head(algorithm, id));
        assert!(fits(0, Algorithm::RS256, Some("a")) && fits(0, Algorithm::PS512, None));
        assert!(!fits(0, Algorithm::RS256, Some("b")) && !fits(0, Algorithm::ES256, Some("a")));
        assert!(fits(1, Algorithm::RS512, Some("b")) && !fits(1, Algorithm::RS256, Some("b")));
        for secret in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
            assert!(!fits(0, secret, Some("a")) && !fits(1, secret, Some("b")));
        }
    }

    #[test]
    fn secrets_keys_for_encryption_and_the_unknown_are_passed_over() {
        let others = [
            r#"{"kty":"oct","kid":"s","k":"c2VjcmV0"}"#.to_owned(),
            format!(r#"{{"kid":"e","use":"enc",{RSA}}}"#),
            format!(r#"{{"kid":"o","key_ops":["encrypt"],{RSA}}}"#),
            r#"{"kty":"AKP","kid":"later","alg":"ML-DSA-44","pub":"AA"}"#.to_owned(),
            r#"{"kid":7}"#.to_owned(),
        ];
        let all = format!(r#"[{},{{"kid":"good","use":"sig",{RSA}}}]"#, others.join(","));
        let ids: Vec<_> = of(&all).unwrap().into_iter().map(|key| key.id).collect();
        assert_eq!(ids, [Some("good".into())]);
        assert!(of("<html>").is_err() && of(r#"{"error":"no"}"#).is_err());
    }
}

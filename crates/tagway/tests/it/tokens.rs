//! Identity providers of tests: keys made on the spot, and the tokens they sign.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tagway_fake::{Fake, Reply};

pub const ISSUER: &str = "https://idp.example";
pub const AUDIENCE: &str = "tagway";

/// A key that signs tokens.
pub struct Signer {
    pub id: String,
    pub algorithm: Algorithm,
    key: EncodingKey,
}

impl Signer {
    pub fn new(id: &str, algorithm: Algorithm) -> Self {
        let key = match algorithm {
            Algorithm::ES256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
                EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref())
            }
            Algorithm::EdDSA => {
                EncodingKey::from_ed_der(Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap().as_ref())
            }
            _ => EncodingKey::from_rsa_der(&rsa()),
        };
        Self { id: id.to_owned(), algorithm, key }
    }

    /// As the provider publishes it.
    pub fn public(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.id.clone());
        serde_json::to_value(jwk).unwrap()
    }

    /// A token with these claims beside the usual ones, which may be taken away by `null`.
    pub fn token(&self, more: Value) -> String {
        self.token_with(Header { kid: Some(self.id.clone()), ..Header::new(self.algorithm) }, more)
    }

    pub fn token_with(&self, header: Header, more: Value) -> String {
        jsonwebtoken::encode(&header, &claims(more), &self.key).unwrap()
    }
}

fn rsa() -> Vec<u8> {
    // PKCS#8 around PKCS#1, which begins after the algorithm and the header of an octet string.
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = pair.as_der().unwrap();
    let der = der.as_ref();
    let oid = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00, 0x04, 0x82];
    let at = der.windows(oid.len()).position(|window| window == oid).unwrap();
    der[at + oid.len() + 2..].to_vec()
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub fn claims(more: Value) -> Value {
    let mut claims = json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": now() + 600});
    for (name, value) in more.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

/// An identity provider.
pub struct Provider {
    pub fake: Fake,
    published: Arc<Mutex<Result<Value, u16>>>,
}

impl Provider {
    pub async fn new(signers: &[&Signer]) -> Self {
        let published = Arc::new(Mutex::new(Ok(set(signers))));
        let answers = Arc::clone(&published);
        let fake = Fake::answer(move |_| match &*answers.lock().unwrap() {
            Ok(set) => Reply::text(200, set.to_string()),
            Err(status) => Reply::text(*status, "no"),
        })
        .await;
        Self { fake, published }
    }

    pub fn url(&self) -> String {
        format!("{}/keys", self.fake.url())
    }

    pub fn publishes(&self, signers: &[&Signer]) {
        *self.published.lock().unwrap() = Ok(set(signers));
    }

    pub fn fails(&self, status: u16) {
        *self.published.lock().unwrap() = Err(status);
    }

    /// The part of `general_settings` that trusts it, with more lines of `litellm_jwtauth`.
    pub fn settings(&self, more: &str) -> String {
        let url = self.url();
        format!(
            "  enable_jwt_auth: true\n  litellm_jwtauth:\n    issuer: {ISSUER}\n    audience: {AUDIENCE}\n    jwks_url: {url}\n{more}"
        )
    }
}

fn set(signers: &[&Signer]) -> Value {
    json!({"keys": signers.iter().map(|signer| signer.public()).collect::<Vec<_>>()})
}

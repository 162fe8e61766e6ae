//! The body of a management request: its fields, read against what an object knows. Says which field is wrong,
//! keeps what tagway does not act on, and refuses what it must not ignore.

use axum::extract::FromRequest;
use axum::extract::rejection::BytesRejection;
use bytes::Bytes;
use http::{Request, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tagway_core::config::is_secret;

use super::refusal::Refusal;

/// Fields of LiteLLM that decide who may do what, or what is enforced: to accept one and not to act on it would
/// be worse than to refuse it.
const REFUSED: &[&str] = &[
    "access_group_ids",
    "agent_id",
    "allowed_cache_controls",
    "allowed_model_region",
    "allowed_passthrough_routes",
    "allowed_vector_store_indexes",
    "budget_fallbacks",
    "budget_limits",
    "config",
    "default_model",
    "default_team_member_models",
    "denied_passthrough_routes",
    "disable_global_guardrails",
    "end_user_budget_id",
    "enforced_params",
    "guardrails",
    "mcp_rpm_limit",
    "model_itpm_limit",
    "model_otpm_limit",
    "new_master_key",
    "object_permission",
    "object_permission_id",
    "permissions",
    "policies",
    "prompts",
    "rpm_limit_type",
    "tag_rpm_limit",
    "team_member_budget",
    "team_member_budget_duration",
    "team_member_key_duration",
    "team_member_rpm_limit",
    "team_member_tpm_limit",
    "throttle_on_budget_exceeded",
    "tpd_limit",
    "tpm_limit_type",
];

/// Fields that LiteLLM keeps within `metadata`, where clients may give them, too.
pub(super) const IN_METADATA: &[&str] = &[
    "model_rpm_limit",
    "model_tpm_limit",
    "default_estimated_output_tokens",
    "default_estimated_output_tokens_per_model",
];

/// The longest text an id or a name may be.
pub(super) const LONGEST_NAME: usize = 255;

/// How deep a body may be: what is stored is read with a limit of its own, and stands some levels deeper.
const DEEPEST: usize = 64;

/// The fields of a request body that nobody has taken yet.
#[derive(Debug, Default)]
pub(crate) struct Given {
    fields: Map<String, Value>,
}

impl<S: Send + Sync> FromRequest<S> for Given {
    type Rejection = Refusal;

    async fn from_request(request: Request<axum::body::Body>, state: &S) -> Result<Self, Refusal> {
        let body = Bytes::from_request(request, state).await.map_err(|rejection| unread(&rejection))?;
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        let value: Value = serde_json::from_slice(&body)
            .map_err(|error| Refusal::field("request_body", format!("Invalid JSON payload: {error}")))?;
        if holds_nul(&value) {
            let message = "Texts in the request body must not hold the character U+0000.";
            return Err(Refusal::field("request_body", message));
        }
        if !is_within(&value, DEEPEST) {
            let message = format!("The request body must be no more than {DEEPEST} levels deep.");
            return Err(Refusal::field("request_body", message));
        }
        match value {
            Value::Object(fields) => Ok(Self::from(fields)),
            _ => Err(Refusal::field("request_body", "The request body must be a JSON object.")),
        }
    }
}

/// Says of a body that it could not be read.
pub(super) fn unread(rejection: &BytesRejection) -> Refusal {
    let status = rejection.status();
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return Refusal::new(status, "The request body is too large for the management API (2 MB).");
    }
    Refusal::field("request_body", "The request body could not be read.")
}

/// Whether a value is at most so many levels deep.
fn is_within(value: &Value, levels: usize) -> bool {
    let Some(below) = levels.checked_sub(1) else { return false };
    match value {
        Value::Array(items) => items.iter().all(|item| is_within(item, below)),
        Value::Object(fields) => fields.values().all(|value| is_within(value, below)),
        _ => true,
    }
}

/// PostgreSQL keeps no such text.
fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)),
        _ => false,
    }
}

impl From<Map<String, Value>> for Given {
    fn from(mut fields: Map<String, Value>) -> Self {
        for name in IN_METADATA {
            let metadata = fields.get_mut("metadata").and_then(Value::as_object_mut);
            if let Some(limit) = metadata.and_then(|metadata| metadata.shift_remove(*name)) {
                fields.entry(*name).or_insert(limit);
            }
        }
        Self { fields }
    }
}

impl Given {
    /// Whether the body gives this field, be it `null`.
    pub(crate) fn gives(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// The body with these fields where it gives none.
    pub(crate) fn or(mut self, defaults: &Map<String, Value>) -> Self {
        for (name, value) in defaults {
            if self.fields.get(name).is_none_or(Value::is_null) {
                self.fields.insert(name.clone(), value.clone());
            }
        }
        self
    }

    /// Takes the fields that `T` knows; the others keep their defaults.
    ///
    /// # Errors
    /// The first field of the wrong type.
    pub(crate) fn take<T: DeserializeOwned + Serialize + Default>(&mut self) -> Result<T, Refusal> {
        self.overlay(&T::default(), &[])
    }

    /// `onto` with the fields that the body gives in place of its own, which are taken. `null` means the default.
    /// Fields of `kept` are not the client's to give.
    ///
    /// # Errors
    /// The first field of the wrong type.
    pub(crate) fn overlay<T: DeserializeOwned + Serialize + Default>(
        &mut self,
        onto: &T,
        kept: &[&str],
    ) -> Result<T, Refusal> {
        let overlaid = self.peek(onto, kept)?;
        self.drop::<T>(kept);
        Ok(overlaid)
    }

    /// Takes the fields that `T` knows away, those of `kept` excepted.
    pub(crate) fn drop<T: Serialize + Default>(&mut self, kept: &[&str]) {
        for name in object(&T::default()).keys().filter(|name| !kept.contains(&name.as_str())) {
            self.fields.shift_remove(name);
        }
    }

    /// As [`Self::overlay`], but leaves the fields where they are.
    ///
    /// # Errors
    /// The first field of the wrong type.
    pub(crate) fn peek<T: DeserializeOwned + Serialize + Default>(
        &self,
        onto: &T,
        kept: &[&str],
    ) -> Result<T, Refusal> {
        let (mut merged, defaults) = (object(onto), object(&T::default()));
        for (name, value) in self.fields.iter().filter(|(name, _)| !kept.contains(&name.as_str())) {
            let Some(default) = defaults.get(name) else { continue };
            let value = if value.is_null() { default } else { value };
            let alone = Map::from_iter([(name.clone(), value.clone())]);
            if let Err(error) = serde_json::from_value::<T>(Value::Object(alone)) {
                return Err(Refusal::field(name, format!("Invalid value for '{name}': {error}.")));
            }
            let long = value.as_str().is_some_and(|text| LONGEST_NAME < text.chars().count());
            if long && (name.ends_with("_id") || name.ends_with("alias") || name == "name") {
                let message = format!("'{name}' must be no longer than {LONGEST_NAME} characters.");
                return Err(Refusal::field(name, message));
            }
            merged.insert(name.clone(), value.clone());
        }
        serde_json::from_value(Value::Object(merged))
            .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, format!("Invalid request: {error}.")))
    }

    /// What is left: fields that have no effect here.
    ///
    /// # Errors
    /// One of them must not be ignored.
    pub(crate) fn rest(self) -> Result<Map<String, Value>, Refusal> {
        let mut rest = Map::new();
        for (name, value) in self.fields {
            // Limits that nothing is set aside for are the only ones there are.
            let usual = name.ends_with("_limit_type") && value == "best_effort_throughput";
            if says_nothing(&value) || usual {
                continue;
            }
            if REFUSED.contains(&name.as_str()) {
                let message = format!(
                    "'{name}' is not supported by tagway, and ignoring it would change what is allowed or enforced. Remove it from the request."
                );
                return Err(Refusal::field(name, message));
            }
            // Nobody needs a secret that has no effect.
            let value = if is_secret(&name) { "***".into() } else { value };
            rest.insert(name, value);
        }
        Ok(rest)
    }

    /// Makes sure that nothing is left.
    ///
    /// # Errors
    /// The first field this request does not have.
    pub(crate) fn nothing_else(self) -> Result<(), Refusal> {
        match self.rest()?.keys().next() {
            None => Ok(()),
            Some(name) => Err(Refusal::field(name, format!("Unknown field '{name}'."))),
        }
    }
}

/// Values that ask for nothing: clients of LiteLLM send them for fields they do not use.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Number(_) | Value::String(_) | Value::Bool(true) => false,
    }
}

/// The fields of a value that is an object.
pub(super) fn object<T: Serialize>(value: &T) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// The part of a management request's path that names something.
#[derive(Debug)]
pub(crate) struct Part(pub(crate) String);

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for Part {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut http::request::Parts, state: &S) -> Result<Self, Refusal> {
        let part = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        let part = part.map_err(|_| Refusal::field("path", "The path must be UTF-8 once it is decoded."))?.0;
        if part.contains('\0') {
            return Err(Refusal::field("path", "The path must not hold the character U+0000."));
        }
        Ok(Self(part))
    }
}

/// The query of a management request.
#[derive(Debug)]
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> axum::extract::FromRequestParts<S> for Asked<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut http::request::Parts, _: &S) -> Result<Self, Refusal> {
        let query = axum::extract::Query::<T>::try_from_uri(&parts.uri)
            .map_err(|error| Refusal::field("query", format!("Invalid query: {}.", error.body_text())))?;
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            return Err(Refusal::field("query", "Parameters must not hold the character U+0000."));
        }
        Ok(Self(query.0))
    }
}

//! The one shape of every error body: OpenAI's, with `code` as text as LiteLLM has it.

use http::StatusCode;
use serde_json::json;

/// `{"error": {message, type, param, code, reason?}}`; the code is the status as text, `reason` is for machines.
pub(crate) fn error_json(
    message: &str,
    kind: &str,
    param: Option<&str>,
    status: StatusCode,
    reason: Option<&str>,
) -> String {
    let mut error = json!({"message": message, "type": kind, "param": param, "code": status.as_str()});
    if let Some(reason) = reason {
        error["reason"] = reason.into();
    }
    json!({ "error": error }).to_string()
}

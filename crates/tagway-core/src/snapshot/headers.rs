//! The headers a deployment is called with, those that tell clients about it, and its upstream's name in errors: all
//! made from its entry, once.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::Origin;
use crate::config::Deployment as Entry;

pub(super) fn request_headers(entry: &Entry, origin: Option<&Origin>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::with_capacity(8 + entry.extra_headers.len());
    let secret = |text: &str, what: &str| {
        let mut value = HeaderValue::from_str(text)
            .map_err(|_| format!("{what} holds characters no header can carry"))?;
        value.set_sensitive(true);
        Ok::<_, String>(value)
    };
    if let Some(origin) = origin {
        let default = if origin.tls { 443 } else { 80 };
        let host = origin.key.split_once("://").map_or("", |(_, rest)| rest);
        let host = host.strip_suffix(&format!(":{default}")).unwrap_or(host);
        headers.insert(header::HOST, HeaderValue::from_str(host).map_err(|error| error.to_string())?);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers
        .insert(header::USER_AGENT, HeaderValue::from_static(concat!("tagway/", env!("CARGO_PKG_VERSION"))));
    if let Some(key) = &entry.api_key {
        headers.insert(header::AUTHORIZATION, secret(&format!("Bearer {}", key.expose()), "api_key")?);
    }
    if let Some(organization) = &entry.organization {
        headers.insert(HeaderName::from_static("openai-organization"), secret(organization, "organization")?);
    }
    for (name, value) in &entry.extra_headers {
        headers.insert(name.clone(), value.clone());
    }
    Ok(headers)
}

/// Where a deployment is called, as clients may know: a query may hold a key.
pub(super) fn shown_base(entry: &Entry) -> &str {
    let base = entry.api_base.as_deref().unwrap_or_else(|| {
        // LiteLLM shows OpenAI's own API without its version.
        if entry.provider.name == "openai" { "https://api.openai.com" } else { entry.provider.base_url }
    });
    base.split_once('?').map_or(base, |(base, _)| base)
}

pub(super) fn reply_headers(entry: &Entry) -> Vec<(HeaderName, HeaderValue)> {
    let base = shown_base(entry);
    let mut headers = vec![(HeaderName::from_static("x-litellm-model-id"), header_value(&entry.info.id))];
    if !entry.model.contains('*') {
        headers.push((HeaderName::from_static("x-litellm-model-name"), header_value(&entry.model)));
    }
    headers.push((HeaderName::from_static("x-litellm-model-api-base"), header_value(base)));
    headers
}

/// A header value of any text, in Latin-1 where that can say it, else in UTF-8: what no header can carry becomes
/// `?`.
pub fn header_value(text: &str) -> HeaderValue {
    let latin = || text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect::<Option<Vec<u8>>>();
    if !text.is_ascii()
        && let Some(Ok(value)) = latin().map(|bytes| HeaderValue::from_bytes(&bytes))
    {
        return value;
    }
    HeaderValue::from_str(text).unwrap_or_else(|_| {
        let clean: Vec<u8> =
            text.bytes().map(|byte| if matches!(byte, 0x20..=0x7e) { byte } else { b'?' }).collect();
        HeaderValue::from_bytes(&clean).unwrap_or_else(|_| HeaderValue::from_static("?"))
    })
}

/// LiteLLM's name of a provider's errors.
pub(super) fn blame(provider: &str) -> String {
    if provider == "openai" {
        return "OpenAIException".into();
    }
    let mut name = provider.chars();
    name.next()
        .map_or(String::new(), |first| format!("{}{}Exception", first.to_ascii_uppercase(), name.as_str()))
}

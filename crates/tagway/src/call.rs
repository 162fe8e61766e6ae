//! Which requests are calls to a model: the paths of OpenAI's API, of Azure's deployments and of OpenAI's old
//! engines, each with or without `/v1`.

use std::borrow::Cow;

pub(crate) use tagway_core::snapshot::Endpoint;

/// A path that calls a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) endpoint: Endpoint,
    /// The model named by the path, decoded.
    pub(crate) model: Option<String>,
}

/// Recognises a path. Static paths cost a comparison each; others are not calls to a model.
pub(crate) fn recognise(path: &str) -> Option<Route> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let below = path.strip_prefix("/v1").unwrap_or(path);
    let plain = |endpoint| Some(Route { endpoint, model: None });
    match below {
        "/chat/completions" => return plain(Endpoint::Chat),
        "/completions" => return plain(Endpoint::Completions),
        "/embeddings" => return plain(Endpoint::Embeddings),
        "/responses" => return plain(Endpoint::Responses),
        _ => {}
    }
    let rest = below.strip_prefix("/engines/").or_else(|| path.strip_prefix("/openai/deployments/"))?;
    // Longest first: `/chat/completions` ends in `/completions` too.
    let endpoints = [Endpoint::Chat, Endpoint::Completions, Endpoint::Embeddings];
    let (endpoint, model) =
        endpoints.into_iter().find_map(|endpoint| Some((endpoint, rest.strip_suffix(endpoint.path())?)))?;
    if model.is_empty() {
        return None;
    }
    Some(Route { endpoint, model: Some(decode(model).into_owned()) })
}

/// Undoes percent-encoding; text that is not encoded rightly stays as it is.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).filter(|_| byte == b'%');
        let decoded = digits
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(decoded.unwrap_or(byte));
        at += if decoded.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out).map_or(Cow::Borrowed(text), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_and_without_a_model_are_recognised() {
        let route = |path| recognise(path).map(|route| (route.endpoint, route.model));
        assert_eq!(route("/chat/completions"), Some((Endpoint::Chat, None)));
        assert_eq!(route("/v1/responses"), Some((Endpoint::Responses, None)));
        assert_eq!(
            route("/openai/deployments/a%2Fb/chat/completions"),
            Some((Endpoint::Chat, Some("a/b".into())))
        );
        assert_eq!(route("/v1/engines/m/completions"), Some((Endpoint::Completions, Some("m".into()))));
        assert_eq!(route("/engines/m/embeddings"), Some((Endpoint::Embeddings, Some("m".into()))));
        assert_eq!(route("/engines//completions"), None);
        assert_eq!(route("/v1/models"), None);
    }
}

//! The OpenAPI document at `/openapi.json`, and a page to read and try it at `/docs`.

use axum::Router;
use utoipa::Modify;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_swagger_ui::SwaggerUi;

use super::Shared;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "tagway",
        description = "The management API: LiteLLM's paths and bodies, held to what tags allow.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")
    ),
    security(("bearer" = []), ("x-litellm-api-key" = [])),
    modifiers(&Keys)
)]
struct Document;

/// The ways to present a key.
struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(
            "bearer",
            SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()),
        );
        components.add_security_scheme(
            "x-litellm-api-key",
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("x-litellm-api-key"))),
        );
    }
}

/// The document without its paths.
pub(super) fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// Gives every operation a name of its own: handlers of different resources are called the same.
fn name_operations(document: &mut utoipa::openapi::OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let words = path.split(['/', '-']).map(|part| part.trim_matches(['{', '}']));
        let name = words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join("_");
        let operations = [
            ("get", &mut item.get),
            ("post", &mut item.post),
            ("put", &mut item.put),
            ("patch", &mut item.patch),
            ("delete", &mut item.delete),
        ];
        for (method, operation) in operations {
            if let Some(operation) = operation {
                operation.operation_id = Some(format!("{name}_{method}"));
            }
        }
    }
}

/// Serves the whole document and its page.
pub(super) fn routes(mut document: utoipa::openapi::OpenApi) -> Router<Shared> {
    name_operations(&mut document);
    SwaggerUi::new("/docs").url("/openapi.json", document).into()
}

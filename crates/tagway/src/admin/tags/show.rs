//! `POST /tag/info`: tags by their names.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tagway_core::tag::python_list;
use utoipa::ToSchema;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::given::Given;
use super::super::refusal::{Refusal, Refusals};
use super::{Beside, shown};
use crate::objects::Tag;

/// WhichTags tags.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
struct WhichTags {
    #[schema(required = true, value_type = Vec<String>, max_items = 1000)]
    names: Option<Vec<String>>,
}

/// Shows tags that were declared over the API, by name.
#[utoipa::path(
    post, path = "/tag/info", tag = "tags", request_body = WhichTags,
    responses((status = 200, description = "An object of tags", body = Object), Refusals)
)]
pub(super) async fn info(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_see_all()?;
    let WhichTags { names } = given.take()?;
    given.nothing_else()?;
    let names = names.ok_or_else(|| Refusal::field("names", "Missing required field 'names'."))?;
    if 1000 < names.len() {
        return Err(Refusal::field("names", "At most 1000 tags can be asked for at once."));
    }
    let current = shared.live.current();
    let aliases = &current.snapshot.aliases;
    let mut ids: Vec<String> = names.iter().map(|name| aliases.today(name).to_owned()).collect();
    ids.sort_unstable();
    ids.dedup();
    let tags = shared.db.find_all::<Tag>(&ids).await?;
    let found = |name: &str| tags.iter().find(|tag| tag.id == aliases.today(name));
    let missing: Vec<&str> = names.iter().map(String::as_str).filter(|name| found(name).is_none()).collect();
    if !missing.is_empty() {
        return Err(Refusal::missing("names", format!("Tags not found: {}", python_list(missing))));
    }
    let beside = Beside::read(&shared, &tags, &[]).await?;
    // By the names that were asked for, former ones too.
    let shown: Map<String, Value> = names
        .iter()
        .filter_map(|name| Some((name.clone(), shown(&current.snapshot, found(name)?, &beside))))
        .collect();
    Ok(Json(Value::Object(shown)))
}

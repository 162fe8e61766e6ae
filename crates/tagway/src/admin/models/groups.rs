//! `/model_group/info` and `/access_group/list`: deployments by the names callers use for them.

use axum::Json;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tagway_core::catalogue::Listed;
use tagway_core::snapshot::{Group, Snapshot};
use utoipa::IntoParams;

use super::super::actor::Actor;
use super::super::given::Asked;
use super::super::refusal::{Refusal, Refusals};
use super::{is_shown_to, standing, visible_groups};

/// Which group.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// The one with this name.
    model_group: Option<String>,
}

/// Shows model groups: all of them to admins, to others those they may use.
#[utoipa::path(
    get, path = "/model_group/info", tag = "models", params(Which),
    responses((status = 200, description = "The model groups", body = Object), Refusals)
)]
pub(super) async fn info(actor: Actor, Asked(which): Asked<Which>) -> Result<Json<Value>, Refusal> {
    let snapshot = &actor.current.snapshot;
    let visible = visible_groups(snapshot, &actor);
    let groups = snapshot.groups.iter().filter(|group| visible.contains(&group.name.as_str()));
    let groups = groups.filter(|group| which.model_group.as_ref().is_none_or(|name| *name == group.name));
    let is_shown = is_shown_to(&actor);
    let data: Vec<Value> = groups
        .map(|group| {
            let mut shown = shown(snapshot, group);
            for (name, value) in standing::of_group(&actor.current, group, &is_shown) {
                shown[name] = value;
            }
            shown
        })
        .collect();
    Ok(Json(json!({ "data": data })))
}

/// What `model_info` may say of a model's abilities.
const ABILITIES: [&str; 6] = [
    "supports_parallel_function_calling",
    "supports_vision",
    "supports_web_search",
    "supports_url_context",
    "supports_reasoning",
    "supports_function_calling",
];

fn shown(snapshot: &Snapshot, group: &Group) -> Value {
    let deployments: Vec<_> = group.deployments.iter().map(|id| snapshot.deployment(*id)).collect();
    let entries: Vec<_> = deployments.iter().map(|deployment| &deployment.entry).collect();
    let mut providers: Vec<&str> = Vec::new();
    for entry in &entries {
        if !providers.contains(&entry.provider.name) {
            providers.push(entry.provider.name);
        }
    }
    let field = |name: &str| entries.iter().find_map(|entry| entry.info.fields.get(name)).cloned();
    let most = |name: &str, listed: fn(Listed<'_>) -> Option<u64>| {
        let known = || deployments.iter().filter_map(|deployment| listed(deployment.listed()?)).max();
        field(name).or_else(|| known().map(Value::from))
    };
    let prices: Vec<(f64, f64)> = deployments
        .iter()
        .filter_map(|deployment| Some(deployment.prices_for(&group.name)?.per_token()))
        .collect();
    let dearest = |price: fn(&(f64, f64)) -> f64| prices.iter().map(price).reduce(f64::max);
    let sum =
        |limits: Vec<u64>| (!limits.is_empty()).then(|| limits.into_iter().fold(0, u64::saturating_add));
    let mut fields = Map::from_iter([
        ("model_group".to_owned(), group.name.as_str().into()),
        ("providers".to_owned(), providers.into()),
        ("max_input_tokens".to_owned(), most("max_input_tokens", |listed| listed.max_input).into()),
        ("max_output_tokens".to_owned(), most("max_output_tokens", |listed| listed.max_output).into()),
        ("input_cost_per_token".to_owned(), dearest(|price| price.0).into()),
        ("output_cost_per_token".to_owned(), dearest(|price| price.1).into()),
        ("input_cost_per_pixel".to_owned(), Value::Null),
        ("mode".to_owned(), field("mode").unwrap_or_else(|| "chat".into())),
        ("tpm".to_owned(), sum(entries.iter().filter_map(|entry| entry.tpm).collect()).into()),
        ("rpm".to_owned(), sum(entries.iter().filter_map(|entry| entry.rpm).collect()).into()),
    ]);
    for ability in ABILITIES {
        fields.insert(ability.to_owned(), (field(ability) == Some(Value::Bool(true))).into());
    }
    fields.insert("access_groups".to_owned(), group.access_groups.clone().into());
    fields.insert("routing_strategy".to_owned(), group.strategy.name().into());
    fields.insert("is_public_model_group".to_owned(), false.into());
    Value::Object(fields)
}

/// Lists access groups: the names that lists of models may use for several models at once.
#[utoipa::path(
    get, path = "/access_group/list", tag = "models",
    responses((status = 200, description = "The access groups", body = Object), Refusals)
)]
pub(super) async fn access_groups(actor: Actor) -> Result<Json<Value>, Refusal> {
    actor.must_see_all()?;
    let snapshot = &actor.current.snapshot;
    let mut names: Vec<&str> =
        snapshot.groups.iter().flat_map(|group| group.access_groups.iter().map(String::as_str)).collect();
    names.sort_unstable();
    names.dedup();
    let shown = names.into_iter().map(|name| {
        let has = |groups: &[String]| groups.iter().any(|group| group == name);
        let models = snapshot.groups.iter().filter(|group| has(&group.access_groups));
        let models: Vec<&str> = models.map(|group| group.name.as_str()).collect();
        let entries = snapshot.deployments.iter().map(|deployment| &deployment.entry);
        let count = entries.filter(|entry| has(&entry.info.access_groups)).count();
        json!({"access_group": name, "model_names": models, "deployment_count": count, "spend": null, "budget": null})
    });
    Ok(Json(json!({"access_groups": shown.collect::<Vec<_>>()})))
}

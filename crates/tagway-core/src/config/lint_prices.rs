//! Deployments whose calls cost nobody knows what, or less than they should.

use super::model::{Config, PriceCatalog};
use super::scope::{At, Scope};
use crate::catalogue::Pricing;

/// Names in one message.
const SHOWN: usize = 10;

/// `entries` are those of `model_list`, by place.
pub(super) fn run(config: &Config, entries: &[At<'_>], scope: &mut Scope<'_>) {
    unknown(config, entries, scope);
    only_prompts(config, entries, scope);
    by_time(config, entries, scope);
}

/// Both a token and a second have a price: that of tokens goes first.
fn by_time(config: &Config, entries: &[At<'_>], scope: &mut Scope<'_>) {
    for (deployment, entry) in config.deployments.iter().zip(entries) {
        let has = |name: &str| deployment.prices.iter().any(|(known, _)| known == name);
        let by_time = ["input_cost_per_second", "output_cost_per_second"].into_iter().find(|name| has(name));
        let Some(name) = by_time.filter(|_| has("input_cost_per_token")) else { continue };
        if let Some(at) = model(entry) {
            scope
                .warning(&at, format!("`{name}` is never used: its tokens have a price"))
                .help("remove one of the two");
        }
    }
}

/// No price is known: one message for all, since whoever tries things has many. A mock costs nobody anything.
fn unknown(config: &Config, entries: &[At<'_>], scope: &mut Scope<'_>) {
    // What stands at a web address is not known before the start.
    if matches!(config.proxy.price_catalog, Some(PriceCatalog::Url(_))) {
        return;
    }
    let mut first = None;
    let mut names: Vec<String> = Vec::new();
    for (place, deployment) in config.deployments.iter().enumerate() {
        if deployment.mock.is_none() && Pricing::new(deployment, &config.catalogue).is_unknown() {
            first = first.or(Some(place));
            let name = format!("`{}`", deployment.base_model.as_ref().unwrap_or(&deployment.model));
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let Some(at) = first.and_then(|place| model(entries.get(place)?)) else { return };
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    scope
        .warning(
            &at,
            format!("no price is known of {}{more}: what its calls cost is not counted", names.join(", ")),
        )
        .help("give `input_cost_per_token` and `output_cost_per_token`, 0 where it is free");
}

/// A prompt's price without an answer's: embeddings have none, everything else has.
fn only_prompts(config: &Config, entries: &[At<'_>], scope: &mut Scope<'_>) {
    for (deployment, entry) in config.deployments.iter().zip(entries) {
        let price =
            |name: &str| deployment.prices.iter().find(|(known, _)| known == name).map(|(_, price)| *price);
        let mode = deployment.info.fields.get("mode").and_then(serde_json::Value::as_str);
        if mode == Some("embedding")
            || deployment.model.contains("embed")
            || price("input_cost_per_token").is_none_or(|price| price == 0.0)
            || price("output_cost_per_token").is_some()
        {
            continue;
        }
        if let Some(at) = model(entry) {
            scope
                .warning(&at, "its prompts have a price, its answers none: they count as free")
                .help("give `output_cost_per_token`, or `model_info.mode: embedding`");
        }
    }
}

/// `litellm_params.model` of an entry.
fn model<'c>(entry: &At<'c>) -> Option<At<'c>> {
    let params = entry.entry(entry.node.get("litellm_params")?);
    Some(params.entry(params.node.get("model")?))
}

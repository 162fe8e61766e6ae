//! Prices in a configuration: which names mean something here, and where a catalogue of them comes from. A price
//! that would never be used is never silent.

use std::path::Path;

use super::load::Host;
use super::model::PriceCatalog;
use super::proxy::Draft;
use super::scope::{At, Scope, nearest};
use super::yaml::{Kind, Mark, Node};
use crate::catalogue::Catalogue;
use crate::price::Name;

/// Whether LiteLLM takes the key for a price.
pub(super) fn is_price(key: &str) -> bool {
    key.contains("cost_per_") || key.contains("token_cost")
}

/// A price in dollars, under its own name.
pub(super) fn price(prices: &mut Vec<(String, f64)>, at: &At<'_>, scope: &mut Scope<'_>) {
    let name = at.path.rsplit('.').next().unwrap_or_default().to_owned();
    let Some(value) = scope.number(at, 0.0) else { return };
    if Name::read(&name).is_some() {
        prices.push((name, value));
        return;
    }
    let plain = name.split("_above_").next().unwrap_or(&name);
    let near = nearest(plain, Name::plain()).filter(|near| strsim::osa_distance(near, plain) <= 2);
    if let Some(near) = near {
        scope
            .error_at_key(at, format!("no price is called `{name}`"))
            .help(format!("did you mean `{near}`?"));
    } else if value == 0.0 {
        // What costs nothing may be left out of every sum.
    } else {
        scope
            .warning_at_key(at, "this price is never used: nothing that tagway serves is counted in it")
            .help("remove it; tokens and requests can have prices");
    }
}

/// `tiered_pricing`: prices for prompts of more tokens than a range begins with.
pub(super) fn tiers(prices: &mut Vec<(String, f64)>, at: &At<'_>, scope: &mut Scope<'_>) {
    for (index, node) in scope.items(at).iter().enumerate() {
        let tier = at.item(index, node);
        let begin = node.get("range").map(|entry| tier.entry(entry)).and_then(|range| {
            let first = scope.items(&range).first()?;
            scope.number(&range.item(0, first), 0.0)
        });
        let Some(begin) = begin else {
            scope.error(&tier, "`range` is missing").help("write `range: [0, 128000]`: tokens of the prompt");
            continue;
        };
        let mut own = Vec::new();
        for entry in scope.entries(&tier).iter().filter(|entry| is_price(&entry.key)) {
            price(&mut own, &tier.entry(entry), scope);
        }
        for (name, value) in own {
            prices.push((if begin < 1.0 { name } else { format!("{name}_above_{begin:.0}_tokens") }, value));
        }
    }
}

/// `price_catalog`: a web address, or a file beside the configuration.
pub(super) fn catalog(draft: &mut Draft, at: &At<'_>, scope: &mut Scope<'_>) {
    let Some(text) = scope.text(at) else { return };
    let web = text.starts_with("http://") || text.starts_with("https://");
    if web && !url::Url::parse(&text).is_ok_and(|url| url.has_host()) {
        scope.error(at, "not a web address").help("write `https://host/prices.json`, or the path of a file");
        return;
    }
    draft.proxy.price_catalog =
        Some(if web { PriceCatalog::Url(text) } else { PriceCatalog::File(text.into()) });
}

/// Reads the catalogue that is a file. `path` is the configuration's own.
pub(super) fn catalogue(
    from: Option<&PriceCatalog>,
    path: &Path,
    tree: &Node,
    host: &dyn Host,
    scope: &mut Scope<'_>,
) -> Catalogue {
    let Some(PriceCatalog::File(name)) = from else { return Catalogue::default() };
    let file = path.parent().unwrap_or(Path::new("")).join(name);
    let problem = match host.read(&file) {
        Ok(json) => match Catalogue::read(&json) {
            Ok(catalogue) => return catalogue,
            Err(unreadable) => format!("{} is no catalogue of prices: {unreadable}", file.display()),
        },
        Err(error) => format!("cannot read {}: {error}", file.display()),
    };
    scope
        .report
        .error(mark(tree), "litellm_settings.price_catalog", problem)
        .help("it takes the format of LiteLLM's model_prices_and_context_window.json");
    Catalogue::default()
}

fn mark(tree: &Node) -> Mark {
    let section = tree.get("litellm_settings").filter(|entry| matches!(entry.value.kind, Kind::Map(_)));
    section.and_then(|entry| entry.value.get("price_catalog")).map(|entry| entry.mark).unwrap_or_default()
}

//! The FinOps Open Cost and Usage Specification (FOCUS 1.2): the columns of a cost report that every tool for cloud costs
//! reads. Decides what of a request they mean; a row is what requests of a day with everything in common cost.

use serde_json::{Map, Value};

use super::csv::Sheet;
use super::days;
use super::figures::tokens;
use crate::store::DayRow;

/// Its columns, then tagway's own, which begin with `x_`.
pub(super) const COLUMNS: [&str; 43] = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceSubcategory",
    "ServiceName",
    "SubAccountId",
    "SubAccountName",
    "SubAccountType",
    "Tags",
    "x_Requests",
    "x_FailedRequests",
    "x_UnpricedRequests",
    "x_PromptTokens",
    "x_CompletionTokens",
    "x_CachedPromptTokens",
];

/// The names beside the ids of a row.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Beside<'a> {
    /// The store that the row is from.
    pub(super) account: &'a str,
    pub(super) key_alias: Option<&'a str>,
    pub(super) team_alias: Option<&'a str>,
}

/// A row.
pub(super) fn cells(sheet: &mut Sheet, row: &DayRow, beside: Beside<'_>) {
    let cost = row.sums.cost;
    let (month, next_month) = month(&row.day);
    let provider = row.provider.as_deref().unwrap_or("unknown");
    let group = row.group.as_deref().or(row.model.as_deref()).unwrap_or("unknown");
    let description = match &row.model {
        Some(model) => format!("Requests to {group} ({model} at {provider})"),
        None => format!("Requests to {group}"),
    };
    sheet
        .money(cost)
        .text(beside.account)
        .plain("tagway")
        .plain("USD")
        .plain(month)
        .plain(next_month)
        .plain("Usage")
        .plain("")
        .text(&description)
        .plain("Usage-Based")
        .plain(begin(&row.day))
        .plain(end(&row.day))
        .plain(tokens(&row.sums))
        .plain("Tokens")
        .money(cost)
        .plain("")
        .money(cost)
        .text(provider)
        .money(cost)
        .plain("")
        .plain("Standard")
        .plain(tokens(&row.sums))
        .plain("Tokens")
        .text(provider)
        .text(provider)
        .plain("")
        .plain("")
        .maybe(row.deployment.as_deref())
        .maybe(row.model.as_deref())
        .plain(if row.deployment.is_some() { "Deployment" } else { "" })
        .plain("AI and Machine Learning")
        .plain("Generative AI")
        .text(group)
        .maybe(row.team.as_deref())
        .maybe(beside.team_alias)
        .plain(if row.team.is_some() { "Team" } else { "" })
        .text(&Value::Object(tags(row, beside)).to_string())
        .plain(row.sums.requests)
        .plain(row.sums.failed)
        .plain(row.sums.unpriced)
        .plain(row.sums.prompt_tokens)
        .plain(row.sums.completion_tokens)
        .plain(row.sums.cache_read_tokens)
        .end();
}

/// Tags as FOCUS has them: a value for each key. `customer:acme` is the key `customer` with the value `acme`; a tag
/// without a value is true; where a request carries two values of one key, each whole tag is a key. What tagway adds
/// begins with its name.
fn tags(row: &DayRow, beside: Beside<'_>) -> Map<String, Value> {
    let split = |tag: &str| {
        let (key, value) = tag.split_once([':', '='])?;
        (!key.is_empty() && !value.is_empty()).then(|| (key.to_owned(), value.to_owned()))
    };
    let mut tags = Map::new();
    for tag in &row.tags {
        let key = split(tag);
        let alone = key.as_ref().is_some_and(|(key, _)| {
            row.tags.iter().filter(|other| split(other).is_some_and(|(own, _)| own == *key)).count() == 1
                && !row.tags.contains(key)
        });
        match key {
            Some((key, value)) if alone => tags.insert(key, value.into()),
            _ => tags.insert(tag.clone(), true.into()),
        };
    }
    for (name, value) in [
        ("tagway/key_id", row.key.as_deref()),
        ("tagway/key_alias", beside.key_alias),
        ("tagway/user_id", row.user.as_deref()),
        ("tagway/end_user", row.customer.as_deref()),
        ("tagway/organization_id", row.organization.as_deref()),
        ("tagway/project_id", row.project.as_deref()),
    ] {
        if let Some(value) = value {
            tags.insert(name.to_owned(), value.into());
        }
    }
    tags
}

fn begin(day: &str) -> String {
    format!("{day}T00:00:00Z")
}

/// The end of a day, which FOCUS does not include.
fn end(day: &str) -> String {
    let date: Option<jiff::civil::Date> = day.parse().ok();
    let number = date.and_then(days::number).unwrap_or(0);
    begin(&days::text(number + 1))
}

/// The month of a day: its begin, and its end, which is not included.
fn month(day: &str) -> (String, String) {
    let date: jiff::civil::Date = day.parse().unwrap_or(jiff::civil::Date::ZERO);
    let next = date.last_of_month().tomorrow().unwrap_or(date);
    (begin(&date.first_of_month().to_string()), begin(&next.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Sums;
    use serde_json::json;

    fn row(tags: &[&str]) -> DayRow {
        DayRow {
            day: "2026-12-31".to_owned(),
            key: Some("k".to_owned()),
            team: None,
            user: None,
            organization: None,
            project: None,
            customer: None,
            group: None,
            deployment: None,
            provider: None,
            model: None,
            tags: tags.iter().map(|&tag| tag.to_owned()).collect(),
            sums: Sums::default(),
        }
    }

    #[test]
    fn tags_become_keys_with_values() {
        let of = |list: &[&str]| {
            let mut tags = tags(&row(list), Beside::default());
            assert_eq!(tags.shift_remove("tagway/key_id"), Some(json!("k")));
            Value::Object(tags)
        };
        assert_eq!(of(&["customer:acme", "eng"]), json!({"customer": "acme", "eng": true}));
        assert_eq!(of(&["a:1", "a:2"]), json!({"a:1": true, "a:2": true}));
        assert_eq!(of(&["a", "a:1"]), json!({"a": true, "a:1": true}));
        assert_eq!(of(&["cost=x", ":y", "z:"]), json!({"cost": "x", ":y": true, "z:": true}));
    }

    #[test]
    fn periods_end_where_the_next_begin() {
        assert_eq!(end("2026-12-31"), "2027-01-01T00:00:00Z");
        assert_eq!(
            month("2026-12-31"),
            ("2026-12-01T00:00:00Z".to_owned(), "2027-01-01T00:00:00Z".to_owned())
        );
    }

    #[test]
    fn a_row_has_a_cell_for_every_column() {
        let mut sheet = Sheet::default();
        cells(&mut sheet, &row(&[]), Beside::default());
        let text = sheet.taken();
        // Only Tags holds commas, and this row has one tag there.
        assert_eq!(text.matches(',').count(), COLUMNS.len() - 1);
    }
}

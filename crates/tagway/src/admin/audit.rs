//! `GET /audit`: who changed what, and when.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::actor::Actor;
use super::given::{Asked, Part};
use super::paging::{pages, paging};
use super::refusal::{Refusal, Refusals};
use crate::objects::Kind;
use crate::store::{AuditFilter, AuditRow};

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(one))
}

/// Which changes, the newest first.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// `key`, `team`, `user`, `customer`, `organization`, `project`, `budget`, `tag` or `model`.
    #[param(pattern = "^(key|team|user|customer|organization|project|budget|tag|model)$")]
    kind: Option<String>,
    /// The same by LiteLLM's name for its table.
    table_name: Option<String>,
    /// Of the object with this id.
    id: Option<String>,
    /// The same.
    object_id: Option<String>,
    /// By this user, or by the key with this id.
    actor: Option<String>,
    /// The same.
    changed_by: Option<String>,
    /// `created`, `updated` or `deleted`.
    action: Option<String>,
    /// At this time or later: a day, or a time in RFC 3339.
    start_date: Option<String>,
    /// At this time or earlier; a day is meant to its end.
    end_date: Option<String>,
    /// Older than the change with this number, in place of `page`: as fast on the last page as on the first.
    before: Option<i64>,
    /// Pages count from 1.
    #[param(minimum = 1, maximum = 2_147_483_647)]
    page: i64,
    /// Changes on a page.
    #[param(minimum = 1, maximum = 100)]
    page_size: i64,
}

impl Default for Which {
    fn default() -> Self {
        Self {
            kind: None,
            table_name: None,
            id: None,
            object_id: None,
            actor: None,
            changed_by: None,
            action: None,
            start_date: None,
            end_date: None,
            before: None,
            page: 1,
            page_size: 50,
        }
    }
}

/// Lists changes, the newest first.
#[utoipa::path(
    get, path = "/audit", tag = "audit", params(Which),
    responses((status = 200, description = "A page of changes", body = Object), Refusals)
)]
async fn list(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(which): Asked<Which>,
) -> Result<Json<Value>, Refusal> {
    actor.must_see_all()?;
    let (page, size) = paging(which.page, which.page_size, 100)?;
    let filter = AuditFilter {
        kind: kind(&which)?.map(Kind::as_str),
        id: which.id.as_deref().or(which.object_id.as_deref()),
        actor: which.actor.as_deref().or(which.changed_by.as_deref()),
        action: which.action.as_deref(),
        from: which.start_date.as_deref().map(|text| time("start_date", text, false)).transpose()?,
        until: which.end_date.as_deref().map(|text| time("end_date", text, true)).transpose()?,
        before: which.before,
    };
    let offset = if which.before.is_some() { 0 } else { (page - 1).saturating_mul(size) };
    let rows = shared.db.audit(&filter, size, offset).await?;
    let full = i64::try_from(rows.len()).is_ok_and(|count| count == size);
    let next = rows.last().filter(|_| full).map(|row| row.seq);
    let logs: Vec<Value> = rows.iter().map(shown).collect();
    let mut answer = Map::from_iter([
        ("audit_logs".to_owned(), logs.into()),
        ("page_size".to_owned(), size.into()),
        ("next_cursor".to_owned(), next.into()),
    ]);
    // Who goes on from a cursor has the number already, and counting is what takes long in a large audit.
    if which.before.is_none() {
        let total = shared.db.audit_count(&filter).await?;
        answer.insert("total".to_owned(), total.into());
        answer.insert("page".to_owned(), page.into());
        answer.insert("total_pages".to_owned(), pages(total, size).into());
    }
    Ok(Json(Value::Object(answer)))
}

/// Shows one change.
#[utoipa::path(
    get, path = "/audit/{id}", tag = "audit",
    params(("id" = String, Path, description = "The number of the change")),
    responses((status = 200, description = "The change", body = Object), Refusals)
)]
async fn one(State(shared): State<Shared>, actor: Actor, Part(id): Part) -> Result<Json<Value>, Refusal> {
    actor.must_see_all()?;
    let missing = || Refusal::missing("id", format!("Audit log with ID {id} not found"));
    let seq: i64 = id.parse().map_err(|_| missing())?;
    let before = seq.checked_add(1).ok_or_else(missing)?;
    let filter = AuditFilter { before: Some(before), ..AuditFilter::default() };
    let rows = shared.db.audit(&filter, 1, 0).await?;
    let row = rows.iter().find(|row| row.seq == seq).ok_or_else(missing)?;
    Ok(Json(shown(row)))
}

/// LiteLLM's name for the table of a kind.
fn table(kind: Kind) -> &'static str {
    match kind {
        Kind::Key => "LiteLLM_VerificationToken",
        Kind::Team => "LiteLLM_TeamTable",
        Kind::User => "LiteLLM_UserTable",
        Kind::Customer => "LiteLLM_EndUserTable",
        Kind::Organization => "LiteLLM_OrganizationTable",
        Kind::Project => "LiteLLM_ProjectTable",
        Kind::Budget => "LiteLLM_BudgetTable",
        Kind::Tag => "LiteLLM_TagTable",
        Kind::Model => "LiteLLM_ProxyModelTable",
        // LiteLLM has none.
        Kind::Experiment => "Tagway_Experiment",
    }
}

fn kind(which: &Which) -> Result<Option<Kind>, Refusal> {
    let (field, name, found) = match (&which.kind, &which.table_name) {
        (Some(name), _) => ("kind", name, Kind::named(name)),
        (None, Some(name)) => {
            ("table_name", name, Kind::ALL.into_iter().find(|kind| table(*kind) == name.as_str()))
        }
        (None, None) => return Ok(None),
    };
    found.map(Some).ok_or_else(|| {
        let known: Vec<&str> = Kind::ALL.into_iter().map(Kind::as_str).collect();
        Refusal::field(field, format!("No kind of object is called '{name}'. Known: {}.", known.join(", ")))
    })
}

/// A time in milliseconds since 1970; of a day its beginning, or its `end`.
fn time(field: &'static str, text: &str, end: bool) -> Result<i64, Refusal> {
    let invalid = || {
        Refusal::field(
            field,
            format!("Invalid {field} '{text}'. Use a format like '2026-01-31' or '2026-01-31T12:00:00Z'."),
        )
    };
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at.as_millisecond().saturating_add(i64::from(end)));
    }
    let day: Date = text.parse().map_err(|_| invalid())?;
    let day = if end { day.tomorrow().map_err(|_| invalid())? } else { day };
    let begin = day.to_zoned(TimeZone::UTC).map_err(|_| invalid())?;
    Ok(begin.timestamp().as_millisecond())
}

fn shown(row: &AuditRow) -> Value {
    let parsed =
        |text: &Option<String>| text.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    json!({
        "id": row.seq.to_string(),
        "updated_at": Timestamp::from_millisecond(row.at).ok().map(|at| at.to_string()),
        "changed_by": row.actor,
        "changed_by_role": row.role,
        "changed_by_api_key": "",
        "action": row.action,
        "kind": row.kind,
        "table_name": Kind::named(&row.kind).map(table),
        "object_id": row.id,
        "before_value": parsed(&row.before),
        "updated_values": parsed(&row.after),
    })
}

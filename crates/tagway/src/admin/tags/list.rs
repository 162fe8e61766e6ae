//! `GET /tag/list`: declared tags, then those only seen in requests.

use axum::Json;
use axum::extract::State;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tagway_core::priority::Priority;
use tagway_core::vocabulary::{Mode, Setter, Terms};
use utoipa::IntoParams;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::given::{Asked, object};
use super::super::refusal::{Refusal, Refusals};
use super::{Beside, meant, moment, shown};
use crate::objects::{Role, Tag};
use crate::store::{SeenTag, Stored};

/// LiteLLM's words for a tag nobody declared.
const DYNAMIC: &str =
    "This is just a spend tag that was passed dynamically in a request. It does not control any LLM models.";

/// What the configuration says of a tag's use, by the names of a stored one's fields.
#[derive(Debug, Serialize)]
struct Said<'a> {
    values: &'a [String],
    set_by: Option<Vec<&'static str>>,
    max_values: Option<u64>,
    retire_at: Option<&'a str>,
    replaced_by: Option<&'a str>,
    quarantined: bool,
    mode: Option<&'static str>,
}

impl<'a> From<&'a Terms> for Said<'a> {
    fn from(terms: &'a Terms) -> Self {
        let setters = Setter::WORDS.into_iter();
        let mode = |mode| Mode::WORDS.into_iter().find(|(_, it)| *it == mode).map(|(word, _)| word);
        Self {
            values: &terms.values,
            set_by: terms
                .set_by
                .map(|by| setters.filter(|(_, setter)| by.has(*setter)).map(|(word, _)| word).collect()),
            max_values: terms.max_values,
            retire_at: terms.retirement.as_ref().map(|retirement| &*retirement.text),
            replaced_by: terms.replaced_by.as_deref(),
            quarantined: terms.quarantined,
            mode: terms.mode.and_then(mode),
        }
    }
}

/// Which of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Of the tags only seen in requests, those used on this day (`2026-01-31`, UTC) or later. With `end_date`.
    start_date: Option<String>,
    /// … and on this day or earlier.
    end_date: Option<String>,
    /// Of the tags only seen in requests, those after this one by name: the next page.
    after: Option<String>,
    /// As many of the tags only seen in requests.
    #[param(minimum = 1, maximum = 10000)]
    limit: i64,
}

impl Default for Which {
    fn default() -> Self {
        Self { start_date: None, end_date: None, after: None, limit: 10_000 }
    }
}

/// Lists tags: all of them for admins; for others those that they, their keys and their teams carry.
#[utoipa::path(
    get, path = "/tag/list", tag = "tags", params(Which),
    responses((status = 200, description = "Tags", body = Vec<Object>), Refusals)
)]
pub(super) async fn list(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(which): Asked<Which>,
) -> Result<Json<Vec<Value>>, Refusal> {
    let own = scope(&shared, &actor).await?;
    let own = own.map(|own| own.iter().map(|tag| meant(&shared, tag)).collect::<Vec<_>>());
    let visible = |name: &str| own.as_ref().is_none_or(|own| own.iter().any(|tag| tag == name));
    let (from, until) = days(&which)?;
    if !(1..=10_000).contains(&which.limit) {
        return Err(Refusal::field("limit", "limit must be between 1 and 10000."));
    }
    let current = shared.live.current();
    let snapshot = &current.snapshot;
    let mut tags: Vec<Stored<Tag>> = shared.db.everything().await?;
    tags.retain(|tag| visible(&tag.id));
    let in_file: Vec<_> = snapshot
        .config
        .tags
        .iter()
        .filter(|tag| visible(&tag.name) && !tags.iter().any(|stored| stored.id == tag.name))
        .collect();
    let is_declared =
        |name: &str| tags.iter().any(|tag| tag.id == name) || in_file.iter().any(|tag| tag.name == name);
    let seen = match &own {
        None => {
            let after = which.after.as_deref().unwrap_or_default();
            shared.db.seen_tags(from, until, after, which.limit).await?
        }
        Some(own) => {
            let mut seen = shared.db.seen_among(own).await?;
            seen.retain(|seen| from <= seen.last_at && seen.first_at <= until);
            seen
        }
    };
    let is_former = |name: &str| snapshot.aliases.meant(name).is_some();
    let dynamic: Vec<&SeenTag> =
        seen.iter().filter(|seen| !is_declared(&seen.tag) && !is_former(&seen.tag)).collect();
    let mut others: Vec<String> = in_file.iter().map(|tag| tag.name.clone()).collect();
    others.extend(dynamic.iter().map(|seen| seen.tag.clone()));
    let beside = Beside::read(&shared, &tags, &others).await?;
    // Declared ones stand on the first page.
    let first_page = which.after.is_none();
    let mut list: Vec<Value> =
        tags.iter().filter(|_| first_page).map(|tag| shown(snapshot, tag, &beside)).collect();
    for tag in in_file.into_iter().filter(|_| first_page) {
        let mut fields = Map::from_iter([
            ("name".to_owned(), tag.name.as_str().into()),
            ("aliases".to_owned(), tag.aliases.clone().into()),
            ("description".to_owned(), tag.description.clone().into()),
            ("owner".to_owned(), tag.owner.clone().into()),
            ("kind".to_owned(), tag.kind.as_str().into()),
            ("priority".to_owned(), tag.priority.map(Priority::as_str).into()),
            ("models".to_owned(), json!([])),
            ("model_info".to_owned(), json!({})),
        ]);
        fields.extend(object(&Said::from(&tag.terms)));
        fields.extend(beside.of(&tag.name));
        list.push(Value::Object(fields));
    }
    for seen in dynamic {
        let mut fields = Map::from_iter([
            ("name".to_owned(), seen.tag.as_str().into()),
            ("description".to_owned(), DYNAMIC.into()),
            ("models".to_owned(), Value::Null),
            ("created_at".to_owned(), moment(seen.first_at).into()),
            ("updated_at".to_owned(), moment(seen.last_at).into()),
        ]);
        fields.extend(beside.of(&seen.tag));
        list.push(Value::Object(fields));
    }
    Ok(Json(list))
}

/// The tags an actor may see; all of them when `None`.
async fn scope(shared: &Shared, actor: &Actor) -> Result<Option<Vec<String>>, Refusal> {
    if actor.must_see_all().is_ok() {
        return Ok(None);
    }
    match (&actor.user, actor.role) {
        (Some(user), Some(Role::InternalUser | Role::InternalUserViewer)) => {
            Ok(Some(shared.db.tags_of_user(user).await?))
        }
        _ => Err(actor.refused()),
    }
}

/// The first and the last millisecond of the days asked for.
fn days(which: &Which) -> Result<(i64, i64), Refusal> {
    let (first, last) = match (&which.start_date, &which.end_date) {
        (None, None) => return Ok((i64::MIN, i64::MAX)),
        (Some(first), Some(last)) => (day("start_date", first)?, day("end_date", last)?),
        _ => return Err(Refusal::field("start_date", "start_date and end_date must be provided together")),
    };
    if last < first {
        return Err(Refusal::field("start_date", "start_date must be on or before end_date"));
    }
    let begin = |date: Date| {
        date.to_zoned(TimeZone::UTC).map_or(i64::MAX, |begin| begin.timestamp().as_millisecond())
    };
    let after = last.tomorrow().map_or(i64::MAX, begin);
    Ok((begin(first), after.saturating_sub(1)))
}

fn day(field: &'static str, text: &str) -> Result<Date, Refusal> {
    let shaped = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let date = shaped.then(|| text.parse::<Date>().ok()).flatten();
    date.ok_or_else(|| Refusal::field(field, format!("Invalid date format, expected YYYY-MM-DD: {text}")))
}

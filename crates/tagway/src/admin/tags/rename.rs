//! `/tag/rename` and `/tag/merge`: a tag goes by another name from now on, and its history with it. Whoever still says
//! the former name means the tag: in requests, on keys and teams, at deployments, in expressions.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tagway_core::snapshot::Snapshot;
use tagway_core::tag::name::covers;
use utoipa::ToSchema;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::change::Change;
use super::super::given::Given;
use super::super::refusal::{Refusal, Refusals};
use super::super::reset::Bounds;
use super::super::shown::Ignored;
use super::check_name;
use super::declare::answer;
use super::terms::check_other_name;
use crate::objects::{Kind, Tag};
use crate::store::Stored;

/// The most tags that are merged at once.
const MOST: usize = 100;

/// A tag and what it is to be called.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Rename {
    /// What it is called.
    #[schema(required = true, value_type = String, min_length = 1, max_length = 255)]
    name: Option<String>,
    /// What it is to be called: a name that no tag has.
    #[schema(required = true, value_type = String, min_length = 1, max_length = 255)]
    new_name: Option<String>,
}

/// Gives a tag another name. What was booked on it, its budget and what was spent of it, its limits and deployments go
/// with it, and the former name goes on meaning it.
#[utoipa::path(
    post, path = "/tag/rename", tag = "tags", request_body = Rename,
    responses((status = 200, description = "The tag", body = Object), Refusals)
)]
pub(super) async fn rename(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_be_admin()?;
    let Rename { name, new_name } = given.take()?;
    given.nothing_else()?;
    let (from, into) = (named("name", name)?, named("new_name", new_name)?);
    let current = shared.live.current();
    check_former(&current.snapshot, "name", &from)?;
    if current.in_file(&from).is_some() {
        return Err(of_file("name", &from));
    }
    check_single("new_name", &into)?;
    if current.snapshot.aliases.meant(&into) == Some(&from) {
        let message = format!("'{into}' is a former name of '{from}': it cannot become its name again.");
        return Err(Refusal::field("new_name", message));
    }
    let taken = || {
        let message = format!("Tag {into} already exists. To make one tag of both, use /tag/merge.");
        Refusal::field("new_name", message)
    };
    if current.snapshot.declares(&into) || current.snapshot.aliases.meant(&into).is_some() {
        return Err(taken());
    }
    if shared.db.is_carried(&into).await? {
        let message = format!("The tag {into} is in use already. To make one tag of both, use /tag/merge.");
        return Err(Refusal::field("new_name", message));
    }
    if !is_known(&shared, &current.snapshot, &from).await? {
        return Err(Refusal::missing("name", format!("Tag {from} not found")));
    }
    check_other_name(&current.snapshot, "new_name", &into)?;
    shared.db.number_tags(&[&from, &into]).await?;
    let mut change = Change::begin_spending(&shared, &actor).await?;
    if change.find::<Tag>(&into).await?.is_some() {
        return Err(taken());
    }
    let before = change.find::<Tag>(&from).await?;
    let mut tag =
        before.as_ref().map_or_else(|| fresh(&current.snapshot, &into), |before| before.object.clone());
    tag.aliases.push(from.clone());
    let stored = change.insert(&into, tag).await?;
    change.join_tags(&from, &into).await?;
    if let Some(before) = before {
        change.delete(&before).await?;
    }
    change.commit().await?;
    answer(&shared, format!("Tag {from} renamed to {into}"), stored, &Ignored::default()).await
}

/// Tags, and the one they are to become.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Merge {
    /// Those that become former names.
    #[schema(required = true, value_type = Vec<String>, min_items = 1, max_items = 100)]
    names: Option<Vec<String>>,
    /// The tag they become. Its own description, budget and limits hold; it is declared if it is not.
    #[schema(required = true, value_type = String, min_length = 1, max_length = 255)]
    into: Option<String>,
}

/// Makes one tag of several. What was booked on any of them is booked on that one, each request once; the others' names
/// go on meaning it, and their own budgets and limits are gone.
#[utoipa::path(
    post, path = "/tag/merge", tag = "tags", request_body = Merge,
    responses((status = 200, description = "The tag", body = Object), Refusals)
)]
pub(super) async fn merge(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_be_admin()?;
    let Merge { names, into } = given.take()?;
    given.nothing_else()?;
    let into = named("into", into)?;
    let mut names = names.ok_or_else(|| Refusal::field("names", "Missing required field 'names'."))?;
    names.sort_unstable();
    names.dedup();
    if names.is_empty() || MOST < names.len() {
        return Err(Refusal::field("names", format!("'names' must hold between 1 and {MOST} tags.")));
    }
    check_single("into", &into)?;
    let current = shared.live.current();
    if let Some(tag) = current.snapshot.aliases.meant(&into) {
        return Err(Refusal::field(
            "into",
            format!("'{into}' is a former name of '{tag}': merge into that."),
        ));
    }
    if current.in_file(&into).is_some() {
        let message = format!(
            "Tag {into} is declared in the configuration file: give it 'aliases' there, and their history becomes its own."
        );
        return Err(Refusal::field("into", message));
    }
    for name in &names {
        if *name == into {
            return Err(Refusal::field("names", format!("'{name}' cannot be merged into itself.")));
        }
        check_former(&current.snapshot, "names", name)?;
        if current.in_file(name).is_some() {
            return Err(of_file("names", name));
        }
        if !is_known(&shared, &current.snapshot, name).await? {
            return Err(Refusal::missing("names", format!("Tag {name} not found")));
        }
    }
    if !current.snapshot.declares(&into) {
        check_other_name(&current.snapshot, "into", &into)?;
    }
    let numbered: Vec<&str> = names.iter().chain([&into]).map(String::as_str).collect();
    shared.db.number_tags(&numbered).await?;
    let mut change = Change::begin_spending(&shared, &actor).await?;
    let before = change.find::<Tag>(&into).await?;
    let mut tag =
        before.as_ref().map_or_else(|| fresh(&current.snapshot, &into), |before| before.object.clone());
    let mut gone: Vec<Stored<Tag>> = Vec::new();
    for name in &names {
        if let Some(other) = change.find::<Tag>(name).await? {
            let more = |known: &mut Vec<String>, more: &[String]| {
                let new: Vec<String> = more.iter().filter(|one| !known.contains(one)).cloned().collect();
                known.extend(new);
            };
            more(&mut tag.aliases, &other.object.aliases);
            more(&mut tag.models, &other.object.models);
            gone.push(other);
        }
        if !tag.aliases.contains(name) {
            tag.aliases.push(name.clone());
        }
    }
    let stored = match &before {
        Some(before) => change.update(before, tag).await?,
        None => change.insert(&into, tag).await?,
    };
    for name in &names {
        change.join_tags(name, &into).await?;
    }
    for other in &gone {
        change.delete(other).await?;
    }
    // What the others had spent counts until the end of this one's window.
    let until = Bounds::of(&stored.object, &stored.object.limits).end(&mut change).await?;
    change.retime(Kind::Tag, std::slice::from_ref(&into), until).await?;
    change.commit().await?;
    let message = format!("Tags {} merged into {into}", names.join(", "));
    answer(&shared, message, stored, &Ignored::default()).await
}

/// A tag that nobody has declared by its name: what a pattern says of it holds.
fn fresh(snapshot: &Snapshot, name: &str) -> Tag {
    let patterns =
        snapshot.config.tags.iter().filter(|tag| tag.name.ends_with('*') && covers(&tag.name, name));
    let pattern = patterns.max_by_key(|tag| tag.name.len());
    pattern.map_or_else(Tag::default, |pattern| Tag::of_pattern(pattern.kind, &pattern.terms))
}

fn named(field: &'static str, name: Option<String>) -> Result<String, Refusal> {
    name.ok_or_else(|| Refusal::field(field, format!("Missing required field '{field}'.")))
}

/// Whether a tag can have this name and former ones.
fn check_single(field: &'static str, name: &str) -> Result<(), Refusal> {
    check_name(field, name)?;
    if name.ends_with('*') {
        return Err(Refusal::field(field, "A pattern of tags has no former names: declare the new pattern."));
    }
    if name == "default" {
        let message = "'default' marks where untagged requests go: it cannot be another tag's name.";
        return Err(Refusal::field(field, message));
    }
    Ok(())
}

/// Whether this can become a former name.
fn check_former(snapshot: &Snapshot, field: &'static str, name: &str) -> Result<(), Refusal> {
    check_single(field, name)?;
    match snapshot.aliases.meant(name) {
        Some(tag) => Err(Refusal::field(field, format!("'{name}' is a former name of '{tag}' already."))),
        None => Ok(()),
    }
}

fn of_file(field: &'static str, name: &str) -> Refusal {
    let message = format!(
        "Tag {name} is declared in the configuration file: rename it there, with 'aliases: [\"{name}\"]' below its new name, and its history goes with it."
    );
    Refusal::field(field, message)
}

/// Whether anything knows a tag: it is declared, a deployment carries it, or requests have.
async fn is_known(shared: &Shared, snapshot: &Snapshot, name: &str) -> Result<bool, Refusal> {
    let carried =
        snapshot.deployments.iter().any(|deployment| deployment.entry.tags.iter().any(|tag| tag == name));
    Ok(carried || snapshot.declares(name) || shared.db.is_carried(name).await?)
}

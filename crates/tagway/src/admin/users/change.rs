//! `POST /user/update`, and the reset of a user's spend.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::change::Change;
use super::super::given::{Given, Part, object};
use super::super::keys;
use super::super::refusal::{Refusal, Refusals};
use super::super::reset::{Bounds, ResetSpend, Spent, retime, set_spend};
use super::super::shown::{Ignored, reset_at};
use super::super::teams::find_by_email;
use super::make::{KEPT, check, no_password};
use super::{not_found, permit, shown};
use crate::objects::{Kind, User};
use crate::store::Stored;

/// What a request for a change may say beside the user's own fields.
#[derive(Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
struct Wishes {
    /// Which user. Without it, `user_email` says who is meant.
    user_id: Option<String>,
    /// Tags that its requests inherit; they land in `metadata.tags`.
    tags: Option<Vec<String>>,
    /// Dollars spent so far.
    #[schema(minimum = 0)]
    spend: Option<f64>,
}

/// The body of a request for a change.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document")]
struct UpdateUser {
    #[schema(inline)]
    #[serde(flatten)]
    wishes: Wishes,
    #[serde(flatten)]
    fields: User,
}

/// Changes a user. Fields that are absent stay as they are; `null` takes a value away. `metadata` is replaced as a
/// whole, `tags` alone leave the rest of it.
#[utoipa::path(
    post, path = "/user/update", tag = "users", request_body = UpdateUser,
    responses((status = 200, description = "The user", body = Object), Refusals)
)]
pub(super) async fn update(
    State(shared): State<Shared>,
    actor: Actor,
    mut given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_be_admin()?;
    let wishes: Wishes = given.peek(&Wishes::default(), &[])?;
    let mut change = Change::begin_for(&shared, &actor, &given).await?;
    let before: Stored<User> = match wishes.user_id.filter(|id| !id.is_empty()) {
        Some(id) => change.find(&id).await?.ok_or_else(|| not_found(&id))?,
        None => {
            let email = given.peek(&User::default(), KEPT)?.user_email.filter(|email| !email.is_empty());
            let email = email
                .ok_or_else(|| Refusal::field("user_id", "Either user id or user email must be provided"))?;
            let unknown =
                || Refusal::missing("user_email", format!("User not found, passed user_email={email}"));
            find_by_email(&mut change, &email).await?.pop().ok_or_else(unknown)?
        }
    };
    let id = before.id.clone();
    let mut user: User = given.peek(&before.object, KEPT)?;
    if let Some(tags) = &wishes.tags {
        user.metadata.insert("tags".to_owned(), tags.clone().into());
    }
    user.user_email = user.user_email.filter(|email| !email.is_empty());
    user.organization_id = user.organization_id.filter(|id| !id.is_empty());
    given.drop::<User>(KEPT);
    given.drop::<Wishes>(&[]);
    no_password(&given)?;
    let ignored = given.rest()?;
    user.ignored.extend(ignored.clone());
    permit::change(&actor, &id, &before.object, &user)?;
    if user.user_role != before.object.user_role {
        user.own_budget(&actor.current.snapshot.config.proxy.new_users);
    }
    if user.limits.windows_differ(&before.object.limits) {
        user.limits.budget_reset_at = None;
    }
    user.limits.settle(change.now())?;
    check(&mut change, &id, &user).await?;
    let stored = change.update(&before, user).await?;
    let bounds = Bounds::of(&stored.object, &stored.object.limits);
    let old_bounds = Bounds::of(&before.object, &before.object.limits);
    retime(&mut change, Kind::User, &id, old_bounds, bounds).await?;
    if wishes.spend.is_some() {
        if !actor.is_admin() {
            let message =
                "Non-admin users cannot modify 'spend' on their own record. Contact your proxy admin.";
            return Err(Refusal::forbidden(message).param("spend"));
        }
        let until = bounds.end(&mut change).await?;
        change.set_spend(Kind::User, &id, keys::spend(wishes.spend)?, until).await?;
    }
    change.commit().await?;
    let mut answer = object(&Ignored::from(&ignored));
    answer.insert("user_id".to_owned(), id.into());
    answer.insert("data".to_owned(), shown(&shared, &stored).await?.into());
    Ok(Json(answer.into()))
}

/// Sets what was spent by a user.
#[utoipa::path(
    post, path = "/user/{user_id}/reset_spend", tag = "users", request_body = ResetSpend,
    params(("user_id" = String, Path, description = "Which user")),
    responses((status = 200, description = "Before and after", body = Object), Refusals)
)]
pub(super) async fn reset_spend(
    State(shared): State<Shared>,
    actor: Actor,
    Part(id): Part,
    given: Given,
) -> Result<Json<Value>, Refusal> {
    actor.must_be_admin()?;
    let wish = ResetSpend::only(given)?;
    let mut change = Change::begin_spending(&shared, &actor).await?;
    let found: Option<Stored<User>> = change.find(&id).await?;
    let stored = found.ok_or_else(|| not_found(&id))?;
    let bounds = Bounds::of(&stored.object, &stored.object.limits);
    let Spent { spend, before } = set_spend(&mut change, Kind::User, &id, bounds, &wish).await?;
    change.commit().await?;
    let limits = stored.object.limits;
    Ok(Json(json!({
        "user_id": id,
        "spend": spend,
        "previous_spend": before,
        "max_budget": limits.max_budget,
        "budget_reset_at": reset_at(&limits),
    })))
}

//! `/tag/daily/activity` and its siblings: what happened on each day, by model, provider, key, and by tag, team, user,
//! organization or customer. Says who may see which of it.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::Shared;
use super::super::actor::Actor;
use super::super::given::Asked;
use super::super::refusal::{Refusal, Refusals};
use super::csv::{AsCsv, Format};
use super::daily::{self, Wish};
use super::day_sheet;
use super::days::{Days, MOST_DAYS, Range};
use super::read;
use super::scope::{FIGURES, Reach, key_id, listed, permits};
use super::view::View;
use crate::objects::Team;
use crate::store::{Dim, Stored, TagView};

/// As many keys are listed in an answer, unless it is asked for less or more.
const KEYS: usize = 100;

/// What activity is told apart by besides, and how much of it.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Requests to this model of a provider.
    model: Option<String>,
    /// Requests with this key, or with the key of this digest.
    api_key: Option<String>,
    /// Pages count from 1; the last days come first.
    #[param(minimum = 1, maximum = 2_147_483_647)]
    page: i64,
    /// Days on a page.
    #[param(minimum = 1, maximum = 1000)]
    page_size: i64,
    /// As many keys are listed, the costliest; totals cover all.
    #[param(minimum = 0, maximum = 1000)]
    api_key_limit: usize,
}

impl Default for Which {
    fn default() -> Self {
        Self { model: None, api_key: None, page: 1, page_size: 50, api_key_limit: KEYS }
    }
}

/// Whose activity, and on which days.
struct Whose {
    entity: Dim,
    only: Vec<String>,
    not: Vec<String>,
    view: TagView,
    reach: Reach,
    /// All days on one page.
    whole: bool,
}

/// Answers any of the questions here.
async fn answer(
    shared: &Shared,
    range: &Range,
    which: Which,
    whose: Whose,
    format: Format,
) -> Result<Response, Refusal> {
    let range = range.days()?;
    let Which { model, api_key, page, page_size, api_key_limit } = which;
    if page < 1 || !(1..=1000).contains(&page_size) {
        let message = format!("page and page_size must be >= 1, got page={page}, page_size={page_size}");
        return Err(Refusal::field("page", message));
    }
    if 1000 < api_key_limit {
        return Err(Refusal::field("api_key_limit", "api_key_limit must be between 0 and 1000."));
    }
    let mut slice = read::within(range);
    if let Some(model) = model.filter(|model| !model.is_empty()) {
        slice.only.push((Dim::Model, vec![Some(model)]));
    }
    if !whose.only.is_empty() {
        slice.only.push((whose.entity, whose.only.iter().cloned().map(Some).collect()));
    }
    if let Some(key) = api_key.filter(|key| !key.is_empty()) {
        slice.only.push((Dim::Key, vec![key_id(shared, &key).await?]));
    }
    if !whose.not.is_empty() {
        slice.not.push((whose.entity, whose.not));
    }
    let slice = whose.reach.within(slice);
    if format == Format::Csv {
        return day_sheet::answer(shared, slice, whose.entity, whose.view).await;
    }
    let (page, size) = if whose.whole { (1, MOST_DAYS) } else { (page, page_size) };
    let (days, pages): (Option<Days>, i64) = range.page(page, size);
    let wish = Wish {
        slice,
        range,
        days,
        entity: whose.entity,
        only: whose.only,
        view: whose.view,
        keys: api_key_limit,
        page,
        pages,
    };
    daily::answer(shared, wish).await
}

/// Which tags.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Tags {
    /// Requests with any of these tags: a comma list.
    tags: Option<String>,
}

/// Shows what happened on each day by tag: to admins all of it, to users what they and their teams did.
#[utoipa::path(
    get, path = "/tag/daily/activity", tag = "spend", params(Range, Tags, View, Which, AsCsv),
    responses((status = 200, description = "A page of days, or a row for every day and tag", body = Object), Refusals)
)]
pub(super) async fn tags(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(range): Asked<Range>,
    Asked(tags): Asked<Tags>,
    Asked(view): Asked<View>,
    Asked(which): Asked<Which>,
    format: Format,
) -> Result<Response, Refusal> {
    let whose = by_tag(&shared, &actor, &tags, &view, false).await?;
    answer(&shared, &range, which, whose, format).await
}

/// The same on one page.
#[utoipa::path(
    get, path = "/tag/daily/activity/aggregated", tag = "spend", params(Range, Tags, View, Which, AsCsv),
    responses((status = 200, description = "All days", body = Object), Refusals)
)]
pub(super) async fn tags_whole(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(range): Asked<Range>,
    Asked(tags): Asked<Tags>,
    Asked(view): Asked<View>,
    Asked(which): Asked<Which>,
    format: Format,
) -> Result<Response, Refusal> {
    let whose = by_tag(&shared, &actor, &tags, &view, true).await?;
    answer(&shared, &range, which, whose, format).await
}

async fn by_tag(
    shared: &Shared,
    actor: &Actor,
    tags: &Tags,
    view: &View,
    whole: bool,
) -> Result<Whose, Refusal> {
    Ok(Whose {
        entity: Dim::Tag,
        only: listed(tags.tags.as_deref()),
        not: Vec::new(),
        view: view.wanted()?,
        reach: Reach::of(shared, actor, FIGURES).await?,
        whole,
    })
}

/// Which teams.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Teams {
    /// These teams alone: a comma list.
    team_ids: Option<String>,
    /// All but these teams: a comma list.
    exclude_team_ids: Option<String>,
}

/// Shows what happened on each day by team: to admins all teams, to users their own; of a team that one does not
/// administer, one's own part.
#[utoipa::path(
    get, path = "/team/daily/activity", tag = "spend", params(Range, Teams, Which, AsCsv),
    responses((status = 200, description = "A page of days, or a row for every day and team", body = Object), Refusals)
)]
pub(super) async fn teams(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(range): Asked<Range>,
    Asked(teams): Asked<Teams>,
    Asked(which): Asked<Which>,
    format: Format,
) -> Result<Response, Refusal> {
    let whose = by_team(&shared, &actor, &teams, false).await?;
    answer(&shared, &range, which, whose, format).await
}

/// The same on one page.
#[utoipa::path(
    get, path = "/team/daily/activity/aggregated", tag = "spend", params(Range, Teams, Which, AsCsv),
    responses((status = 200, description = "All days", body = Object), Refusals)
)]
pub(super) async fn teams_whole(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(range): Asked<Range>,
    Asked(teams): Asked<Teams>,
    Asked(which): Asked<Which>,
    format: Format,
) -> Result<Response, Refusal> {
    let whose = by_team(&shared, &actor, &teams, true).await?;
    answer(&shared, &range, which, whose, format).await
}

async fn by_team(shared: &Shared, actor: &Actor, teams: &Teams, whole: bool) -> Result<Whose, Refusal> {
    let mut only = listed(teams.team_ids.as_deref());
    let mut reach = Reach::Everybody;
    if !actor.sees_all() {
        let unknown = |user: &str| Refusal::missing("user_id", format!("User= {user} not found"));
        let user = actor.user.clone().filter(|_| actor.role.is_some()).ok_or_else(|| unknown("None"))?;
        if let Some(team) = only.iter().find(|team| !actor.is_member(team)) {
            let message =
                format!("User does not belong to Team= {team}. Call `/user/info` to see user's teams");
            return Err(Refusal::missing("team_ids", message));
        }
        if only.is_empty() {
            only = actor.teams();
        }
        // Who belongs to no team sees nothing, and not everything.
        if only.is_empty() {
            only.push("-".to_owned());
        }
        let mut open: Vec<String> = only.iter().filter(|team| actor.is_team_admin(team)).cloned().collect();
        let others: Vec<String> = only.iter().filter(|team| !open.contains(team)).cloned().collect();
        let found: Vec<Stored<Team>> = shared.db.find_all(&others).await?;
        open.extend(found.into_iter().filter(|team| permits(&team.object, FIGURES)).map(|team| team.id));
        reach = Reach::Own { user, teams: open };
    }
    Ok(Whose {
        entity: Dim::Team,
        only,
        not: listed(teams.exclude_team_ids.as_deref()),
        view: TagView::Full,
        reach,
        whole,
    })
}

/// Which user.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Users {
    /// Only admins may ask for others; without it they see everybody.
    user_id: Option<String>,
}

/// Shows what happened on each day by user: to admins all of it, to users their own.
#[utoipa::path(
    get, path = "/user/daily/activity", tag = "spend", params(Range, Users, Which, AsCsv),
    responses((status = 200, description = "A page of days, or a row for every day and user", body = Object), Refusals)
)]
pub(super) async fn users(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(range): Asked<Range>,
    Asked(users): Asked<Users>,
    Asked(which): Asked<Which>,
    format: Format,
) -> Result<Response, Refusal> {
    let whose = by_user(&actor, users, false)?;
    answer(&shared, &range, which, whose, format).await
}

/// The same on one page.
#[utoipa::path(
    get, path = "/user/daily/activity/aggregated", tag = "spend", params(Range, Users, Which, AsCsv),
    responses((status = 200, description = "All days", body = Object), Refusals)
)]
pub(super) async fn users_whole(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(range): Asked<Range>,
    Asked(users): Asked<Users>,
    Asked(which): Asked<Which>,
    format: Format,
) -> Result<Response, Refusal> {
    let whose = by_user(&actor, users, true)?;
    answer(&shared, &range, which, whose, format).await
}

fn by_user(actor: &Actor, users: Users, whole: bool) -> Result<Whose, Refusal> {
    let mut asked = users.user_id.filter(|user| !user.is_empty());
    if !actor.sees_all() {
        let Some(own) = actor.user.clone() else {
            return Err(Refusal::forbidden(
                "Service-account keys cannot query user analytics. Use a user-bound key, or call as a proxy admin.",
            ));
        };
        if asked.as_ref().is_some_and(|asked| *asked != own) {
            return Err(Refusal::forbidden("Non-admin users can only view their own spend data."));
        }
        asked = Some(own);
    }
    Ok(Whose {
        entity: Dim::User,
        only: asked.into_iter().collect(),
        not: Vec::new(),
        view: TagView::Full,
        reach: Reach::Everybody,
        whole,
    })
}

/// Which organizations.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Organizations {
    /// These organizations alone: a comma list.
    organization_ids: Option<String>,
    /// All but these organizations: a comma list.
    exclude_organization_ids: Option<String>,
}

/// Shows what happened on each day by organization: to admins all of them, to others those they administer.
#[utoipa::path(
    get, path = "/organization/daily/activity", tag = "spend", params(Range, Organizations, Which, AsCsv),
    responses(
        (status = 200, description = "A page of days, or a row for every day and organization", body = Object),
        Refusals
    )
)]
pub(super) async fn organizations(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(range): Asked<Range>,
    Asked(organizations): Asked<Organizations>,
    Asked(which): Asked<Which>,
    format: Format,
) -> Result<Response, Refusal> {
    let mut only = listed(organizations.organization_ids.as_deref());
    if !actor.sees_all() {
        if let Some(id) = only.iter().find(|id| !actor.is_org_admin(id)) {
            return Err(Refusal::forbidden(format!("User is not org_admin for Organization= {id}.")));
        }
        if only.is_empty() {
            only = actor.organizations().to_vec();
        }
        if only.is_empty() {
            only.push("-".to_owned());
        }
    }
    let not = listed(organizations.exclude_organization_ids.as_deref());
    let whose = Whose {
        entity: Dim::Organization,
        only,
        not,
        view: TagView::Full,
        reach: Reach::Everybody,
        whole: false,
    };
    answer(&shared, &range, which, whose, format).await
}

/// Which customers.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Customers {
    /// These customers alone: a comma list.
    end_user_ids: Option<String>,
    /// All but these customers: a comma list.
    exclude_end_user_ids: Option<String>,
}

/// Shows what happened on each day by customer.
#[utoipa::path(
    get, path = "/customer/daily/activity", tag = "spend", params(Range, Customers, Which, AsCsv),
    responses(
        (status = 200, description = "A page of days, or a row for every day and customer", body = Object), Refusals
    )
)]
pub(super) async fn customers(
    State(shared): State<Shared>,
    actor: Actor,
    Asked(range): Asked<Range>,
    Asked(customers): Asked<Customers>,
    Asked(which): Asked<Which>,
    format: Format,
) -> Result<Response, Refusal> {
    actor.must_see_all()?;
    let whose = Whose {
        entity: Dim::Customer,
        only: listed(customers.end_user_ids.as_deref()),
        not: listed(customers.exclude_end_user_ids.as_deref()),
        view: TagView::Full,
        reach: Reach::Everybody,
        whole: false,
    };
    answer(&shared, &range, which, whose, format).await
}

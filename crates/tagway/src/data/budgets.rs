//! Whether the budgets that a request counts against have room for it, whatever its tags and whoever pays: what is
//! probably needed is held until the request has ended. Knows the words for a budget that is spent.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use smallvec::SmallVec;
use tagway_core::config::Config;
use tagway_core::snapshot::{Deployment, DeploymentId};
use tagway_core::tag::name::{Marker, TagName};
use tagway_core::tag::{Members, Origin};

use super::attempt::Around;
use super::estimate;
use super::failure::Failure;
use super::intake::Call;
use crate::accounts::{Account, Estimate, Exceeded, Holds, now_millis};
use crate::auth::Caller;
use crate::receipt::Payer;
use crate::route::{Plan, Wanted};

/// A request for which a budget has no room.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct OverBudget {
    pub(crate) status: StatusCode,
    message: String,
    /// There may be room again after this time.
    pub(crate) wait: Option<Duration>,
    /// Another model group may have room: it is not the caller's budget, but that of what would serve.
    pub(crate) elsewhere: bool,
}

impl OverBudget {
    fn new(config: &Config, message: String, wait: Option<i64>, elsewhere: bool) -> Box<Self> {
        let status = config.proxy.budget_exceeded_status;
        let status = status.and_then(|status| StatusCode::from_u16(status).ok());
        let wait = wait.and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis);
        let status = status.unwrap_or(StatusCode::TOO_MANY_REQUESTS);
        Box::new(Self { status, message, wait, elsewhere })
    }
}

/// Takes hold of what a request may cost of every budget it counts against.
///
/// # Errors
/// The first budget without room for it; nothing is held then.
pub(super) async fn reserve(
    around: &Around<'_>,
    caller: &Caller,
    wanted: &Wanted<'_>,
    call: &Call<'_>,
    plan: &Plan<'_>,
) -> Result<Holds, Failure> {
    let accounts = accounts(around, caller, wanted);
    let now = now_millis();
    let places = around.table.limits_places();
    let any = places || accounts.iter().any(|account| account.max(now).is_some());
    if accounts.is_empty() && !places {
        return Ok(Holds::default());
    }
    let estimate = if any { estimate_of(around, caller, wanted, call, plan) } else { Estimate::default() };
    Holds::reserve(&accounts, estimate, now).await.map_err(|exceeded| {
        let config = &around.snapshot.config;
        OverBudget::new(config, words(&exceeded), exceeded.wait, false).into()
    })
}

fn estimate_of(
    around: &Around<'_>,
    caller: &Caller,
    wanted: &Wanted<'_>,
    call: &Call<'_>,
    plan: &Plan<'_>,
) -> Estimate {
    let config = &around.snapshot.config;
    let output = caller.purses().find_map(|(_, purse)| purse.output(wanted.model));
    let output = output.or(config.general.estimated_output_tokens).or(config.proxy.estimated_output_tokens);
    estimate::of(around, plan, &around.snapshot.meant(wanted.model), call, output)
}

/// The accounts a request counts against wherever it goes.
fn accounts(around: &Around<'_>, caller: &Caller, wanted: &Wanted<'_>) -> SmallVec<[Arc<Account>; 8]> {
    let config = &around.snapshot.config;
    let mut all = SmallVec::new();
    let member = caller.bearer().and_then(|bearer| bearer.user_id.as_deref());
    let in_team = caller.purses().any(|(origin, _)| origin == Origin::Team);
    for (origin, purse) in caller.purses() {
        // What a user does for a team, the team pays.
        if origin != Origin::User || !in_team || config.general.user_budget_on_team_keys {
            all.extend(purse.accounts(wanted.model, member).map(Arc::clone));
        }
    }
    if let Some(customer) = around.customer
        && !caller.purses().any(|(origin, purse)| origin == Origin::Customer && purse.own().is_some())
    {
        all.extend(around.accounts.of_customer(around.table, customer));
    }
    if around.table.limits_tags() {
        for tag in wanted.tags {
            let name = TagName::parse(tag.text(), &config.router.tags.prefix);
            let Some(TagName { name, .. }) = name.filter(|name| name.marker != Marker::Excluded) else {
                continue;
            };
            if let Some(account) = around.accounts.of_tag(around.table, name)
                && !all.iter().any(|known| Arc::ptr_eq(known, &account))
            {
                all.push(account);
            }
        }
    }
    all.extend(around.table.global().map(Arc::clone));
    all
}

/// Takes those away whose budget, or whose provider's, is spent.
///
/// # Errors
/// It is for all of them.
pub(super) fn keep_open(around: &Around<'_>, plan: &Plan<'_>, left: &mut Members) -> Result<(), Failure> {
    if !around.table.limits_places() {
        return Ok(());
    }
    let now = now_millis();
    let mut spent = Vec::new();
    for position in left.clone().iter() {
        let Some(id) = plan.group.deployments.get(position) else { continue };
        if let Err(exceeded) =
            places(around, *id).iter().try_for_each(|account| account.check(Estimate::default(), now))
        {
            left.remove(position);
            spent.push((*id, exceeded));
        }
    }
    if left.is_empty() && !spent.is_empty() { Err(all_spent(around, &spent)) } else { Ok(()) }
}

/// The accounts of a deployment, its provider, and the request's tags at it.
fn places(around: &Around<'_>, id: DeploymentId) -> SmallVec<[Arc<Account>; 2]> {
    let entry = &around.snapshot.deployment(id).entry;
    around.accounts.of_place(around.table, &entry.info.id, entry.provider.name, around.tags)
}

/// Takes hold of the budgets of a deployment and its provider.
///
/// # Errors
/// One of them has no room.
pub(super) async fn go_to(around: &Around<'_>, holds: &mut Holds, id: DeploymentId) -> Result<(), Exceeded> {
    if !around.table.limits_places() {
        return Ok(());
    }
    holds.go_to(&places(around, id), now_millis()).await
}

/// The failure of a request all of whose deployments have spent their budgets.
pub(super) fn all_spent(around: &Around<'_>, spent: &[(DeploymentId, Exceeded)]) -> Failure {
    let mut said: Vec<String> = Vec::new();
    for (id, exceeded) in spent {
        let words = in_words(around.snapshot.deployment(*id), exceeded);
        if !said.contains(&words) {
            said.push(words);
        }
    }
    let message = format!("Budget has been exceeded! {}", said.join("; "));
    let wait = spent.iter().filter_map(|(_, exceeded)| exceeded.wait).min();
    OverBudget::new(&around.snapshot.config, message, wait, true).into()
}

fn in_words(deployment: &Deployment, exceeded: &Exceeded) -> String {
    let Exceeded { used, max, .. } = exceeded;
    let entry = &deployment.entry;
    match exceeded.payer {
        Payer::Provider => format!("Provider={} Current cost: {used}, Max budget: {max}", exceeded.id),
        payer => {
            let tag = exceeded.id.split_once('/').filter(|_| payer == Payer::DeploymentTag);
            let tag = tag.map_or(String::new(), |(_, tag)| format!(" Tag={tag}"));
            format!(
                "Deployment={} (model_name: {}, litellm_params.model: {}){tag} Current cost: {used}, Max budget: {max}",
                entry.info.id, entry.model_name, entry.model
            )
        }
    }
}

/// LiteLLM's words on a budget that is spent.
fn words(exceeded: &Exceeded) -> String {
    let Exceeded { payer, id, name, used, max, .. } = exceeded;
    let name: &str = name.as_deref().unwrap_or(id);
    let whose = match payer {
        Payer::User => return format!("ExceededBudget: User={id} over budget. Spend={used}, Budget={max}"),
        Payer::Customer => {
            return format!("ExceededBudget: End User={id} over budget. Spend={used}, Budget={max}");
        }
        // Their names are sentences.
        Payer::KeyModel | Payer::OwnerModel => return name.to_owned(),
        Payer::Member | Payer::OrganizationMember => format!("{name} "),
        Payer::Global => String::new(),
        Payer::Key => format!("Key={name} "),
        Payer::Team => format!("Team={id} "),
        Payer::Organization => format!("Organization={id} "),
        Payer::Project => format!("Project={id} "),
        Payer::Tag => format!("Tag={id} "),
        Payer::Deployment | Payer::DeploymentTag => format!("Deployment={id} "),
        Payer::Provider => format!("Provider={id} "),
    };
    format!("Budget has been exceeded! {whose}Current cost: {used}, Max budget: {max}")
}

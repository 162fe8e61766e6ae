//! The names of those whose spend is shown, looked up for a whole answer at once.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

use super::super::Shared;
use super::super::refusal::Refusal;
use super::scope::MASTER;
use crate::objects::{Customer, Key, Organization, Project, Team, User};
use crate::store::{Dim, Stored};

/// What answers call somebody who is nobody.
pub(super) const UNASSIGNED: &str = "Unassigned";

/// A key as answers call it: requests with the master key have none.
pub(super) fn key(id: Option<&str>) -> &str {
    id.unwrap_or(MASTER)
}

/// Keys by their ids, and the email addresses of their users.
#[derive(Debug, Default)]
pub(super) struct Keys {
    keys: HashMap<String, Key>,
    emails: HashMap<String, String>,
}

impl Keys {
    /// Reads those of these that are there.
    pub(super) async fn read<'a>(
        shared: &Shared,
        ids: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, Refusal> {
        let ids = distinct(ids);
        let found: Vec<Stored<Key>> = shared.db.find_all(&ids).await?;
        let users = distinct(found.iter().filter_map(|key| key.object.user_id.as_deref()));
        let users: Vec<Stored<User>> = shared.db.find_all(&users).await?;
        Ok(Self {
            keys: found.into_iter().map(|key| (key.id, key.object)).collect(),
            emails: users.into_iter().filter_map(|user| Some((user.id, user.object.user_email?))).collect(),
        })
    }

    pub(super) fn alias(&self, id: &str) -> Option<&str> {
        self.keys.get(id)?.key_alias.as_deref()
    }

    /// What may be shown of the key itself.
    pub(super) fn name(&self, id: &str) -> Option<&str> {
        self.keys.get(id)?.key_name.as_deref()
    }

    /// LiteLLM's metadata of a key.
    pub(super) fn metadata(&self, id: &str) -> Value {
        let key = self.keys.get(id);
        let user = key.and_then(|key| key.user_id.as_deref());
        json!({
            "key_alias": key.and_then(|key| key.key_alias.as_deref()),
            "team_id": key.and_then(|key| key.team_id.as_deref()),
            "user_id": user,
            "user_email": user.and_then(|user| self.emails.get(user)),
            "key_exists": key.is_some(),
        })
    }
}

/// What LiteLLM shows beside the ids of a dimension: an object of names by id.
pub(super) async fn metadata<'a>(
    shared: &Shared,
    of: Dim,
    ids: impl IntoIterator<Item = &'a str>,
) -> Result<HashMap<String, Value>, Refusal> {
    let ids = distinct(ids);
    Ok(match of {
        Dim::Team => {
            let found: Vec<Stored<Team>> = shared.db.find_all(&ids).await?;
            let shown =
                found.into_iter().map(|team| (team.id, json!({"team_alias": team.object.team_alias})));
            shown.collect()
        }
        Dim::User => {
            let found: Vec<Stored<User>> = shared.db.find_all(&ids).await?;
            let shown = found.into_iter().map(|user| {
                let names = json!({
                    "user_email": user.object.user_email, "user_alias": user.object.user_alias,
                });
                (user.id, names)
            });
            shown.collect()
        }
        Dim::Organization => {
            let found: Vec<Stored<Organization>> = shared.db.find_all(&ids).await?;
            let alias = |organization: Stored<Organization>| {
                let alias = json!({"organization_alias": organization.object.organization_alias});
                (organization.id, alias)
            };
            found.into_iter().map(alias).collect()
        }
        Dim::Project => {
            let found: Vec<Stored<Project>> = shared.db.find_all(&ids).await?;
            let alias = |project: Stored<Project>| {
                let alias = json!({"project_alias": project.object.project_alias});
                (project.id, alias)
            };
            found.into_iter().map(alias).collect()
        }
        Dim::Customer => {
            let found: Vec<Stored<Customer>> = shared.db.find_all(&ids).await?;
            found.into_iter().map(|customer| (customer.id, json!({"alias": customer.object.alias}))).collect()
        }
        _ => HashMap::new(),
    })
}

fn distinct<'a>(ids: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let distinct: BTreeSet<&str> = ids.into_iter().filter(|id| !id.is_empty()).collect();
    distinct.into_iter().map(str::to_owned).collect()
}

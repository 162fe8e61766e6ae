//! What the store adds to the configuration files: deployments and tags that were made over the API. Reads them,
//! checks them as if they stood in a file, and puts them in force, with the budgets of files and tags.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tagway_core::config::{self, Deployment, Host, Problem, Severity, TagDeclaration, is_secret};
use tagway_core::vocabulary::Terms;
use tokio::sync::Mutex;

use crate::accounts::Accounts;
use crate::host::System;
use crate::live::{Added, Live};
use crate::objects::{Budget, Model, Tag};
use crate::seal::{Seal, Unsealable};
use crate::store::{Actor, Db, Edit, StoreError, Stored};

/// Stored deployments and tags, and the configuration they go into.
pub(crate) struct Catalog {
    db: Db,
    live: Arc<Live>,
    seal: Seal,
    accounts: Arc<Accounts>,
    /// One at a time: what was read first must not be put in force last.
    refreshing: Mutex<()>,
}

impl Catalog {
    pub(crate) fn new(db: Db, live: Arc<Live>, seal: Seal, accounts: Arc<Accounts>) -> Self {
        Self { db, live, seal, accounts, refreshing: Mutex::default() }
    }

    /// Puts what is stored now in force, and the budgets of the files. What cannot be used is left out, and said in
    /// the log. Says whether the store could be read.
    pub(crate) async fn refresh(&self) -> bool {
        let _one = self.refreshing.lock().await;
        match self.put_in_force().await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "stored deployments and tags cannot be read");
                false
            }
        }
    }

    async fn put_in_force(&self) -> Result<(), StoreError> {
        match self.join_former().await {
            Ok(()) | Err(StoreError::Absent) => {}
            Err(error) => return Err(error),
        }
        let tags = match self.db.everything::<Tag>().await {
            Err(StoreError::Absent) => Vec::new(),
            read => read?,
        };
        match self.read(&tags).await {
            Ok(added) => {
                if let Err(why) = self.live.adopt(added) {
                    tracing::error!("stored deployments and tags cannot be put in force: {why}");
                }
            }
            Err(StoreError::Absent) => {}
            Err(error) => return Err(error),
        }
        let current = self.live.current();
        let snapshot = &current.snapshot;
        let of_customers = snapshot.config.proxy.customers.budget_id.iter().cloned();
        let budgets: Vec<String> =
            tags.iter().filter_map(|tag| tag.object.budget_id.clone()).chain(of_customers).collect();
        let budgets: Vec<Stored<Budget>> =
            if budgets.is_empty() { Vec::new() } else { self.db.find_all(&budgets).await? };
        self.accounts.configure(&self.db, snapshot, &tags, &budgets).await
    }

    /// Lets the history of tags go with them where the files give them another name.
    async fn join_former(&self) -> Result<(), StoreError> {
        let current = self.live.current();
        if current.in_files().iter().all(|tag| tag.aliases.is_empty()) {
            return Ok(());
        }
        let joined = self.db.tag_aliases().await?;
        for tag in current.in_files() {
            for alias in &tag.aliases {
                if joined.iter().any(|(known, meant)| known == alias && *meant == tag.name) {
                    continue;
                }
                self.db.number_tags(&[alias, &tag.name]).await?;
                let files = Actor { id: "configuration".to_owned(), role: "file" };
                let mut edit = Edit::begin(&self.db, files).await?;
                edit.join_tags(alias, &tag.name).await?;
                edit.commit().await?;
                tracing::info!(tag = tag.name, alias, "what was booked on the former name is the tag's now");
            }
        }
        Ok(())
    }

    async fn read(&self, tags: &[Stored<Tag>]) -> Result<Added, StoreError> {
        let mut added = Added::default();
        for Stored { id, object, .. } in self.db.everything::<Model>().await? {
            if object.blocked {
                continue;
            }
            match self.deployment(&id, &object) {
                Ok(Checked { deployment, .. }) => added.deployments.push(deployment),
                Err(why) => tracing::error!(model = id, "a stored deployment cannot be used: {why}"),
            }
        }
        for Stored { id, object, .. } in tags {
            let terms = object.terms(id).unwrap_or_else(|why| {
                tracing::error!(tag = id, "what is said of a stored tag cannot be used: {why}");
                Terms::default()
            });
            let Tag { aliases, description, owner, kind, priority, models, limits, .. } = object.clone();
            let declaration = TagDeclaration {
                name: id.clone(),
                aliases,
                description,
                owner,
                kind: kind.into(),
                terms,
                priority: priority.map(Into::into),
                rates: limits.rates(),
                budget: config::Budget::default(),
            };
            added.tags.push((declaration, models));
        }
        Ok(added)
    }

    /// A stored deployment as a file's.
    ///
    /// # Errors
    /// All its problems, or a secret that cannot be unsealed.
    pub(crate) fn deployment(&self, id: &str, model: &Model) -> Result<Checked, String> {
        let unseal = |fields: &Map<String, Value>| {
            map_secrets(fields, &|text| self.seal.unseal(text, id)).map_err(|error| error.to_string())
        };
        let mut info = unseal(&model.model_info)?;
        info.insert("id".to_owned(), id.into());
        let entry = json!({
            "model_name": model.model_name,
            "litellm_params": unseal(&model.litellm_params)?,
            "model_info": info,
        });
        let text = json!({ "model_list": [entry] }).to_string();
        let loaded = config::load(Path::new("(stored)"), &Text(&text)).map_err(|problems| {
            let errors = problems.0.iter().filter(|problem| problem.severity == Severity::Error);
            errors.map(in_short).collect::<Vec<_>>().join("; ")
        })?;
        let deployment = loaded.config.deployments.into_iter().next();
        let deployment = deployment.ok_or("it has no deployment")?;
        // Its URL and headers must be such as can be sent.
        let alone = config::Config { deployments: vec![deployment.clone()], ..loaded.config };
        tagway_core::snapshot::Snapshot::compile(alone).map_err(|unusable| unusable.why)?;
        // What else a file's reader is told of is of no concern to this deployment.
        let ignored = loaded.ignored.iter().filter_map(|path| path.strip_prefix("model_list[]."));
        let notes = loaded.notes.iter().filter(|note| note.path.starts_with("model_list"));
        Ok(Checked {
            deployment,
            ignored: ignored.map(str::to_owned).collect(),
            notes: notes.map(in_short).collect(),
        })
    }

    /// Fields with their secrets sealed for the store; what is sealed already stays as it is.
    ///
    /// # Errors
    /// There are secrets, and no salt key.
    pub(crate) fn sealed(
        &self,
        id: &str,
        fields: &Map<String, Value>,
    ) -> Result<Map<String, Value>, Unsealable> {
        map_secrets(fields, &|text| {
            // A reference to a variable is no secret.
            let open = text.is_empty() || text.starts_with("os.environ/") || Seal::is_sealed(text);
            if open { Ok(text.to_owned()) } else { self.seal.seal(text, id) }
        })
    }
}

/// A deployment that can be used.
pub(crate) struct Checked {
    pub(crate) deployment: Deployment,
    /// Fields that have no effect.
    pub(crate) ignored: Vec<String>,
    /// What deserves a look.
    pub(crate) notes: Vec<String>,
}

/// A problem without its place in a file that does not exist.
fn in_short(problem: &Problem) -> String {
    let path = problem.path.strip_prefix("model_list[0].").unwrap_or(&problem.path);
    match &problem.suggestion {
        Some(suggestion) => format!("{path}: {} ({suggestion})", problem.message),
        None => format!("{path}: {}", problem.message),
    }
}

/// A file's text that is in memory.
struct Text<'a>(&'a str);

impl Host for Text<'_> {
    fn read(&self, _: &Path) -> std::io::Result<String> {
        Ok(self.0.to_owned())
    }

    fn env(&self, name: &str) -> Option<String> {
        System.env(name)
    }
}

/// The fields with `change` made to each text that is a secret: what stands under a name that sounds like one, at
/// any depth, and addresses with a query, where some providers take their key.
fn map_secrets(
    fields: &Map<String, Value>,
    change: &dyn Fn(&str) -> Result<String, Unsealable>,
) -> Result<Map<String, Value>, Unsealable> {
    fields.iter().map(|(name, value)| Ok((name.clone(), map_value(name, value, false, change)?))).collect()
}

fn map_value(
    name: &str,
    value: &Value,
    within: bool,
    change: &dyn Fn(&str) -> Result<String, Unsealable>,
) -> Result<Value, Unsealable> {
    // Below such a name, headers for example, everything is secret whatever it is called.
    let secret = within || is_secret(name);
    Ok(match value {
        Value::String(text)
            if secret || Seal::is_sealed(text) || text.contains("://") && text.contains('?') =>
        {
            change(text)?.into()
        }
        Value::Number(number) if within || matches!(name, "api_key") => change(&number.to_string())?.into(),
        Value::Object(fields) => {
            let fields = fields.iter();
            let mapped =
                fields.map(|(name, value)| Ok((name.clone(), map_value(name, value, secret, change)?)));
            mapped.collect::<Result<Map<_, _>, Unsealable>>()?.into()
        }
        Value::Array(items) => {
            let mapped = items.iter().map(|item| map_value(name, item, within, change));
            mapped.collect::<Result<Vec<_>, _>>()?.into()
        }
        other => other.clone(),
    })
}

//! What the store adds to the configuration files: deployments and tags that were made over the API. Reads them,
//! checks them as if they stood in a file, and puts them in force.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tagway_core::config::{self, Deployment, Host, Problem, Severity, TagDeclaration, is_secret};

use crate::host::System;
use crate::live::{Added, Live};
use crate::objects::{Model, Tag};
use crate::seal::{Seal, Unsealable};
use crate::store::{Db, StoreError, Stored};

/// Stored deployments and tags, and the configuration they go into.
pub(crate) struct Catalog {
    db: Db,
    live: Arc<Live>,
    pub(crate) seal: Seal,
}

impl Catalog {
    pub(crate) fn new(db: Db, live: Arc<Live>, seal: Seal) -> Self {
        Self { db, live, seal }
    }

    /// Puts what is stored now in force. What cannot be used is left out, and said in the log.
    pub(crate) async fn refresh(&self) {
        match self.read().await {
            Ok(added) => {
                if let Err(why) = self.live.adopt(added) {
                    tracing::error!("stored deployments and tags cannot be put in force: {why}");
                }
            }
            Err(StoreError::Absent) => {}
            Err(error) => tracing::error!(%error, "stored deployments and tags cannot be read"),
        }
    }

    async fn read(&self) -> Result<Added, StoreError> {
        let mut added = Added::default();
        for Stored { id, object, .. } in self.db.everything::<Model>().await? {
            match self.deployment(&id, &object) {
                Ok(deployment) => added.deployments.push(deployment),
                Err(why) => tracing::error!(model = id, "a stored deployment cannot be used: {why}"),
            }
        }
        for Stored { id, object, .. } in self.db.everything::<Tag>().await? {
            let Tag { description, kind, models, .. } = object;
            added.tags.push((TagDeclaration { name: id, description, kind: kind.into() }, models));
        }
        Ok(added)
    }

    /// A stored deployment as a file's.
    ///
    /// # Errors
    /// All its problems, or a secret that cannot be unsealed.
    pub(crate) fn deployment(&self, id: &str, model: &Model) -> Result<Deployment, String> {
        let unsealed = map_secrets(&model.litellm_params, &|text| self.seal.unseal(text, id));
        let mut info = model.model_info.clone();
        info.insert("id".to_owned(), id.into());
        let entry = json!({
            "model_name": model.model_name,
            "litellm_params": unsealed.map_err(|error| error.to_string())?,
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
        Ok(deployment)
    }

    /// The parameters with their secrets sealed for the store.
    ///
    /// # Errors
    /// There are secrets, and no salt key.
    pub(crate) fn sealed(
        &self,
        id: &str,
        params: &Map<String, Value>,
    ) -> Result<Map<String, Value>, Unsealable> {
        map_secrets(params, &|text| {
            // A reference to a variable is no secret.
            let open = text.is_empty() || text.starts_with("os.environ/") || Seal::is_sealed(text);
            if open { Ok(text.to_owned()) } else { self.seal.seal(text, id) }
        })
    }
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

/// The fields with `change` made to each text under a name that sounds secret, at any depth.
fn map_secrets(
    fields: &Map<String, Value>,
    change: &dyn Fn(&str) -> Result<String, Unsealable>,
) -> Result<Map<String, Value>, Unsealable> {
    fields.iter().map(|(name, value)| Ok((name.clone(), map_value(name, value, change)?))).collect()
}

fn map_value(
    name: &str,
    value: &Value,
    change: &dyn Fn(&str) -> Result<String, Unsealable>,
) -> Result<Value, Unsealable> {
    Ok(match value {
        Value::String(text) if is_secret(name) => change(text)?.into(),
        // Headers for a provider are often credentials.
        Value::Object(fields) if name == "extra_headers" => fields
            .iter()
            .map(|(name, value)| {
                Ok((name.clone(), value.as_str().map_or(Ok(value.clone()), |text| Ok(change(text)?.into()))?))
            })
            .collect::<Result<Map<_, _>, Unsealable>>()?
            .into(),
        Value::Object(fields) => map_secrets(fields, change)?.into(),
        Value::Array(items) => {
            items.iter().map(|item| map_value(name, item, change)).collect::<Result<Vec<_>, _>>()?.into()
        }
        other => other.clone(),
    })
}

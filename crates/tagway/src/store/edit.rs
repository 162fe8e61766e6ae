//! A change of the store: everything in it happens together, is in the audit, and is told to the other gateways.
//! There is no other way to write an object.

use jiff::Timestamp;
use serde_json::Value;
use tagway_core::config::is_secret;

use super::changes::Change;
use super::db::{Arg, Db, Tx};
use super::list::Filter;
use super::row::{COLUMNS, ObjectRow, Stored, now_millis, time};
use super::{StoreError, list};
use crate::objects::{Kind, Object};
use crate::seal::Seal;

/// Who changes something.
#[derive(Debug, Clone)]
pub(crate) struct Actor {
    /// A user's id, or a key's.
    pub(crate) id: String,
    pub(crate) role: &'static str,
}

/// A change in the making; dropped without [`Edit::commit`], it never happened.
pub(crate) struct Edit {
    pub(super) tx: Tx,
    actor: Actor,
    now: i64,
    changes: Vec<Change>,
}

impl Edit {
    /// Begins a change.
    pub(crate) async fn begin(db: &Db, actor: Actor) -> Result<Self, StoreError> {
        Ok(Self { tx: db.begin().await?, actor, now: now_millis(), changes: Vec::new() })
    }

    /// The time of this change.
    pub(crate) fn now(&self) -> Timestamp {
        time(self.now)
    }

    /// An object as it is now; it stays so until this change has ended.
    pub(crate) async fn find<T: Object>(&mut self, id: &str) -> Result<Option<Stored<T>>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM {} WHERE id = $1{}", T::KIND.table(), self.tx.lock());
        let rows: Vec<ObjectRow> = self.tx.all(&sql, &[id.into()]).await?;
        rows.into_iter().next().map(Stored::from_row).transpose()
    }

    /// An object as it is now; others may change it meanwhile.
    pub(crate) async fn look_at<T: Object>(&mut self, id: &str) -> Result<Option<Stored<T>>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM {} WHERE id = $1", T::KIND.table());
        let rows: Vec<ObjectRow> = self.tx.all(&sql, &[id.into()]).await?;
        rows.into_iter().next().map(Stored::from_row).transpose()
    }

    /// All objects that refer to a budget; others may change them meanwhile.
    pub(crate) async fn under_budget<T: Object>(
        &mut self,
        budget: &str,
    ) -> Result<Vec<Stored<T>>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM {} WHERE budget_id = $1", T::KIND.table());
        let rows: Vec<ObjectRow> = self.tx.all(&sql, &[budget.into()]).await?;
        rows.into_iter().map(Stored::from_row).collect()
    }

    /// All objects a filter finds.
    pub(crate) async fn filtered<T: Object>(
        &mut self,
        filter: &Filter<'_>,
    ) -> Result<Vec<Stored<T>>, StoreError> {
        let (condition, args) = list::condition(T::KIND, filter, self.tx.is_postgres());
        let sql = format!("SELECT {COLUMNS} FROM {} WHERE {condition}{}", T::KIND.table(), self.tx.lock());
        let rows: Vec<ObjectRow> = self.tx.all(&sql, &args).await?;
        rows.into_iter().map(Stored::from_row).collect()
    }

    /// Adds an object.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when its id, or its name where names are unique, is there already.
    pub(crate) async fn insert<T: Object>(&mut self, id: &str, object: T) -> Result<Stored<T>, StoreError> {
        let links = object.links();
        let args: [Arg; 13] = [
            id.into(),
            links.name.into(),
            links.team.into(),
            links.user.into(),
            links.organization.into(),
            links.project.into(),
            links.budget.into(),
            self.now.into(),
            self.now.into(),
            self.actor.id.as_str().into(),
            self.actor.id.as_str().into(),
            1.into(),
            Arg::Text(body(&object, id)?),
        ];
        let sql = format!(
            "INSERT INTO {} (id, name, team_id, user_id, organization_id, project_id, budget_id, created_at, updated_at, created_by, updated_by, version, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            T::KIND.table()
        );
        self.tx.run(&sql, &args).await?;
        self.relate(id, &object).await?;
        self.note(T::KIND, id, "created", None, Some(&object)).await?;
        Ok(Stored {
            id: id.to_owned(),
            object,
            created_at: self.now(),
            updated_at: self.now(),
            created_by: Some(self.actor.id.clone()),
            updated_by: Some(self.actor.id.clone()),
            version: 1,
        })
    }

    /// Puts an object in place of what `before` found.
    pub(crate) async fn update<T: Object>(
        &mut self,
        before: &Stored<T>,
        object: T,
    ) -> Result<Stored<T>, StoreError> {
        let links = object.links();
        let args: [Arg; 11] = [
            before.id.as_str().into(),
            links.name.into(),
            links.team.into(),
            links.user.into(),
            links.organization.into(),
            links.project.into(),
            links.budget.into(),
            self.now.into(),
            self.actor.id.as_str().into(),
            (before.version + 1).into(),
            Arg::Text(body(&object, &before.id)?),
        ];
        let sql = format!(
            "UPDATE {} SET name = $2, team_id = $3, user_id = $4, organization_id = $5, project_id = $6, budget_id = $7, updated_at = $8, updated_by = $9, version = $10, body = $11 WHERE id = $1",
            T::KIND.table()
        );
        self.tx.run(&sql, &args).await?;
        self.unrelate(T::KIND, &before.id).await?;
        self.relate(&before.id, &object).await?;
        self.note(T::KIND, &before.id, "updated", Some(&before.object), Some(&object)).await?;
        Ok(Stored {
            object,
            updated_at: self.now(),
            updated_by: Some(self.actor.id.clone()),
            version: before.version + 1,
            ..before.clone()
        })
    }

    /// Takes an object away.
    pub(crate) async fn delete<T: Object>(&mut self, gone: &Stored<T>) -> Result<(), StoreError> {
        let id = gone.id.as_str();
        self.unrelate(T::KIND, id).await?;
        self.forget_spend(T::KIND, id).await?;
        self.tx.run(&format!("DELETE FROM {} WHERE id = $1", T::KIND.table()), &[id.into()]).await?;
        self.note::<T>(T::KIND, id, "deleted", Some(&gone.object), None).await
    }

    /// Makes it so. Gives what changed.
    pub(crate) async fn commit(mut self) -> Result<Vec<Change>, StoreError> {
        for change in &self.changes {
            let args = [self.now.into(), change.kind.as_str().into(), change.id.as_str().into()];
            self.tx.run("INSERT INTO changes (at, kind, id) VALUES ($1, $2, $3)", &args).await?;
        }
        if !self.changes.is_empty() {
            self.tx.notify("").await?;
        }
        self.tx.commit().await?;
        Ok(self.changes)
    }

    /// Notes the tags an object carries and its members.
    async fn relate<T: Object>(&mut self, id: &str, object: &T) -> Result<(), StoreError> {
        let kind = T::KIND.as_str();
        for tag in object.tags() {
            let sql = "INSERT INTO carried_tags (tag, kind, id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
            self.tx.run(sql, &[tag.into(), kind.into(), id.into()]).await?;
        }
        for (user, role) in object.members() {
            let sql = "INSERT INTO members (kind, id, user_id, role) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
            self.tx.run(sql, &[kind.into(), id.into(), user.into(), role.into()]).await?;
        }
        Ok(())
    }

    async fn unrelate(&mut self, kind: Kind, id: &str) -> Result<(), StoreError> {
        let args = [kind.as_str().into(), id.into()];
        self.tx.run("DELETE FROM carried_tags WHERE kind = $1 AND id = $2", &args).await?;
        self.tx.run("DELETE FROM members WHERE kind = $1 AND id = $2", &args).await?;
        Ok(())
    }

    async fn note<T: Object>(
        &mut self,
        kind: Kind,
        id: &str,
        action: &str,
        before: Option<&T>,
        after: Option<&T>,
    ) -> Result<(), StoreError> {
        let text = |object: Option<&T>| {
            let value = serde_json::to_value(object?).ok()?;
            Some(without_secrets("", value).to_string())
        };
        let args: [Arg; 8] = [
            self.now.into(),
            self.actor.id.as_str().into(),
            self.actor.role.into(),
            action.into(),
            kind.as_str().into(),
            id.into(),
            Arg::MaybeText(text(before)),
            Arg::MaybeText(text(after)),
        ];
        let sql = "INSERT INTO audit (at, actor, role, action, kind, id, before, after) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        self.tx.run(sql, &args).await?;
        self.changed(kind, id);
        Ok(())
    }

    pub(super) fn changed(&mut self, kind: Kind, id: &str) {
        let change = Change { kind, id: id.to_owned() };
        if !self.changes.contains(&change) {
            self.changes.push(change);
        }
    }
}

fn body<T: Object>(object: &T, id: &str) -> Result<String, StoreError> {
    serde_json::to_string(object).map_err(|error| StoreError::Unreadable {
        table: T::KIND.table(),
        id: id.to_owned(),
        why: error.to_string(),
    })
}

/// What stands under a name that sounds secret, at any depth, becomes `***`; so does what was sealed, and what looks
/// like a key wherever it stands.
fn without_secrets(name: &str, value: Value) -> Value {
    match value {
        Value::Null | Value::Bool(_) => value,
        _ if is_secret(name) => "***".into(),
        Value::String(text) if Seal::is_sealed(&text) || is_key(&text) => "***".into(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| {
                let value = without_secrets(&name, value);
                (name, value)
            })
            .collect(),
        Value::Array(items) => items.into_iter().map(|item| without_secrets(name, item)).collect(),
        Value::String(_) | Value::Number(_) => value,
    }
}

/// Whether a text begins as keys do; `sk-...abcd` is what may be shown of one.
fn is_key(text: &str) -> bool {
    text.starts_with("sk-") && !text.starts_with("sk-...")
}

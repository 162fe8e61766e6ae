//! Filters of the log as conditions on a request and its subject. Knows nothing of pages.

use super::StoreError;
use super::db::{Arg, Db};
use super::spend_logs::{LogFilter, LogStatus};
use super::terms::clean;

/// A tag in more sets than these is looked up for each request: the sets are too many to be read each time.
const MANY: i64 = 10_000;

/// A filter as a condition on a row of the log, `l`, and its subject, `s`.
pub(super) struct Condition {
    /// `s.team_id = $3 AND …`; empty where all requests are meant.
    pub(super) sql: String,
    /// From the number on with which it was begun.
    pub(super) args: Vec<Arg>,
    /// The subject is asked for.
    pub(super) of_subject: bool,
}

impl Condition {
    fn and(&mut self, condition: &str) {
        if !self.sql.is_empty() {
            self.sql.push_str(" AND ");
        }
        self.sql.push_str(condition);
    }

    fn and_of_subject(&mut self, condition: &str) {
        self.and(condition);
        self.of_subject = true;
    }
}

impl Db {
    /// A filter's condition, its arguments numbered from `first` on; nothing where it names what no request ever had.
    pub(super) async fn log_condition(
        &self,
        filter: &LogFilter<'_>,
        first: usize,
    ) -> Result<Option<Condition>, StoreError> {
        let named = [
            ("s.key_id", filter.key.filter(|key| !key.is_empty())),
            ("s.team_id", filter.team),
            ("s.user_id", filter.user),
            ("s.customer_id", filter.customer),
            ("s.group_id", filter.group),
            ("s.model_id", filter.model),
            ("s.deployment_id", filter.deployment),
        ];
        let mut texts: Vec<&str> = named.iter().filter_map(|(_, text)| *text).collect();
        texts.extend(filter.text);
        texts.extend(filter.keys.into_iter().flatten().map(String::as_str));
        if let Some((user, teams)) = filter.any {
            texts.push(user);
            texts.extend(teams.iter().map(String::as_str));
        }
        let ids = self.term_ids(&texts).await?;
        let number = |text: &str| ids.get(clean(text).as_ref()).copied();
        let mut condition = Condition { sql: String::new(), args: Vec::new(), of_subject: false };
        let mut next = first;
        let mut with = |condition: &mut Condition, text: &str, arg: Arg| {
            condition.and(&format!("{text} ${next}"));
            condition.args.push(arg);
            next += 1;
        };
        for (column, text) in named {
            let Some(text) = text else { continue };
            let Some(id) = number(text) else { return Ok(None) };
            with(&mut condition, &format!("{column} ="), id.into());
            condition.of_subject = true;
        }
        for (comparison, cost) in [(">=", filter.costs.0), ("<=", filter.costs.1)] {
            if let Some(cost) = cost {
                with(&mut condition, &format!("l.cost {comparison}"), cost.0.into());
            }
        }
        if let Some(call_id) = filter.call_id {
            // As the index of clients' names has it.
            with(&mut condition, "l.call_id <> '' AND l.call_id =", Arg::Text(clean(call_id).into_owned()));
        }
        if let Some(number) = filter.id {
            with(&mut condition, "l.id =", number.to_be_bytes().as_slice().into());
        }
        if filter.key == Some("") {
            condition.and_of_subject("s.key_id IS NULL");
        }
        let mut several: Vec<Vec<(&str, i64)>> = Vec::new();
        if let Some(keys) = filter.keys {
            several.push(keys.iter().filter_map(|key| Some(("key_id", number(key)?))).collect());
        }
        if let Some((user, teams)) = filter.any {
            let teams = teams.iter().map(|team| ("team_id", team.as_str()));
            let all = std::iter::once(("user_id", user)).chain(teams);
            several.push(all.filter_map(|(column, text)| Some((column, number(text)?))).collect());
        }
        if let Some(text) = filter.text {
            let columns = ["key_id", "team_id", "user_id", "customer_id"];
            several.push(columns.into_iter().filter_map(|column| Some((column, number(text)?))).collect());
        }
        for any in several {
            let either: Vec<String> = any.iter().map(|(column, id)| format!("s.{column} = {id}")).collect();
            if either.is_empty() {
                return Ok(None);
            }
            condition.and_of_subject(&format!("({})", either.join(" OR ")));
        }
        if let Some(tag) = filter.tag {
            let ids = self.tag_ids(&[tag]).await?;
            let Some(id) = ids.get(clean(tag).as_ref()).copied() else { return Ok(None) };
            condition.and_of_subject(&self.with_tag(id).await?);
        }
        match filter.status {
            Some(LogStatus::Failed) => condition.and("l.failed = 1"),
            Some(LogStatus::Succeeded) => condition.and("l.failed = 0"),
            Some(LogStatus::Code(code)) => condition.and(&format!("l.status = {code}")),
            None => {}
        }
        Ok(Some(condition))
    }

    /// The condition that a request carried a tag. Never one by which a database would rather begin with the tag's sets.
    async fn with_tag(&self, tag: i64) -> Result<String, StoreError> {
        let sql = "SELECT count(*) FROM (SELECT 1 FROM tag_set_members WHERE tag_id = $1 LIMIT $2) AS found";
        let count = self.one::<(i64,)>(sql, &[tag.into(), (MANY + 1).into()]).await?;
        let sets = format!("SELECT tag_set FROM tag_set_members WHERE tag_id = {tag}");
        if count.is_some_and(|(count,)| MANY < count) {
            return Ok(format!(
                "(SELECT 1 FROM tag_set_members m WHERE m.tag_id = {tag} AND m.tag_set = s.tag_set) = 1"
            ));
        }
        Ok(if self.is_postgres() {
            format!("s.tag_set = ANY(ARRAY({sets}))")
        } else {
            // Not the bare column: SQLite would look for each of the sets in the index of subjects.
            format!("+s.tag_set IN ({sets})")
        })
    }
}

//! The sums of a day as they are, row after row: what an export is made of. Pages cost the same however far one has read;
//! every request is in one row.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::civil::Date;
use sqlx::FromRow;
use tagway_core::money::Nanos;

use super::StoreError;
use super::activity::Sums;
use super::book::SUMS;
use super::db::{Arg, Db};
use super::slice::{Slice, Source, date, days};

/// What tells the rows of a day apart.
const KEYS: &str = "key_id, team_id, user_id, organization_id, project_id, customer_id, group_id, deployment_id, provider_id, model_id, tag_set";
const WIDTH: usize = 11;

/// What requests of one day with everything in common add up to.
#[derive(Debug, Clone)]
pub(crate) struct DayRow {
    /// `2026-01-31`
    pub(crate) day: String,
    pub(crate) key: Option<String>,
    pub(crate) team: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) organization: Option<String>,
    pub(crate) project: Option<String>,
    pub(crate) customer: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) deployment: Option<String>,
    pub(crate) provider: Option<String>,
    pub(crate) model: Option<String>,
    /// In the order of their numbers.
    pub(crate) tags: Vec<String>,
    pub(crate) sums: Sums,
}

/// Where a page of a day ended.
#[derive(Debug, Clone)]
pub(crate) struct DayCursor([i64; WIDTH]);

#[derive(FromRow)]
struct Row {
    day: i64,
    key_id: i64,
    team_id: i64,
    user_id: i64,
    organization_id: i64,
    project_id: i64,
    customer_id: i64,
    group_id: i64,
    deployment_id: i64,
    provider_id: i64,
    model_id: i64,
    tag_set: i64,
    requests: i64,
    failed: i64,
    unpriced: i64,
    prompt_tokens: i64,
    completion_tokens: i64,
    cache_read_tokens: i64,
    cache_write_tokens: i64,
    cost: i64,
}

impl Row {
    fn owners(&self) -> [i64; 10] {
        [
            self.key_id,
            self.team_id,
            self.user_id,
            self.organization_id,
            self.project_id,
            self.customer_id,
            self.group_id,
            self.deployment_id,
            self.provider_id,
            self.model_id,
        ]
    }

    fn cursor(&self) -> DayCursor {
        let [key, team, user, organization, project, customer, group, deployment, provider, model] =
            self.owners();
        DayCursor([
            key,
            team,
            user,
            organization,
            project,
            customer,
            group,
            deployment,
            provider,
            model,
            self.tag_set,
        ])
    }

    fn sums(&self) -> Sums {
        Sums {
            requests: self.requests,
            failed: self.failed,
            unpriced: self.unpriced,
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens,
            cache_read_tokens: self.cache_read_tokens,
            cache_write_tokens: self.cache_write_tokens,
            cost: Nanos(self.cost),
            ..Sums::default()
        }
    }
}

impl Db {
    /// The rows of one day after a page's end; and where they end, unless there are no more.
    pub(crate) async fn day_rows(
        &self,
        slice: &Slice,
        day: Date,
        after: Option<&DayCursor>,
        limit: i64,
    ) -> Result<(Vec<DayRow>, Option<DayCursor>), StoreError> {
        let slice = Slice { from: None, to: None, ..slice.clone() };
        let Some(filters) = self.filters(&slice).await? else { return Ok((Vec::new(), None)) };
        let (mut condition, _) = filters.condition(Source::Days { joined: false });
        let mut args = filters.args;
        args.push(days(day).into());
        condition.push_str(&format!(" AND d.day = ${}", args.len()));
        if let Some(DayCursor(after)) = after {
            let first = args.len() + 1;
            let places: Vec<String> = (first..first + WIDTH).map(|place| format!("${place}")).collect();
            condition.push_str(&format!(" AND ({KEYS}) > ({})", places.join(", ")));
            args.extend(after.iter().map(|number| Arg::Int(*number)));
        }
        args.push(limit.into());
        let sql = format!(
            "SELECT day, {KEYS}, {} FROM daily d WHERE {condition} ORDER BY {KEYS} LIMIT ${}",
            SUMS.join(", "),
            args.len()
        );
        let rows: Vec<Row> = self.all(&sql, &args).await?;
        let full = i64::try_from(rows.len()).is_ok_and(|count| count == limit);
        let end = rows.last().filter(|_| full).map(Row::cursor);
        let sets = self.tags_of_sets(&rows.iter().map(|row| row.tag_set).collect()).await?;
        let mut numbers: BTreeSet<i64> = rows.iter().flat_map(Row::owners).collect();
        numbers.extend(sets.values().flatten());
        numbers.remove(&0);
        let texts = self.term_texts(&numbers).await?;
        let text = |number: i64| texts.get(&number).cloned();
        let rows = rows.into_iter().map(|row| {
            let [key, team, user, organization, project, customer, group, deployment, provider, model] =
                row.owners().map(text);
            let tags = sets.get(&row.tag_set).into_iter().flatten();
            DayRow {
                day: date(row.day).unwrap_or_default(),
                key,
                team,
                user,
                organization,
                project,
                customer,
                group,
                deployment,
                provider,
                model,
                tags: tags.filter_map(|tag| text(*tag)).collect(),
                sums: row.sums(),
            }
        });
        Ok((rows.collect(), end))
    }

    /// The numbers of the tags in each of these sets.
    async fn tags_of_sets(&self, sets: &BTreeSet<i64>) -> Result<HashMap<i64, Vec<i64>>, StoreError> {
        let sets: Vec<i64> = sets.iter().copied().filter(|set| *set != 0).collect();
        let mut found: BTreeMap<(i64, i64), i64> = BTreeMap::new();
        let select = "SELECT tag_set, position, tag_id FROM tag_set_members WHERE tag_set";
        let sets = sets.into_iter().map(Arg::Int).collect();
        let members: Vec<(i64, i64, i64)> = self.among(select, sets).await?;
        found.extend(members.into_iter().map(|(set, position, tag)| ((set, position), tag)));
        let mut tags: HashMap<i64, Vec<i64>> = HashMap::new();
        for ((set, _), tag) in found {
            tags.entry(set).or_default().push(tag);
        }
        Ok(tags)
    }
}

//! What requests add up to, by anything: one question to the sums of days. Every request counts in one row there, so
//! that all answers agree. Decides how tags share what a request cost; knows neither endpoints nor who may ask.

use sqlx::{ColumnIndex, Decode, FromRow, Type};
use tagway_core::money::Nanos;

use super::StoreError;
use super::book::SUMS;
use super::db::{Arg, Db};
use super::rolled::{Roll, share};
use super::slice::{Filters, Slice, Source, date, days};

/// What requests are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Dim {
    /// The day on which they began, in UTC: `2026-01-31`.
    Day,
    Key,
    Team,
    User,
    Organization,
    Project,
    Customer,
    /// The model group that served.
    Group,
    /// `model_info.id`
    Deployment,
    Provider,
    /// The provider's model.
    Model,
    Tag,
}

/// What each tag of a request gets of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum TagView {
    /// All of it: what requests with this tag cost. Tags together have more than there was.
    #[default]
    Full,
    /// An equal share, in whole numbers; what cannot be shared goes to the first tags. Tags together, and requests
    /// without any, have exactly what there was.
    Split,
}

/// What requests add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) requests: i64,
    pub(crate) failed: i64,
    /// Requests that used something whose price is not known.
    pub(crate) unpriced: i64,
    pub(crate) prompt_tokens: i64,
    pub(crate) completion_tokens: i64,
    pub(crate) cache_read_tokens: i64,
    pub(crate) cache_write_tokens: i64,
    pub(crate) cost: Nanos,
    /// Requests that were answered and whose times are known: how many, …
    pub(crate) timed: i64,
    /// … how long they took, in microseconds, …
    pub(crate) total_us: i64,
    /// … and until their answers began.
    pub(crate) first_us: i64,
}

impl Sums {
    /// Adds others.
    pub(crate) fn add(&mut self, more: &Self) {
        self.requests += more.requests;
        self.failed += more.failed;
        self.unpriced += more.unpriced;
        self.prompt_tokens += more.prompt_tokens;
        self.completion_tokens += more.completion_tokens;
        self.cache_read_tokens += more.cache_read_tokens;
        self.cache_write_tokens += more.cache_write_tokens;
        self.cost += more.cost;
        self.timed += more.timed;
        self.total_us = self.total_us.saturating_add(more.total_us);
        self.first_us = self.first_us.saturating_add(more.first_us);
    }
}

/// The values of a group, in the order asked for, and its sums.
pub(crate) type Group = (Vec<Option<String>>, Sums);

impl Dim {
    /// Its column; that of sets of tags is elsewhere.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Key => "key_id",
            Self::Team => "team_id",
            Self::User => "user_id",
            Self::Organization => "organization_id",
            Self::Project => "project_id",
            Self::Customer => "customer_id",
            Self::Group => "group_id",
            Self::Deployment => "deployment_id",
            Self::Provider => "provider_id",
            Self::Model => "model_id",
            Self::Tag => "tag_id",
        }
    }

    /// What groups of `daily` are made by. Not the bare column: SQLite would walk along its index then, and look up
    /// every row of the table one by one.
    pub(super) fn in_days(self) -> String {
        match self {
            Self::Day => "d.day".to_owned(),
            Self::Tag => "coalesce(m.tag_id, 0)".to_owned(),
            other => format!("+d.{}", other.name()),
        }
    }
}

impl Db {
    /// What the requests of a slice add up to, by some of their properties: day by day where the day is among them,
    /// and the dearest first.
    ///
    /// With a tag among the properties, or with [`TagView::Split`], a filter by tags says whose part of requests is
    /// meant; else it says which requests are, each of them once.
    pub(crate) async fn activity(
        &self,
        slice: &Slice,
        by: &[Dim],
        view: TagView,
    ) -> Result<Vec<Group>, StoreError> {
        let Some(Question { sql, args }) = self.question(slice, by, view).await? else {
            return Ok(if by.is_empty() { vec![(Vec::new(), Sums::default())] } else { Vec::new() });
        };
        let rows: Vec<ActivityRow> = self.all(&sql, &args).await?;
        let day = by.iter().position(|dim| *dim == Dim::Day);
        Ok(rows
            .into_iter()
            .map(|ActivityRow { mut values, sums }| {
                if let Some(value) = day.and_then(|place| values.get_mut(place)) {
                    *value = value.as_deref().and_then(|days| days.parse().ok()).and_then(date);
                }
                (values, sums)
            })
            .collect())
    }

    /// The statement; nothing where a filter names only what no request ever had.
    pub(super) async fn question(
        &self,
        slice: &Slice,
        by: &[Dim],
        view: TagView,
    ) -> Result<Option<Question>, StoreError> {
        let Some(filters) = self.filters(slice).await? else { return Ok(None) };
        let filtered = slice.only.iter().any(|(dim, _)| *dim == Dim::Tag);
        let joined = by.contains(&Dim::Tag) || (filtered && view == TagView::Split);
        let split = joined && view == TagView::Split;
        let mut inner = part(by, split, Source::Days { joined }, &filters, "");
        let known = filters.dims(joined).map(|dims| [dims.as_slice(), by].concat());
        if let Some(roll) = known.and_then(|dims| Roll::knowing(&dims)) {
            let open = self.open_days(roll, slice.from.map(days), slice.to.map(days)).await?;
            // With more of them nothing is rolled up.
            if open.len() <= MOST_OPEN {
                let open: Vec<String> = open.iter().map(i64::to_string).collect();
                let (among, beside) = match open.join(", ") {
                    none if none.is_empty() => (None, String::new()),
                    days => (Some(format!(" AND d.day IN ({days})")), format!(" AND d.day NOT IN ({days})")),
                };
                inner = part(by, split, Source::Rolled(roll), &filters, &beside);
                if let Some(among) = among {
                    let days = part(by, split, Source::Days { joined }, &filters, &among);
                    inner = together(&format!("{inner} UNION ALL {days}"), by.len());
                }
            }
        }
        let mut args = filters.args;
        if by.is_empty() {
            return Ok(Some(Question { sql: inner, args }));
        }
        let names = names(by.len());
        if let Some(most) = slice.most {
            args.push(most.into());
            inner.push_str(&format!(
                " ORDER BY cost DESC, requests DESC, {} LIMIT ${}",
                names.join(", "),
                args.len()
            ));
        }
        Ok(Some(Question { sql: with_texts(&inner, by, &names), args }))
    }
}

/// As many days are named in a statement.
const MOST_OPEN: usize = 400;

/// The groups of what one table knows.
fn part(by: &[Dim], split: bool, source: Source, filters: &Filters, more: &str) -> String {
    let (condition, join) = filters.condition(source);
    let (table, group): (_, fn(Dim) -> String) = match source {
        Source::Days { .. } => ("daily", Dim::in_days),
        Source::Rolled(roll) => (roll.table, |dim| format!("+d.{}", dim.name())),
    };
    let sums = SUMS.map(|name| {
        let part = match source {
            Source::Days { .. } if split => share(name),
            Source::Rolled(_) if split => format!("d.split_{name}"),
            _ => format!("d.{name}"),
        };
        format!("CAST(coalesce(sum({part}), 0) AS BIGINT) AS {name}")
    });
    let groups: Vec<String> = by.iter().map(|dim| group(*dim)).collect();
    let columns: Vec<String> =
        groups.iter().enumerate().map(|(place, group)| format!("{group} AS k{place}, ")).collect();
    let by = if groups.is_empty() { String::new() } else { format!(" GROUP BY {}", groups.join(", ")) };
    format!("SELECT {}{} FROM {table} d{join} WHERE {condition}{more}{by}", columns.concat(), sums.join(", "))
}

/// The groups of several parts.
fn together(parts: &str, width: usize) -> String {
    let sums = SUMS.map(|name| format!("CAST(coalesce(sum({name}), 0) AS BIGINT) AS {name}"));
    let names = names(width);
    let columns: Vec<String> = names.iter().map(|name| format!("{name}, ")).collect();
    let by = if names.is_empty() { String::new() } else { format!(" GROUP BY {}", names.join(", ")) };
    format!("SELECT {}{} FROM ({parts}) AS parts{by}", columns.concat(), sums.join(", "))
}

fn names(width: usize) -> Vec<String> {
    (0..width).map(|place| format!("k{place}")).collect()
}

/// A statement with its arguments.
pub(super) struct Question {
    pub(super) sql: String,
    pub(super) args: Vec<Arg>,
}

/// Groups with texts in place of numbers, in order.
fn with_texts(inner: &str, by: &[Dim], names: &[String]) -> String {
    let mut values = Vec::new();
    let mut joins = String::new();
    let mut order = Vec::new();
    for (place, dim) in by.iter().enumerate() {
        if *dim == Dim::Day {
            values.push(format!("CAST(k{place} AS TEXT)"));
            order.push(format!("k{place}"));
        } else {
            values.push(format!("t{place}.text"));
            joins.push_str(&format!(" LEFT JOIN terms t{place} ON t{place}.id = g.k{place}"));
        }
    }
    order.extend(["cost DESC".to_owned(), "requests DESC".to_owned()]);
    order.extend_from_slice(names);
    format!(
        "SELECT {}, {} FROM ({inner}) AS g{joins} ORDER BY {}",
        values.join(", "),
        SUMS.join(", "),
        order.join(", ")
    )
}

/// Texts, as many as were asked for, and the sums.
struct ActivityRow {
    values: Vec<Option<String>>,
    sums: Sums,
}

impl<'r, R> FromRow<'r, R> for ActivityRow
where
    R: sqlx::Row,
    usize: ColumnIndex<R>,
    Option<String>: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        let texts = row.len().saturating_sub(SUMS.len());
        let values = (0..texts).map(|place| row.try_get(place)).collect::<Result<_, _>>()?;
        let sum = |place: usize| row.try_get::<i64, _>(texts + place);
        let sums = Sums {
            requests: sum(0)?,
            failed: sum(1)?,
            unpriced: sum(2)?,
            prompt_tokens: sum(3)?,
            completion_tokens: sum(4)?,
            cache_read_tokens: sum(5)?,
            cache_write_tokens: sum(6)?,
            cost: Nanos(sum(7)?),
            timed: sum(8)?,
            total_us: sum(9)?,
            first_us: sum(10)?,
        };
        Ok(Self { values, sums })
    }
}

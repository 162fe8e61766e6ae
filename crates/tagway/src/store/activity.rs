//! What requests add up to, by anything: one question to the sums of days. Every request counts in one row there, so
//! that all answers agree. Decides how tags share what a request cost; knows neither endpoints nor who may ask.

use jiff::civil::Date;
use sqlx::{ColumnIndex, Decode, FromRow, Type};
use tagway_core::money::Nanos;

use super::StoreError;
use super::book::{DAY, SUMS};
use super::db::{Arg, Db};
use super::terms::clean;

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

/// Which requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slice {
    /// From this day on.
    pub(crate) from: Option<Date>,
    /// Up to this day, and including it.
    pub(crate) to: Option<Date>,
    /// Only those with one of these values; `None` among them is for those that have none. Not for [`Dim::Day`].
    pub(crate) only: Vec<(Dim, Vec<Option<String>>)>,
    /// None with one of these values. For owners alone.
    pub(crate) not: Vec<(Dim, Vec<String>)>,
    /// Only those with one of any of these values: what belongs to a user or to one of its teams. For owners alone.
    pub(crate) any: Vec<(Dim, Vec<String>)>,
    /// So many groups at most: those that cost the most.
    pub(crate) most: Option<i64>,
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
}

/// The values of a group, in the order asked for, and its sums.
pub(crate) type Group = (Vec<Option<String>>, Sums);

impl Dim {
    /// Its column, as a number.
    fn column(self) -> &'static str {
        match self {
            Self::Day => "d.day",
            Self::Key => "d.key_id",
            Self::Team => "d.team_id",
            Self::User => "d.user_id",
            Self::Organization => "d.organization_id",
            Self::Project => "d.project_id",
            Self::Customer => "d.customer_id",
            Self::Group => "d.group_id",
            Self::Deployment => "d.deployment_id",
            Self::Provider => "d.provider_id",
            Self::Model => "d.model_id",
            Self::Tag => "coalesce(m.tag_id, 0)",
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
    async fn question(
        &self,
        slice: &Slice,
        by: &[Dim],
        view: TagView,
    ) -> Result<Option<Question>, StoreError> {
        let mut args: Vec<Arg> = Vec::new();
        let filtered = slice.only.iter().any(|(dim, _)| *dim == Dim::Tag);
        let joined = by.contains(&Dim::Tag) || (filtered && view == TagView::Split);
        let Some((condition, join)) = self.condition(slice, joined, &mut args).await? else {
            return Ok(None);
        };
        let join = if joined {
            format!(" {join} tag_set_members m ON m.tag_set = d.tag_set")
        } else {
            String::new()
        };
        let sums = SUMS.map(|name| {
            let part = if joined && view == TagView::Split {
                format!("d.{name} / coalesce(m.size, 1) + CASE WHEN m.position < d.{name} % m.size THEN 1 ELSE 0 END")
            } else {
                format!("d.{name}")
            };
            format!("CAST(coalesce(sum({part}), 0) AS BIGINT) AS {name}")
        });
        let sums = sums.join(", ");
        let columns: Vec<String> =
            by.iter().enumerate().map(|(place, dim)| format!("{} AS k{place}", dim.column())).collect();
        let names: Vec<String> = (0..by.len()).map(|place| format!("k{place}")).collect();
        let mut inner = format!("SELECT {sums} FROM daily d{join} WHERE {condition}");
        if by.is_empty() {
            return Ok(Some(Question { sql: inner, args }));
        }
        inner.insert_str("SELECT ".len(), &format!("{}, ", columns.join(", ")));
        inner.push_str(&format!(
            " GROUP BY {}",
            by.iter().map(|dim| dim.column()).collect::<Vec<_>>().join(", ")
        ));
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

    /// The condition of a slice, with its arguments, and how tags are joined if they are; nothing where a filter names
    /// only what no request ever had.
    pub(super) async fn condition(
        &self,
        slice: &Slice,
        joined: bool,
        args: &mut Vec<Arg>,
    ) -> Result<Option<(String, &'static str)>, StoreError> {
        let mut condition = "1 = 1".to_owned();
        for (comparison, date) in [(">=", slice.from), ("<=", slice.to)] {
            if let Some(date) = date {
                args.push(days(date).into());
                condition.push_str(&format!(" AND d.day {comparison} ${}", args.len()));
            }
        }
        // An inner join leads from the tags asked for to their rows.
        let mut join = if joined { "LEFT JOIN" } else { "" };
        for (dim, values) in &slice.only {
            let Some((ids, none)) = self.numbers(values).await? else { return Ok(None) };
            let one_of = match (dim, joined) {
                (Dim::Tag, true) if none => {
                    format!("({} OR m.tag_id IS NULL)", listed(args, "m.tag_id", &ids))
                }
                (Dim::Tag, true) => {
                    join = "JOIN";
                    listed(args, "m.tag_id", &ids)
                }
                (Dim::Tag, false) => {
                    let mut either = Vec::new();
                    if !ids.is_empty() {
                        let listed = listed(args, "tag_id", &ids);
                        either.push(format!(
                            "d.tag_set IN (SELECT tag_set FROM tag_set_members WHERE {listed})"
                        ));
                    }
                    if none {
                        either.push("d.tag_set = 0".to_owned());
                    }
                    format!("({})", either.join(" OR "))
                }
                (dim, _) => {
                    let ids: Vec<i64> = ids.iter().copied().chain(none.then_some(0)).collect();
                    listed(args, dim.column(), &ids)
                }
            };
            condition.push_str(" AND ");
            condition.push_str(&one_of);
        }
        let mut either = Vec::new();
        for (dim, values) in &slice.any {
            either.extend(self.one_of_owners(*dim, values, args).await?);
        }
        if !slice.any.is_empty() {
            if either.is_empty() {
                return Ok(None);
            }
            condition.push_str(&format!(" AND ({})", either.join(" OR ")));
        }
        for (dim, values) in &slice.not {
            if let Some(inside) = self.one_of_owners(*dim, values, args).await? {
                condition.push_str(" AND NOT ");
                condition.push_str(&inside);
            }
        }
        Ok(Some((condition, join)))
    }

    /// A comparison with those of these owners that requests ever had; nothing where there are none.
    async fn one_of_owners(
        &self,
        dim: Dim,
        values: &[String],
        args: &mut Vec<Arg>,
    ) -> Result<Option<String>, StoreError> {
        let values: Vec<Option<String>> = values.iter().cloned().map(Some).collect();
        let Some((ids, _)) = self.numbers(&values).await? else { return Ok(None) };
        Ok(Some(listed(args, dim.column(), &ids)))
    }

    /// The numbers of values, and whether having none is among them; nothing where none of them is known.
    async fn numbers(&self, values: &[Option<String>]) -> Result<Option<(Vec<i64>, bool)>, StoreError> {
        let texts: Vec<&str> = values.iter().flatten().map(String::as_str).collect();
        let known = self.term_ids(&texts).await?;
        let ids: Vec<i64> =
            texts.into_iter().filter_map(|text| known.get(clean(text).as_ref()).copied()).collect();
        let none = values.iter().any(Option::is_none);
        Ok((none || !ids.is_empty()).then_some((ids, none)))
    }
}

/// A statement with its arguments.
struct Question {
    sql: String,
    args: Vec<Arg>,
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

/// That a column has one of these numbers.
fn listed(args: &mut Vec<Arg>, column: &str, numbers: &[i64]) -> String {
    if numbers.is_empty() {
        return "1 = 0".to_owned();
    }
    let first = args.len() + 1;
    args.extend(numbers.iter().map(|number| Arg::Int(*number)));
    let places = (first..=args.len()).map(|place| format!("${place}"));
    format!("{column} IN ({})", places.collect::<Vec<_>>().join(", "))
}

/// Days since 1970.
fn days(date: Date) -> i64 {
    let seconds = date.to_zoned(jiff::tz::TimeZone::UTC).map_or(0, |day| day.timestamp().as_second());
    seconds.div_euclid(DAY / 1000)
}

/// The date of a number of days, as text.
pub(super) fn date(days: i64) -> Option<String> {
    let seconds = days.checked_mul(DAY / 1000)?;
    let time = jiff::Timestamp::from_second(seconds).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).date().to_string())
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
        };
        Ok(Self { values, sums })
    }
}

//! Which rows of the sums of days are meant: a slice's filters as a condition, for `daily` and for what is rolled up of
//! it. Knows neither what is summed nor how it is grouped.

use jiff::civil::Date;

use super::StoreError;
use super::activity::Dim;
use super::book::DAY;
use super::db::{Arg, Db};
use super::rolled::Roll;
use super::terms::clean;

/// An index is of use for no more values at once.
const FEW: usize = 200;

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

/// Where sums are read.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// `daily`; rows with a tag's part where it is joined.
    Days { joined: bool },
    /// What is rolled up of it.
    Rolled(&'static Roll),
}

/// The filters of a slice, with their arguments from `$1` on.
pub(super) struct Filters {
    pub(super) args: Vec<Arg>,
    days: String,
    only: Vec<OneOf>,
    any: Vec<OneOf>,
    not: Vec<OneOf>,
}

/// One of these values.
struct OneOf {
    dim: Dim,
    /// `$1, $2`
    places: String,
    /// How many values.
    count: usize,
    /// Whether having none is among them.
    none: bool,
}

impl Db {
    /// The filters of a slice; nothing where one names only what no request ever had.
    pub(super) async fn filters(&self, slice: &Slice) -> Result<Option<Filters>, StoreError> {
        let mut filters = Filters {
            args: Vec::new(),
            days: "1 = 1".to_owned(),
            only: Vec::new(),
            any: Vec::new(),
            not: Vec::new(),
        };
        for (comparison, date) in [(">=", slice.from), ("<=", slice.to)] {
            if let Some(date) = date {
                filters.args.push(days(date).into());
                filters.days.push_str(&format!(" AND d.day {comparison} ${}", filters.args.len()));
            }
        }
        for (dim, values) in &slice.only {
            let values: Vec<Option<&str>> = values.iter().map(Option::as_deref).collect();
            let Some(one_of) = self.one_of(*dim, &values, &mut filters.args).await? else { return Ok(None) };
            filters.only.push(one_of);
        }
        for (from, to) in [(&slice.any, &mut filters.any), (&slice.not, &mut filters.not)] {
            for (dim, values) in from {
                let values: Vec<Option<&str>> = values.iter().map(|value| Some(value.as_str())).collect();
                to.extend(self.one_of(*dim, &values, &mut filters.args).await?);
            }
        }
        Ok((slice.any.is_empty() || !filters.any.is_empty()).then_some(filters))
    }

    /// Those of these values that requests ever had; nothing where there are none.
    async fn one_of(
        &self,
        dim: Dim,
        values: &[Option<&str>],
        args: &mut Vec<Arg>,
    ) -> Result<Option<OneOf>, StoreError> {
        let texts: Vec<&str> = values.iter().flatten().copied().collect();
        let known = if dim == Dim::Tag { self.tag_ids(&texts).await? } else { self.term_ids(&texts).await? };
        let mut ids: Vec<i64> =
            texts.into_iter().filter_map(|text| known.get(clean(text).as_ref()).copied()).collect();
        ids.sort_unstable();
        ids.dedup();
        let (first, none) = (args.len() + 1, values.contains(&None));
        args.extend(ids.iter().map(|id| Arg::Int(*id)));
        let places: Vec<String> = (first..=args.len()).map(|place| format!("${place}")).collect();
        let one_of = OneOf { dim, places: places.join(", "), count: ids.len(), none };
        Ok((none || !ids.is_empty()).then_some(one_of))
    }
}

impl Filters {
    /// The properties they ask for. A filter by several tags asks for requests, and not for parts of them: it is for
    /// `daily` alone, unless parts are meant anyway.
    pub(super) fn dims(&self, joined: bool) -> Option<Vec<Dim>> {
        let by_tags = |one_of: &&OneOf| one_of.dim == Dim::Tag && 1 < one_of.count + usize::from(one_of.none);
        if !joined && self.only.iter().any(|one_of| by_tags(&one_of)) {
            return None;
        }
        // What has one tag or none may be asked for twice, and then by both.
        if 1 < self.only.iter().filter(|one_of| one_of.dim == Dim::Tag).count() {
            return None;
        }
        Some(self.only.iter().chain(&self.any).chain(&self.not).map(|one_of| one_of.dim).collect())
    }

    /// The condition, and how sets of tags are joined.
    pub(super) fn condition(&self, source: Source) -> (String, &'static str) {
        let mut condition = self.days.clone();
        let mut join = match source {
            Source::Days { joined: true } => " LEFT JOIN tag_set_members m ON m.tag_set = d.tag_set",
            _ => "",
        };
        for one_of in &self.only {
            condition.push_str(" AND ");
            condition.push_str(&one_of.condition(source));
            if one_of.dim == Dim::Tag && !one_of.none && matches!(source, Source::Days { joined: true }) {
                join = " JOIN tag_set_members m ON m.tag_set = d.tag_set";
            }
        }
        if !self.any.is_empty() {
            let either: Vec<String> = self.any.iter().map(|one_of| one_of.condition(source)).collect();
            condition.push_str(&format!(" AND ({})", either.join(" OR ")));
        }
        for one_of in &self.not {
            condition.push_str(&format!(" AND NOT {}", one_of.condition(source)));
        }
        (condition, join)
    }
}

impl OneOf {
    fn condition(&self, source: Source) -> String {
        let Self { dim, places, count, none } = self;
        let listed = |column: &str| format!("{column} IN ({places})");
        match (dim, source) {
            (Dim::Tag, Source::Days { joined: true }) if *none && *count == 0 => {
                "m.tag_id IS NULL".to_owned()
            }
            (Dim::Tag, Source::Days { joined: true }) if *none => {
                format!("({} OR m.tag_id IS NULL)", listed("+m.tag_id"))
            }
            // Not the bare column: SQLite would begin with the tags' sets, and look through the days for each of them.
            (Dim::Tag, Source::Days { joined: true }) => listed("+m.tag_id"),
            (Dim::Tag, Source::Days { joined: false }) => {
                let mut either = Vec::new();
                if *count != 0 {
                    let sets = listed("tag_id");
                    either.push(format!("d.tag_set IN (SELECT tag_set FROM tag_set_members WHERE {sets})"));
                }
                if *none {
                    either.push("d.tag_set = 0".to_owned());
                }
                format!("({})", either.join(" OR "))
            }
            (dim, _) => {
                let zero = if *none { "0" } else { "" };
                let comma = if *none && *count != 0 { ", " } else { "" };
                // For very many, an index would be gone to more often than there are rows.
                let bare = if FEW < *count { "+" } else { "" };
                format!("{bare}d.{} IN ({places}{comma}{zero})", dim.name())
            }
        }
    }
}

/// Days since 1970.
pub(super) fn days(date: Date) -> i64 {
    let seconds = date.to_zoned(jiff::tz::TimeZone::UTC).map_or(0, |day| day.timestamp().as_second());
    seconds.div_euclid(DAY / 1000)
}

/// The date of a number of days.
pub(super) fn date_of(days: i64) -> Option<Date> {
    let seconds = days.checked_mul(DAY / 1000)?;
    let time = jiff::Timestamp::from_second(seconds).ok()?;
    Some(time.to_zoned(jiff::tz::TimeZone::UTC).date())
}

/// The date of a number of days, as text.
pub(super) fn date(days: i64) -> Option<String> {
    date_of(days).map(|date| date.to_string())
}

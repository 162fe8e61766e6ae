//! On which days there are requests that a filter asks for, and how many: the sums of days know it, and the log need not
//! be looked at on others.

use std::collections::BTreeMap;
use std::ops::Range;

use super::StoreError;
use super::activity::{Dim, TagView};
use super::book::DAY;
use super::db::Db;
use super::rolled::Roll;
use super::slice::{Slice, date_of, days};
use super::spend_logs::{LogFilter, LogStatus};

/// Days since 1970, each with how many requests are meant.
pub(super) struct Days {
    pub(super) of: BTreeMap<i64, i64>,
    /// Whether there are so many, and not only so many at most.
    pub(super) exact: bool,
}

/// Properties of which some sums know any combination.
const TOGETHER: [&[Dim]; 4] = [
    &[Dim::Tag, Dim::Key, Dim::Team, Dim::User],
    &[Dim::Key, Dim::Team, Dim::User, Dim::Group, Dim::Deployment, Dim::Model],
    &[Dim::Tag, Dim::Group, Dim::Deployment, Dim::Model],
    &[Dim::Customer, Dim::Key, Dim::Team, Dim::User],
];

type Conditions = Vec<(Dim, Vec<Option<String>>)>;

impl Db {
    /// The days between two times (milliseconds since 1970) on which there may be such requests.
    pub(super) async fn log_days(
        &self,
        filter: &LogFilter<'_>,
        times: Range<i64>,
    ) -> Result<Days, StoreError> {
        let asked = asked(filter);
        let dims: Vec<Dim> = asked.iter().map(|(dim, _)| *dim).collect();
        let questions: Vec<Conditions> = if Roll::knowing(&dims).is_some() {
            vec![asked.clone()]
        } else {
            let some = |together: &&[Dim]| -> Conditions {
                asked.iter().filter(|(dim, _)| together.contains(dim)).cloned().collect()
            };
            TOGETHER.iter().map(some).filter(|some| !some.is_empty()).collect()
        };
        let simple = filter.any.is_none()
            && filter.text.is_none()
            && filter.costs == (None, None)
            && !matches!(filter.status, Some(LogStatus::Code(_)));
        let exact = simple && questions.len() == 1;
        let mut of: Option<BTreeMap<i64, i64>> = None;
        for only in questions {
            let slice = Slice {
                from: date_of(times.start.div_euclid(DAY)),
                to: date_of((times.end - 1).div_euclid(DAY)),
                only,
                ..Slice::default()
            };
            let groups = self.activity(&slice, &[Dim::Day], TagView::Full).await?;
            let found = groups.into_iter().filter_map(|(values, sums)| {
                let day = values.into_iter().next()??.parse().ok().map(days)?;
                let count = match filter.status {
                    None => sums.requests,
                    Some(LogStatus::Succeeded) => sums.requests - sums.failed,
                    Some(LogStatus::Failed) => sums.failed,
                    Some(LogStatus::Code(code)) if 400 <= code => sums.failed,
                    Some(LogStatus::Code(_)) => sums.requests,
                };
                (0 < count).then_some((day, count))
            });
            let found: BTreeMap<i64, i64> = found.collect();
            of = Some(match of {
                None => found,
                Some(mut of) => {
                    of.retain(|day, count| {
                        found.get(day).is_some_and(|other| {
                            *count = (*count).min(*other);
                            true
                        })
                    });
                    of
                }
            });
        }
        Ok(Days { of: of.unwrap_or_default(), exact })
    }
}

/// The properties that a filter asks for and that sums know.
fn asked(filter: &LogFilter<'_>) -> Conditions {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let one = |dim: Dim, text: Option<&str>| text.map(|text| (dim, vec![some(text)]));
    let mut asked: Conditions = [
        (Dim::Team, filter.team),
        (Dim::User, filter.user),
        (Dim::Customer, filter.customer),
        (Dim::Group, filter.group),
        (Dim::Model, filter.model),
        (Dim::Deployment, filter.deployment),
        (Dim::Tag, filter.tag),
    ]
    .into_iter()
    .filter_map(|(dim, text)| one(dim, text))
    .collect();
    match (filter.key, filter.keys) {
        (Some(key), _) => asked.extend(one(Dim::Key, Some(key))),
        (None, Some(keys)) => asked.push((Dim::Key, keys.iter().cloned().map(Some).collect())),
        (None, None) => {}
    }
    asked
}

//! Ranges of days, as the parameters of reports give them: whole days of UTC, both ends included. Knows dates and
//! their bounds; nothing of what happened on them.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use utoipa::IntoParams;

use super::super::refusal::Refusal;

/// As many days are reported at once at most: a year, and what people mean by one.
pub(super) const MOST_DAYS: i64 = 400;
/// Where no days are asked for: today and the thirty days before it.
const USUAL_DAYS: i64 = 30;

/// Which days.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Range {
    /// The first day: `2026-01-31`, UTC.
    #[param(required = true, value_type = String, format = Date)]
    start_date: Option<String>,
    /// The last day, which is included; at most 400 days in all.
    #[param(required = true, value_type = String, format = Date)]
    end_date: Option<String>,
}

/// Which days, if not the last thirty and today.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct Some30 {
    /// The first day: `2026-01-31`, UTC. With `end_date`.
    #[param(format = Date)]
    start_date: Option<String>,
    /// The last day, which is included; at most 400 days in all. With `start_date`.
    #[param(format = Date)]
    end_date: Option<String>,
}

/// Days since 1970, from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Days {
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Range {
    pub(super) fn new(first: &str, last: &str) -> Self {
        Self { start_date: Some(first.to_owned()), end_date: Some(last.to_owned()) }
    }

    /// The days, at most [`MOST_DAYS`].
    ///
    /// # Errors
    /// One is missing or no date, the last is before the first, or there are too many.
    pub(super) fn days(&self) -> Result<Days, Refusal> {
        let days = self.any()?;
        if MOST_DAYS < days.count() {
            return Err(Refusal::field("end_date", format!("Date range must be at most {MOST_DAYS} days")));
        }
        Ok(days)
    }

    /// The days, however many.
    ///
    /// # Errors
    /// One is missing or no date, or the last is before the first.
    pub(super) fn any(&self) -> Result<Days, Refusal> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let missing = |name: &'static str| Refusal::field(name, "Please provide start_date and end_date");
        let start = given(&self.start_date).ok_or_else(|| missing("start_date"))?;
        let end = given(&self.end_date).ok_or_else(|| missing("end_date"))?;
        let days = Days { first: day("start_date", &start)?, last: day("end_date", &end)? };
        if days.last < days.first {
            return Err(Refusal::field("start_date", "start_date must be on or before end_date"));
        }
        Ok(days)
    }
}

impl Some30 {
    /// The days asked for, or the usual ones.
    ///
    /// # Errors
    /// As [`Range::days`].
    pub(super) fn days(self) -> Result<Days, Refusal> {
        if self.start_date.is_none() && self.end_date.is_none() {
            return Ok(Days::usual());
        }
        Range { start_date: self.start_date, end_date: self.end_date }.days()
    }
}

impl Days {
    /// Today and the thirty days before it.
    pub(super) fn usual() -> Self {
        let last = today();
        Self { first: last - USUAL_DAYS, last }
    }

    pub(super) fn count(self) -> i64 {
        self.last - self.first + 1
    }

    /// The newest first, those of one page; and how many pages there are.
    pub(super) fn page(self, page: i64, size: i64) -> (Option<Self>, i64) {
        let last = self.last.saturating_sub((page - 1).saturating_mul(size));
        let first = last.saturating_sub(size - 1).max(self.first);
        let pages = super::super::paging::pages(self.count(), size);
        ((self.first <= last).then_some(Self { first, last }), pages)
    }
}

/// Today, UTC.
pub(super) fn today() -> i64 {
    Timestamp::now().as_second().div_euclid(86_400)
}

/// `2026-01-31`
pub(super) fn text(day: i64) -> String {
    date(day).to_string()
}

/// Days no calendar knows are its first.
pub(super) fn date(day: i64) -> Date {
    let at = day.checked_mul(86_400).and_then(|second| Timestamp::from_second(second).ok());
    at.map_or(Date::ZERO, |at| at.to_zoned(TimeZone::UTC).date())
}

/// A date in days since 1970: only `2026-01-31` is one.
fn day(field: &'static str, text: &str) -> Result<i64, Refusal> {
    let invalid = || Refusal::field(field, "start_date and end_date must be valid YYYY-MM-DD dates");
    let shaped = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    let date: Date = shaped.then(|| text.parse().ok()).flatten().ok_or_else(invalid)?;
    number(date).ok_or_else(invalid)
}

/// A date in days since 1970.
pub(super) fn number(date: Date) -> Option<i64> {
    Some(begin(date)?.div_euclid(86_400_000))
}

/// The first millisecond of a date.
fn begin(date: Date) -> Option<i64> {
    Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// A moment in milliseconds since 1970, as the parameters of logs give it: a day, `2026-01-31 12:00:00`, or RFC 3339.
/// A day means its first millisecond, or as an `end` the first after it; of a second as well.
///
/// # Errors
/// It is none of these.
pub(super) fn moment(field: &'static str, text: &str, end: bool) -> Result<i64, Refusal> {
    let invalid = || {
        let message =
            format!("Invalid date format: {text}. Expected: 'YYYY-MM-DD' or 'YYYY-MM-DD HH:MM:SS' (UTC)");
        Refusal::field(field, message)
    };
    let text = text.trim();
    if text.len() == 10 {
        let date: Date = text.parse().map_err(|_| invalid())?;
        let date = if end { date.tomorrow().map_err(|_| invalid())? } else { date };
        return begin(date).ok_or_else(invalid);
    }
    let after = if end { 1000 } else { 0 };
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at.as_millisecond().saturating_add(after));
    }
    let civil = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", text).map_err(|_| invalid())?;
    let at = civil.to_zoned(TimeZone::UTC).map_err(|_| invalid())?;
    Ok(at.timestamp().as_millisecond().saturating_add(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: &str, end: &str) -> Range {
        Range { start_date: Some(start.to_owned()), end_date: Some(end.to_owned()) }
    }

    #[test]
    fn both_ends_of_a_range_are_included() {
        let days = range("2026-02-27", "2026-03-01").days().unwrap();
        assert_eq!(days.count(), 3);
        assert_eq!((text(days.first), text(days.last)), ("2026-02-27".to_owned(), "2026-03-01".to_owned()));
        assert_eq!(range("1970-01-01", "1970-01-01").days().unwrap(), Days { first: 0, last: 0 });
    }

    #[test]
    fn what_is_no_range_of_days_is_refused() {
        for (start, end) in [
            ("2026-1-1", "2026-01-02"),
            ("20260101", "2026-01-02"),
            ("2026-02-30", "2026-03-02"),
            ("2026-01-02", "2026-01-01"),
            ("2024-01-01", "2026-01-01"),
            ("", "2026-01-01"),
            ("0000-00-00", "2026-01-01"),
            ("2026-01-01", "-999-01-01"),
        ] {
            assert!(range(start, end).days().is_err(), "{start} {end}");
        }
    }

    #[test]
    fn pages_of_days_cover_every_day_once() {
        let days = Days { first: 10, last: 19 };
        let (pages, mut seen) = (days.page(1, 4).1, Vec::new());
        assert_eq!(pages, 3);
        for page in 1..=pages {
            let Days { first, last } = days.page(page, 4).0.unwrap();
            seen.extend((first..=last).rev());
        }
        assert_eq!(seen, (10..=19).rev().collect::<Vec<_>>());
        assert_eq!(days.page(4, 4).0, None);
        assert_eq!(days.page(i64::MAX, i64::MAX).0, None);
    }

    #[test]
    fn moments_are_read_as_days_seconds_or_instants() {
        let at = |text, end| moment("start_date", text, end).unwrap();
        assert_eq!(at("1970-01-01", false), 0);
        assert_eq!(at("1970-01-01", true), 86_400_000);
        assert_eq!(at("1970-01-01 00:00:05", false), 5000);
        assert_eq!(at("1970-01-01 00:00:05", true), 6000);
        assert_eq!(at("1970-01-01T00:00:05.25Z", false), 5250);
        assert!(moment("start_date", "yesterday", false).is_err());
        assert!(moment("start_date", "9999-12-31", true).is_err());
    }
}

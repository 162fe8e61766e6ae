//! The windows of a budget: until when an amount counts that is spent now. Decides by the calendar of a time zone, or
//! by a duration that rolls along; knows no amounts.

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use super::duration::{house_zone, next_reset, parse, time_zone};
use super::limits::{Limits, Windows};

/// In so many parts a rolling window is counted: an amount counts for up to one part longer than the window.
const PARTS: i64 = 60;
const DAY: i64 = 86_400;

/// The windows of a budget.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Window {
    duration: String,
    count: i64,
    unit: Unit,
    /// The house's when none.
    zone: Option<TimeZone>,
    rolling: bool,
    /// When the first window ends, which others are counted from where the calendar says nothing.
    first: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    Days,
    Months,
}

impl Window {
    /// Windows of this duration; `None` for what is no duration, or no time zone.
    pub(crate) fn new(
        duration: &str,
        zone: Option<&str>,
        rolling: bool,
        first: Option<Timestamp>,
    ) -> Option<Self> {
        let (count, unit) = parse(duration)?;
        let (count, unit) = match unit {
            "s" => (count, Unit::Seconds),
            "m" => (count * 60, Unit::Seconds),
            "h" => (count * 3600, Unit::Seconds),
            "d" => (count, Unit::Days),
            "w" => (count * 7, Unit::Days),
            _ => (count, Unit::Months),
        };
        let zone = match zone {
            Some(name) => Some(time_zone(name)?),
            None => None,
        };
        Some(Self { duration: duration.to_owned(), count, unit, zone, rolling, first })
    }

    /// Until when an amount counts that is spent at `now`; both in milliseconds since 1970.
    pub(crate) fn until(&self, now: i64) -> i64 {
        if self.rolling {
            let part = (self.millis() / PARTS).max(1);
            return (now.div_euclid(part) + 1) * part + self.millis();
        }
        let at = Timestamp::from_millisecond(now).ok().and_then(|now| self.end(now));
        // No clock shows a time without a tomorrow.
        at.map_or(i64::MAX, |at| at.as_millisecond())
    }

    /// The windows as they stand among the limits of an object.
    pub(crate) fn as_limits(&self) -> Limits {
        let zone = self.zone.as_ref().and_then(TimeZone::iana_name).map(str::to_owned);
        Limits {
            budget_duration: Some(self.duration.clone()),
            budget_window: self.rolling.then_some(Windows::Rolling),
            budget_timezone: zone,
            budget_reset_at: self.first,
            ..Limits::default()
        }
    }

    /// Whether [`Self::until`] is the same for all of a window.
    pub(crate) fn is_calendar(&self) -> bool {
        !self.rolling
    }

    /// When the first window ends, if that is known.
    pub(crate) fn first(&self) -> Option<i64> {
        Some(self.first?.as_millisecond())
    }

    /// When the first window ends that is begun at `now`.
    pub(crate) fn first_end(&self, now: Timestamp) -> Option<Timestamp> {
        if self.rolling {
            return Timestamp::from_millisecond(now.as_millisecond().checked_add(self.millis())?).ok();
        }
        next_reset(&self.duration, now, &self.zone())
    }

    /// When the window of `now` ends.
    pub(crate) fn end(&self, now: Timestamp) -> Option<Timestamp> {
        if self.rolling {
            return self.first_end(now);
        }
        let zone = self.zone();
        let first = self.first;
        if let Some(first) = first.filter(|first| now < *first) {
            return Some(first);
        }
        let today = now.to_zoned(zone.clone()).date();
        let start = |date: Date| Some(date.to_zoned(zone.clone()).ok()?.timestamp());
        match (self.unit, self.count) {
            (Unit::Seconds, span) if DAY % span == 0 => next_reset(&self.duration, now, &zone),
            (Unit::Seconds, span) => {
                let from = first.map_or(0, Timestamp::as_second);
                let windows = (now.as_second() - from).div_euclid(span) + 1;
                Timestamp::from_second(from.checked_add(windows.checked_mul(span)?)?).ok()
            }
            (Unit::Days, 1 | 7 | 30) | (Unit::Months, 1) => next_reset(&self.duration, now, &zone),
            (Unit::Days, span) => {
                // Weeks begin on Monday.
                let from = first.map_or(date(1970, 1, 5), |first| first.to_zoned(zone.clone()).date());
                let passed = i64::from(from.until(today).ok()?.get_days());
                start(from.checked_add((passed.div_euclid(span) + 1).checked_mul(span)?.days()).ok()?)
            }
            (Unit::Months, span) => {
                let from = first.map_or(date(1970, 1, 1), |first| first.to_zoned(zone.clone()).date());
                let month = |date: Date| i64::from(date.year()) * 12 + i64::from(date.month());
                let windows = (month(today) - month(from)).div_euclid(span) + 1;
                start(from.first_of_month().checked_add((windows * span).months()).ok()?)
            }
        }
    }

    fn zone(&self) -> TimeZone {
        self.zone.clone().unwrap_or_else(house_zone)
    }

    /// How long it is; a month is one of 31 days.
    fn millis(&self) -> i64 {
        let seconds = match self.unit {
            Unit::Seconds => 1,
            Unit::Days => DAY,
            Unit::Months => 31 * DAY,
        };
        self.count.saturating_mul(seconds * 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn until(duration: &str, zone: Option<&str>, first: Option<&str>, now: &str) -> String {
        let window = Window::new(duration, zone, false, first.map(at)).unwrap();
        Timestamp::from_millisecond(window.until(at(now).as_millisecond())).unwrap().to_string()
    }

    #[test]
    fn a_window_ends_at_a_round_time_of_its_zone() {
        for (duration, zone, now, end) in [
            ("2s", None, "2026-11-21T07:45:10.5Z", "2026-11-21T07:45:12Z"),
            ("1d", None, "2026-11-21T23:30:00Z", "2026-11-22T00:00:00Z"),
            ("1d", Some("Europe/Berlin"), "2026-11-21T23:30:00Z", "2026-11-22T23:00:00Z"),
            ("1d", Some("America/New_York"), "2026-11-01T05:30:00Z", "2026-11-02T05:00:00Z"),
            ("1mo", Some("Asia/Tokyo"), "2026-01-31T16:00:00Z", "2026-02-28T15:00:00Z"),
            ("7d", None, "2026-11-21T07:00:00Z", "2026-11-23T00:00:00Z"),
        ] {
            assert_eq!(until(duration, zone, None, now), end, "{duration} {zone:?}");
        }
        assert_eq!(Window::new("1d", Some("Mars/Olympus"), false, None), None);
        assert_eq!(Window::new("1x", None, false, None), None);
    }

    #[test]
    fn windows_the_calendar_does_not_know_follow_each_other_without_a_gap() {
        for duration in ["3d", "2w", "2mo", "7h", "36h", "90d"] {
            for first in [None, Some("2026-03-10T00:00:00Z")] {
                let window = Window::new(duration, Some("Europe/Berlin"), false, first.map(at)).unwrap();
                let (mut now, mut end) = (at("2026-03-01T09:00:00Z"), None);
                for _ in 0..400 {
                    let this = window.end(now).unwrap();
                    assert!(now < this, "{duration}");
                    // The same end until it has come.
                    if let Some(end) = end.filter(|end| now < *end) {
                        assert_eq!(this, end, "{duration} {first:?} {now}");
                    }
                    end = Some(this);
                    now = now.checked_add(5.hours()).unwrap();
                }
            }
        }
        assert_eq!(
            until("3d", None, Some("2026-03-10T00:00:00Z"), "2026-03-11T01:00:00Z"),
            "2026-03-13T00:00:00Z"
        );
    }

    #[test]
    fn what_rolls_counts_for_its_duration_and_little_longer() {
        let window = Window::new("60s", None, true, None).unwrap();
        for now in [0, 1, 999, 1_000_000, 1_234_567] {
            let counts = window.until(now) - now;
            assert!((60_000..=61_000).contains(&counts), "{counts}");
        }
    }
}

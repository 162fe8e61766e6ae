//! Times, spans of time and shares as a configuration writes them: `2026-12-01T00:00:00Z`, `1d`, `5%`. Knows no clock.

use super::scope::{At, Scope};
use super::yaml::Kind;

/// A time, in milliseconds since 1970.
pub(super) fn time(at: &At<'_>, scope: &mut Scope<'_>) -> Option<i64> {
    let text = scope.text(at)?;
    let time = millis(&text);
    if time.is_none() {
        scope
            .error(at, format!("{} is no time", at.shown()))
            .help("write it as RFC 3339 has it: 2026-12-01T00:00:00Z, or with +01:00 in place of Z");
    }
    time
}

/// RFC 3339, to whole seconds.
fn millis(text: &str) -> Option<i64> {
    let text = text.trim();
    let (date, clock) = text.split_once(['T', 't', ' '])?;
    let zone = clock.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = clock.split_at(zone);
    let number = |text: &str, width: usize| -> Option<i64> {
        let sound = text.len() == width && text.bytes().all(|byte| byte.is_ascii_digit());
        sound.then(|| text.parse().ok())?
    };
    let three = |text: &str, by: char, width: usize| -> Option<[i64; 3]> {
        let mut parts = text.split(by);
        let all = [number(parts.next()?, width)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?];
        parts.next().is_none().then_some(all)
    };
    let [year, month, day] = three(date, '-', 4)?;
    let [hour, minute, second] = three(clock.split('.').next()?, ':', 2)?;
    let offset = match zone.split_at(1) {
        ("Z" | "z", "") => 0,
        (sign, offset) => {
            let (hours, minutes) = offset.split_once(':')?;
            let seconds = number(hours, 2)? * 3600 + number(minutes, 2)? * 60;
            if sign == "-" { -seconds } else { seconds }
        }
    };
    let lasts = match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=lasts).contains(&day) || 23 < hour || 59 < minute || 60 < second || year < 1970 {
        return None;
    }
    // Years that begin in March end with the day that leap years have more.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1 - 719_468;
    Some((days * 86_400 + hour * 3600 + minute * 60 + second - offset) * 1000)
}

/// A span of time, in milliseconds.
pub(super) fn span(at: &At<'_>, scope: &mut Scope<'_>) -> Option<i64> {
    let text = scope.text(at)?;
    let (count, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => 0,
    };
    let span = count.parse::<i64>().ok().and_then(|count| count.checked_mul(seconds));
    if let Some(span) = span.filter(|span| (1..=100 * 366 * 86_400).contains(span)) {
        return Some(span * 1000);
    }
    scope.error(at, format!("{} is no span of time", at.shown())).help("write `30m`, `12h`, `1d` or `2w`");
    None
}

/// A share: `5%`, or a number of at most 1.
pub(super) fn share(at: &At<'_>, scope: &mut Scope<'_>) -> Option<f64> {
    let share = match &at.node.kind {
        Kind::Text(text) if text.ends_with('%') => {
            text.trim_end_matches('%').trim().parse::<f64>().ok().map(|percent| percent / 100.0)
        }
        _ => Some(scope.number(at, 0.0)?),
    };
    if let Some(share) = share.filter(|share| (0.0..=1.0).contains(share)) {
        return Some(share);
    }
    scope.error(at, format!("{} is no share of all", at.shown())).help("write `5%`, or 0.05");
    None
}

#[cfg(test)]
mod tests {
    use super::millis;

    #[test]
    fn times_are_those_of_rfc_3339() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-12-01T00:00:00Z", 1_796_083_200),
            ("2024-02-29T23:59:59.5+01:00", 1_709_247_599),
            ("2000-03-01t00:00:00-02:30", 951_877_800),
            ("2026-12-01 12:00:00Z", 1_796_126_400),
        ] {
            assert_eq!(millis(text), Some(seconds * 1000), "{text}");
        }
        for text in [
            "2026-12-01",
            "2026-12-01T00:00:00",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-12-01T24:00:00Z",
            "2026-12-01T00:00Z",
            "tomorrow",
        ] {
            assert_eq!(millis(text), None, "{text}");
        }
    }
}

//! What a declaration says of the use of a tag, or of all tags of a pattern. Checked when it is read; decides nothing
//! about a request.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// What the use of a declared tag is bound to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// `values`: what may follow the pattern; anything where it is empty.
    pub values: Vec<String>,
    /// `set_by`: who may set it; everybody where nothing is said.
    pub set_by: Option<Setters>,
    /// `max_values`: as many tags of the pattern are taken.
    pub max_values: Option<u64>,
    /// `retire_at`
    pub retirement: Option<Retirement>,
    /// `replaced_by`: what to use instead, for messages.
    pub replaced_by: Option<String>,
    /// `quarantined`: it labels, and takes no part in routing.
    pub quarantined: bool,
    /// `mode`, where it is not that of all tags.
    pub mode: Option<Mode>,
}

impl Terms {
    /// These terms, and `other`'s where nothing is said here.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        Self {
            values: if self.values.is_empty() { other.values.clone() } else { self.values },
            set_by: self.set_by.or(other.set_by),
            max_values: self.max_values.or(other.max_values),
            retirement: self.retirement.or_else(|| other.retirement.clone()),
            replaced_by: self.replaced_by.or_else(|| other.replaced_by.clone()),
            quarantined: self.quarantined || other.quarantined,
            mode: self.mode.or(other.mode),
        }
    }

    /// Whether they say anything that a request can break.
    pub(super) fn bind(&self) -> bool {
        let Self { values, set_by, max_values, retirement, replaced_by: _, quarantined, mode: _ } = self;
        !values.is_empty() || set_by.is_some() || max_values.is_some() || retirement.is_some() || *quarantined
    }
}

/// What becomes of what breaks the vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// It is refused.
    #[default]
    Enforce,
    /// It is let through, counted and told.
    Observe,
}

impl Mode {
    /// The words of the configuration.
    pub const WORDS: [(&'static str, Self); 2] = [("enforce", Self::Enforce), ("observe", Self::Observe)];
}

/// Who sets a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Setter {
    /// A proxy admin, on an object.
    Admin,
    /// The admin of a team, or of its organization, on what belongs to the team.
    TeamAdmin,
    /// Whoever else may change an object.
    Key,
    /// A request.
    Caller,
    /// The configuration: a rule, or what it makes of claims of a token.
    Rule,
}

impl Setter {
    /// The words of the configuration.
    pub const WORDS: [(&'static str, Self); 5] = [
        ("admin", Self::Admin),
        ("team_admin", Self::TeamAdmin),
        ("key", Self::Key),
        ("caller", Self::Caller),
        ("rule", Self::Rule),
    ];

    fn people(self) -> &'static str {
        match self {
            Self::Admin => "proxy admins",
            Self::TeamAdmin => "team admins",
            Self::Key => "other holders of keys",
            Self::Caller => "callers",
            Self::Rule => "rules",
        }
    }
}

impl fmt::Display for Setter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rule => "rules and claims of tokens",
            other => other.people(),
        })
    }
}

/// A set of those who set tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setters(u8);

impl Setters {
    /// Whether one of them is among them.
    pub fn has(self, setter: Setter) -> bool {
        self.0 & 1 << setter as u8 != 0
    }
}

impl FromIterator<Setter> for Setters {
    fn from_iter<T: IntoIterator<Item = Setter>>(setters: T) -> Self {
        Self(setters.into_iter().fold(0, |all, setter| all | 1 << setter as u8))
    }
}

impl fmt::Display for Setters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = Setter::WORDS.iter().map(|(_, setter)| *setter).filter(|setter| self.has(*setter));
        let all: Vec<&str> = all.map(Setter::people).collect();
        match all.split_last() {
            None => f.write_str("nobody"),
            Some((last, [])) => f.write_str(last),
            Some((last, others)) => write!(f, "{} and {last}", others.join(", ")),
        }
    }
}

/// When a tag retires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retirement {
    /// In milliseconds since 1970.
    pub at: i64,
    /// As it was written.
    pub text: Box<str>,
}

impl Retirement {
    /// Reads a time, or a date, which begins at midnight, UTC.
    ///
    /// # Errors
    /// It is neither.
    pub fn parse(text: &str) -> Result<Self, String> {
        let midnight = |date: Date| date.to_zoned(TimeZone::UTC).map(|begin| begin.timestamp()).ok();
        let date = text.len() == "2026-12-31".len();
        let at =
            if date { text.parse::<Date>().ok().and_then(midnight) } else { text.parse::<Timestamp>().ok() };
        let at = at.ok_or_else(|| {
            "must be a date (`2026-12-31`) or a time with its offset (`2026-12-31T18:00:00Z`)".to_owned()
        })?;
        Ok(Self { at: at.as_millisecond(), text: text.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retirement_is_a_date_or_a_time() {
        let at = |text: &str| Retirement::parse(text).map(|retirement| retirement.at).ok();
        assert_eq!(at("1970-01-02"), Some(86_400_000));
        assert_eq!(at("1970-01-02T01:00:00+01:00"), at("1970-01-02"));
        for text in ["", "soon", "1970-13-01", "1970-01-02T01:00:00", "02.01.1970"] {
            assert_eq!(at(text), None, "{text}");
        }
    }

    #[test]
    fn setters_are_told_in_words() {
        let setters: Setters = [Setter::Rule, Setter::Admin, Setter::TeamAdmin].into_iter().collect();
        assert_eq!(setters.to_string(), "proxy admins, team admins and rules");
        assert!(setters.has(Setter::Rule) && !setters.has(Setter::Caller));
        assert_eq!(Setters::from_iter([Setter::Caller]).to_string(), "callers");
    }
}

//! One tag as it is written: its marker (`!`, `&`), the routing prefix, its levels (`region:eu:fra`) and
//! wildcards (`team:*`). Knows nothing of deployments, requests or where a tag came from.

/// What a tag asks of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// `x`: one of the tags a deployment may match by.
    Positive,
    /// `&x`: the deployment must carry it.
    Required,
    /// `!x`: the deployment must not carry it.
    Excluded,
}

/// A tag taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TagName<'a> {
    /// What it asks.
    pub marker: Marker,
    /// The tag without prefix and marker. May be empty: LiteLLM lets an empty tag take part.
    pub name: &'a str,
    /// Whether it carried the routing prefix, which says "this is meant for routing".
    pub confirmed: bool,
}

impl<'a> TagName<'a> {
    /// Takes `tag` apart: first the routing `prefix` (empty: none) goes, then one marker. `None` for a lone
    /// marker, which asks for nothing. In `&!x` the name is `!x`, in `!route:x` the prefix stays, as in LiteLLM.
    pub fn parse(tag: &'a str, prefix: &str) -> Option<Self> {
        let stripped = if prefix.is_empty() { None } else { tag.strip_prefix(prefix) };
        let (rest, confirmed) = stripped.map_or((tag, false), |rest| (rest, true));
        let (marker, name) = match rest.as_bytes().first() {
            Some(b'&') => (Marker::Required, &rest[1..]),
            Some(b'!') => (Marker::Excluded, &rest[1..]),
            _ => return Some(Self { marker: Marker::Positive, name: rest, confirmed }),
        };
        (!name.is_empty()).then_some(Self { marker, name, confirmed })
    }
}

/// The part before the `*` of a wildcard (`team:` of `team:*`); `None` for a plain name.
pub fn wildcard_stem(name: &str) -> Option<&str> {
    name.strip_suffix('*')
}

/// Whether `pattern` (a name, or a wildcard) takes in `name`. A wildcard takes in narrower wildcards too:
/// `customer:*` covers `customer:a*` but not `cust*`, so that a pattern can limit what others may ask for.
pub fn covers(pattern: &str, name: &str) -> bool {
    match wildcard_stem(pattern) {
        Some(stem) => name.starts_with(stem),
        None => pattern == name,
    }
}

/// Whether a request tag `asked` matches a deployment tag `carried`: itself or a wildcard over it, and with
/// `hierarchy` also any level above it.
pub fn matches(asked: &str, carried: &str, hierarchy: bool) -> bool {
    covers(asked, carried)
        || hierarchy && carried.strip_prefix(asked).is_some_and(|below| below.starts_with(':'))
}

/// The levels above `name`, the nearest last: `region`, `region:eu` for `region:eu:fra`.
pub fn levels_above(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices(':').map(|(at, _)| &name[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(tag: &str, prefix: &str) -> Option<(Marker, String, bool)> {
        TagName::parse(tag, prefix).map(|tag| (tag.marker, tag.name.to_owned(), tag.confirmed))
    }

    #[test]
    fn markers_come_off_once_and_after_the_prefix() {
        assert_eq!(parsed("a", ""), Some((Marker::Positive, "a".into(), false)));
        assert_eq!(parsed("&!a", ""), Some((Marker::Required, "!a".into(), false)));
        assert_eq!(parsed("r-!a", "r-"), Some((Marker::Excluded, "a".into(), true)));
        assert_eq!(parsed("!r-a", "r-"), Some((Marker::Excluded, "r-a".into(), false)));
        assert_eq!(parsed("&eu", "&"), Some((Marker::Positive, "eu".into(), true)));
        assert_eq!(parsed("r-", "r-"), Some((Marker::Positive, String::new(), true)));
        assert_eq!(parsed("", ""), Some((Marker::Positive, String::new(), false)));
        for lone in ["!", "&", "r-!", "r-&"] {
            assert_eq!(parsed(lone, "r-"), None, "{lone}");
        }
    }

    #[test]
    fn patterns_cover_names_and_narrower_patterns() {
        assert!(covers("team:*", "team:a") && covers("team:*", "team:a*") && covers("*", ""));
        assert!(!covers("team:*", "team") && !covers("team:*", "te*") && !covers("team", "team:a"));
    }

    #[test]
    fn hierarchy_reaches_down_whole_levels_only() {
        assert!(matches("region:eu", "region:eu:fra", true) && matches("region:eu", "region:eu", false));
        assert!(!matches("region:eu", "region:eu:fra", false));
        assert!(!matches("region:e", "region:eu", true) && !matches("region:eu:fra", "region:eu", true));
        assert_eq!(levels_above("a:b:c").collect::<Vec<_>>(), ["a", "a:b"]);
    }
}

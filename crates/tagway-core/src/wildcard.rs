//! Model names with `*` in them: what a name puts in its place, and names made of that.

/// What each `*` of `pattern` matches in `name`.
pub(crate) fn stars<'n>(pattern: &str, name: &'n str) -> Option<Vec<&'n str>> {
    let mut parts = pattern.split('*');
    let mut rest = name.strip_prefix(parts.next()?)?;
    let mut found = Vec::new();
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        let at = if parts.peek().is_none() {
            rest.len()
                .checked_sub(part.len())
                .filter(|at| rest.is_char_boundary(*at) && &rest[*at..] == part)?
        } else {
            rest.find(part)?
        };
        found.push(&rest[..at]);
        rest = &rest[at + part.len()..];
    }
    rest.is_empty().then_some(found)
}

/// `target` with each `*` filled by what the pattern's matched in `asked`.
pub(crate) fn fill(target: &str, pattern: &str, asked: &str) -> String {
    let Some(found) = stars(pattern, asked).filter(|_| target.contains('*')) else {
        return target.to_owned();
    };
    let mut out = String::new();
    let mut found = found.into_iter();
    for (n, part) in target.split('*').enumerate() {
        if 0 < n {
            out.push_str(found.next().unwrap_or_default());
        }
        out.push_str(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match_and_fill() {
        assert_eq!(stars("openai/*", "openai/gpt-4o"), Some(vec!["gpt-4o"]));
        assert_eq!(stars("*", "a/b"), Some(vec!["a/b"]));
        assert_eq!(stars("a*b*c", "a1b2c"), Some(vec!["1", "2"]));
        assert_eq!(stars("a*c", "ab"), None);
        assert_eq!(stars("abc", "abc"), Some(vec![]));
        assert_eq!(fill("openai/*", "*", "gpt-4o"), "openai/gpt-4o");
        assert_eq!(fill("*", "openai/*", "openai/gpt-4o"), "gpt-4o");
        assert_eq!(fill("gpt-4o", "openai/*", "openai/x"), "gpt-4o");
    }
}

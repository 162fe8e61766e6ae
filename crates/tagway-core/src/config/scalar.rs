//! What a plain YAML scalar means: YAML 1.2's core schema plus the YAML 1.1 booleans (`True`, `yes`, `on`) that
//! LiteLLM's parser reads. Knows nothing of positions or keys.

/// The meaning of a plain (unquoted) scalar.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Meaning {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text,
}

/// Reads a plain scalar.
pub(super) fn meaning(text: &str) -> Meaning {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Meaning::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Meaning::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return Meaning::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Meaning::Float(f64::NAN),
        _ => {}
    }
    let (sign, digits) = match text.as_bytes().first() {
        Some(b'-') => (-1, text.get(1..).unwrap_or_default()),
        Some(b'+') => (1, text.get(1..).unwrap_or_default()),
        _ => (1, text),
    };
    if matches!(digits, ".inf" | ".Inf" | ".INF") {
        return Meaning::Float(f64::from(sign) * f64::INFINITY);
    }
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') || digits.ends_with('_') {
        return Meaning::Text;
    }
    let plain = digits.replace('_', "");
    if let Some(number) = integer(&plain) {
        return number.checked_mul(i64::from(sign)).map_or(Meaning::Text, Meaning::Int);
    }
    if is_float(&plain)
        && let Ok(number) = plain.parse::<f64>()
    {
        return Meaning::Float(f64::from(sign) * number);
    }
    Meaning::Text
}

fn integer(digits: &str) -> Option<i64> {
    let based = |start: &str, base| {
        digits.strip_prefix(start).and_then(|rest| i64::from_str_radix(rest, base).ok()).filter(|n| *n >= 0)
    };
    if let Some(number) = based("0x", 16).or_else(|| based("0o", 8)).or_else(|| based("0b", 2)) {
        return Some(number);
    }
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// `1.5`, `.5`, `1e3`, `1.5e-7`: what Rust reads, less its words (`inf`, `nan`, `infinity`).
fn is_float(digits: &str) -> bool {
    digits.bytes().any(|b| b.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_mean_what_litellm_users_expect() {
        for (text, want) in [
            ("True", Meaning::Bool(true)),
            ("yes", Meaning::Bool(true)),
            ("off", Meaning::Bool(false)),
            ("~", Meaning::Null),
            ("12", Meaning::Int(12)),
            ("-1_000", Meaning::Int(-1000)),
            ("0x1F", Meaning::Int(31)),
            ("1e-6", Meaning::Float(1e-6)),
            (".5", Meaning::Float(0.5)),
            ("-.inf", Meaning::Float(f64::NEG_INFINITY)),
            ("2024-02-01", Meaning::Text),
            ("1.2.3", Meaning::Text),
            ("1:30", Meaning::Text),
            ("gpt-4", Meaning::Text),
            ("99999999999999999999", Meaning::Float(1e20)),
        ] {
            assert_eq!(meaning(text), want, "{text}");
        }
    }
}

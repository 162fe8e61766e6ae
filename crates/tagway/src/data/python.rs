//! JSON as Python prints it: LiteLLM shows a provider's error body so when it finds no message in it.

use serde_json::Value;
use tagway_core::tag::python_string;

/// Appends `value` as Python's `repr` writes it.
pub(crate) fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) => python_string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                out.push_str(if n == 0 { "" } else { ", " });
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (n, (key, item)) in fields.iter().enumerate() {
                out.push_str(if n == 0 { "" } else { ", " });
                python_string(key, out);
                out.push_str(": ");
                write(item, out);
            }
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn values_read_as_in_python() {
        let mut out = String::new();
        super::write(&json!({"detail": [null, true, 1.5, "it's"], "a": {}}), &mut out);
        assert_eq!(out, r#"{'detail': [None, True, 1.5, "it's"], 'a': {}}"#);
    }
}

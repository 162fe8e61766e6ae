//! Answers as comma-separated values (RFC 4180). Texts that a spreadsheet would run as a formula are kept from it;
//! figures are exact. Knows rows and cells, and not what they say.

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, header};
use serde::Deserialize;
use tagway_core::money::Nanos;
use utoipa::IntoParams;

use super::super::given::Asked;
use super::super::refusal::Refusal;

/// What an answer is to be: JSON, or CSV where `format=csv` or the `Accept` header says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    Csv,
}

/// In which format.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(super) struct AsCsv {
    /// `json` or `csv`; without it the `Accept` header decides (`text/csv`).
    #[param(pattern = "^(json|csv)$")]
    format: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Format {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Asked(AsCsv { format }) = Asked::from_request_parts(parts, state).await?;
        match format.as_deref() {
            Some("csv") => return Ok(Self::Csv),
            Some("json") => return Ok(Self::Json),
            None => {}
            Some(_) => return Err(Refusal::field("format", "Invalid format. Must be 'json' or 'csv'")),
        }
        let mut accepted = parts.headers.get_all(header::ACCEPT).iter().filter_map(|one| one.to_str().ok());
        let csv = accepted.any(|one| {
            let mut kinds = one.split(',').filter_map(|kind| kind.split(';').next());
            kinds.any(|kind| kind.trim().eq_ignore_ascii_case("text/csv"))
        });
        Ok(if csv { Self::Csv } else { Self::Json })
    }
}

/// Rows of cells, as text.
#[derive(Debug, Default)]
pub(in super::super) struct Sheet {
    text: String,
    within: bool,
}

impl Sheet {
    /// One with a row of names.
    pub(in super::super) fn new(columns: &[&str]) -> Self {
        let mut sheet = Self::default();
        for column in columns {
            sheet.plain(column);
        }
        sheet.end();
        sheet
    }

    fn comma(&mut self) {
        if self.within {
            self.text.push(',');
        }
        self.within = true;
    }

    /// A cell of what came from outside.
    pub(in super::super) fn text(&mut self, text: &str) -> &mut Self {
        // What begins so, spreadsheets run; a quote before it makes it text to them.
        let runs = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
        self.comma();
        if !runs && !text.contains([',', '"', '\r', '\n']) {
            self.text.push_str(text);
            return self;
        }
        self.text.push('"');
        if runs {
            self.text.push('\'');
        }
        for char in text.chars() {
            if char == '"' {
                self.text.push('"');
            }
            self.text.push(char);
        }
        self.text.push('"');
        self
    }

    /// The same, empty where there is nothing.
    pub(in super::super) fn maybe(&mut self, text: Option<&str>) -> &mut Self {
        self.text(text.unwrap_or_default())
    }

    /// A cell of the gateway's own words and figures.
    pub(in super::super) fn plain(&mut self, text: impl std::fmt::Display) -> &mut Self {
        self.comma();
        self.text.push_str(&text.to_string());
        self
    }

    /// A cell of exact dollars.
    pub(in super::super) fn money(&mut self, amount: Nanos) -> &mut Self {
        self.plain(decimal(amount))
    }

    /// Ends a row.
    pub(in super::super) fn end(&mut self) {
        self.text.push_str("\r\n");
        self.within = false;
    }

    /// Its text, so far.
    pub(super) fn taken(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// The whole of it as an answer that browsers save under this name.
    pub(in super::super) fn answer(self, name: &str) -> Response {
        (headers(name), self.text).into_response()
    }
}

/// The headers of such an answer.
pub(super) fn headers(name: &str) -> [(header::HeaderName, HeaderValue); 2] {
    let saved = HeaderValue::try_from(format!("attachment; filename=\"{name}\""));
    let saved = saved.unwrap_or(HeaderValue::from_static("attachment"));
    let kind = HeaderValue::from_static("text/csv; charset=utf-8");
    [(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, saved)]
}

/// Dollars with all the places there are: `0.00000855`.
pub(super) fn decimal(amount: Nanos) -> String {
    let (sign, size) = (if amount.0 < 0 { "-" } else { "" }, amount.0.unsigned_abs());
    let (whole, places) = (size / 1_000_000_000, size % 1_000_000_000);
    if places == 0 {
        return format!("{sign}{whole}");
    }
    let text = format!("{sign}{whole}.{places:09}");
    text.trim_end_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_reads_back_as_it_was_written() {
        let mut sheet = Sheet::new(&["tag", "spend"]);
        sheet.text("a,\"b\"").money(Nanos(8_550)).end();
        sheet.text("two\nlines").money(Nanos(-1_500_000_000)).end();
        sheet.maybe(None).money(Nanos(2_000_000_000)).end();
        assert_eq!(sheet.text, "tag,spend\r\n\"a,\"\"b\"\"\",0.00000855\r\n\"two\nlines\",-1.5\r\n,2\r\n");
    }

    #[test]
    fn nothing_that_came_from_outside_runs_in_a_spreadsheet() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"] {
            let mut sheet = Sheet::default();
            sheet.text(text).end();
            assert_eq!(sheet.text, format!("\"'{text}\"\r\n"));
        }
    }

    #[test]
    fn dollars_are_exact() {
        for (nanos, text) in
            [(0, "0"), (1, "0.000000001"), (i64::MIN, "-9223372036.854775808"), (10_000_000_000, "10")]
        {
            assert_eq!(decimal(Nanos(nanos)), text);
        }
    }
}

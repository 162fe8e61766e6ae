//! Money as a whole number: nothing that is added up is ever a float.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};

use serde::{Deserialize, Serialize};

/// Nano-dollars: 10⁻⁹ US dollars. Up to 9.2 billion dollars; sums beyond that stay there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nanos(pub i64);

impl Nanos {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The nearest whole number of nano-dollars; what is no number is nothing.
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and NaN becomes 0")]
    pub fn from_dollars(dollars: f64) -> Self {
        Self((dollars * 1e9).round() as i64)
    }

    /// Writes dollars as Python prints a float (`0.25`, `3.0`, `8.55e-06`), which is what scripts parse and clients
    /// match on.
    pub fn text(self, room: &mut [u8; 32]) -> &str {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(self.0.unsigned_abs());
        let mut text = Text { room, length: 0 };
        if self.0 < 0 {
            text.push("-");
        }
        let trimmed = digits.trim_end_matches('0');
        if trimmed.is_empty() {
            text.push("0.0");
        } else if digits.len() < 6 {
            // Less than a ten-thousandth of a dollar.
            let (first, rest) = trimmed.split_at(1);
            text.push(first);
            if !rest.is_empty() {
                text.push(".");
                text.push(rest);
            }
            text.push(["e-09", "e-08", "e-07", "e-06", "e-05"][digits.len() - 1]);
        } else {
            let whole = digits.len().saturating_sub(9);
            text.push(if whole == 0 { "0" } else { &digits[..whole] });
            text.push(".");
            text.push(&"000000000"[..9_usize.saturating_sub(digits.len())]);
            text.push(trimmed.get(whole..).filter(|rest| !rest.is_empty()).unwrap_or("0"));
        }
        text.done()
    }

    /// Dollars, for answers that show floats as LiteLLM's do.
    #[expect(clippy::cast_precision_loss, reason = "shown, never added up")]
    pub fn dollars(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

impl fmt::Display for Nanos {
    /// As [`Nanos::text`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text(&mut [0; 32]))
    }
}

/// A text that grows in a room it fits into.
struct Text<'r> {
    room: &'r mut [u8; 32],
    length: usize,
}

impl<'r> Text<'r> {
    fn push(&mut self, more: &str) {
        let end = self.length + more.len();
        if let Some(place) = self.room.get_mut(self.length..end) {
            place.copy_from_slice(more.as_bytes());
            self.length = end;
        }
    }

    fn done(self) -> &'r str {
        std::str::from_utf8(&self.room[..self.length]).unwrap_or_default()
    }
}

impl Add for Nanos {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Nanos {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for Nanos {
    type Output = Self;

    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl AddAssign for Nanos {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Nanos {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for Nanos {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Self::add)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dollars_are_written_as_python_writes_them() {
        for (nanos, text) in [
            (8_550, "8.55e-06"),
            (1, "1e-09"),
            (99_999, "9.9999e-05"),
            (100_000, "0.0001"),
            (-42_000, "-4.2e-05"),
            (0, "0.0"),
            (250_000_000, "0.25"),
            (3_000_000_000, "3.0"),
            (10_020_000_000, "10.02"),
            (i64::MIN, "-9223372036.854775808"),
        ] {
            assert_eq!(Nanos(nanos).to_string(), text);
        }
    }

    proptest! {
        /// Up to fifteen digits, a float is as exact.
        #[test]
        fn dollars_are_the_float_that_they_are(
            nanos in prop_oneof![-1_000_000i64..1_000_000, -999_999_999_999_999i64..1_000_000_000_000_000]
        ) {
            let text = Nanos(nanos).to_string();
            prop_assert_eq!(text.parse::<f64>().unwrap(), Nanos(nanos).dollars());
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            let float = format!("{:?}", Nanos(nanos).dollars());
            prop_assert!(100_000 > nanos.abs() || (text == float && digits <= 17), "{} {}", text, float);
        }
    }

    #[test]
    fn dollars_become_whole_numbers_and_back() {
        assert_eq!(Nanos::from_dollars(505.5), Nanos(505_500_000_000));
        assert_eq!(Nanos(505_500_000_000).to_string(), "505.5");
        assert_eq!(Nanos::from_dollars(500.0).to_string(), "500.0");
        assert_eq!(Nanos::from_dollars(f64::NAN), Nanos::ZERO);
    }
}

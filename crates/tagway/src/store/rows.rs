//! Many rows in one statement: how they are cut into parts, and the places of their arguments.

/// As many rows go into one statement: with 19 columns far below what either database takes, and little enough that a
/// server's prepared statements stay small.
const MOST: usize = 128;

/// Cuts rows into parts for one statement each. Lengths are powers of two, so that there are few texts of statements:
/// databases keep what they have prepared.
pub(super) fn parts<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let most = rows.len().checked_ilog2().map(|bits| 1_usize << bits)?;
        let (part, rest) = rows.split_at(most.min(MOST));
        rows = rest;
        Some(part)
    })
}

/// `($1, $2), ($3, $4)`
pub(super) fn tuples(rows: usize, columns: usize) -> String {
    tuples_with(rows, columns, "")
}

/// The same, with more at the end of each row: `($1, $2, 0), ($3, $4, 0)`.
pub(super) fn tuples_with(rows: usize, columns: usize, more: &str) -> String {
    let mut text = String::with_capacity(rows * (columns * 7 + more.len()));
    let mut place = 0;
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..columns {
            place += 1;
            text.push_str(if column == 0 { "$" } else { ", $" });
            text.push_str(itoa::Buffer::new().format(place));
        }
        text.push_str(more);
        text.push(')');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_into_powers_of_two() {
        let lengths = |count: usize| parts(&vec![(); count]).map(<[()]>::len).collect::<Vec<_>>();
        assert_eq!(lengths(0), [0; 0]);
        assert_eq!(lengths(1), [1]);
        assert_eq!(lengths(7), [4, 2, 1]);
        assert_eq!(lengths(300), [128, 128, 32, 8, 4]);
    }

    #[test]
    fn places_count_on_over_rows() {
        assert_eq!(tuples(2, 3), "($1, $2, $3), ($4, $5, $6)");
        assert_eq!(tuples(1, 1), "($1)");
        assert_eq!(tuples_with(2, 1, ", 7"), "($1, 7), ($2, 7)");
    }
}

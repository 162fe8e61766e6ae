//! The pure core of tagway.

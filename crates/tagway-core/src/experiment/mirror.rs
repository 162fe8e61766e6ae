//! A mirror: a share of requests is sent once more, to other deployments, for nobody to read. Says which; sends nothing.

use crate::rule::Program;
use crate::strategy::By;

/// A mirror of `mirrors`.
#[derive(Debug, Clone)]
pub struct Mirror {
    /// Its name, by which its hashes differ from those of others.
    pub name: Box<str>,
    /// The model groups whose requests are mirrored; none: all but `to`.
    pub models: Vec<Box<str>>,
    /// The model group, or the id of the deployment, that gets the copies.
    pub to: Box<str>,
    /// Which requests; none: all.
    pub when: Option<Program>,
    /// What is mirrored always or never; none: every request is drawn by itself.
    pub sticky: Option<By>,
    /// The share of requests, up to 1.
    pub share: f64,
    /// The tag that the copies' costs are booked to.
    pub tag: Box<str>,
    /// As many copies are in progress at once.
    pub most: u32,
}

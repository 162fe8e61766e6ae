//! How the ramp of an experiment stands: what operators, and judgements, have done to its schedule. The schedule itself is
//! the configuration's.

use serde::{Deserialize, Serialize};

use super::{Kind, Links, Object};

/// The ramp of an experiment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Experiment {
    /// Which ramp of the experiment: another one begins anew.
    pub(crate) ramp: String,
    /// Since when it has been held, in milliseconds since 1970.
    pub(crate) held_since: Option<i64>,
    /// How long it was held before, in milliseconds.
    pub(crate) paused: i64,
    pub(crate) rolled_back: bool,
    /// Only what came after this time is judged.
    pub(crate) judged_from: i64,
    /// Why it is held.
    pub(crate) why: Option<String>,
}

impl Object for Experiment {
    const KIND: Kind = Kind::Experiment;

    fn links(&self) -> Links<'_> {
        Links::default()
    }
}

//! Which owners belong to an organization. Knows objects alone.

use crate::objects::{Organization, Owner, Project, Team, User};

/// Owners, with the organization they belong to.
pub(super) trait Linked: Owner {
    fn organization(&self) -> Option<&str>;
}

impl Linked for Team {
    fn organization(&self) -> Option<&str> {
        self.organization_id.as_deref()
    }
}

impl Linked for Project {
    fn organization(&self) -> Option<&str> {
        None
    }
}

impl Linked for User {
    fn organization(&self) -> Option<&str> {
        None
    }
}

impl Linked for Organization {
    fn organization(&self) -> Option<&str> {
        None
    }
}

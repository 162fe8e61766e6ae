//! What the operator permits, whatever the caller asks: for a deployment that is named by its id, where a caller's
//! own tags do not choose.

use super::InheritedTags;
use super::ask::Ask;
use super::index::GroupIndex;
use super::members::Members;
use super::name::{Marker, TagName};
use super::observe::{Observer, Silent, Step};
use crate::config::TagKind;

impl GroupIndex {
    /// The deployments that regions, tier, operators' expressions and inherited tags permit, healthy or not.
    pub fn permitted(&self, ask: &Ask<'_>) -> Members {
        let mut pool = self.all.clone();
        self.shrink(ask, &mut pool, &mut Silent);
        if !self.filtering(ask.turn_on).0 {
            return pool;
        }
        // Of the key and its owners, and of the customer.
        let mut any: [Option<Members>; 2] = [None, None];
        for tag in ask.tags.iter().filter(|tag| (tag.is_inherited() || tag.is_derived()) && !tag.is_aside()) {
            let Some(TagName { marker, name, .. }) = TagName::parse(tag.text(), &self.prefix) else {
                continue;
            };
            let posting = self.posting(name);
            if !posting.is_known() && self.declared(name) == Some(TagKind::Attribution) {
                continue;
            }
            match marker {
                Marker::Excluded => pool.drop_all(posting.words()),
                Marker::Required => pool.keep(posting.words()),
                Marker::Positive if self.inherited == InheritedTags::Merge || !posting.is_known() => {}
                Marker::Positive if self.match_any => {
                    for (any, gives) in any.iter_mut().zip([tag.is_standing(), tag.is_customers()]) {
                        if gives {
                            any.get_or_insert_with(|| Members::none(self.len())).add(posting.words());
                        }
                    }
                }
                Marker::Positive => pool.keep(posting.words()),
            }
        }
        for any in any.iter().flatten() {
            pool.keep(any.words());
        }
        pool
    }

    /// Takes out of the group what regions, tier and operators' expressions forbid.
    pub(super) fn shrink(&self, ask: &Ask<'_>, pool: &mut Members, observer: &mut impl Observer) {
        for region in ask.regions {
            self.keep_region(region, pool);
            observer.step(Step::Region(region), pool);
        }
        if let Some(tier) = ask.tier
            && let Some(members) = self.of_tier(tier)
        {
            pool.keep(members.words());
            observer.step(Step::Tier(tier), pool);
        }
        for &(expression, origin) in ask.expressions.iter().filter(|(_, origin)| !origin.is_caller()) {
            expression.narrow(self, pool);
            observer.step(Step::Expression(expression, origin), pool);
        }
    }
}

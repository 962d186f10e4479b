//! Ready answers out of the tables.

use dglb_common::layout::{Answer, AnswerRef, MAX_VARIANTS};

use super::{
    asker::{Asker, Place},
    query::Question,
    response::{Ready, Response},
    template,
};
use crate::{name::OwnerName, tables::Tables};

/// Where the answers of a name stand, for one question.
#[derive(Clone, Copy)]
pub(super) struct Lookup<'a> {
    pub(super) tables: &'a Tables,
    pub(super) question: &'a Question<'a>,
    pub(super) asker: &'a Asker,
    /// The group of the name.
    pub(super) group: u32,
    /// What all TTLs are at most.
    pub(super) ttl_at_most: u32,
}

impl Lookup<'_> {
    /// The answer of who serves for the vantage now; its records belong to `base`. `None`: there is none.
    pub(super) fn serving(&self, place: Place, kind: u32, base: &OwnerName) -> Option<Response> {
        let vantage = self.tables.serving(place.vantage)?;
        self.at(Place { vantage, ..place }, kind, base)
    }

    /// The answer that is the same for all; it stands at the default vantage, whoever serves for that.
    pub(super) fn fixed(&self, kind: u32, base: &OwnerName) -> Option<Response> {
        let default = self.tables.settings.default_vantage;
        self.at(Place::fixed(default), kind, base)
    }

    /// The answer of exactly this vantage.
    pub(super) fn at(&self, place: Place, kind: u32, base: &OwnerName) -> Option<Response> {
        if self
            .tables
            .word(place.vantage, self.group, kind)
            .is_watched()
        {
            self.asker.meets_watched(self.group);
        }
        let (answer, from_bucket) =
            (self.tables).answer(place.vantage, self.group, kind, self.asker.client())?;
        let scope = if from_bucket {
            place.scope.max(self.asker.bucket_scope())
        } else {
            place.scope
        };
        Some(Response::Ready(Ready {
            variants: self.variants(answer),
            octets_before: self.question.octets_before(base),
            scope,
        }))
    }

    /// The answer and its smaller variants.
    fn variants(&self, answer: &Answer) -> Vec<Answer> {
        std::iter::successors(Some(answer), |answer| {
            self.tables.answer_at(AnswerRef(answer.smaller))
        })
        .take(1 + MAX_VARIANTS)
        .map(|answer| template::with_ttl_at_most(*answer, self.ttl_at_most))
        .collect()
    }
}

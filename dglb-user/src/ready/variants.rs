//! One answer in several sizes.

use dglb_common::layout::{Answer, AnswerRef};

/// The same answer in ever smaller sizes: at least one, largest first, at most
/// [`dglb_common::layout::MAX_VARIANTS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variants(Vec<Answer>);

impl Variants {
    /// From a list, largest first; `None` when it is empty.
    pub(super) fn new(answers: Vec<Answer>) -> Option<Self> {
        (!answers.is_empty()).then_some(Self(answers))
    }

    /// From the largest, and those that are smaller.
    pub(super) fn of_first(first: Answer, smaller: impl IntoIterator<Item = Answer>) -> Self {
        Self(std::iter::once(first).chain(smaller).collect())
    }

    /// The variants, largest first. None refers to another yet.
    pub fn as_slice(&self) -> &[Answer] {
        &self.0
    }

    /// Puts all of them into slots, the smallest first, each with a reference to the next smaller one,
    /// by `intern`, which gives the reference to the answer that it was handed. Gives the largest's.
    pub fn link(self, mut intern: impl FnMut(Answer) -> AnswerRef) -> AnswerRef {
        let mut smaller = AnswerRef::NONE;
        for mut answer in self.0.into_iter().rev() {
            answer.smaller = smaller.0;
            smaller = intern(answer);
        }
        smaller
    }
}

impl From<Answer> for Variants {
    fn from(answer: Answer) -> Self {
        Self(vec![answer])
    }
}

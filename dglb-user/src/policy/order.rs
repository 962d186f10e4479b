//! The order of the sites that may be answered: by score, without wavering.
//!
//! Who holds a place keeps it, unless another is better by the margin: the owner's, or what the noise of the
//! measurements explains, whichever is more (`score::margin`). Each exchange lowers the score at
//! its place, so that at constant standings the order is settled at once.

use super::{place::Place, score::Scores, trace::Sink};

/// The sites of `pool`, best first. `held`: the order of last time.
pub(super) fn arrange(
    pool: &[usize],
    held: &[usize],
    scores: &Scores,
    places: &[Place],
    sink: &mut Sink<'_>,
) -> Vec<usize> {
    let mut order: Vec<usize> = Vec::with_capacity(pool.len());
    order.extend(held.iter().filter(|site| pool.contains(site)));
    let mut new: Vec<usize> = pool.to_vec();
    new.retain(|site| !order.contains(site));
    new.sort_by(|one, other| scores.compare(*one, *other));
    order.append(&mut new);
    for place in 0..order.len() {
        let mut present = place;
        while let Some(better) = challenger(&order[place..], order[present], scores) {
            present = place + better;
        }
        // Those that it passes by keep their order.
        order[place..=present].rotate_right(1);
    }
    if let Some(&first) = order.first() {
        note_what_stays(&order, first, scores, places, sink);
    }
    order
}

/// Of those in `sites` that are better than `present` by the margin the best: its place in `sites`.
fn challenger(sites: &[usize], present: usize, scores: &Scores) -> Option<usize> {
    let better = sites.iter().enumerate();
    let better = better.filter(|(_, site)| scores.beats(**site, present));
    better
        .min_by(|(_, one), (_, other)| scores.compare(**one, **other))
        .map(|(index, _)| index)
}

/// Says so when the first is not the one with the best score.
fn note_what_stays(
    order: &[usize],
    first: usize,
    scores: &Scores,
    places: &[Place],
    sink: &mut Sink<'_>,
) {
    sink.note_if(|| {
        let best = order
            .iter()
            .copied()
            .min_by(|one, other| scores.compare(*one, *other))?;
        let ahead = scores.value(first)? - scores.value(best)?;
        (ahead > 0.0).then(|| {
            format!(
                "{} stays: {} is better by {ahead:.1}, less than the margin of {:.1}",
                places[first].name,
                places[best].name,
                scores.margin(best, first)
            )
        })
    });
}

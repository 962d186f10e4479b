//! From vantage, group and kind to a ready answer.

use dglb_common::{
    client::{self, Client},
    counters::Counter,
    layout::{Answer, AnswerRef, BUCKETS, Secret, Settings, VantageValue, ranking_place},
};

use crate::maps::{ANSWERS, RANKINGS, ROWS, VANTAGES};

/// The vantage whose answers are given for `vantage`, when the daemon last beat at `heartbeat`.
#[inline(always)]
pub fn serving(vantage: u32, heartbeat: u64) -> Result<u32, Counter> {
    let value = VANTAGES.get_ptr(vantage).ok_or(Counter::PassedTable)?;
    // SAFETY: a pointer that the map gave, to an aligned word that is read once.
    let word = unsafe { value.cast::<u64>().read_volatile() };
    Ok(VantageValue::from_word(word).serving(heartbeat))
}

/// The word of the rankings; not ready where there is no answer.
#[inline(always)]
pub fn word(
    vantage: u32,
    group: u32,
    kind: u32,
    settings: &Settings,
) -> Result<AnswerRef, Counter> {
    let (page, index) = ranking_place(settings.groups, vantage, group, kind);
    let word = RANKINGS
        .get_value_ptr_mut(page, &index)
        .ok_or(Counter::PassedTable)?;
    // SAFETY: a pointer that the map gave, to an aligned word that is read once.
    Ok(AnswerRef(unsafe { word.read_volatile() }))
}

/// The word of a row of buckets that the client has.
#[inline(always)]
pub fn bucket(row: AnswerRef, client: Client, secret: &Secret) -> Result<AnswerRef, Counter> {
    let words = ROWS.get_ptr(row.slot()).ok_or(Counter::PassedTable)?;
    let place = client::answer_bucket(client.hash(client.network_mask(), secret));
    // SAFETY: the map's value has BUCKETS words, and the place is below that.
    let word = unsafe { words.cast::<u64>().add(place & (BUCKETS - 1)) };
    // SAFETY: as above; an aligned word that is read once.
    Ok(AnswerRef(unsafe { word.read_volatile() }))
}

/// The answer that a word refers to.
#[inline(always)]
pub fn answer(reference: AnswerRef) -> Result<&'static Answer, Counter> {
    let answer = ANSWERS.get(reference.slot()).ok_or(Counter::PassedTable)?;
    if !reference.is_ready() || answer.generation != reference.generation() {
        return Err(Counter::PassedTable);
    }
    Ok(answer)
}

//! Which of an answer's sizes a response must have: the largest that fits.

use std::collections::BTreeSet;

use dglb_common::counters::Counter;
use hickory_proto::{
    op::Message,
    rr::Record,
    serialize::binary::{BinEncodable as _, BinEncoder},
};

use super::{Expected, Sections, Sizes, form::Plain, records::wire_len};

/// Holds the records of a response against what is expected.
pub(super) fn check(
    plain: &Plain,
    (limit, opt_octets): (usize, usize),
    message: &Message,
    expected: &Expected,
) -> Result<(), String> {
    // What stands around the records is the same in all sizes.
    let around = 12 + wire_len(plain.query.name()) + 4 + opt_octets;
    // A ready answer spells its host's label, which the question may have too: 16 octets.
    let spelt = match expected.row {
        Counter::BR | Counter::BCLabel | Counter::LbApex => 16,
        _ => 0,
    };
    let fits = |sections: &Sections| around + compressed_len(plain, sections) + spelt <= limit;
    if message.metadata.truncation {
        if message.all_sections().next().is_some() {
            return Err("TC and records".to_owned());
        }
        let smallest = |sizes: &Sizes| sizes.last().is_some_and(fits);
        return if expected.choices.iter().all(smallest) {
            Err(format!("TC, though all would fit in {limit} octets"))
        } else {
            Ok(())
        };
    }
    let mut wrong = Vec::new();
    for sizes in &expected.choices {
        for (index, sections) in sizes.iter().enumerate() {
            match compare(message, sections) {
                Ok(()) => {
                    let larger = sizes[..index].iter().find(|larger| fits(larger));
                    return match larger {
                        Some(larger) => Err(format!("{larger:?} would fit in {limit} octets")),
                        None => Ok(()),
                    };
                }
                Err(difference) => wrong.push(difference),
            }
        }
    }
    Err(wrong.join("\n or "))
}

fn compare(message: &Message, sections: &Sections) -> Result<(), String> {
    section("answer", &message.answers, &sections.answers)?;
    section("authority", &message.authorities, &sections.authorities)?;
    section("additional", &message.additionals, &sections.additionals)
}

fn section(name: &str, seen: &[Record], expected: &[Record]) -> Result<(), String> {
    let text = |records: &[Record]| -> BTreeSet<String> {
        records
            .iter()
            .map(|record| record.to_string().to_lowercase())
            .collect()
    };
    let (seen_set, expected_set) = (text(seen), text(expected));
    if seen.len() == expected.len() && seen_set == expected_set {
        return Ok(());
    }
    Err(format!(
        "{name} section\n  is        {seen_set:?}\n  should be {expected_set:?}"
    ))
}

/// Octets of records behind the question, names compressed as hickory-proto does it.
fn compressed_len(plain: &Plain, sections: &Sections) -> usize {
    let mut octets = Vec::new();
    let mut encoder = BinEncoder::new(&mut octets);
    let mut question = plain.query.clone();
    question.set_name(question.name().to_lowercase());
    let records = [
        &sections.answers,
        &sections.authorities,
        &sections.additionals,
    ];
    // Pointers count from the start of the message.
    let written = encoder
        .emit_vec(&[0; 12])
        .and_then(|()| question.emit(&mut encoder))
        .and_then(|()| {
            let mut all = records.into_iter().flatten();
            all.try_for_each(|record| {
                let mut small = record.clone();
                small.name = small.name.to_lowercase();
                small.emit(&mut encoder)
            })
        });
    written.expect("few records");
    octets.len() - 12 - wire_len(plain.query.name()) - 4
}

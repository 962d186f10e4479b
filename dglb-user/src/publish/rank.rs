//! From a ranking of sites to the words of the rankings table.

use dglb_common::layout::{AnswerRef, KIND_A, KIND_AAAA, KIND_NODATA, RANKING_PAGE, ranking_place};

use super::build::{Built, SiteAnswers};
use crate::tables::Tables;

/// References for the two address types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// For A.
    pub v4: AnswerRef,
    /// For AAAA.
    pub v6: AnswerRef,
}

/// The best site that has an address of the family; none: `nodata`.
pub fn words(sites: &[SiteAnswers], ranking: &[usize], nodata: AnswerRef) -> Words {
    let best = |family: fn(&SiteAnswers) -> Option<AnswerRef>| {
        ranking
            .iter()
            .filter_map(|&site| sites.get(site))
            .find_map(family)
            .unwrap_or(nodata)
    };
    Words {
        v4: best(|site| site.v4),
        v6: best(|site| site.v6),
    }
}

/// The reference to a service's NODATA answer.
pub fn nodata(tables: &Tables, service: usize) -> AnswerRef {
    let pages = tables.settings.pages_per_vantage;
    let (page, index) = ranking_place(pages, 0, service as u32, KIND_NODATA);
    tables.rankings[page as usize * RANKING_PAGE + index as usize]
}

/// Fills the address words of a service before the tables are in service.
///
/// With no site up, the sites stand in the order of the configuration: that is more than nothing.
pub fn first_ranking(built: &mut Built, service: usize, ranking: &[usize]) {
    let in_order: Vec<usize> = (0..built.sites[service].len()).collect();
    let ranking = if ranking.is_empty() {
        &in_order
    } else {
        ranking
    };
    let nodata = nodata(&built.tables, service);
    let words = words(&built.sites[service], ranking, nodata);
    let pages = built.tables.settings.pages_per_vantage;
    for (kind, word) in [(KIND_A, words.v4), (KIND_AAAA, words.v6)] {
        let (page, index) = ranking_place(pages, 0, service as u32, kind);
        built.tables.rankings[page as usize * RANKING_PAGE + index as usize] = word;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_site_of_each_family_is_named_and_a_dead_one_never() {
        let reference = |slot| AnswerRef::new(slot, 1);
        let nodata = reference(9);
        let sites = [
            SiteAnswers {
                v4: Some(reference(0)),
                v6: None,
            },
            SiteAnswers {
                v4: Some(reference(1)),
                v6: Some(reference(2)),
            },
        ];
        let both = words(&sites, &[0, 1], nodata);
        assert_eq!((both.v4, both.v6), (reference(0), reference(2)));
        // The only site with IPv6 is down: no data, rather than its address.
        let one = words(&sites, &[0], nodata);
        assert_eq!((one.v4, one.v6), (reference(0), nodata));
    }
}

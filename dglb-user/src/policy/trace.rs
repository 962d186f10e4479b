//! Why a decision is as it is, for those who ask.

/// All sites of a service in one family, and what became of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// By site, as in the configuration.
    pub candidates: Vec<Candidate>,
    /// What is not of one site: the tier that was used, what stays because of the margin, all-down.
    pub notes: Vec<String>,
}

/// One site.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Candidate {
    /// Its index.
    pub site: usize,
    /// What removed it, and why; `None`: nothing did.
    pub removed_by: Option<String>,
    /// Less is better; `None` where it has none.
    pub score: Option<f64>,
    /// Its share of the answers, percent.
    pub share_percent: f64,
}

impl Trace {
    /// Of so many sites, nothing known yet.
    pub(super) fn new(sites: usize) -> Self {
        let candidate = |site| Candidate {
            site,
            ..Candidate::default()
        };
        Self {
            candidates: (0..sites).map(candidate).collect(),
            notes: Vec::new(),
        }
    }
}

/// Where a decision is explained while it is made; mostly nowhere.
pub(super) struct Sink<'t>(pub Option<&'t mut Trace>);

impl Sink<'_> {
    /// `site` is out; `why` is worded only if somebody asks.
    pub fn removed(&mut self, site: usize, why: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.0 {
            trace.candidates[site].removed_by.get_or_insert_with(why);
        }
    }

    /// The score of a site, if it has one.
    pub fn score(&mut self, site: usize, score: impl FnOnce() -> Option<f64>) {
        if let Some(trace) = &mut self.0 {
            trace.candidates[site].score = score();
        }
    }

    /// Something that is not of one site.
    pub fn note(&mut self, note: impl FnOnce() -> String) {
        self.note_if(|| Some(note()));
    }

    /// The same, where it takes a look to know whether there is something to say.
    pub fn note_if(&mut self, note: impl FnOnce() -> Option<String>) {
        if let Some(trace) = &mut self.0 {
            trace.notes.extend(note());
        }
    }
}
